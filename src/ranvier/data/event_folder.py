"""A folder of clips of events: which files are clips, and the unit of their times."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ranvier.data.dataset import DataError
from ranvier.data.event_files import SUFFIXES, find_event_files
from ranvier.data.event_hdf5 import IN_HDF5, Columns, read_header
from ranvier.data.recording_attributes import own_unit
from ranvier.data.recording_rules import Fault, TimeUnit

_MOST_WAITING = 256 << 20  # bytes of columns; files beyond are opened once more, where they are read


class Found(NamedTuple):
    """What is in a folder.

    Attributes:
        clips: in the order of their paths. A damaged file, or a recording, is taken for a clip: it is refused where it
            is read.
        left_out: the other files, each with the reason why it is none, a line each.
        unit: of all times; None where no file says.
        columns: those of small HDF5 clips that were opened for this, or what is wrong with them, by their path.
    """

    clips: list[Path]
    left_out: tuple[str, ...]
    unit: TimeUnit | None
    columns: dict[Path, Columns | DataError]


def find_clips(folder: Path, time_unit: TimeUnit | None, *, with_columns: bool = True) -> Found:
    """Clips at or below a folder, in the order of their paths.

    Args:
        folder: of event files.
        time_unit: unit of all times; None takes what the files say, attribute ``time_unit`` of HDF5.
        with_columns: read those of small HDF5 clips from the same opening.

    Raises:
        DataError: there is no clip, or not all have times in one unit.
    """
    files, others = find_event_files(folder)
    if not files:
        raise DataError(folder, fault=f"is a folder without event files ({', '.join(SUFFIXES)} allowed)")
    clips, skipped, room = [], [], _MOST_WAITING
    waiting: dict[Path, Columns | DataError] = {}
    units: dict[TimeUnit | None, str] = {}
    for file in files:
        name = file.relative_to(folder).as_posix()
        header, columns = read_header(file, with_columns=with_columns and room > 0)
        if header.kind == "other":
            skipped.append(f"{name}: {header.no_columns}")
            continue
        clips.append(file)
        if columns is not None:
            waiting[file] = columns
            room -= 0 if isinstance(columns, DataError) else sum(values.nbytes for values in columns.values())
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
    return Found(clips, left_out, time_unit or next(iter(units)), waiting)
