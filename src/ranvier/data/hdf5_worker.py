"""The process that parses HDF5 files for :mod:`ranvier.data.hdf5_process`; run as a script, it imports nothing
of ours but :mod:`ranvier.data.hdf5_columns`.

A damaged file can make HDF5 loop, crash or take all memory. Here that ends this process, not the caller's.

One JSON line per request, one JSON line and then bytes per answer. ``{"path": ..., "cpu_seconds": ...}`` is answered by
a header; then each ``{"more": true}`` by a batch of clips or events, until one says ``end``; ``{"more": false}`` asks
for that.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:] = json.loads(sys.argv[1]) if __name__ == "__main__" else sys.path  # the caller's, before h5py is looked for

import h5py  # noqa: E402
import numpy as np  # noqa: E402

if __name__ != "__main__" or TYPE_CHECKING:
    from ranvier.data.hdf5_columns import BadFileError, Columns, NoEventsError, check_size, find, find_events
else:  # the package would bring all its imports
    sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120
    from hdf5_columns import BadFileError, Columns, NoEventsError, check_size, find, find_events

    del sys.path[0]

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

HDF5_ERRORS = (OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError, OverflowError, AttributeError)
LISTS = {"spikes/times": ("iuf", "numbers"), "spikes/units": ("iu", "whole numbers")}
NEEDED = ("spikes/times", "spikes/units", "labels")
NAMES = {"keys": "class", "speaker_names": "speaker", "files": "clip"}
ATTRIBUTES = ("ear", "left_out", "time_unit")

_CLIPS_AT_ONCE = 256
_BYTES_AT_ONCE = 8 << 20
_IDLE_S = 60.0
_MEMORY = 512 << 20  # above what is there at the start and the file's size


def limit(size: int, cpu_seconds: float) -> None:
    """End this process where parsing a file of ``size`` bytes takes too long or too much memory.

    Processor time, so that a slow disk or a busy machine does not count.
    """
    if resource is None:
        return
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # its signal ends a process that does not handle it
    with suppress(OSError, ValueError):  # not on this system, or it knows the limit but cannot set it
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _, highest = resource.getrlimit(resource.RLIMIT_AS)
        most = pages * resource.getpagesize() + _MEMORY + size
        if highest == resource.RLIM_INFINITY or most < highest:
            resource.setrlimit(resource.RLIMIT_AS, (most, highest))


def one_line(error: BaseException) -> str:
    """An error's text."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, BadFileError) else f"not a whole HDF5 file ({text[:300]})"


def describe_other(file: h5py.File) -> str:
    """What a file that lacks our datasets holds instead, if that is plain to see."""
    for name in file:
        if isinstance(file.get(name, getlink=True), h5py.HardLink) and isinstance(file[name], h5py.Dataset):
            shape = file[name].shape
            if shape is not None and len(shape) >= 3:
                return (
                    f"; {name!r} of shape {shape} looks like dense frames, [clip, step, channel]: make events of them "
                    "and write those with ranvier.data.write_recording"
                )
    return ""


def dataset(file: h5py.File, size: int, name: str) -> h5py.Dataset:
    """A dataset with one list of numbers per clip (spikes) or one whole number per clip (all others)."""
    found = find(file, name)
    if not isinstance(found, h5py.Dataset):
        other = describe_other(file) if name == "spikes/times" else ""
        raise BadFileError(f"dataset {name!r} is missing ({', '.join(NEEDED[:2])} and {NEEDED[2]} are needed){other}")
    kinds, numbers = LISTS.get(name, ("iu", "whole number"))
    item = h5py.check_vlen_dtype(found.dtype) if name in LISTS else found.dtype
    if found.ndim != 1 or not isinstance(item, np.dtype) or item.kind not in kinds:
        allowed = f"one list of {numbers} per clip" if name in LISTS else f"one {numbers} per clip"
        matrix = name in LISTS and found.ndim == 2 and found.dtype.kind in "iuf"
        how = "; a matrix [clip, event], padded? write its clips as lists, with ranvier.data.write_recording"
        raise BadFileError(
            f"dataset {name!r} has shape {found.shape}, type {found.dtype} ({allowed} allowed){how if matrix else ''}"
        )
    check_size(found, size, name)
    return found


def names(file: h5py.File, size: int, which: str) -> list[str]:
    """``extra/keys`` and the like; empty where there are none."""
    found = find(file, f"extra/{which}")
    if found is None:
        return []
    allowed = f"extra/{which} cannot be read (one UTF-8 name per {NAMES[which]} allowed)"
    if not isinstance(found, h5py.Dataset) or found.ndim != 1:
        raise BadFileError(allowed)
    if found.dtype.kind not in "iuS" and h5py.check_string_dtype(found.dtype) is None:
        raise BadFileError(allowed)
    check_size(found, size, f"extra/{which}")
    try:
        return [key.decode() if isinstance(key, bytes) else str(key) for key in found[:]]
    except (ValueError, TypeError):
        raise BadFileError(allowed) from None


def attributes(file: h5py.File, size: int) -> dict[str, str]:
    """Those of ours that the file has, as text."""
    answer = {}
    for name in ATTRIBUTES:
        if name in file.attrs:
            shape, item = file.attrs.get_id(name).shape, file.attrs.get_id(name).dtype.itemsize
            if int(np.prod(shape, dtype=object)) * item > size:
                raise BadFileError(f"attribute {name!r} declares more than a file of {size} bytes can hold")
            value = file.attrs[name]
            answer[name] = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return answer


def h5py_swaps(item: np.dtype[Any]) -> bool:
    """Whether h5py brings lists of the other byte order into this machine's; 3.16 does not."""
    with h5py.File("swapped", "w", driver="core", backing_store=False) as file:
        lists = file.create_dataset("lists", 1, h5py.vlen_dtype(item))
        lists[0] = np.array([1], item)
        return bool(lists[0][0] == 1)


class Lists:
    """A dataset of one list per clip."""

    def __init__(self, found: h5py.Dataset, size: int, name: str) -> None:
        self.found, self.name, self.left = found, name, size
        item = h5py.check_vlen_dtype(found.dtype)
        self.swapped = None if item.isnative or h5py_swaps(item) else item
        self.native = item.newbyteorder("=")

    def read(self, start: int, stop: int) -> list[np.ndarray[Any, Any]]:
        """Values of these clips, one after the other, and how many each has."""
        clips = self.found[start:stop]
        sizes = np.array([len(clip) for clip in clips], np.int64)
        self.left -= int(sizes.sum()) * self.native.itemsize
        if self.left < 0:
            raise BadFileError(f"{self.name} declares more values than the file has room for")
        values = np.concatenate([np.empty(0, self.native), *clips])
        if self.swapped is not None:
            values = values.view(self.swapped).astype(self.native)
        return [sizes, values.astype(self.native, copy=False)]


@contextmanager
def noted(answer: dict[str, Any], name: str) -> Iterator[None]:
    """A fault ends this part of the work, not the rest."""
    try:
        yield
    except (BadFileError, *HDF5_ERRORS) as error:
        answer["faults"][name] = one_line(error)


class Reader:
    """One file, and what is sent of it."""

    def __init__(self, file: h5py.File, size: int) -> None:
        self.file, self.size = file, size
        self.parts: dict[str, h5py.Dataset] = {}
        self.columns: Columns | None = None

    def header(self) -> tuple[dict[str, Any], list[Any]]:
        """All but the spikes: faults by part, number of clips by part, names, attributes; labels and speakers.

        ``kind`` is ``recording``, ``clip`` of events, or ``other``; a clip has ``columns``, and what is none or cannot
        be read has a fault in ``no_columns``.
        """
        answer: dict[str, Any] = {"faults": {}, "clips": {}, "names": {}, "attributes": {}, "arrays": []}
        arrays = []
        for name in (*NEEDED, "extra/speaker"):
            with noted(answer, name):
                if name in LISTS or find(self.file, name) is not None:
                    found = dataset(self.file, self.size, name)
                    if name not in LISTS:
                        arrays.append(found[:].astype(found.dtype.newbyteorder("=")))
                        answer["arrays"].append(name)
                    self.parts[name] = found
                    answer["clips"][name] = len(found)
        for which in NAMES:
            with noted(answer, f"extra/{which}"):
                answer["names"][which] = names(self.file, self.size, which)
        with noted(answer, "attributes"):
            answer["attributes"] = attributes(self.file, self.size)
        kind = "recording"
        with noted(answer, "columns"):
            if all(find(self.file, name) is None for name in LISTS):
                kind = "clip"
                try:
                    where, place = find_events(self.file)
                except NoEventsError:
                    kind = "other"
                    raise
                self.columns = Columns(place, where, self.size)
        named = [] if self.columns is None else self.columns.names
        return {**answer, "kind": kind, "no_columns": answer["faults"].pop("columns", ""), "columns": named}, arrays

    def batches(self) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """Clips in their order: start, and of each part of the spikes its sizes and values; or slices of columns."""
        if self.columns is not None:
            for arrays in self.columns.slices():
                yield {}, arrays
            return
        lists = {name: Lists(self.parts[name], self.size, name) for name in LISTS if name in self.parts}
        clips = min((len(part) for part in self.parts.values()), default=0) if lists else 0
        at_once = min(_CLIPS_AT_ONCE, max(1, _BYTES_AT_ONCE * clips // max(self.size, 1)))
        for start in range(0, clips, at_once):
            stop = min(start + at_once, clips)
            arrays = [array for part in lists.values() for array in part.read(start, stop)]
            yield {"start": start, "clips": stop - start, "lists": list(lists)}, arrays


def receive(within_s: float | None = None) -> dict[str, Any] | None:
    """The next request; None at the end. Byte by byte, so that nothing is taken that a forked process has to read."""
    line = b""
    if within_s is not None and os.name != "nt" and not select.select([0], [], [], within_s)[0]:
        return None
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return None
        line += byte
    request: dict[str, Any] = json.loads(line)
    return request


def send(answer: dict[str, Any], arrays: list[Any] | tuple[()] = ()) -> None:
    """One answer."""
    out = sys.stdout.buffer
    forms = [(array.dtype.str, len(array)) for array in arrays]
    out.write(json.dumps({**answer, "forms": forms}).encode() + b"\n")
    for array in arrays:
        out.write(array.data if array.size else b"")
    out.flush()


def serve(path: str, cpu_seconds: float) -> None:
    """Answer all requests for one file."""
    end: dict[str, Any] = {"end": True}
    try:
        size = os.stat(path).st_size  # noqa: PTH116
        limit(size, cpu_seconds)
        with h5py.File(path, "r") as file:
            reader = Reader(file, size)
            send(*reader.header())
            batches = reader.batches()
            while (request := receive()) is not None and request["more"]:
                answer = next(batches, None)
                if answer is None:
                    break
                send(*answer)
    except (BadFileError, *HDF5_ERRORS) as error:
        end["fault"] = one_line(error)
    send(end)  # the file is closed: whoever reads this may write to it


def main() -> None:
    """Serve files until there are no more requests, each in a process of its own where the system can fork."""
    while (request := receive(_IDLE_S)) is not None:
        if "path" not in request:  # what was asked for before the last file's end was known
            continue
        if sys.platform != "linux":
            serve(**request)
            continue
        child = os.fork()
        if child == 0:
            serve(**request)
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit(os.waitstatus_to_exitcode(status) % 256)


if __name__ == "__main__":
    main()
