"""A recording: what a file holds, read by its content whatever its name, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.cache import unpacked
from ranvier.data.camera import Camera
from ranvier.data.clips import Clips
from ranvier.data.dataset import DataError
from ranvier.data.event_files import name_events, read_events
from ranvier.data.event_folder import Found, find_clips
from ranvier.data.event_hdf5 import IN_HDF5, Columns
from ranvier.data.file_kind import file_kind
from ranvier.data.hdf5_process import Answer, read_hdf5
from ranvier.data.recording_attributes import left_out_of, own_description, own_unit
from ranvier.data.recording_rules import (
    PER_SECOND,
    Fault,
    Lists,
    TimeUnit,
    check_channels,
    check_clips,
    check_labels,
    check_names,
    check_sizes,
    check_speakers,
    count_classes,
)

CHANNELS = 700  # of a recording that does not say

_ALLOWED = "a recording in SHD's format, .h5 or .h5.gz, or events (t, x) in .npz, .npy, .h5 or .csv"
_EVENTS = ("npz", "npy", "text")
_HELPS = "data.time_unit, or data.alignment = first_event where times do not begin at 0"


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording, without its spikes; :meth:`clips` reads these, a few clips at a time.

    Attributes:
        path: the file or folder.
        size: clips.
        labels: ``[clip]``; None where there are none, or where they cannot be read.
        classes: names of the classes, or their numbers.
        speakers: ``[clip]``; None where the recording does not say.
        speaker_names: name of each speaker's number, where the recording says.
        files: the file that each clip was made from, where the recording says.
        left_out: why files were left out when it was made.
        own_channels: channels that it says it has.
        ear: settings of the ear that made it, where it says; ``form`` is ``streaming`` for a streaming one.
        channels: channels that it is read with; units lie in [0, channels).
        time_unit: of its times; None where nobody says, which means seconds.
        faults: what is wrong with all this; of the spikes see :class:`Clips`.
        camera: whose pixels are the channels of event files (t, x, y, p); None: x is the channel.
        no_clip: why an HDF5 file that is no recording either is no clip of events; empty for others.
    """

    path: Path
    size: int
    labels: NDArray[Any] | None
    classes: tuple[str, ...]
    speakers: NDArray[Any] | None
    speaker_names: tuple[str, ...]
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    own_channels: int | None
    ear: Mapping[str, Any] | None
    channels: int
    time_unit: TimeUnit | None
    faults: tuple[Fault, ...]
    _source: Path | tuple[Path, ...]
    _columns: dict[Path, Columns | DataError] = field(default_factory=dict)  # of clips that wait to be read
    camera: Camera | None = None
    no_clip: str = ""

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        channels: int | None = None,
        classes: int | None = None,
        time_unit: TimeUnit | None = None,
        cache: str | os.PathLike[str] | None = None,
        with_columns: bool = True,
    ) -> Recording:
        """Find out what a file is, and read all but its spikes.

        Args:
            path: HDF5 in SHD's format; a clip of events (t, x) in ``.npz``, ``.npy``, HDF5 or ``.csv``, whose class is
                its folder's name; gzip of HDF5; or a folder of such clips, where HDF5 without events is left out.
            channels: channels to read it with; None takes its own, else 700.
            classes: number of classes, where it does not name them; None takes the largest label.
            time_unit: unit of its times; None takes what it says (attribute ``time_unit``), else seconds.
            cache: folder that gzip is unpacked into; None means the user's (``RANVIER_CACHE`` sets another).
            with_columns: :meth:`clips` is to follow, so small HDF5 files of a folder are read while they are open.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: it is something else, or damaged so that nothing can be read; the message names the file.
        """
        path = Path(path)
        if time_unit is not None and time_unit not in PER_SECOND:
            raise DataError(f"time_unit: {time_unit!r} is not allowed ({', '.join(PER_SECOND)})")
        if path.is_dir():
            return _of_events(cls, path, find_clips(path, time_unit, with_columns=with_columns), channels)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such recording")
        kind, what = file_kind(path)
        if kind in _EVENTS:
            return _of_events(cls, path, Found([path], (), time_unit, {}), channels)
        file = path
        if kind == "gzip":
            file = unpacked(path, cache)
            kind, what = file_kind(file)
            what = f"gzip of {what}"
        if kind != "hdf5":
            known = f"is {what} (" if kind != "unknown" else f"not a whole HDF5 file ({what}; "
            raise DataError(path, fault=f"{known}{_ALLOWED} allowed){_packed_beside(path)}")
        try:
            answer = next(pages := read_hdf5(file))
            pages.close()
            if "fault" in answer.values:
                raise DataError(answer.values["fault"])
        except DataError as error:
            raise DataError(path, fault=f"{error}{_packed_beside(path)}") from None
        if answer.values["kind"] == "clip":
            if not answer.values["columns"]:
                raise DataError(path, fault=f"{answer.values['no_columns']} ({IN_HDF5} allowed)")
            faults: list[Fault] = []
            unit = time_unit or own_unit(answer.values["attributes"], faults)
            return replace(_of_events(cls, path, Found([file], (), unit, {}), channels), faults=tuple(faults))
        return _of_header(cls, path, file, answer, channels, classes, time_unit)

    def clips(self) -> Iterator[Clips]:
        """All clips in their order. After damage that HDF5 does not pass, there are no more; it is the last fault."""
        if isinstance(self._source, tuple):
            yield from self._files(self._source)
            return
        read, answers = 0, read_hdf5(self._source)
        try:
            next(answers)  # the header
            for answer in answers:
                if "fault" in answer.values:
                    raise DataError(answer.values["fault"])
                sizes, values = answer.arrays[::2], answer.arrays[1::2]
                lists = {
                    name: Lists(value, size)
                    for name, size, value in zip(answer.values["lists"], sizes, values, strict=True)
                }
                start = answer.values["start"]
                read = start + answer.values["clips"]
                yield self._checked(start, lists.get("spikes/times"), lists.get("spikes/units"))
        except DataError as error:
            yield Clips(read, None, None, (Fault(str(error)),), self.time_unit or "s")
        finally:
            answers.close()

    def labelled(self) -> NDArray[Any]:
        """Its labels.

        Raises:
            DataError: it has none.
        """
        self.refuse()
        if self.labels is None:
            needed = "spikes/times, spikes/units and labels are needed but for ranvier run"
            raise DataError(self.path, fault=f"has no labels: dataset 'labels' is missing ({needed})")
        return self.labels

    def refuse(self, faults: Sequence[Fault] | None = None) -> None:
        """Raise the first fault, if there is one.

        Raises:
            DataError: there is one.
        """
        for fault in self.faults if faults is None else faults:
            raise DataError(self.path, fault=fault.text)

    @property
    def of_events(self) -> bool:
        """Whether each clip is a file of its own."""
        return isinstance(self._source, tuple)

    @property
    def per_second(self) -> int:
        """Units of its times in a second."""
        return PER_SECOND[self.time_unit or "s"]

    def seconds(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """As :meth:`events`, with times in seconds; those that are seconds keep their type."""
        for times, units in self.events():
            yield (times if self.per_second == 1 else times.astype(np.float64) / self.per_second), units

    def events(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Time, as it is stored, ``per_second`` units in a second, and channel of the events of each clip.

        Raises:
            DataError: the recording breaks a rule; raised where that is come upon.
        """
        self.refuse()
        for clips in self.clips():
            self.refuse(clips.faults)
            yield from clips.events()

    def _checked(self, start: int, times: Lists | None, units: Lists | None) -> Clips:
        file = self._file_name(start) if self.of_events else None
        faults = check_clips(start, times, units, channels=self.channels, unit=self.time_unit, file=file)
        return Clips(start, times, units, tuple(faults), self.time_unit or "s")

    def _file_name(self, number: int) -> str:
        """Begins what is said of a file in a folder; of a single file, which ``path`` names, nothing."""
        return f"{self.files[number]}: " if self.path.is_dir() else ""

    def refused_steps(self, number: int, times: NDArray[Any], error: ValueError, helps: str = _HELPS) -> DataError:
        """A clip is too long for the grid: which one, and what helps.

        Args:
            number: of the clip.
            times: of its events, as they are stored.
            error: what :meth:`ranvier.data.events.Grid.count` says.
            helps: fields of a recipe, or options.
        """
        place = self._file_name(number) if self.of_events else f"clip {number}: "
        return DataError(self.path, fault=f"{place}{error}: t = {times.max()} {self.time_unit or 's'}; {helps}")

    def _read(self, file: Path) -> tuple[NDArray[Any], NDArray[Any]]:
        """Times and channels of a clip in a file of its own."""
        columns = self._columns.pop(file, None)
        if isinstance(columns, DataError):
            raise columns
        return read_events(file, self.camera) if columns is None else name_events(columns, self.camera)

    def _files(self, files: Sequence[Path]) -> Iterator[Clips]:
        for number, file in enumerate(files):
            try:
                times, units = self._read(file)
            except (DataError, OSError) as error:
                fault = Fault(f"{self._file_name(number)}{error}", "files")
                yield Clips(number, None, None, (fault,), self.time_unit or "s")
                continue
            lists = (Lists(values, np.array([len(values)], np.int64)) for values in (times, units))
            yield self._checked(number, *lists)


def own_channels(path: str | os.PathLike[str]) -> int:
    """Channels that a recording says it has, else 700; also where it is damaged, which reading it reports.

    Raises:
        OSError: it cannot be read.
    """
    if Path(path).is_dir():
        return CHANNELS  # files of events do not say
    try:
        return Recording.open(path).channels
    except (DataError, FileNotFoundError):
        return CHANNELS


def _packed_beside(path: Path) -> str:
    """Added to the message about a damaged file: a download that was unpacked in part often lies beside it."""
    packed = path.with_name(f"{path.name}.gz")
    return f"; {packed.name} lies beside it: remove {path.name}, and that is read" if packed.is_file() else ""


def _of_header(
    cls: type[Recording],
    path: Path,
    file: Path,
    answer: Answer,
    channels: int | None,
    classes: int | None,
    time_unit: TimeUnit | None,
) -> Recording:
    values, arrays = answer.values, dict(zip(answer.values["arrays"], answer.arrays, strict=True))
    no_clip = values["no_columns"] if values["kind"] == "other" else ""
    if no_clip and "spikes/times" in values["faults"]:
        values["faults"]["spikes/times"] += f"; as a clip of events, it {no_clip}"
    faults = [Fault(text) for text in values["faults"].values()]
    names, attributes = values["names"], values["attributes"]
    keys, speaker_names, files = (tuple(names.get(part, ())) for part in ("keys", "speaker_names", "files"))
    sizes = dict(values["clips"])
    if files:
        sizes["extra/files"] = len(files)
    faults += check_sizes(sizes)
    labels, speakers = arrays.get("labels"), arrays.get("extra/speaker")
    faults += [*check_names("keys", keys), *check_names("speaker_names", speaker_names)]
    known = count_classes(keys, classes, np.empty(0, np.int64) if labels is None else labels)
    if labels is not None:
        faults += check_labels(labels, known)
    if speakers is not None:
        faults += check_speakers(speakers, speaker_names)
    own, ear, unit = own_description(attributes, faults)
    channels = own or CHANNELS if channels is None else channels
    faults += check_channels(own, channels)
    return cls(
        path=path,
        size=min(sizes.values(), default=0),
        labels=labels,
        classes=keys or tuple(str(number) for number in range(known if labels is not None else 0)),
        speakers=speakers,
        speaker_names=speaker_names,
        files=files,
        left_out=left_out_of(attributes.get("left_out", "[]")),
        own_channels=own,
        ear=ear,
        channels=channels,
        time_unit=time_unit or unit,
        faults=tuple(faults),
        _source=file,
        no_clip=no_clip,
    )


def _of_events(cls: type[Recording], path: Path, found: Found, channels: int | None) -> Recording:
    """Clips in files of their own: the class is the name of the folder that holds the file.

    A single file may be one that was unpacked from ``path``.
    """
    files = found.clips
    known = files if path.is_dir() else [path]
    folders = [file.absolute().parent.name or "/" for file in known]
    classes = tuple(sorted(set(folders), key=lambda name: (not name.isdecimal(), name.zfill(9), name)))
    return cls(
        path=path,
        size=len(files),
        labels=np.array([classes.index(folder) for folder in folders], np.int64),
        classes=classes,
        speakers=None,
        speaker_names=(),
        files=tuple(file.name if file == path else file.relative_to(path).as_posix() for file in known),
        left_out=found.left_out,
        own_channels=None,
        ear=None,
        channels=channels or CHANNELS,
        time_unit=found.unit,
        faults=(),
        _source=tuple(files),
        _columns=found.columns,
    )
