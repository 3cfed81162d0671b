"""The process that parses a ``.nir`` file for :mod:`ranvier.export.nir_file`; a script that imports nothing of ours.

Its arguments: the caller's ``sys.path`` as JSON, and the file. It writes an ``.npz`` of all arrays to standard output,
with the mappings around them as JSON in ``said``; or a fault.
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path[:] = json.loads(sys.argv[1]) if __name__ == "__main__" else sys.path  # the caller's, before h5py is looked for

import h5py  # noqa: E402
import numpy as np  # noqa: E402

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MAX_BYTES = 2**30  # of all arrays
_MEMORY = 4 * MAX_BYTES  # above what is there at the start: arrays, the answer made of them, HDF5's own
_CPU_S = 60
_MAX_OBJECTS = 2**20
_MAX_DEPTH = 32
_MAX_TEXT = 2**26  # characters of a text
HDF5_ERRORS = (
    OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError, OverflowError, AttributeError, UnicodeError,
)  # fmt: skip


class BadFileError(Exception):
    """The file breaks a rule; the message says which."""


class Reader:
    """Reads groups and datasets, and counts what they hold."""

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}
        self.bytes = self.objects = 0

    def group(self, group: Any, depth: int = 0) -> dict[str, Any]:
        """A group as a mapping: of groups, ``["array", number]`` and ``["text", text]``."""
        if depth > _MAX_DEPTH:
            raise BadFileError(f"groups more than {_MAX_DEPTH} deep")
        made: dict[str, Any] = {}
        for name in group:
            self.objects += 1
            if self.objects > _MAX_OBJECTS:
                raise BadFileError(f"more than {_MAX_OBJECTS} objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise BadFileError(f"{name!r} is a link (none allowed)")
            item = group[name]
            if isinstance(item, h5py.Group):
                made[name] = self.group(item, depth + 1)
            elif isinstance(item, h5py.Dataset):
                made[name] = self.dataset(name, item)
            else:
                raise BadFileError(f"{name!r} is a {type(item).__name__} (groups and datasets allowed)")
        return made

    def dataset(self, name: str, item: Any) -> list[Any]:
        """A dataset's numbers or text."""
        if item.shape is None or item.dtype.names is not None or item.is_virtual or item.external:
            raise BadFileError(f"{name!r} is empty, compound or not in this file")
        texts = h5py.check_string_dtype(item.dtype) is not None
        if not texts and item.dtype.kind not in "fiub":
            raise BadFileError(f"{name!r} is {item.dtype} (numbers or text allowed)")
        self.bytes += item.size * item.dtype.itemsize
        if self.bytes > MAX_BYTES:
            raise BadFileError(f"arrays of {self.bytes} bytes and more ({MAX_BYTES} allowed)")
        value = item[()]
        if not texts:
            return ["array", self.keep(np.asarray(value))]
        if isinstance(value, bytes):
            if len(value) > _MAX_TEXT:
                raise BadFileError(f"{name!r}: {len(value)} characters ({_MAX_TEXT} allowed)")
            return ["text", value.decode("utf8")]
        return ["array", self.keep(np.asarray([each.decode("utf8") for each in value.ravel()]).reshape(value.shape))]

    def keep(self, array: Any) -> str:
        """A number for an array of the answer."""
        key = str(len(self.arrays))
        self.arrays[key] = array
        return key


def parse(path: str) -> bytes:
    """The answer for a file."""
    reader, said = Reader(), dict[str, Any]()
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("node"), h5py.Group):
                raise BadFileError("is no NIR file (a group 'node' is needed)")
            said["node"] = reader.group(file["node"])
    except BadFileError as error:
        said = {"fault": str(error)}
    except HDF5_ERRORS as error:
        text = " ".join(str(error).split()) or type(error).__name__
        said = {"fault": f"not a whole HDF5 file ({text[:300]})"}
    answer = io.BytesIO()
    arrays = reader.arrays if "node" in said else {}
    np.savez(answer, said=np.frombuffer(json.dumps(said).encode(), np.uint8), **arrays)
    return answer.getvalue()


def limit() -> None:
    """End this process where it takes too long or too much memory."""
    if resource is None:
        return
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    with suppress(OSError, ValueError):  # not on this system, or it knows the limit but cannot set it
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _, highest = resource.getrlimit(resource.RLIMIT_AS)
        most = pages * resource.getpagesize() + _MEMORY
        if highest == resource.RLIM_INFINITY or most < highest:
            resource.setrlimit(resource.RLIMIT_AS, (most, highest))


if __name__ == "__main__":
    limit()
    sys.stdout.buffer.write(parse(sys.argv[2]))
