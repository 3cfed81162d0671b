"""Classes by name: where two lists of names meet, names that mean the same are the same class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.frames import FrameDataset
from ranvier.names import normal_name

_MOST_NAMES = 40  # of a list in a message
_NUMERALS = {
    name: str(number)
    for number, name in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
}

Clips = TypeVar("Clips", bound=SpikeDataset | FrameDataset)


@dataclass(frozen=True, eq=False)
class ClassMatch:
    """Which classes of one list are which of another.

    Attributes:
        places: int64 ``[class]`` of the other list: its place in the reference, -1 where it is not there.
        by_number: whether they were matched by number, because one of the lists has no names.
    """

    places: NDArray[np.int64]
    by_number: bool


def plain_name(name: str) -> str:
    """English numerals as their digits (zero is 0), any other name in its composed form (Unicode NFC)."""
    return _NUMERALS.get(name.lower(), normal_name(name))


def match_classes(
    reference: Sequence[str], other: Sequence[str], *, numerals: bool = False, partial: bool = False
) -> ClassMatch:
    """Find every class of ``other`` in ``reference``, by name: a subset, in any order.

    A list that reads "0", "1", "2" ... is one without names, as the readers give it where a recording has none: where
    names are not found and one of the lists is such, classes go by number.

    Args:
        reference: names of the classes that labels shall count by.
        other: names of the classes that they count by.
        numerals: English numerals are one name with their digits.
        partial: classes that are not there get -1, and nothing goes by number.

    Raises:
        DataError: a class is not there; the message has both lists.
    """
    form: Callable[[str], str] = plain_name if numerals else normal_name
    known: dict[str, int] = {}
    for place, name in enumerate(reference):
        known.setdefault(form(name), place)
    places = np.array([known.get(form(name), -1) for name in other], np.int64)
    numbers = np.arange(len(other))
    if partial or (places >= 0).all():
        return ClassMatch(places, not partial and _is_numbers(other) and bool((places == numbers).all()))
    if len(other) <= len(reference) and (_is_numbers(other) or _is_numbers(reference)):
        return ClassMatch(numbers, True)
    unknown = [name for name, place in zip(other, places, strict=True) if place < 0]
    raise DataError(
        f"classes {_listed(unknown)} are not known: there are {_listed(other)}, known are {_listed(reference)} "
        "(the same names, or some of them, allowed in any order)"
    )


def with_classes(dataset: Clips, classes: Sequence[str]) -> tuple[Clips, bool]:
    """The same clips with labels that count by ``classes``, and whether they were matched by number.

    Raises:
        DataError: see :func:`match_classes`.
    """
    match = match_classes(classes, dataset.classes)
    return replace(dataset, labels=match.places[dataset.labels], classes=tuple(classes)), match.by_number


def _is_numbers(names: Sequence[str]) -> bool:
    return all(name == str(number) for number, name in enumerate(names))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (f" ... ({len(names)} in all)" if len(names) > _MOST_NAMES else "")
