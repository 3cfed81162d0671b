"""A folder of clips of events: which files are clips, and the unit of their times."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ranvier.data.dataset import DataError
from ranvier.data.event_files import IN_HDF5, SUFFIXES, find_event_files
from ranvier.data.file_kind import file_kind
from ranvier.data.hdf5_process import read_hdf5
from ranvier.data.recording_attributes import own_unit
from ranvier.data.recording_rules import Fault, TimeUnit

_MOST_KEPT = 1 << 16  # headers


def find_clips(folder: Path, time_unit: TimeUnit | None) -> tuple[list[Path], tuple[str, ...], TimeUnit | None]:
    """Clips at or below a folder, in the order of their paths.

    Args:
        folder: of event files.
        time_unit: unit of all times; None takes what the files say, attribute ``time_unit`` of HDF5.

    Returns:
        The clips; the other files, each with the reason why it is none, a line each; and the unit, None where no file
        says. A damaged file, or a recording, is taken for a clip: it is refused where it is read.

    Raises:
        DataError: there is no clip, or not all have times in one unit.
    """
    files, others = find_event_files(folder)
    if not files:
        raise DataError(folder, fault=f"is a folder without event files ({', '.join(SUFFIXES)} allowed)")
    clips, skipped = [], []
    units: dict[TimeUnit | None, str] = {}
    for file in files:
        name = file.relative_to(folder).as_posix()
        header = _header(file)
        if header.kind == "other":
            skipped.append(f"{name}: {header.no_columns}")
            continue
        clips.append(file)
        faults: list[Fault] = []
        units.setdefault(own_unit(header.attributes, faults), name)
        if faults and time_unit is None:
            raise DataError(folder, fault=f"{name}: {faults[0].text}")
    if not clips:
        more = f"; {len(skipped) - 1} more files hold none" if len(skipped) > 1 else ""
        raise DataError(folder, fault=f"{skipped[0]} ({IN_HDF5} allowed){more}")
    if len(units) > 1 and time_unit is None:
        said = " and ".join(f"those of {name} in {unit or 'a unit it does not say'}" for unit, name in units.items())
        raise DataError(folder, fault=f"times in several units, {said} (one allowed; time_unit s, ms or us sets it)")
    left_out = (*skipped, *(f"{other.relative_to(folder).as_posix()}: no event file" for other in others))
    return clips, left_out, time_unit or next(iter(units))


class _Header(NamedTuple):
    """What HDF5 says of a file: see the worker's header."""

    kind: str = ""
    no_columns: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})


def _header(file: Path) -> _Header:
    """Empty for other files and for those that cannot be read."""
    try:
        state = file.stat()
        return _read_header(file.absolute(), state.st_size, state.st_mtime_ns)
    except (DataError, OSError):
        return _Header()


@lru_cache(_MOST_KEPT)  # a training opens its folder more than once, and each file takes some milliseconds
def _read_header(file: Path, _size: int, _changed_ns: int) -> _Header:
    if file_kind(file)[0] != "hdf5":
        return _Header()
    answers = read_hdf5(file)
    try:
        values = next(answers).values
    finally:
        answers.close()
    return _Header(*(values[name] for name in _Header._fields)) if "kind" in values else _Header()
