"""Recordings in the HDF5 format of SHD and SSC (Cramer et al. 2020, doi 10.1109/TNNLS.2020.3044364).

``spikes/times`` (variable length, seconds), ``spikes/units`` (variable length, channel), ``labels``, and where
present ``extra/keys`` (class names) and ``extra/speaker``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ranvier.data.cache import load_cached, store_cached, unpacked
from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import Grid

_CLIPS_AT_ONCE = 256
_MOST_CLASSES = 65536


def find_recording(root: str | os.PathLike[str], name: str) -> Path | None:
    """``root/name.h5``, else ``root/name.h5.gz``, else None."""
    candidates = (Path(root) / f"{name}.h5", Path(root) / f"{name}.h5.gz")
    return next((path for path in candidates if path.is_file()), None)


def read_recording(
    path: str | os.PathLike[str],
    grid: Grid,
    *,
    classes: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SpikeDataset:
    """Read ``.h5`` or ``.h5.gz`` and count its events on a grid; the counts are cached.

    Args:
        path: the recording.
        grid: how to count.
        classes: number of classes, where the file does not name them; None takes the file's names or largest label.
        cache: folder of the cache; None means the user's (``RANVIER_CACHE`` sets another).
        progress: called with (clips read, clips in all).

    Returns:
        Every clip of the file, in its order. Events out of order are sorted.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is damaged or breaks a rule; the message names the file, the place and what is allowed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such recording")
    dataset = load_cached(path, grid, classes, cache)
    if dataset is None:
        dataset = _read(path, unpacked(path, cache, progress), grid, classes, progress)
        store_cached(dataset, path, grid, classes, cache)
    return dataset


def read_files(path: str | os.PathLike[str]) -> list[str]:
    """The file that each clip was made from (``extra/files``), where the recording says; else an empty list.

    Raises:
        DataError: it is not an HDF5 file.
    """
    try:
        with h5py.File(unpacked(Path(path), None), "r") as file:
            return _names(file, Path(path), "files")
    except OSError as error:
        raise DataError(f"{path}: not a whole HDF5 file ({error})") from None


def read_left_out(path: str | os.PathLike[str]) -> list[str]:
    """Why files were left out when our ear made this recording; empty where it does not say."""
    try:
        with h5py.File(unpacked(Path(path), None), "r") as file:
            return [str(reason) for reason in json.loads(file.attrs.get("left_out", "[]"))]
    except (OSError, ValueError, TypeError):
        return []


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


def _read(
    named: Path, path: Path, grid: Grid, classes: int | None, progress: Callable[[int, int], None] | None
) -> SpikeDataset:
    try:
        with h5py.File(path, "r") as file:
            times, units, labels = (_dataset(file, named, name) for name in ("spikes/times", "spikes/units", "labels"))
            names, speakers = _names(file, named, "keys"), _speakers(file, named)
            speaker_names = _speaker_names(file, named, speakers)
            label = np.asarray(labels[:])
            # a damaged label must not name millions of classes
            known = len(names) or classes or min(int(label.max(initial=0)) + 1, _MOST_CLASSES)
            _check_clips(named, times, units, label, speakers, known)
            clips = []
            for start in range(0, len(label), _CLIPS_AT_ONCE):
                stop = start + _CLIPS_AT_ONCE
                for number, (time, unit) in enumerate(zip(times[start:stop], units[start:stop], strict=True), start):
                    clips.append(_count(named, number, time, unit, grid))
                if progress is not None:
                    progress(min(stop, len(label)), len(label))
    except DataError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:  # h5py's, for damage of many kinds
        raise DataError(f"{named}: not a whole HDF5 file ({error})") from None
    return SpikeDataset.pack(
        clips,
        labels=label,
        speakers=speakers,
        classes=names or [str(number) for number in range(known)],
        sources=grid.sources,
        dt_ms=grid.dt_ms,
        speaker_names=speaker_names,
    )


_LISTS = {"spikes/times": ("iuf", "numbers"), "spikes/units": ("iu", "whole numbers")}


def _dataset(file: h5py.File, named: Path, name: str) -> h5py.Dataset:
    """A dataset with one list of numbers per clip (spikes) or one whole number per clip (all others)."""
    if name not in file or not isinstance(file[name], h5py.Dataset):
        raise DataError(f"{named}: dataset {name!r} is missing (spikes/times, spikes/units and labels are needed)")
    dataset = file[name]
    kinds, numbers = _LISTS.get(name, ("iu", "whole number"))
    item = h5py.check_vlen_dtype(dataset.dtype) if name in _LISTS else dataset.dtype
    if dataset.ndim != 1 or not isinstance(item, np.dtype) or item.kind not in kinds:
        allowed = f"one list of {numbers} per clip" if name in _LISTS else f"one {numbers} per clip"
        raise DataError(
            f"{named}: dataset {name!r} has shape {dataset.shape}, type {dataset.dtype} ({allowed} allowed)"
        )
    return dataset


def _speakers(file: h5py.File, named: Path) -> NDArray[Any] | None:
    return _dataset(file, named, "extra/speaker")[:] if "extra/speaker" in file else None


def _speaker_names(file: h5py.File, named: Path, speakers: NDArray[Any] | None) -> list[str]:
    names = _names(file, named, "speaker_names")
    if names and speakers is not None and not 0 <= int(speakers.max(initial=0)) < len(names):
        raise DataError(f"{named}: extra/speaker names number {speakers.max()} of {len(names)} speaker_names")
    return names


def _names(file: h5py.File, named: Path, which: str) -> list[str]:
    if f"extra/{which}" not in file:
        return []
    try:
        return [key.decode() if isinstance(key, bytes) else str(key) for key in file[f"extra/{which}"][:]]
    except (ValueError, TypeError):
        one = {"keys": "class", "speaker_names": "speaker"}.get(which, "clip")
        raise DataError(f"{named}: extra/{which} cannot be read (one UTF-8 name per {one} allowed)") from None


def _check_clips(
    named: Path,
    times: h5py.Dataset,
    units: h5py.Dataset,
    labels: NDArray[Any],
    speakers: NDArray[Any] | None,
    classes: int,
) -> None:
    sizes = {"spikes/times": len(times), "spikes/units": len(units), "labels": len(labels)}
    if speakers is not None:
        sizes["extra/speaker"] = len(speakers)
    if len(set(sizes.values())) > 1:
        raise DataError(f"{named}: {', '.join(f'{name} has {n} clips' for name, n in sizes.items())} (equal allowed)")
    if len(labels) == 0:
        raise DataError(f"{named}: no clips (1 or more)")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        clip = wrong[0]
        raise DataError(f"{named}: labels[{clip}] is {labels[clip]} (0 ... {classes - 1} allowed)")


def _count(
    named: Path, number: int, time: NDArray[Any], unit: NDArray[Any], grid: Grid
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    if len(time) != len(unit):
        raise DataError(f"{named}: clip {number} has {len(time)} times and {len(unit)} units (equal allowed)")
    for name, values, good, allowed in (
        ("times", time, np.isfinite(time) & (time >= 0), "finite, 0 s or later"),
        ("units", unit, (unit >= 0) & (unit < grid.channels), f"0 ... {grid.channels - 1}"),
    ):
        if not good.all():
            at = int(np.argmin(good))
            raise DataError(f"{named}: spikes/{name}[{number}][{at}] is {values[at]} ({allowed} allowed)")
    try:
        return grid.count(time, unit)
    except ValueError as error:
        raise DataError(f"{named}: clip {number}: {error}") from None
