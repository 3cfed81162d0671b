"""Clips as the engine takes them: events, or the dense form of the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.network import MAX_COUNT

Events = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Time step (integers), source (integers) and size (finite) of every event, three arrays of one length, time steps
never falling."""

_LONGEST = 2**24  # time steps


def check_clip(
    events: Events | NDArray[Any], sources: int, length: int | None, *, integer: bool = False
) -> tuple[Events, int]:
    """A clip as events with integers of 64 bits and sizes of double precision, and its length.

    Args:
        events: as :data:`Events`, or dense ``[time, source]``.
        sources: of the network.
        length: time steps, in [1, 2^24]; None means up to the last event, or all of the dense form.
        integer: whether sizes must be whole numbers in [0, 255].

    Raises:
        ValueError: events of another type, shape or length, outside the clip or the network's sources, not finite, or
            unsorted; a length out of range.
    """
    if isinstance(events, np.ndarray):
        _check_dense(events, sources)
        length = len(events) if length is None else length
        step, source = np.nonzero(events)
        size = events[step, source]
    else:
        step, source, size = _check_events(events, sources)
    if length is None:
        length = int(step[-1]) + 1 if len(step) else 1
    if isinstance(length, bool) or not isinstance(length, int | np.integer) or not 1 <= length <= _LONGEST:
        raise ValueError(f"length: {length!r} is not allowed (a whole number of time steps, 1 ... {_LONGEST})")
    if len(step) and (step[0] < 0 or step[-1] >= length or (np.diff(step) < 0).any()):
        raise ValueError(f"events: steps {step.min()} ... {step.max()} (rising, within 0 ... {length - 1} allowed)")
    if integer:
        _check_counts(size)
    return (step, source, size.astype(np.float64)), int(length)


def check_step(source: NDArray[Any], size: NDArray[Any] | None, sources: int, *, integer: bool) -> None:
    """Check the events of one time step, arguments as in :meth:`Stream.step`.

    Raises:
        ValueError: another type, shape or value.
    """
    if source.ndim != 1 or (source.dtype.kind not in "iu" and len(source)):
        raise ValueError(f"source: {source.dtype} {source.shape} is not allowed (integers [event])")
    if len(source) and not (source.min() >= 0 and source.max() < sources):
        raise ValueError(f"source: {source.min()} ... {source.max()} (0 ... {sources - 1} allowed)")
    if size is None:
        return
    if size.shape != source.shape or size.dtype.kind not in "biuf" or not np.isfinite(size).all():
        raise ValueError(f"size: {size.dtype} {size.shape} is not allowed (finite, {source.shape})")
    if integer:
        _check_counts(size)


def _check_counts(size: NDArray[Any]) -> None:
    """Sizes that an integer network takes."""
    if len(size) and (size.min() < 0 or size.max() > MAX_COUNT or (size != np.floor(size)).any()):
        raise ValueError(
            f"events: sizes {size.min():g} ... {size.max():g} (an integer network: whole numbers in 0 ... {MAX_COUNT})"
        )


def _check_dense(events: NDArray[Any], sources: int) -> None:
    if events.ndim != 2 or events.shape[1] != sources or not len(events):
        raise ValueError(
            f"events: an array of shape {events.shape} ([time, {sources}], one column per source; or three arrays "
            "step, source, size allowed)"
        )
    if events.dtype.kind not in "biuf" or not np.isfinite(events).all():
        raise ValueError(f"events: {events.dtype} with values that are not finite real numbers (finite allowed)")


def _check_events(events: Events, sources: int) -> Events:
    """The three arrays, steps and sources as int64."""
    if not isinstance(events, tuple | list) or len(events) != 3:
        raise ValueError(
            f"events: {type(events).__name__} is not allowed (three arrays step, source, size; or a NumPy array "
            f"[time, {sources}])"
        )
    step, source, size = (np.asarray(part) for part in events)
    if not step.shape == source.shape == size.shape or step.ndim != 1:
        raise ValueError(
            f"events: step, source and size have shapes {step.shape}, {source.shape}, {size.shape} (one length allowed)"
        )
    if not len(step):  # NumPy makes float64 of an empty list
        return step.astype(np.int64), source.astype(np.int64), size
    for name, values in (("step", step), ("source", source)):
        if values.dtype.kind not in "iu":
            raise ValueError(
                f"events: {name} is {values.dtype} (integers allowed; times have to be counted in time steps)"
            )
    if not (source.min() >= 0 and source.max() < sources):
        raise ValueError(f"events: sources {source.min()} ... {source.max()} (0 ... {sources - 1} allowed)")
    if not (step.min() >= 0 and step.max() < _LONGEST):
        raise ValueError(f"events: steps {step.min()} ... {step.max()} (0 ... {_LONGEST - 1} allowed)")
    if size.dtype.kind not in "biuf" or not np.isfinite(size).all():
        raise ValueError(f"events: size is {size.dtype} with values that are not finite real numbers (finite allowed)")
    return step.astype(np.int64), source.astype(np.int64), size
