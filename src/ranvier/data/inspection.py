"""What a recording holds, and everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.camera import Camera
from ranvier.data.clips import Clips
from ranvier.data.dataset import DataError
from ranvier.data.hdf5 import open_recording
from ranvier.data.recording import CHANNELS, Recording
from ranvier.data.recording_rules import PER_SECOND, Fault, TimeUnit


@dataclass(frozen=True)
class Spread:
    """How numbers are spread."""

    smallest: float
    median: float
    mean: float
    largest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Of some numbers; None where there are none."""
        if not len(values):
            return None
        array = np.asarray(values, np.float64)
        return cls(float(array.min()), float(np.median(array)), float(array.mean()), float(array.max()))


@dataclass(frozen=True)
class Inspection:
    """What a recording holds.

    Attributes:
        path: the file.
        clips: how many.
        classes: name and number of clips of every class, in the order of the labels.
        speakers: name, or else number, and number of clips of every speaker that has one; empty where the recording
            does not say.
        duration_s: seconds up to the last event, of the clips that have one.
        spikes: per clip.
        channels: on how many channels there is a spike.
        first_channel, last_channel: lowest and highest of these; None without spikes.
        silent: the clips without a spike.
        faults: what is wrong, one line for each kind of fault; none where :func:`ranvier.data.read_recording` can
            read the file.
        notes: what is unusual, but allowed.
    """

    path: Path
    clips: int = 0
    classes: tuple[tuple[str, int], ...] = ()
    speakers: tuple[tuple[str, int], ...] = ()
    duration_s: Spread | None = None
    spikes: Spread | None = None
    channels: int = 0
    first_channel: int | None = None
    last_channel: int | None = None
    silent: tuple[int, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return {**asdict(self), "path": str(self.path)}


def inspect_recording(
    path: str | os.PathLike[str],
    *,
    channels: int | None = None,
    classes: int | None = None,
    time_unit: TimeUnit | None = None,
    camera: Camera | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Look through a recording, a few clips at a time, and go on after a fault.

    Args:
        path: a recording, as :func:`ranvier.data.read_recording` takes it.
        channels: channels of the recording; unit ids lie in [0, channels). None takes what the ear that made it says of
            itself, else 700.
        classes: number of classes, where the file does not name them; None takes the largest label.
        time_unit: unit of the times; None takes what the file says, else seconds (none: a fault with ``camera``).
        camera: whose pixels are the channels of clips of events (t, x, y, p), in place of ``channels``.
        cache: folder that gzip is unpacked into; None means the user's (``RANVIER_CACHE`` sets another).
        progress: called with (clips looked at, clips in all).

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    channels = channels if camera is None else camera.channels
    try:
        recording = open_recording(
            path, channels=channels, classes=classes, time_unit=time_unit, camera=camera, cache=cache
        )
    except DataError as error:
        return Inspection(path, faults=(error.fault or str(error),))
    spikes = _Spikes(recording)
    for clips in recording.clips():
        spikes.look(clips)
        if progress is not None and clips.sizes is not None:
            progress(clips.start + len(clips.sizes), recording.size)
    per_class = _per_class(recording)
    seen = np.flatnonzero(spikes.seen)
    return Inspection(
        path=path,
        clips=recording.size,
        classes=per_class,
        speakers=_per_speaker(recording),
        duration_s=Spread.of(spikes.durations),
        spikes=Spread.of(spikes.counts),
        channels=len(seen),
        first_channel=int(seen[0]) if len(seen) else None,
        last_channel=int(seen[-1]) if len(seen) else None,
        silent=tuple(spikes.silent),
        faults=_counted([*recording.faults, *spikes.faults, *_no_events(recording, spikes.silent)]),
        notes=tuple(_notes(recording, per_class, spikes.unsorted, spikes.silent)),
    )


class _Spikes:
    """What has been found in the spikes so far."""

    def __init__(self, recording: Recording) -> None:
        self.faults: list[Fault] = []
        self.unsorted: list[int] = []
        self.durations: list[float] = []
        self.counts: list[int] = []
        self.silent: list[int] = []
        self.seen = np.zeros(recording.channels, bool)

    def look(self, clips: Clips) -> None:
        """Count some clips."""
        self.faults += clips.faults
        if clips.times is not None and clips.units is not None:
            self.counts += clips.times.sizes.tolist()
            self.silent += (clips.start + np.flatnonzero(clips.times.sizes == 0)).tolist()
        if clips.units is not None:
            units = clips.units.values
            self.seen[units[(units >= 0) & (units < len(self.seen))]] = True
        for number, time in enumerate(() if clips.times is None else clips.times.clips(), clips.start):
            good = time[np.isfinite(time) & (time >= 0)]
            if len(good):
                self.durations.append(float(good.max()) / PER_SECOND[clips.unit])
            if (good[1:] < good[:-1]).any():
                self.unsorted.append(number)


def _per_class(recording: Recording) -> tuple[tuple[str, int], ...]:
    if recording.labels is None:
        return ()
    known = len(recording.classes)
    good = (recording.labels >= 0) & (recording.labels < known)
    clips = np.bincount(recording.labels[good].astype(np.int64), minlength=known)
    return tuple((name, int(count)) for name, count in zip(recording.classes, clips, strict=True))


def _per_speaker(recording: Recording) -> tuple[tuple[str, int], ...]:
    if recording.speakers is None:
        return ()
    numbers, clips = np.unique_counts(recording.speakers)
    # names that do not fit are a fault: then numbers say more
    fit = len(numbers) and numbers[0] >= 0 and numbers[-1] < len(recording.speaker_names)
    return tuple(
        (recording.speaker_names[number] if fit else str(number), int(count))
        for number, count in zip(numbers.tolist(), clips.tolist(), strict=True)
    )


def _no_events(recording: Recording, silent: Sequence[int]) -> Iterator[Fault]:
    if recording.path.is_dir() and len(silent) == recording.size:
        yield Fault(f"no event in any of its {len(silent)} clips (one or more needed)")


def _notes(
    recording: Recording, per_class: Sequence[tuple[str, int]], unsorted: Sequence[int], silent: Sequence[int]
) -> Iterator[str]:
    empty = [name for name, clips in per_class if not clips]
    if empty:
        yield f"{_some(empty)}: classes without a clip"
    if unsorted:
        yield f"clip {_some(unsorted)}: events are not in the order of time"
    if silent and recording.of_events:
        yield f"no events: {_some([recording.files[clip] for clip in silent])}"
    if recording.own_channels not in (None, CHANNELS):
        yield f"made by an inner-ear model with {recording.own_channels} channels"
    if recording.labels is None and not recording.faults:
        yield "has no labels: to be classified (ranvier run), not to train or evaluate on"
    if recording.left_out:
        when = "" if recording.of_events else " when it was made"
        yield f"left out{when}: {_some(recording.left_out)}"


def _counted(faults: Sequence[Fault]) -> tuple[str, ...]:
    """One line for each kind of fault: the first of the kind, and in how many clips it is."""
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind or fault.text, []).append(fault)
    lines = []
    for same in kinds.values():
        clips = sum(fault.clips for fault in same)
        lines.append(same[0].text if clips == 1 or not same[0].kind else f"{same[0].text}; so in {clips} clips")
    return tuple(lines)


def _some(things: Sequence[Any]) -> str:
    shown = ", ".join(str(thing) for thing in things[:3])
    return f"{shown} and {len(things) - 3} more" if len(things) > 3 else shown
