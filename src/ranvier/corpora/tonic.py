"""Between tonic's events and ours, without tonic.

tonic gives a clip of SHD or SSC as one structured array: ``t`` in whole microseconds, ``x`` the channel, ``p`` 1.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import Grid, time_to_steps
from ranvier.data.recording import Recording
from ranvier.data.recording_rules import MOST_CLASSES
from ranvier.names import normal_name

EVENTS = np.dtype([("t", "<i8"), ("x", "<i8"), ("p", "<i8")])
"""A clip's events: microseconds, channel, polarity."""

_MOST_S = 2.0**33  # up to it float64 resolves microseconds
_CLIPS_AT_ONCE = 256
_MOST_CHANNELS = 2**31  # of a recording that does not say


class EventClips(Protocol):
    """A data set that gives (events, label) by number, as tonic's do."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> tuple[Any, Any]: ...


def from_tonic(
    dataset: EventClips,
    *,
    grid: Grid,
    classes: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SpikeDataset:
    """Count the events of a tonic data set, or of anything that looks like one, on a grid.

    Args:
        dataset: gives (events, label) by number; events are a structured array with the fields ``t``, whole
            microseconds >= 0, and ``x``, channel in [0, grid.channels); ``p`` is not looked at. Labels are all whole
            numbers, or all names. Where it has an attribute ``speaker`` with one whole number per clip, these are
            the speakers.
        grid: how to count.
        classes: names of the classes, in the order of the labels. None takes the data set's attribute ``classes``;
            without one, the names that occur, sorted, or the numbers up to the largest label.
        progress: called with (clips counted, clips in all).

    Returns:
        Every clip, in its order. Events out of order are sorted.

    Raises:
        DataError: a clip has other fields, values out of range or a label that no class has; the message says which.
    """
    total = len(dataset)
    if not total:
        raise DataError("the data set has no clips (1 or more)")
    clips, given = [], []
    for number in range(total):
        events, label = dataset[number]
        clips.append(_count(number, events, grid))
        given.append(_label(number, label))
        if progress is not None and ((number + 1) % _CLIPS_AT_ONCE == 0 or number + 1 == total):
            progress(number + 1, total)
    names = _class_names(getattr(dataset, "classes", None) if classes is None else classes, given)
    speaker = np.asarray(getattr(dataset, "speaker", ()))
    return SpikeDataset.pack(
        clips,
        labels=_numbers(given, names),
        speakers=speaker if speaker.shape == (total,) and speaker.dtype.kind in "iu" else None,
        classes=names,
        sources=grid.sources,
        dt_ms=grid.dt_ms,
    )


def to_tonic_events(times_s: NDArray[Any], units: NDArray[Any]) -> NDArray[np.void]:
    """One clip as tonic's events.

    Args:
        times_s: seconds from the start of the recording, finite, >= 0, any order, any float type.
        units: channel of each event, >= 0.

    Returns:
        :data:`EVENTS` in the order of time: ``t`` in microseconds, rounded down as tonic does, but for times that are
        whole microseconds up to the precision of their type (:func:`time_to_steps`); ``x`` the channel, ``p`` 1.

    Raises:
        DataError: a time or channel is out of range, or there are more of one than of the other.
    """
    times_s, units = np.asarray(times_s), np.asarray(units)
    if times_s.shape != units.shape or times_s.ndim != 1:
        raise DataError(f"times have shape {times_s.shape} and units {units.shape} (one list each, equally long)")
    if units.dtype.kind not in "iu" and len(units):
        raise DataError(f"units have type {units.dtype} (whole numbers allowed)")
    for name, values, good, allowed in (
        ("times", times_s, (times_s >= 0) & (times_s < np.float64(_MOST_S)), "finite, 0 s or later"),
        ("units", units, units >= 0, "0 or more"),
    ):
        if not good.all():
            at = int(np.argmin(good))
            raise DataError(f"{name}[{at}] is {values[at]} ({allowed} allowed)")
    time_us = time_to_steps(times_s, 1e-6)
    order = np.argsort(time_us, kind="stable")
    events = np.ones(len(time_us), EVENTS)
    events["t"] = time_us[order]
    events["x"] = units[order]
    return events


def to_tonic(
    path: str | os.PathLike[str], *, cache: str | os.PathLike[str] | None = None
) -> Iterator[tuple[NDArray[np.void], int]]:
    """Give the clips of a recording in SHD's format as tonic would, a few at a time.

    Args:
        path: ``.h5`` or ``.h5.gz``.
        cache: folder that a ``.gz`` is unpacked into; None means the user's (``RANVIER_CACHE`` sets another).

    Returns:
        Per clip its events, as :func:`to_tonic_events` makes them, and its label.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is damaged; raised where the damage is come upon.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such recording")
    return _clips(path, cache)


def _clips(path: Path, cache: str | os.PathLike[str] | None) -> Iterator[tuple[NDArray[np.void], int]]:
    recording = Recording.open(path, cache=cache)
    if recording.own_channels is None:
        recording = replace(recording, channels=_MOST_CHANNELS)
    labels = recording.labelled()
    for number, (times, units) in enumerate(recording.seconds()):
        try:
            events = to_tonic_events(times, units)
        except DataError as error:
            raise DataError(f"{path}: clip {number}: {error}") from None
        yield events, int(labels[number])


def _count(number: int, events: Any, grid: Grid) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    names = getattr(getattr(events, "dtype", None), "names", None)
    if not isinstance(events, np.ndarray) or names is None or not {"t", "x"} <= set(names) or events.ndim != 1:
        what = f"fields {', '.join(names)}" if names else type(events).__name__
        raise DataError(f"clip {number}: events are {what} (a list of structured events with t and x allowed)")
    if "y" in names and events["y"].any():
        raise DataError(f"clip {number}: events have a second coordinate y (only channels x allowed)")
    time_us, channel = events["t"], events["x"]
    if time_us.dtype.kind not in "iu" or channel.dtype.kind not in "iu":
        raise DataError(
            f"clip {number}: t is {time_us.dtype}, x is {channel.dtype} (whole microseconds and whole channels allowed)"
        )
    time_us = time_us.astype(np.int64)
    if len(events) and time_us.min() < 0:
        raise DataError(
            f"clip {number}: t is {time_us.min()} (0 us or later allowed; tonic before 1.7 overflows float16 times "
            "under NumPy 2: read the file itself with read_recording)"
        )
    if len(events) and not (channel.min() >= 0 and channel.max() < grid.channels):
        wrong = channel.min() if channel.min() < 0 else channel.max()
        raise DataError(f"clip {number}: x is {wrong} (0 ... {grid.channels - 1} allowed)")
    try:
        return grid.count(time_us, channel, per_second=1_000_000)
    except ValueError as error:
        raise DataError(f"clip {number}: {error}") from None


def _label(number: int, label: Any) -> int | str:
    """A whole number or a name, whatever it is wrapped in."""
    try:
        value = label.item() if hasattr(label, "item") else label
    except (ValueError, RuntimeError):  # an array or tensor of several
        value = label
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DataError(f"clip {number}: label is {label!r} (a whole number or a name allowed)")
    return value


def _class_names(classes: Any, given: list[int | str]) -> list[str]:
    if len({type(label) for label in given}) > 1:
        raise DataError("labels are numbers in some clips and names in others (all of one kind allowed)")
    if classes is not None:
        names = [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in classes]
        twice = [name for name, many in Counter(names).items() if many > 1]
        if twice:
            raise DataError(f"classes: {twice[0]!r} stands there {names.count(twice[0])} times (each once allowed)")
        return names
    if isinstance(given[0], str):
        return sorted({normal_name(str(label)) for label in given})
    most = max(int(label) for label in given) + 1
    return [str(number) for number in range(min(most, MOST_CLASSES))]


def _numbers(given: list[int | str], names: list[str]) -> NDArray[np.int64]:
    place = {normal_name(name): number for number, name in enumerate(names)}
    numbers = []
    for clip, label in enumerate(given):
        number = place.get(normal_name(label), -1) if isinstance(label, str) else label
        if not 0 <= number < len(names):
            allowed = f"0 ... {len(names) - 1}" if isinstance(label, int) else ", ".join(names[:5])
            raise DataError(f"clip {clip}: label is {label!r} ({allowed} allowed)")
        numbers.append(number)
    return np.array(numbers, np.int64)
