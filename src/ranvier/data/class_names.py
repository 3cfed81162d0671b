"""Names of classes that mean the same, the order of names, and names in a text."""

from __future__ import annotations

import re
from collections.abc import Collection

_NUMERALS = {
    name: str(number)
    for number, name in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
}


def plain_name(name: str) -> str:
    """English numerals as their digits (zero is 0), any other name as it is."""
    return _NUMERALS.get(name.lower(), name)


def split_names(text: str, known: Collection[str]) -> list[str] | None:
    """Known names in a text with commas between, where names may hold commas themselves.

    The whole text is tried first, then the longest name that the text begins with, and so on.

    Args:
        text: ``Doe, Jane`` is one name if it is known, and else two.
        known: all names that there are.

    Returns:
        The names in their order, each of ``known``; None where a part is none of them.
    """
    if text in known:
        return [text]
    parts, found = [part for part in text.split(",") if part.strip()], []
    while parts:
        for end in range(len(parts), 0, -1):
            tried = ",".join(parts[:end])
            name = tried if tried in known else tried.strip()
            if name in known:
                found.append(name)
                del parts[:end]
                break
        else:
            return None
    return found


def unknown_names(text: str, known: Collection[str]) -> str:
    """What to say of a text that :func:`split_names` finds no names in: both readings, and the names that there are."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    apart = f", nor are {' and '.join(map(repr, parts))}" if len(parts) > 1 else ""
    names = ", ".join(repr(name) if "," in name else name for name in known)
    return f"{text!r} is not in the recording{apart} (there are {names})"


def natural_order(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A key to sort names by: whole numbers in them count as numbers, so that 2 comes before 10, s2 before s10."""
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    digits = [part.lstrip("0") if part.isdecimal() else None for part in parts]
    return [
        (True, 0, part) if digit is None else (False, len(digit), digit)
        for part, digit in zip(parts, digits, strict=True)
    ], name
