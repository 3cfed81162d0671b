"""What a recording holds, and everything that is wrong with it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ranvier.data.cache import unpacked
from ranvier.data.dataset import DataError
from ranvier.data.hdf5 import _CLIPS_AT_ONCE, _MOST_CLASSES, _dataset, _names, _speaker_names, _speakers

_NO_HDF5 = (OSError, KeyError, RuntimeError, TypeError, ValueError)  # h5py's, for damage of many kinds


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
    clips: int
    classes: tuple[tuple[str, int], ...]
    speakers: tuple[tuple[str, int], ...]
    duration_s: Spread | None
    spikes: Spread | None
    channels: int
    first_channel: int | None
    last_channel: int | None
    silent: tuple[int, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return {**asdict(self), "path": str(self.path)}


def inspect_recording(
    path: str | os.PathLike[str],
    *,
    channels: int | None = None,
    classes: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Look through a recording in SHD's format, a few clips at a time, and go on after a fault.

    Args:
        path: ``.h5`` or ``.h5.gz``.
        channels: channels of the recording; unit ids lie in [0, channels). None takes what the ear that made it says of
            itself, else 700.
        classes: number of classes, where the file does not name them; None takes the largest label.
        cache: folder that a ``.gz`` is unpacked into; None means the user's (``RANVIER_CACHE`` sets another).
        progress: called with (clips looked at, clips in all).

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such recording")
    found = _Found(path, _ears(path, cache) or 700 if channels is None else channels)
    with found.told(), h5py.File(unpacked(path, cache), "r") as file:
        found.look(file, classes, progress)
    return found.inspection()


def _ears(path: Path, cache: str | os.PathLike[str] | None) -> int | None:
    """Channels of the ear that made a recording."""
    try:
        with h5py.File(unpacked(path, cache), "r") as file:
            return int(json.loads(file.attrs["ear"])["channels"])
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return None


class _Found:
    """What has been found so far."""

    def __init__(self, path: Path, channels: int) -> None:
        self._path = path
        self._channels = channels
        self._faults: dict[str, list[str]] = {}
        self._unsorted: list[int] = []
        self._notes: list[str] = []
        self._clips = 0
        self._classes: list[tuple[str, int]] = []
        self._speakers: list[tuple[str, int]] = []
        self._durations: list[float] = []
        self._counts: list[int] = []
        self._seen = np.zeros(channels, bool)

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """A fault ends this part of the work, not the rest."""
        try:
            yield
        except DataError as error:
            self._fault(str(error).removeprefix(f"{self._path}: "))
        except _NO_HDF5 as error:
            self._fault(f"not a whole HDF5 file ({' '.join(str(error).split())})")

    def look(self, file: h5py.File, classes: int | None, progress: Callable[[int, int], None] | None) -> None:
        """Go through all parts of the file."""
        parts: dict[str, Any] = {}
        for name in ("spikes/times", "spikes/units", "labels"):
            with self.told():
                parts[name] = _dataset(file, self._path, name)
        with self.told():
            speakers = _speakers(file, self._path)
            if speakers is not None:
                parts["extra/speaker"] = speakers
                self._look_at_speakers(file, speakers)
        names: list[str] = []
        with self.told():
            names = _names(file, self._path, "keys")
        sizes = {name: len(part) for name, part in parts.items()}
        if len(set(sizes.values())) > 1:
            self._fault(f"{', '.join(f'{name} has {n} clips' for name, n in sizes.items())} (equal allowed)")
        self._clips = min(sizes.values(), default=0)
        if sizes and not self._clips:
            self._fault("no clips (1 or more)")
        if "labels" in parts:
            with self.told():
                self._look_at_labels(np.asarray(parts["labels"][:]), names, classes)
        with self.told():
            self._look_at_spikes(parts.get("spikes/times"), parts.get("spikes/units"), progress)

    def _look_at_speakers(self, file: h5py.File, speakers: NDArray[Any]) -> None:
        names: list[str] = []
        with self.told():
            names = _speaker_names(file, self._path, speakers)
        numbers, clips = np.unique_counts(speakers)
        called = [names[number] if 0 <= number < len(names) else str(number) for number in numbers]
        self._speakers = [(who, int(count)) for who, count in zip(called, clips, strict=True)]

    def _look_at_labels(self, labels: NDArray[Any], names: list[str], classes: int | None) -> None:
        # as read_recording counts them: a damaged label must not name millions of classes
        known = len(names) or classes or min(int(labels.max(initial=0)) + 1, _MOST_CLASSES)
        good = (labels >= 0) & (labels < known)
        for clip in np.flatnonzero(~good):
            self._fault(f"labels[{clip}] is {labels[clip]} (0 ... {known - 1} allowed)", "labels")
        per_class = np.bincount(labels[good].astype(np.int64), minlength=known)
        called = names or [str(number) for number in range(known)]
        self._classes = [(name, int(clips)) for name, clips in zip(called, per_class, strict=True)]
        empty = [name for name, clips in self._classes if not clips]
        if empty:
            self._notes.append(f"{_some(empty)}: classes without a clip")

    def _look_at_spikes(self, times: Any, units: Any, progress: Callable[[int, int], None] | None) -> None:
        for start in range(0, self._clips, _CLIPS_AT_ONCE):
            stop = min(start + _CLIPS_AT_ONCE, self._clips)
            time = [None] * (stop - start) if times is None else times[start:stop]
            unit = [None] * (stop - start) if units is None else units[start:stop]
            for number, (when, where) in enumerate(zip(time, unit, strict=True), start):
                self._look_at_clip(number, when, where)
            if progress is not None:
                progress(stop, self._clips)

    def _look_at_clip(self, number: int, time: NDArray[Any] | None, unit: NDArray[Any] | None) -> None:
        if time is not None and unit is not None:
            self._counts.append(len(time))
            if len(time) != len(unit):
                self._fault(f"clip {number} has {len(time)} times and {len(unit)} units (equal allowed)", "lengths")
        if time is not None:
            good = np.isfinite(time) & (time >= 0)
            self._values(number, "times", time, good, "finite, 0 s or later")
            if good.any():
                self._durations.append(float(time[good].max()))
            if (np.diff(time[good].astype(np.float64)) < 0).any():
                self._unsorted.append(number)
        if unit is not None:
            good = (unit >= 0) & (unit < self._channels)
            self._values(number, "units", unit, good, f"0 ... {self._channels - 1}")
            self._seen[unit[good]] = True

    def _values(self, number: int, name: str, values: NDArray[Any], good: NDArray[np.bool_], allowed: str) -> None:
        if not good.all():
            at = int(np.argmin(good))
            self._fault(f"spikes/{name}[{number}][{at}] is {values[at]} ({allowed} allowed)", name)

    def _fault(self, line: str, kind: str = "") -> None:
        # a line alone is a kind of its own; of others the first is told and the rest counted
        self._faults.setdefault(kind or line, []).append(line)

    def inspection(self) -> Inspection:
        """The report."""
        notes = list(self._notes)
        if self._unsorted:
            notes.append(f"clip {_some(self._unsorted)}: events are not in the order of time")
        seen = np.flatnonzero(self._seen)
        return Inspection(
            path=self._path,
            clips=self._clips,
            classes=tuple(self._classes),
            speakers=tuple(self._speakers),
            duration_s=Spread.of(self._durations),
            spikes=Spread.of(self._counts),
            channels=len(seen),
            first_channel=int(seen[0]) if len(seen) else None,
            last_channel=int(seen[-1]) if len(seen) else None,
            silent=tuple(number for number, count in enumerate(self._counts) if not count),
            faults=tuple(
                lines[0] if len(lines) == 1 or kind == lines[0] else f"{lines[0]}; so in {len(lines)} clips"
                for kind, lines in self._faults.items()
            ),
            notes=tuple(notes),
        )


def _some(things: Sequence[Any], most: int = 3) -> str:
    told = ", ".join(str(thing) for thing in things[:most])
    return f"{told} and {len(things) - most} more" if len(things) > most else told
