"""Disturbances of clips, to see what a network depends on: pure functions on the events of one clip.

``events`` is (step, source, count), three arrays of one length, steps never falling and below ``length``; what comes
back is the same, each cell once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError, check_events

Events = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def reverse_time(events: Events, length: int) -> Events:
    """Play a clip backwards: step t goes to length - 1 - t. Every channel keeps its number of events."""
    check_events(events, None, "events")
    step, source, count = events
    return _cells(length - 1 - step.astype(np.int64), source, count)


def jitter_events(events: Events, length: int, generator: np.random.Generator, *, sigma_steps: float) -> Events:
    """Move every single event by a normal number of steps, rounded; one that would leave its clip stops at its end.

    Args:
        sigma_steps: standard deviation before rounding, in steps, >= 0.

    Raises:
        DataError: sigma_steps is out of range.
    """
    if not sigma_steps >= 0:
        raise DataError(f"sigma_steps: {sigma_steps} is not allowed (0 or more)")
    step, source = _single(events)
    moved = step + np.rint(sigma_steps * generator.standard_normal(len(step))).astype(np.int64)
    return _cells(np.clip(moved, 0, length - 1), source)


def drop_events(events: Events, generator: np.random.Generator, *, share: float) -> Events:
    """Drop every single event with probability ``share``.

    Args:
        share: in [0, 1].

    Raises:
        DataError: share is out of range.
    """
    if not 0 <= share <= 1:
        raise DataError(f"share: {share} is not allowed (0 ... 1)")
    check_events(events, None, "events")
    step, source, count = events
    kept = generator.binomial(count.astype(np.int64), 1 - share)
    there = kept > 0
    return step[there], source[there], kept[there]


def equalise_channels(events: Events, generator: np.random.Generator) -> Events:
    """Give every channel that fires the same number of events, drawn with replacement from those it has.

    The number is the mean of the channels that fire, so that the clip keeps about as many events as it had. How often a
    channel fires then says nothing any more; what is left is when, and which channels.

    Source: arXiv 2507.16043, after its data sets without rates.
    """
    step, source = _single(events)
    if len(step) == 0:
        return events
    order = np.argsort(source, kind="stable")
    channels, starts, sizes = np.unique(source[order], return_index=True, return_counts=True)
    each = max(1, round(len(step) / len(channels)))
    drawn = starts[:, None] + np.floor(generator.random((len(channels), each)) * sizes[:, None]).astype(np.int64)
    return _cells(step[order][drawn.ravel()], np.repeat(channels, each))


def _single(events: Events) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Step and source of every single event."""
    check_events(events, None, "events")
    step, source, count = events
    times = count.astype(np.int64)
    return np.repeat(step.astype(np.int64), times), np.repeat(source.astype(np.int64), times)


def _cells(step: NDArray[Any], source: NDArray[Any], count: NDArray[Any] | None = None) -> Events:
    """Each cell once, in the order of steps, then sources."""
    sizes = np.ones(len(step), np.int64) if count is None else count.astype(np.int64)
    width = int(source.max(initial=0)) + 1
    cells, place = np.unique(step.astype(np.int64) * width + source.astype(np.int64), return_inverse=True)
    return cells // width, cells % width, np.bincount(place, sizes, minlength=len(cells)).astype(np.int64)
