"""From events in continuous time to counts on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Alignment = Literal["zero", "first_event"]
MOST_STEPS = 65535


@dataclass(frozen=True)
class Grid:
    """The grid that events are counted on.

    Args:
        channels: channels of the recording; unit ids lie in [0, channels).
        pool: neighbouring channels counted as one source, >= 1.
        dt_ms: length of a step in ms, > 0.
        alignment: where step 0 begins: ``zero`` at time 0 of the recording, ``first_event`` at its first event.
            Silent gaps are kept either way.
    """

    channels: int
    pool: int
    dt_ms: float
    alignment: Alignment = "zero"

    @property
    def sources(self) -> int:
        """Sources after pooling."""
        return -(-self.channels // self.pool)

    def count(self, times_s: NDArray[Any], units: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Count one clip's events.

        Args:
            times_s: seconds from the start of the recording, >= 0, any order, any float type.
            units: channel of each event.

        Returns:
            Step, source and count of every cell that is not empty, sorted by step, then source, each in the smallest
            unsigned type that holds it.

        Raises:
            ValueError: the clip lasts more than 65,535 steps.
        """
        # float16 seconds times 1000 would overflow under NumPy 2: widen first
        time_ms = times_s.astype(np.float64) * 1000
        if self.alignment == "first_event" and len(time_ms):
            time_ms -= time_ms.min()
        step = np.floor(time_ms / self.dt_ms)
        if len(step) and step.max() >= MOST_STEPS:
            raise ValueError(
                f"last event at {times_s.max():.4g} s (up to {MOST_STEPS} steps of {self.dt_ms:g} ms allowed)"
            )
        cell, count = np.unique(
            step.astype(np.int64) * self.sources + units.astype(np.int64) // self.pool, return_counts=True
        )
        return _smallest(cell // self.sources), _smallest(cell % self.sources), _smallest(count)


def _smallest(values: NDArray[Any]) -> NDArray[Any]:
    # a whole data set of int64 cells would take eight times the memory
    return values.astype(np.min_scalar_type(values.max(initial=0)))
