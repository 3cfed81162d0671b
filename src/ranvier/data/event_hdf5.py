"""HDF5 files of events: what one says of itself, and its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError
from ranvier.data.file_kind import file_kind
from ranvier.data.hdf5_process import Answer, read_hdf5

IN_HDF5 = "datasets t, x, y and p at the root or in one group, or fields of one dataset,"
_MOST_KEPT = 1 << 16  # headers
_SMALL = 1 << 20  # bytes of a file
_RECORDING = "is a recording in SHD's format"

Columns = Mapping[str, NDArray[Any]]
"""Values of t, x, y and p ``[event]``, as far as they are there, by name."""


class Header(NamedTuple):
    """What HDF5 says of a file: see the worker's header. Empty for other files and for those that cannot be read."""

    kind: str = ""
    no_columns: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})


# a training opens its folder more than once, and each opening takes some milliseconds; by path, size and time of change
_headers: dict[tuple[Path, int, int], Header] = {}


def read_header(file: Path, *, with_columns: bool) -> tuple[Header, Columns | DataError | None]:
    """The header of a file, and its columns from the same opening.

    Args:
        file: of any kind.
        with_columns: read those of a small clip.

    Returns:
        The header; and the columns, or what is wrong with them. None in their place: they were not read, which
        :func:`read_columns` does.
    """
    try:
        state = file.stat()
        key = (file.absolute(), state.st_size, state.st_mtime_ns)
        if key in _headers:
            return _headers[key], None
        header, columns = Header(), None
        if file_kind(file)[0] == "hdf5":
            header, columns = _read(file, with_columns=with_columns and state.st_size <= _SMALL)
    except (DataError, OSError):
        return Header(), None
    if len(_headers) >= _MOST_KEPT:
        _headers.clear()
    _headers[key] = header
    return header, columns


def read_columns(file: Path) -> Columns:
    """The columns of a clip of events.

    Raises:
        DataError: it is none, or damaged; the message does not name the file.
        OSError: it cannot be read.
    """
    header, columns = _read(file, with_columns=True)
    if isinstance(columns, DataError):
        raise columns
    if columns is None:
        raise DataError(f"{header.no_columns or _RECORDING} ({IN_HDF5} allowed)")
    return columns


def _read(file: Path, *, with_columns: bool) -> tuple[Header, Columns | DataError | None]:
    answers = read_hdf5(file)
    try:
        said = next(answers).values
        if "kind" not in said:
            raise DataError(f"{said['fault']} ({IN_HDF5} allowed)")
        header = Header(*(said[name] for name in Header._fields))
        if not said["columns"] or not with_columns:
            return header, None
        try:
            return header, _columns(said["columns"], answers)
        except DataError as error:
            return header, error
    finally:
        answers.close()


def _columns(names: Sequence[str], answers: Iterator[Answer]) -> Columns:
    parts = []
    for answer in answers:
        if "fault" in answer.values:
            raise DataError(answer.values["fault"])
        parts.append(answer.arrays)
    return {name: np.concatenate(slices) for name, *slices in zip(names, *parts, strict=True)}
