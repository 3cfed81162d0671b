"""Recordings in the HDF5 format of SHD and SSC (Cramer et al. 2020, doi 10.1109/TNNLS.2020.3044364).

``spikes/times`` (variable length, seconds), ``spikes/units`` (variable length, channel), ``labels``, and where
present ``extra/keys`` (class names) and ``extra/speaker``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.cache import load_cached, store_cached
from ranvier.data.camera import Camera
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


def open_recording(
    path: Path,
    *,
    channels: int | None,
    classes: int | None,
    time_unit: TimeUnit | None,
    camera: Camera | None,
    cache: str | os.PathLike[str] | None,
) -> Recording:
    """:meth:`ranvier.data.recording.Recording.open`, with a camera's pixels as channels where there is one.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it cannot be read, is no file of a camera's events, or is one whose times are in a unit that neither
            it nor ``time_unit`` says.
    """
    recording = Recording.open(path, channels=channels, classes=classes, time_unit=time_unit, cache=cache)
    if camera is not None and not recording.of_events:
        allowed = ".npz, .npy or .h5 of t, x, y and p, or a folder of them, allowed"
        why = f"; it {recording.no_clip}" if recording.no_clip else ""
        raise DataError(path, fault=f"is no file of a camera's events ({allowed}){why}")
    if camera is not None and recording.time_unit is None and not recording.faults:
        needed = "s, ms or us as data.time_unit in a recipe, or as an option"
        raise DataError(path, fault=f"does not say the unit of a camera's times ({needed})")
    return replace(recording, camera=camera)


def read_recording(
    path: str | os.PathLike[str],
    grid: Grid,
    *,
    classes: int | None = None,
    time_unit: TimeUnit | None = None,
    camera: Camera | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SpikeDataset:
    """Read a recording and count its events on a grid; the counts of a file are cached.

    Args:
        path: a recording as :meth:`ranvier.data.recording.Recording.open` knows them: SHD's HDF5 format, plain or as
            gzip, or clips of events in ``.npz``, ``.npy``, HDF5 or ``.csv``.
        grid: how to count.
        classes: number of classes, where the file does not name them; None takes the file's names or largest label.
        time_unit: unit of the times, ``s``, ``ms`` or ``us``; None takes what the file says (attribute ``time_unit``),
            else seconds, and refuses clips of more than 60 s; with ``camera`` one of both has to say it.
        camera: whose pixels are the channels of clips of events (t, x, y, p), see :class:`ranvier.data.camera.Camera`;
            None for other recordings.
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
    # the class of a clip in a file of its own is its folder's name, which its content does not give
    packed = path.is_file() and file_kind(path)[0] in ("hdf5", "gzip")
    settings = [classes, time_unit]
    dataset = load_cached(path, grid, settings, cache) if packed and camera is None else None
    if dataset is not None:
        return dataset
    recording = open_recording(
        path, channels=grid.channels, classes=classes, time_unit=time_unit, camera=camera, cache=cache
    )
    if recording.of_events:
        return _read(recording, grid, progress)
    labels, speakers = recording.labelled(), recording.speakers
    with suppress(OSError):  # a cache that cannot be written: the clips are counted in memory
        store_cached(
            _counted(recording, grid, progress),
            path,
            grid,
            settings,
            cache,
            labels=np.asarray(labels, np.int64),
            speakers=np.full(len(labels), -1, np.int64) if speakers is None else np.asarray(speakers, np.int64),
            classes=np.array(recording.classes),
            speaker_names=np.array(recording.speaker_names, np.str_),
        )
    dataset = load_cached(path, grid, settings, cache)
    return _read(recording, grid, progress) if dataset is None else dataset


def _read(recording: Recording, grid: Grid, progress: Callable[[int, int], None] | None) -> SpikeDataset:
    labels = recording.labelled()
    clips = list(_counted(recording, grid, progress))
    if recording.of_events and recording.path.is_dir() and not any(len(step) for step, _, _ in clips):
        raise DataError(recording.path, fault=f"no event in any of its {len(clips)} clips (one or more needed)")
    return SpikeDataset.pack(
        clips,
        labels=labels,
        speakers=recording.speakers,
        classes=recording.classes,
        sources=grid.sources,
        dt_ms=grid.dt_ms,
        speaker_names=recording.speaker_names,
    )


def _counted(
    recording: Recording, grid: Grid, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Step, source and count of every clip."""
    for number, (times, units) in enumerate(recording.events()):
        try:
            yield grid.count(times, units, per_second=recording.per_second)
        except ValueError as error:
            raise recording.refused_steps(number, times, error) from None
        if progress is not None and ((number + 1) % _CLIPS_AT_ONCE == 0 or number + 1 == recording.size):
            progress(number + 1, recording.size)


def read_files(path: str | os.PathLike[str]) -> list[str]:
    """The file that each clip was made from (``extra/files``), where the recording says; else an empty list.

    Raises:
        DataError: it is no recording.
    """
    return list(Recording.open(path, time_unit="s", with_columns=False).files)  # whatever unit: no times are read


def read_left_out(path: str | os.PathLike[str], dataset: SpikeDataset | None = None) -> list[str]:
    """Why files were left out when this recording was made, or of a folder of event files; empty where nobody says.

    Args:
        path: a recording.
        dataset: what was read from it; then the event files that hold no event are also listed.

    Raises:
        DataError: it is no recording.
    """
    recording = Recording.open(path, time_unit="s", with_columns=False)  # whatever unit: no times are read
    if dataset is None or not recording.of_events:
        return list(recording.left_out)
    empty = np.flatnonzero(np.diff(dataset.offsets) == 0)
    return [*recording.left_out, *(f"{recording.files[clip]}: no events" for clip in empty)]
