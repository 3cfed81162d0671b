"""Recordings joined to one, so that a training hears the voices of all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from ranvier.data.class_names import match_classes, plain_name
from ranvier.data.dataset import DataError
from ranvier.data.hdf5_write import write_clips
from ranvier.data.inspection import inspect_recording
from ranvier.data.recording import CHANNELS, Recording
from ranvier.names import split_names

_SMOOTH = (
    45  # channels over which a colour is averaged: wider than a formant's peak, narrower than a microphone's slope
)
_HEARD = 0.05  # of its loudest channel: the first recording hears nothing where it has less
_FLOOR = 1e-3  # of the mean: keeps a gain finite where a clip is silent

Progress = Callable[[int, int], None] | None
_Clip = tuple[NDArray[Any], NDArray[np.int64]]  # seconds and channel of its events


@dataclass(frozen=True)
class Joined:
    """What became of a recording.

    Attributes:
        path: the recording.
        clips: taken into the joined one.
        left_out: by class, clips of classes that the first recording does not have.
        speakers: how many.
    """

    path: Path
    clips: int
    left_out: Mapping[str, int]
    speakers: int


@dataclass(frozen=True, eq=False)
class _Recording:
    recording: Recording
    labels: NDArray[np.int64]
    speakers: NDArray[np.int64]
    speaker_names: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def path(self) -> Path:
        return self.recording.path

    @property
    def classes(self) -> tuple[str, ...]:
        return self.recording.classes

    def clips(self, chosen: NDArray[np.int64]) -> Iterator[_Clip]:
        """Seconds and channel of the events of some clips, in their order."""
        wanted = np.isin(np.arange(len(self.labels)), chosen)
        for (times, units), taken in zip(self.recording.seconds(), wanted, strict=True):
            if taken:
                yield times, units.astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Part:
    """Clips of a recording that are taken, and their labels in the joined one."""

    recording: _Recording
    chosen: NDArray[np.int64]
    labels: NDArray[np.int64]


def join(
    recordings: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    match: float = 0.7,
    unseen: Sequence[str] = (),
    seed: int = 0,
    progress: Progress = None,
) -> list[Joined]:
    """Write the clips of several recordings as one in SHD's format.

    Classes are the first recording's; clips of others are left out. English numerals are one class with their digits
    (zero is 0). Speakers of the further recordings are named after their file.

    Microphones and rooms differ more than voices do, so clips of the further recordings are brought nearer to the
    first: with :math:`p_c` a clip's share of events around channel c (averaged over 45 channels) and :math:`q_c` the
    mean share of the first recording, its events on channel c are thinned or doubled by :math:`(q_c / p_c)^{match}`,
    none are left where the first recording hears nothing, and all clips of a recording are thinned or doubled alike so
    that it has as many events per clip as the first. What is not whole is decided by the seed.

    Args:
        recordings: two or more, ``.h5`` or ``.h5.gz``, with 700 channels.
        out: the file to write; it must not exist.
        match: from 0, clips as they are, to 1, every clip with the first recording's mean colour.
        unseen: speakers of the first recording whose clips are not looked at for its mean colour and events, because
            they shall stay unseen until a test.
        seed: of thinning and doubling, >= 0.
        progress: called with (clips written, clips in all).

    Returns:
        What became of each.

    Raises:
        FileNotFoundError: there is no such recording.
        DataError: a recording is damaged, or has no class of the first; ``out`` exists, or its folder does not.
    """
    _refuse(recordings, Path(out), match)
    first, *others = [_open(Path(path)) for path in recordings]
    parts = _choose(first, others)
    speakers, names = _speakers(parts)
    colour, size = _colour(first, unseen)
    generator = np.random.default_rng(seed)

    def clips() -> Iterator[_Clip]:
        for part in parts:
            as_it_is = part.recording is first or not match
            level = 1.0 if as_it_is else size / _size(part)
            for times, units in part.recording.clips(part.chosen):
                copies = 1 if as_it_is else _copies(units, colour, match, level, generator)
                yield np.repeat(times, copies), np.repeat(units, copies)

    write_clips(
        out,
        _told(clips(), sum(len(part.chosen) for part in parts), progress),
        np.concatenate([part.labels for part in parts]),
        classes=first.classes,
        speakers=speakers,
        speaker_names=names,
        files=[part.recording.files[clip] for part in parts for clip in part.chosen],
        about={"joined": ", ".join(part.recording.path.name for part in parts), "match": match, "seed": seed},
        time_unit="s",
    )
    return [_joined(part) for part in parts]


def _refuse(recordings: Sequence[str | os.PathLike[str]], out: Path, match: float) -> None:
    if not 0 <= match <= 1:
        raise DataError(f"match: {match:g} is not allowed (0 ... 1)")
    if len(recordings) < 2:
        raise DataError("recordings: one alone cannot be joined (2 or more)")
    if len({Path(path).resolve() for path in recordings}) < len(recordings):
        raise DataError("recordings: one is named twice (each once)")
    if not out.parent.is_dir():
        raise DataError(f"{out.parent}: no such folder")
    if out.exists():
        raise DataError(f"{out}: exists already")


def _told(clips: Iterator[_Clip], total: int, progress: Progress) -> Iterator[_Clip]:
    for written, clip in enumerate(clips, 1):
        yield clip
        if progress is not None:
            progress(written, total)


def _open(path: Path) -> _Recording:
    faults = inspect_recording(path, channels=CHANNELS).faults
    if faults:
        raise DataError(f"{path}: {faults[0]} (ranvier data check {path} tells all)")
    recording = Recording.open(path, channels=CHANNELS)
    labels = np.asarray(recording.labels, np.int64)
    speakers = 0 * labels if recording.speakers is None else recording.speakers.astype(np.int64)
    names = recording.speaker_names or tuple(str(number) for number in range(int(speakers.max(initial=0)) + 1))
    files = recording.files or tuple(f"{path.name}#{clip}" for clip in range(len(labels)))
    return _Recording(recording, labels, speakers, names, files)


def _choose(first: _Recording, others: Sequence[_Recording]) -> list[_Part]:
    """Clips whose class the first recording has, with its labels."""
    if len(set(map(plain_name, first.classes))) < len(first.classes):
        raise DataError(f"{first.path}: two of its classes are one, {', '.join(first.classes)} (zero is 0)")
    parts = []
    for recording in (first, *others):
        match = match_classes(first.classes, recording.classes, numerals=True, partial=True)
        labels = match.places[recording.labels]
        chosen = np.flatnonzero(labels >= 0)
        if not len(chosen):
            raise DataError(
                f"{recording.path}: none of its classes, {_few(recording.classes)}, is in {first.path} "
                f"({_few(first.classes)})"
            )
        parts.append(_Part(recording, chosen, labels[chosen]))
    return parts


def _speakers(parts: Sequence[_Part]) -> tuple[NDArray[np.int64], list[str]]:
    """Number of every clip's speaker, and the speakers' names."""
    names: list[str] = []
    numbers = []
    for part in parts:
        before = f"{part.recording.path.name.partition('.')[0]}-" if names else ""
        numbers.append(part.recording.speakers[part.chosen] + len(names))
        names += [before + name for name in part.recording.speaker_names]
    if len(set(names)) < len(names):
        raise DataError(f"recordings: two have speakers of one name, {_few(names)} (rename a file)")
    return np.concatenate(numbers), names


def _shares(units: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of a clip's events around each channel; they sum to 1, or to 0 in a silent clip."""
    counts: NDArray[np.float64] = uniform_filter1d(
        np.bincount(units, minlength=CHANNELS).astype(float), _SMOOTH, mode="constant"
    )
    counts /= max(counts.sum(), 1.0)
    return counts


def _colour(recording: _Recording, unseen: Sequence[str]) -> tuple[NDArray[np.float64], float]:
    """Mean share of each channel, 0 where nothing is heard, and mean events of a clip."""
    hidden: list[int] = []
    for text in unseen:
        names = split_names(text, recording.speaker_names)
        if names is None:
            raise DataError(
                f"unseen: {text!r} is not a speaker of {recording.path}, nor speakers with commas between (there are "
                f"{_few(recording.speaker_names)})"
            )
        hidden += [recording.speaker_names.index(name) for name in names]
    chosen = np.flatnonzero(~np.isin(recording.speakers, hidden))
    shares, events = np.zeros(CHANNELS), 0
    for _, units in recording.clips(chosen):
        shares += _shares(units)
        events += len(units)
    if not events:
        raise DataError(f"{recording.path}: no clip to take the colour from has an event")
    return np.where(shares >= _HEARD * shares.max(), shares / shares.sum(), 0.0), events / len(chosen)


def _size(part: _Part) -> float:
    return max(sum(len(units) for _, units in part.recording.clips(part.chosen)) / len(part.chosen), 1e-9)


def _copies(
    units: NDArray[np.int64], colour: NDArray[np.float64], match: float, level: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    """How often each event of a clip is in the joined one."""
    shares = _shares(units)
    gain = np.where(colour > 0, (colour / (shares + _FLOOR * colour.mean())) ** match, 0.0)[units]
    kept = gain.sum()
    if not kept:
        return np.zeros(len(units), np.int64)
    copies: NDArray[np.float64] = np.floor(gain * (level * len(units) / kept) + generator.random(len(units)))
    return copies.astype(np.int64)


def _joined(part: _Part) -> Joined:
    recording = part.recording
    out = np.setdiff1d(np.arange(len(recording.labels)), part.chosen)
    counts = np.bincount(recording.labels[out], minlength=len(recording.classes))
    left_out = {name: int(count) for name, count in zip(recording.classes, counts, strict=True) if count}
    return Joined(recording.path, len(part.chosen), left_out, len(np.unique(recording.speakers[part.chosen])))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
