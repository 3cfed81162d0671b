"""Several recordings joined to one, for more speakers to learn from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.class_names import match_classes, plain_name
from ranvier.data.dataset import DataError
from ranvier.data.hdf5_write import write_clips
from ranvier.data.inspection import inspect_recording
from ranvier.data.recording import CHANNELS, Recording

Progress = Callable[[int, int], None] | None
_Clip = tuple[NDArray[Any], NDArray[np.int64]]  # seconds and channel of its events


@dataclass(frozen=True)
class JoinResult:
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
class _Part:
    """A recording, the clips of it that are taken, and their labels in the joined one."""

    recording: Recording
    chosen: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def all_labels(self) -> NDArray[np.int64]:
        """Labels of the recording's clips, in its own classes."""
        return np.asarray(self.recording.labels, np.int64)

    @property
    def speakers(self) -> NDArray[np.int64]:
        """``[chosen]``; 0 where the recording does not say."""
        given = self.recording.speakers
        return np.zeros(len(self.chosen), np.int64) if given is None else given.astype(np.int64)[self.chosen]

    @property
    def speaker_names(self) -> Sequence[str]:
        """Names of all speakers of the recording, numbers where it has none."""
        given = self.recording.speakers
        most = 0 if given is None else int(given.max(initial=0))
        return self.recording.speaker_names or [str(number) for number in range(most + 1)]

    @property
    def files(self) -> list[str]:
        """``[chosen]`` the file that each clip was made from."""
        name, known = self.recording.path.name, self.recording.files
        return [known[clip] if known else f"{name}#{clip}" for clip in self.chosen]

    def clips(self) -> Iterator[_Clip]:
        """Seconds and channel of the events of the chosen clips, in their order."""
        wanted = np.isin(np.arange(len(self.all_labels)), self.chosen)
        for (times, units), taken in zip(self.recording.seconds(), wanted, strict=True):
            if taken:
                yield times, units.astype(np.int64)

    def result(self) -> JoinResult:
        """For the caller."""
        classes = self.recording.classes
        counts = np.bincount(np.delete(self.all_labels, self.chosen), minlength=len(classes))
        left_out = {name: int(count) for name, count in zip(classes, counts, strict=True) if count}
        return JoinResult(self.recording.path, len(self.chosen), left_out, len(np.unique(self.speakers)))


def join(
    recordings: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], *, progress: Progress = None
) -> list[JoinResult]:
    """Write the clips of several recordings as one in SHD's format.

    Classes are the first recording's; clips of others are left out. English numerals are one class with their digits
    (zero is 0). Speakers of the further recordings are named after their file.

    Args:
        recordings: two or more, ``.h5`` or ``.h5.gz``, with 700 channels.
        out: the file to write; it must not exist.
        progress: called with (clips written, clips in all).

    Returns:
        What became of each.

    Raises:
        FileNotFoundError: there is no such recording.
        DataError: a recording is damaged, or has no class of the first; ``out`` exists, or its folder does not.
    """
    _refuse(recordings, Path(out))
    parts = _choose([_open(Path(path)) for path in recordings])
    speakers, names = _speakers(parts)
    write_clips(
        out,
        _counted(chain.from_iterable(part.clips() for part in parts), len(speakers), progress),
        np.concatenate([part.labels for part in parts]),
        classes=parts[0].recording.classes,
        speakers=speakers,
        speaker_names=names,
        files=[file for part in parts for file in part.files],
        about={"joined": ", ".join(part.recording.path.name for part in parts)},
        time_unit="s",
    )
    return [part.result() for part in parts]


def _refuse(recordings: Sequence[str | os.PathLike[str]], out: Path) -> None:
    if len(recordings) < 2:
        raise DataError("recordings: one alone cannot be joined (2 or more)")
    if len({Path(path).resolve() for path in recordings}) < len(recordings):
        raise DataError("recordings: one is named twice (each once)")
    if not out.parent.is_dir():
        raise DataError(f"{out.parent}: no such folder")
    if out.exists():
        raise DataError(f"{out}: exists already")


def _counted(clips: Iterator[_Clip], total: int, progress: Progress) -> Iterator[_Clip]:
    for written, clip in enumerate(clips, 1):
        yield clip
        if progress is not None:
            progress(written, total)


def _open(path: Path) -> Recording:
    faults = inspect_recording(path, channels=CHANNELS).faults
    if faults:
        raise DataError(f"{path}: {faults[0]} (ranvier data check {path} lists all)")
    recording = Recording.open(path, channels=CHANNELS)
    recording.labelled()
    return recording


def _choose(recordings: Sequence[Recording]) -> list[_Part]:
    """Clips whose class the first recording has, with its labels."""
    first = recordings[0]
    if len(set(map(plain_name, first.classes))) < len(first.classes):
        raise DataError(f"{first.path}: two of its classes are one, {', '.join(first.classes)} (zero is 0)")
    parts = []
    for recording in recordings:
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
        numbers.append(part.speakers + len(names))
        names += [before + name for name in part.speaker_names]
    if len(set(names)) < len(names):
        raise DataError(f"recordings: two have speakers of one name, {_few(names)} (rename a file)")
    return np.concatenate(numbers), names


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
