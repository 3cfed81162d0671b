"""Objects of an HDF5 file, found and measured before they are read; columns t, x, y and p of a clip of events.

Part of the process that :mod:`ranvier.data.hdf5_worker` is; imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

COLUMNS = ("t", "x", "y", "p")

_EVENTS_AT_ONCE = 1 << 19
_MOST_PACKED = 16  # bytes that a byte of a compressed dataset may stand for
_CHUNK = 64 << 20
_MOST_LINKS = 8


class BadFileError(Exception):
    """The file breaks a rule; the message says which."""


class NoEventsError(BadFileError):
    """The file holds no clip of events."""


def find(group: h5py.Group, name: str, links: int = 0) -> Any:
    """The object at a path inside this file, or None; links out of the file are refused."""
    item: Any = group
    for part in filter(None, name.split("/")):
        if not isinstance(item, h5py.Group) or part not in item:
            return None
        link = item.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise BadFileError(f"{part!r} is a link to another file, {link.filename!r} (all in one file allowed)")
        if isinstance(link, h5py.SoftLink):
            if links >= _MOST_LINKS:
                raise BadFileError(f"{part!r} is a link to a link (up to {_MOST_LINKS} allowed)")
            item = find(item.file["/"] if link.path.startswith("/") else item, link.path, links + 1)
        else:
            item = item[part]
    return item


def check_size(found: h5py.Dataset, size: int, name: str) -> None:
    """Compare what a dataset declares with what a file of ``size`` bytes can hold, before any of it is read."""
    if found.is_virtual or found.external:
        raise BadFileError(f"dataset {name!r} keeps its values in another file (all in one file allowed)")
    item, count = found.id.get_type().get_size(), int(np.prod(found.shape, dtype=object))
    made = found.id.get_create_plist()
    for number, *_, called in map(made.get_filter, range(made.get_nfilters())):
        if not h5py.h5z.filter_avail(number):
            by = f"{called.decode(errors='replace')!r} (filter {number})" if called else f"filter {number}"
            filtered = f"dataset {name!r} is compressed by {by}"
            raise BadFileError(f"{filtered}, which HDF5 does not find (HDF5_PLUGIN_PATH, or repack it as gzip)")
    packed = found.chunks is not None and made.get_nfilters() > 0
    most = size * (_MOST_PACKED if packed else 1)
    if count > size or count * item > most:
        raise BadFileError(
            f"dataset {name!r} declares {count} values of {item} bytes, more than a file of {size} bytes can hold"
        )
    if found.chunks is not None and int(np.prod(found.chunks, dtype=object)) * item > _CHUNK + size:
        raise BadFileError(f"dataset {name!r} has chunks of {found.chunks} values, more than the file can hold")


def find_events(file: h5py.File) -> tuple[str, h5py.Group | h5py.Dataset]:
    """Where t and x of a clip of events stand, and its name: a group of datasets, or a dataset with fields.

    Names of one object are one place. Links that lead nowhere count only where one of t, x, y and p is such.

    Raises:
        NoEventsError: there is no such place.
        BadFileError: there are several.
    """
    places: dict[str, Any] = {"": file}
    faults = []
    for name in file:
        found = [(name, file, name)]
        for path, group, part in found:
            try:
                places[path] = item = find(group, part)
            except BadFileError as error:
                faults.append(str(error))
                continue
            if path == name and isinstance(item, h5py.Group):
                found += [(f"{name}/{inner}", item, inner) for inner in item]
    clips = {name: place for name, place in places.items() if {"t", "x"} <= set(_held(place))}
    if not clips:
        there = ", ".join([name for name in places if name][:8]) or ("no object" if faults else "it is empty")
        raise NoEventsError(f"holds no t and x in one place: {'; '.join([there, *faults[:1]])}")
    first, *others = clips
    if any(not _same(clips[first], clips[other]) for other in others):
        raise BadFileError(f"holds events in several places: {', '.join([name or '/' for name in clips][:8])}")
    return first, clips[first]


def _held(place: Any) -> tuple[str, ...]:
    """Names in a group, or of fields of a dataset."""
    if isinstance(place, h5py.Group):
        inside = set(place)  # `name in place` would follow links
        return tuple(name for name in COLUMNS if name in inside)
    return tuple(place.dtype.names or ()) if isinstance(place, h5py.Dataset) else ()


def _same(one: Any, other: Any) -> bool:
    """Whether two places are one object, or groups whose columns are."""
    if one == other:
        return True
    if not isinstance(one, h5py.Group) or not isinstance(other, h5py.Group) or _held(one) != _held(other):
        return False
    try:
        return all(find(one, name) == find(other, name) is not None for name in _held(one))
    except BadFileError:
        return False


class Columns:
    """Columns t, x, y and p of a clip of events, as far as they are there.

    Attributes:
        names: of the columns.
    """

    def __init__(self, place: h5py.Group | h5py.Dataset, where: str, size: int) -> None:
        """Look at those in a place of a file of ``size`` bytes, see :func:`find_events`.

        Raises:
            BadFileError: one is not one number per event, or is more than the file can hold.
        """
        held = _held(place)
        self.names = [name for name in COLUMNS if name in held]
        self.table = place if isinstance(place, h5py.Dataset) else None
        self.parts: list[h5py.Dataset] = []
        for name in self.names:
            found = find(place, name) if isinstance(place, h5py.Group) else place
            if not isinstance(found, h5py.Dataset):
                what = "a group" if isinstance(found, h5py.Group) else "no dataset"
                raise BadFileError(f"{name} is {what} (one number per event allowed)")
            kind = found.dtype if self.table is None else found.dtype[name]
            if found.shape is None or len(found.shape) != 1 or kind.kind not in "iufb":
                raise BadFileError(f"{name} is {kind} of shape {found.shape} (one number per event allowed)")
            check_size(found, size, f"{where}/{name}".strip("/"))
            self.parts.append(found)

    def slices(self) -> Iterator[list[np.ndarray[Any, Any]]]:
        """Some events after the other, of each column; whole chunks, since HDF5 unpacks a chunk for any part of it."""
        chunk = max((part.chunks[0] for part in self.parts if part.chunks is not None), default=1)
        at_once = -(-_EVENTS_AT_ONCE // chunk) * chunk
        for start in range(0, max(1, *(part.size for part in self.parts)), at_once):
            events = slice(start, start + at_once)
            if self.table is None:
                arrays = [part[events] for part in self.parts]
            else:
                rows = self.table.fields(self.names)[events]
                arrays = [np.ascontiguousarray(rows[name]) for name in self.names]
            yield [values.astype(values.dtype.newbyteorder("="), copy=False) for values in arrays]
