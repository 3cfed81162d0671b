"""A data set from arrays of events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import Grid
from ranvier.data.recording_rules import PER_SECOND, TimeUnit


def events_dataset(
    clips: Sequence[tuple[ArrayLike, ArrayLike]],
    labels: ArrayLike,
    *,
    dt_ms: float,
    sources: int,
    classes: Sequence[str] | None = None,
    speakers: ArrayLike | None = None,
    time_unit: TimeUnit = "s",
) -> SpikeDataset:
    """Count events on a grid of time steps: a data set to train on.

        count[t, i] = number of events of unit i with t * dt_ms <= time < (t + 1) * dt_ms

    Args:
        clips: (times, units) of each clip. ``times [event]``: from the start of the clip, in ``time_unit``, finite and
            >= 0, in any order. ``units [event]``: integers in [0, sources).
        labels: ``[clip]``, integers: indices into ``classes``.
        dt_ms: length of a time step [ms], > 0.
        sources: input lines, >= 1.
        classes: names of the classes; None names them by their numbers, ``0`` to the largest label.
        speakers: ``[clip]``, number of the speaker (or subject, or sensor) of each clip, -1 where it is not known; None
            means of no clip. :func:`ranvier.data.split.split_clips` holds out all clips of a speaker.
        time_unit: ``s``, ``ms`` or ``us``.

    Returns:
        The clips in their order.

    Raises:
        DataError: a value is not allowed; the message names it and, for an event, the clip.
    """
    if time_unit not in PER_SECOND:
        raise DataError(f"time_unit: {time_unit!r} is not allowed ({', '.join(PER_SECOND)})")
    if not (dt_ms > 0 and math.isfinite(dt_ms)):
        raise DataError(f"dt_ms: {dt_ms!r} is not allowed (above 0 ms)")
    if sources < 1:
        raise DataError(f"sources: {sources!r} is not allowed (1 or more)")
    if not len(clips):
        raise DataError("clips: none (1 or more allowed)")
    grid = Grid(channels=sources, pool=1, dt_ms=dt_ms)
    counted = []
    for number, (times, units) in enumerate(clips):
        times, units = np.asarray(times), np.asarray(units)
        try:
            _check_clip(times, units, sources)
            counted.append(grid.count(times, units.astype(np.int64), per_second=PER_SECOND[time_unit]))
        except ValueError as error:
            raise DataError(f"clip {number}: {error}") from None
    numbers = _numbers("labels", labels)
    return SpikeDataset.pack(
        counted,
        labels=numbers,
        speakers=None if speakers is None else _numbers("speakers", speakers, lowest=-1),
        classes=[str(label) for label in range(int(numbers.max(initial=0)) + 1)] if classes is None else classes,
        sources=sources,
        dt_ms=dt_ms,
    )


def _check_clip(times: NDArray[Any], units: NDArray[Any], sources: int) -> None:
    if times.ndim != 1 or times.shape != units.shape:
        raise ValueError(f"times {times.shape} and units {units.shape} (one length [event] allowed)")
    if not len(times):
        return  # NumPy makes float64 of an empty list
    if times.dtype.kind not in "iuf" or not (np.isfinite(times).all() and times.min() >= 0):
        raise ValueError(
            f"times: {times.dtype} from {times.min()} to {times.max()} (finite numbers, 0 or more allowed)"
        )
    if units.dtype.kind not in "iu" or not (units.min() >= 0 and units.max() < sources):
        raise ValueError(
            f"units: {units.dtype} from {units.min()} to {units.max()} (integers 0 ... {sources - 1} allowed)"
        )


def _numbers(name: str, values: ArrayLike, lowest: int = 0) -> NDArray[Any]:
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "iu":
        raise DataError(f"{name}: {numbers.dtype} is not allowed (integers, one per clip)")
    if numbers.min(initial=lowest) < lowest:
        raise DataError(f"{name}: {numbers.min()} is not allowed ({lowest} or more)")
    return numbers
