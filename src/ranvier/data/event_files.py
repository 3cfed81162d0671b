"""Clips in files of their own: ``.npz``, ``.npy``, HDF5 or ``.csv`` of events (t, x), or (t, x, y, p) of a camera."""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.camera import Camera
from ranvier.data.dataset import DataError
from ranvier.data.event_hdf5 import Columns, read_columns
from ranvier.data.file_kind import file_kind

SUFFIXES = (".npz", ".npy", ".h5", ".hdf5", ".csv")
_TIMES = ("t", "ts", "time", "times", "timestamp", "timestamps")
_CHANNELS = ("x", "unit", "units", "channel", "channels", "neuron", "neurons")
_ROWS = ("y",)
_POLARITIES = ("p", "pol", "polarity")
_OF_CAMERA = ".npz, .npy or .h5 of named t, x, y and p"
_CAMERA_HELP = (
    "a camera's is read with data.camera = WIDTHxHEIGHT by the recipe folder, with --camera by ranvier data check"
)
_ALLOWED = "t and x of each event: [events, 2], [2, events], or named t and x"
_MOST_PACKED = 64  # bytes that a byte of a .npz may stand for
_SMALL = 1 << 20

Events = tuple[NDArray[Any], NDArray[Any]]
"""Times and channels of one clip."""


def find_event_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files of events at or below a folder, in the order of their paths, and the other files; names that begin with a
    dot are neither."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    events = [path for path in files if path.suffix.lower() in SUFFIXES]
    return events, [path for path in files if path.suffix.lower() not in SUFFIXES]


def read_events(path: Path, camera: Camera | None = None) -> Events:
    """Times, in the file's own unit, and channels of one clip; what they may be is not looked at.

    Args:
        path: ``.npz`` (lauscher's ``arr_0`` [2, events], or arrays named t and x), ``.npy`` ([events, 2], [2, events],
            or structured with t and x), HDF5 (datasets t and x at the root or in one group, or a dataset structured
            with these) or text with t and x in each line, separated by commas. Of a camera: arrays named t, x, y and
            p, or structured with these.
        camera: whose pixels are the channels; None: x is the channel, and there is no y but zeros.

    Raises:
        DataError: it is none of these; the message does not name the file.
        OSError: it cannot be read.
    """
    kind, what = file_kind(path)
    if kind == "text" and camera is None:
        return _read_text(path)
    if kind == "hdf5":
        return name_events(read_columns(path), camera)
    try:
        if kind == "npy":
            with path.open("rb") as file:
                return _pair(_array(file, path.stat().st_size), camera)
        if kind == "npz":
            return _read_npz(path, camera)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"not a whole NumPy file ({' '.join(str(error).split())[:300]})") from None
    allowed = ".npz, .npy, .h5 or .csv of events" if camera is None else _OF_CAMERA
    raise DataError(f"{'' if kind == 'unknown' else 'is '}{what} ({allowed} allowed)")


def name_events(columns: Columns, camera: Camera | None = None) -> Events:
    """Times and channels of columns named as :func:`read_events` takes them.

    Raises:
        DataError: there are others, or too few.
    """
    return _named(columns, list(columns), camera)


def _read_npz(path: Path, camera: Camera | None) -> Events:
    most = path.stat().st_size * _MOST_PACKED + _SMALL
    with zipfile.ZipFile(path) as archive:
        arrays = {}
        for member in archive.infolist():
            if member.file_size > most:
                raise DataError(f"{member.filename!r} declares {member.file_size} bytes, more than the file can hold")
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = _array(file, member.file_size)
    if len(arrays) == 1:
        return _pair(next(iter(arrays.values())), camera)
    return _named(arrays, list(arrays), camera)


def _array(file: IO[bytes], size: int) -> NDArray[Any]:
    """An array, no larger than the bytes that there are of it."""
    version = np.lib.format.read_magic(file)
    reads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in reads:
        raise DataError(f"is a NumPy file of version {version} ((1, 0) and (2, 0) allowed)")
    try:
        shape, fortran, dtype = reads[version](file)
        count = int(np.prod(shape, dtype=object))
    except Exception as error:  # NumPy takes the header for Python, which can be wrong in any way
        raise DataError(f"has a damaged NumPy header ({type(error).__name__})") from None
    if dtype.hasobject or count < 0 or count * dtype.itemsize > size:
        raise DataError(f"declares {dtype} of shape {shape}, which a file of {size} bytes cannot hold")
    content = file.read(count * dtype.itemsize)
    array = np.frombuffer(content, dtype, count)
    return array.reshape(shape, order="F" if fortran else "C")


def _pair(array: NDArray[Any], camera: Camera | None) -> Events:
    if array.dtype.names is not None and array.ndim == 1:
        return _named(array, array.dtype.names, camera)
    if camera is not None:
        raise DataError(f"holds {array.dtype} of shape {array.shape} ({_OF_CAMERA} allowed)")
    if array.dtype.kind not in "iuf" or array.ndim != 2 or 2 not in array.shape:
        frames = "; dense frames? make events of them" if array.ndim == 2 and array.size > 4 else ""
        raise DataError(f"holds {array.dtype} of shape {array.shape} ({_ALLOWED} allowed{frames})")
    layouts = [layout for layout, length in ((array, array.shape[0]), (array.T, array.shape[1])) if length == 2]
    if len(layouts) == 2:  # two events: channels are whole numbers
        whole = [layout for layout in layouts if (layout[1] == np.round(layout[1])).all()]
        if len(whole) != 1:
            raise DataError(
                "holds two events, and which are times and which channels is not to be seen (t and x named)"
            )
        layouts = whole
    return _native(layouts[0][0]), _whole(layouts[0][1])


def _named(arrays: Any, names: Sequence[str], camera: Camera | None) -> Events:
    known = (_TIMES, _CHANNELS, _ROWS, _POLARITIES)
    found = [[name for name in names if name.lower() in some] for some in known]
    needed = (1, 1) if camera is None else (1, 1, 1, *(() if camera.merged else (1,)))
    if any(len(name) != count for name, count in zip(found, needed, strict=False)):
        raise DataError(f"holds {', '.join(names[:8])} ({_ALLOWED if camera is None else _OF_CAMERA} allowed)")
    columns = [np.asarray(arrays[name[0]]) for name in found if len(name) == 1]
    columns = [values.astype(np.uint8) if values.dtype.kind == "b" else values for values in columns]
    labelled = dict(zip((name[0] for name in found if len(name) == 1), columns, strict=True))
    for name, values in labelled.items():
        if values.ndim != 1 or values.dtype.kind not in "iuf":
            raise DataError(f"{name} is {values.dtype} of shape {values.shape} (one number per event allowed)")
    if len({len(values) for values in columns}) > 1:
        sizes = ", ".join(f"{len(values)} {name}" for name, values in labelled.items())
        raise DataError(f"holds {sizes} (one of each per event allowed)")
    times, x, y, p = (labelled[name[0]] if len(name) == 1 else None for name in found)
    assert times is not None
    assert x is not None
    if camera is not None:
        assert y is not None
        return _native(times), camera.units(_whole(x), _whole(y, "y"), None if p is None else _whole(p, "p"))
    if y is not None and y.any():
        raise DataError(f"has a second coordinate y ({_CAMERA_HELP})")
    return _native(times), _whole(x)


def _native(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


def _whole(values: NDArray[Any], name: str = "x") -> NDArray[Any]:
    """Channels or other coordinates as integers; they often share an array with times."""
    if values.dtype.kind in "iu":
        return _native(values)
    good = np.isfinite(values) & (values == np.round(values)) & (np.abs(values) < 2**31)
    if not good.all():
        at = int(np.argmin(good))
        raise DataError(f"event {at} has {name} = {values[at]:g} (whole numbers allowed)")
    return values.astype(np.int64)


def _read_text(path: Path) -> Events:
    columns = (0, 1)
    rows: list[tuple[float, float]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row or (len(row) == 1 and not row[0].strip()):
                    continue
                if not rows and number == 1 and not _numeric(row):
                    names = [name.strip().lstrip("# ").lower() for name in row]
                    found = [[at for at, name in enumerate(names) if name in known] for known in (_TIMES, _CHANNELS)]
                    if any(len(at) != 1 for at in found):
                        raise DataError(
                            f"is a text file, its first line {','.join(row)[:60]!r} (t,x and numbers allowed)"
                        )
                    columns = (found[0][0], found[1][0])
                    continue
                try:
                    rows.append((float(row[columns[0]]), float(row[columns[1]])))
                except (ValueError, IndexError):
                    raise DataError(f"line {number} is {','.join(row)[:60]!r} (t,x allowed)") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"is a text file that cannot be read ({error})") from None
    events = np.array(rows, np.float64).reshape(-1, 2)
    return np.ascontiguousarray(events[:, 0]), _whole(events[:, 1])


def _numeric(row: Sequence[str]) -> bool:
    try:
        [float(part) for part in row]
    except ValueError:
        return False
    return True
