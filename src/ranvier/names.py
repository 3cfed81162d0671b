"""Names of classes: when two are one name, and which are none."""

from __future__ import annotations

import reprlib
import unicodedata
from collections.abc import Sequence

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
