"""Names of classes that mean the same."""

from __future__ import annotations

_NUMERALS = {
    name: str(number)
    for number, name in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
}


def plain_name(name: str) -> str:
    """English numerals as their digits (zero is 0), any other name as it is."""
    return _NUMERALS.get(name.lower(), name)
