"""Names of classes that mean the same, and the order of names."""

from __future__ import annotations

import re

_NUMERALS = {
    name: str(number)
    for number, name in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
}


def plain_name(name: str) -> str:
    """English numerals as their digits (zero is 0), any other name as it is."""
    return _NUMERALS.get(name.lower(), name)


def natural_order(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A key to sort names by: whole numbers in them count as numbers, so that 2 comes before 10, s2 before s10."""
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    digits = [part.lstrip("0") if part.isdecimal() else None for part in parts]
    return [
        (True, 0, part) if digit is None else (False, len(digit), digit)
        for part, digit in zip(parts, digits, strict=True)
    ], name
