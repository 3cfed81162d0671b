"""From events in continuous time to counts on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Alignment = Literal["zero", "first_event"]
MOST_STEPS = 65535

_COMPUTED = 2.0**-40  # relative error of an elapsed time: a sum of some thousand intervals, or a product with 0.001
_MOST_INTEGER = 2.0**53


def time_to_steps(times: NDArray[Any], step: float, *, start: float | np.number[Any] = 0) -> NDArray[np.int64]:
    """Number of the step that each time lies in; a time on the grid, rounded to its type, begins its step.

        steps[i] = floor(elapsed / step + min(slack, 1/2)),    elapsed = times[i] - start
        slack = (2^-40 elapsed + u (times[i] + start)) / step

    0.03 s is 0.0299999993 s in float32: without the slack it would lie in the third step of 10 ms, not in the fourth.
    u is what a few roundings in the times' type leave of a multiple of a step: 2^-22 for float32, and for float64 of
    which float32 holds every value (float32, widened); 2^-52 else. float16 has no slack of its own: its values are
    taken as they stand, as the published recordings have always been counted. None of these lies so little below a
    step of whole tenths of a millisecond that the 2^-40 would move it.

    Args:
        times: one clip's, not before ``start``, finite, >= 0, in any unit and any type of real number.
        step: length of a step in the same unit, > 0.
        start: where step 0 begins, of the times' type if it is one of them.

    Returns:
        As many whole numbers, >= 0, at most 2^53.
    """
    wide = np.int64 if times.dtype.kind in "iu" else np.float64
    origin = wide(start)
    position = (times.astype(wide) - origin).astype(np.float64) / step
    u = _precision(times)
    slack = np.minimum((_COMPUTED + u) * position + 2 * u * float(origin) / step, 0.5)
    return np.minimum(np.floor(position + slack), _MOST_INTEGER).astype(np.int64)


def steps_to_times(steps: NDArray[Any], dt_ms: float) -> NDArray[np.float64]:
    """Seconds that lie in the given steps and are safest from rounding: the middle of each.

    Step 0 has its beginning, so that a clip with an event in step 0 is the same from time 0 and from its first event.

    Args:
        steps: whole numbers >= 0.
        dt_ms: length of a step in ms.
    """
    return np.where(steps == 0, 0.0, (steps.astype(np.float64) + 0.5) * dt_ms / 1000)


def holds(kind: type[np.floating[Any]], values: NDArray[Any]) -> bool:
    """Whether a type has every one of the values."""
    with np.errstate(over="ignore"):
        return bool((values.astype(kind) == values).all())


def _precision(times: NDArray[Any]) -> float:
    """Relative rounding error of times on a grid, see :func:`time_to_steps`."""
    kind = times.dtype
    if kind.kind == "f" and kind.itemsize > 4 and holds(np.float32, times) and not holds(np.float16, times):
        kind = np.dtype(np.float32)
    return 2.0**-22 if kind.kind == "f" and kind.itemsize == 4 else 2.0**-52


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

    def count(
        self, times: NDArray[Any], units: NDArray[Any], *, per_second: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Count one clip's events, each in the step that :func:`time_to_steps` says.

        Args:
            times: from the start of the recording, finite, >= 0, any order, any type of real number.
            units: channel of each event.
            per_second: units of time in a second: 1 where times are seconds, 1,000,000 where they are microseconds.

        Returns:
            Step, source and count of every cell that is not empty, sorted by step, then source, each in the smallest
            unsigned type that holds it.

        Raises:
            ValueError: the clip lasts more than 65,535 steps.
        """
        start = times.min() if self.alignment == "first_event" and len(times) else 0
        step = time_to_steps(times, self.dt_ms * per_second / 1000, start=start)
        if len(step) and step.max() >= MOST_STEPS:
            last_s, most_s = float(times.max()) / per_second, MOST_STEPS * self.dt_ms / 1000
            allowed = f"up to {most_s:.6g} s allowed, {MOST_STEPS} steps of {self.dt_ms:g} ms"
            raise ValueError(f"last event at {last_s:.4g} s ({allowed})")
        cell, count = np.unique(step * self.sources + units.astype(np.int64) // self.pool, return_counts=True)
        return _smallest(cell // self.sources), _smallest(cell % self.sources), _smallest(count)


def _smallest(values: NDArray[Any]) -> NDArray[Any]:
    # a whole data set of int64 cells would take eight times the memory
    return values.astype(np.min_scalar_type(values.max(initial=0)))
