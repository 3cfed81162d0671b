"""Recordings in the HDF5 format of SHD and SSC (Cramer et al. 2020, doi 10.1109/TNNLS.2020.3044364).

``spikes/times`` (variable length, seconds), ``spikes/units`` (variable length, channel), ``labels``, and where
present ``extra/keys`` (class names) and ``extra/speaker``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ranvier.data.cache import load_cached, store_cached
from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import Grid
from ranvier.data.file_kind import file_kind
from ranvier.data.recording import Recording
from ranvier.data.recording_rules import TimeUnit

_CLIPS_AT_ONCE = 256


def find_recording(root: str | os.PathLike[str], name: str) -> Path | None:
    """``root/name.h5``, else ``root/name.h5.gz``, else None."""
    candidates = (Path(root) / f"{name}.h5", Path(root) / f"{name}.h5.gz")
    return next((path for path in candidates if path.is_file()), None)


def require_recording(root: str | os.PathLike[str], name: str) -> Path:
    """``root/name.h5``, else ``root/name.h5.gz``.

    Raises:
        DataError: neither is there; the message says what is there instead.
    """
    found = find_recording(root, name)
    if found is not None:
        return found
    missing = f"{root}: neither {name}.h5 nor {name}.h5.gz is there"
    if Path(root).is_file():
        raise DataError(f"{root}: is a file (the folder that holds {name}.h5 or {name}.h5.gz allowed)")
    names = sorted(path.name for path in Path(root).iterdir()) if Path(root).is_dir() else []
    for other in names:
        if other.lower() in (f"{name}.h5", f"{name}.h5.gz") and (Path(root) / other).is_file():
            raise DataError(f"{missing}, but {other}: rename it")
        if other.lower().startswith(name) and other.lower().endswith((".zip", ".xz", ".bz2", ".zst", ".7z", ".tar")):
            raise DataError(f"{missing}, but {other}: unpack it first")
    raise DataError(missing)


def read_recording(
    path: str | os.PathLike[str],
    grid: Grid,
    *,
    classes: int | None = None,
    time_unit: TimeUnit | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SpikeDataset:
    """Read a recording and count its events on a grid; the counts of a file are cached.

    Args:
        path: a recording as :meth:`ranvier.data.recording.Recording.open` knows them: SHD's HDF5 format, plain or as
            gzip, or clips of events in ``.npz``, ``.npy`` or ``.csv``.
        grid: how to count.
        classes: number of classes, where the file does not name them; None takes the file's names or largest label.
        time_unit: unit of the times, ``s``, ``ms`` or ``us``; None takes what the file says (attribute ``time_unit``),
            else seconds, and refuses clips of more than 60 s.
        cache: folder of the cache; None means the user's (``RANVIER_CACHE`` sets another).
        progress: called with (clips read, clips in all).

    Returns:
        Every clip of the file, in its order. Events out of order are sorted.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is damaged, breaks a rule or has another number of channels than the grid; the message
            names the file, the place and what is allowed.
    """
    path = Path(path)
    # the class of a clip in a file of its own is its folder's name, which its content does not tell
    if not (path.is_file() and file_kind(path)[0] in ("hdf5", "gzip")):
        return _read(path, grid, classes, time_unit, cache, progress)
    settings = [classes, time_unit]
    dataset = load_cached(path, grid, settings, cache)
    if dataset is None:
        dataset = _read(path, grid, classes, time_unit, cache, progress)
        store_cached(dataset, path, grid, settings, cache)
    return dataset


def _read(
    path: Path,
    grid: Grid,
    classes: int | None,
    time_unit: TimeUnit | None,
    cache: str | os.PathLike[str] | None,
    progress: Callable[[int, int], None] | None,
) -> SpikeDataset:
    recording = Recording.open(path, channels=grid.channels, classes=classes, time_unit=time_unit, cache=cache)
    clips = []
    for times, units in recording.events():
        try:
            clips.append(grid.count(times, units))
        except ValueError as error:
            raise DataError(f"{path}: clip {len(clips)}: {error}") from None
        if progress is not None and (len(clips) % _CLIPS_AT_ONCE == 0 or len(clips) == recording.size):
            progress(len(clips), recording.size)
    assert recording.labels is not None
    return SpikeDataset.pack(
        clips,
        labels=recording.labels,
        speakers=recording.speakers,
        classes=recording.classes,
        sources=grid.sources,
        dt_ms=grid.dt_ms,
        speaker_names=recording.speaker_names,
    )


def read_files(path: str | os.PathLike[str]) -> list[str]:
    """The file that each clip was made from (``extra/files``), where the recording says; else an empty list.

    Raises:
        DataError: it is no recording.
    """
    return list(Recording.open(path).files)


def read_left_out(path: str | os.PathLike[str]) -> list[str]:
    """Why files were left out when this recording was made; empty where it does not say.

    Raises:
        DataError: it is no recording.
    """
    return list(Recording.open(path).left_out)


def write_recording(
    path: str | os.PathLike[str],
    times_s: Sequence[NDArray[Any]],
    units: Sequence[NDArray[Any]],
    labels: NDArray[Any],
    *,
    classes: Sequence[str] = (),
    speakers: NDArray[Any] | None = None,
) -> None:
    """Write clips in SHD's format (times as float16 seconds), under a temporary name first.

    Args:
        path: the file to write.
        times_s: per clip, seconds of its events.
        units: per clip, channel of its events.
        labels: ``[clip]``.
        classes: names of the classes, if any.
        speakers: ``[clip]``, if known.

    Raises:
        DataError: a unit, label or speaker does not fit the format.
    """
    clips = list(zip(times_s, units, strict=True))
    write_clips(path, clips, np.asarray(labels), classes=classes, speakers=speakers)


def write_clips(
    path: str | os.PathLike[str],
    clips: Iterable[tuple[NDArray[Any], NDArray[Any]]],
    labels: NDArray[Any],
    *,
    classes: Sequence[str] = (),
    speakers: NDArray[Any] | None = None,
    speaker_names: Sequence[str] = (),
    files: Sequence[str] = (),
    about: Mapping[str, Any] | None = None,
) -> None:
    """As :func:`write_recording`, clip after clip, so that only one is in memory.

    Args:
        path: the file to write.
        clips: as many as ``labels``: seconds and channel of each event.
        labels: ``[clip]``.
        classes, speakers: as in :func:`write_recording`.
        speaker_names: name of each speaker's number (``extra/speaker_names``).
        files: the file that each clip comes from (``extra/files``).
        about: attributes of the recording.

    Raises:
        DataError: a unit, label or speaker does not fit the format.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(temporary, "w") as file:
            times, units = (
                file.create_dataset(f"spikes/{name}", len(labels), h5py.vlen_dtype(dtype))
                for name, dtype in (("times", np.float16), ("units", np.uint16))
            )
            for number, (seconds, channels) in zip(range(len(labels)), clips, strict=True):
                times[number] = np.asarray(seconds).astype(np.float16)
                units[number] = _as_uint16("units", channels)
            file["labels"] = _as_uint16("labels", labels)
            if speakers is not None:
                file["extra/speaker"] = _as_uint16("speakers", speakers)
            for name, texts in (("keys", classes), ("speaker_names", speaker_names), ("files", files)):
                if len(texts):
                    file[f"extra/{name}"] = np.array([text.encode() for text in texts])
            file.attrs.update(about or {})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _as_uint16(name: str, values: NDArray[Any]) -> NDArray[np.uint16]:
    array = np.asarray(values)
    if len(array) and not (array.min() >= 0 and array.max() <= 65535):
        raise DataError(f"{name}: values {array.min()} ... {array.max()} do not fit the format (0 ... 65535 allowed)")
    return array.astype(np.uint16)
