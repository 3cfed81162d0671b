"""Counted clips in a file: written as they come, mapped into memory when read, so that neither needs to fit there."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import check_events
from ranvier.files import write_atomically

COLUMNS = ("step", "source", "count")
_LOCAL_HEADER = 30  # bytes before the name of a member of a zip file
_AT_ONCE = 1 << 20  # bytes


def write_counted(
    file: Path, clips: Iterable[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]], **others: NDArray[Any]
) -> None:
    """Write clips of (step, source, count), as :class:`~ranvier.data.SpikeDataset` joins them, and other arrays.

    Args:
        file: the ``.npz`` file to write, in a folder that is there; twice its size is needed on its disk.
        clips: sorted by step.
        others: by name.

    Raises:
        DataError: a clip is not three arrays of integers of one length.
        OSError: the file cannot be written.
    """
    sizes: list[int] = []
    lengths: list[int] = []
    types: list[list[np.dtype[Any]]] = [[], [], []]
    with ExitStack() as opened:
        # nameless, so that nothing is left of a process that is killed
        raw = [opened.enter_context(TemporaryFile(dir=file.parent, buffering=_AT_ONCE)) for _ in COLUMNS]
        for number, clip in enumerate(clips):
            check_events(clip, None, f"clip {number}")
            sizes.append(len(clip[0]))
            lengths.append(int(clip[0][-1]) + 1 if len(clip[0]) else 1)
            for values, kept, of_clip in zip(clip, raw, types, strict=True):
                of_clip.append(values.dtype)
                kept.write(np.ascontiguousarray(values).tobytes())
        temporary = opened.enter_context(write_atomically(file))
        archive = opened.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED))
        for name, kept, of_clip in zip(COLUMNS, raw, types, strict=True):
            kept.seek(0)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _join(kept, of_clip, sizes, member)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        for name, array in {**others, "offsets": offsets, "lengths": np.array(lengths, np.int64)}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _join(kept: IO[bytes], types: list[np.dtype[Any]], sizes: list[int], member: IO[bytes]) -> None:
    """One array of all clips, in the largest of their types."""
    joined = max(types, key=lambda each: each.itemsize, default=np.dtype(np.uint8))
    header = {"descr": joined.str, "fortran_order": False, "shape": (sum(sizes),)}
    np.lib.format.write_array_header_2_0(member, header)
    for own, size in zip(types, sizes, strict=True):
        member.write(np.frombuffer(kept.read(size * own.itemsize), own).astype(joined).tobytes())


def map_columns(file: Path) -> dict[str, NDArray[Any]]:
    """The columns of a file that :func:`write_counted` wrote, read from the disk when they are looked at.

    Raises:
        OSError, ValueError, KeyError, zipfile.BadZipFile: the file is not there, or is not such a file.
    """
    mapped: dict[str, NDArray[Any]] = {}
    with file.open("rb") as raw, zipfile.ZipFile(raw) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{file}: {damaged} is damaged")
        for name in COLUMNS:
            info = archive.getinfo(f"{name}.npy")
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{file}: {name} is compressed")
            with archive.open(info) as member:
                if np.lib.format.read_magic(member) != (2, 0):
                    raise ValueError(f"{file}: {name} is of another version")
                shape, _, dtype = np.lib.format.read_array_header_2_0(member)
                head = member.tell()
            raw.seek(info.header_offset + _LOCAL_HEADER - 4)
            start = info.header_offset + _LOCAL_HEADER + sum(struct.unpack("<HH", raw.read(4))) + head
            if head + int(np.prod(shape)) * dtype.itemsize != info.file_size:
                raise ValueError(f"{file}: {name} is not as long as it says")
            mapped[name] = np.memmap(raw, dtype, "r", start, shape) if np.prod(shape) else np.empty(shape, dtype)
    return mapped
