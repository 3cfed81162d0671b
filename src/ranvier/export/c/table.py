"""Arrays of constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Table:
    """An array of constants.

    Attributes:
        name: in C.
        values: of a type that C has too.
        words: what it is.
    """

    name: str
    values: NDArray[Any]
    words: str


def smallest(values: NDArray[np.int64]) -> NDArray[Any]:
    """In 16 bits where they fit."""
    return values.astype(np.uint16 if values.max() < 2**16 else np.uint32)
