"""Names of classes and speakers: when two are one name, which are none, their order, and names in a text."""

from __future__ import annotations

import re
import reprlib
import unicodedata
from collections.abc import Collection, Sequence

_LEFT_TO_RIGHT = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_NOT_TEXT = ("Cc", "Cs")  # control characters, halves of surrogate pairs


def normal_name(name: str) -> str:
    """The composed form (Unicode NFC): two names that look alike and differ only in composition are one."""
    return unicodedata.normalize("NFC", name)


def name_fault(names: Sequence[str]) -> str | None:
    """What keeps ``names`` from naming classes, or None: they must be text, not empty, without control characters or
    marks that turn the direction of text, and no two the same (:func:`normal_name`)."""
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            return f"number {place} is {reprlib.repr(name)} (a name of one letter or more allowed)"
        if any(unicodedata.category(c) in _NOT_TEXT or unicodedata.bidirectional(c) in _LEFT_TO_RIGHT for c in name):
            return f"number {place} is {reprlib.repr(name)} (no control characters allowed)"
        first = seen.setdefault(normal_name(name), place)
        if first != place:
            return f"numbers {first} and {place} are both {reprlib.repr(name)} (each name once)"
    return None


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
