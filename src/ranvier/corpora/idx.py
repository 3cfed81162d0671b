"""IDX files, as MNIST is published: a header of sizes, then bytes; packed by gzip or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError
from ranvier.data.file_kind import file_kind

_BYTES = b"\x00\x00\x08"  # two zeros and the type, unsigned bytes; the number of axes follows
_MOST_PACKED = 1032  # bytes that a byte of a .gz file may stand for


def find_idx(root: Path, name: str) -> Path:
    """A file of that name in a folder, or where torchvision keeps it below one, with or without ``.gz``.

    Raises:
        DataError: it is not there.
    """
    for folder in (root, root / "MNIST" / "raw"):
        for file in (folder / name, folder / f"{name}.gz"):
            if file.is_file():
                return file
    raise DataError(f"{root}: neither {name} nor {name}.gz is there (the four IDX files of MNIST allowed)")


def read_idx(path: Path, shape: Sequence[int]) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes.

    Args:
        path: the file; what it is shows in its first bytes, whatever its name says.
        shape: of each item, for example (28, 28).

    Returns:
        ``[item, *shape]``.

    Raises:
        DataError: it is no such file, or not whole.
    """
    try:
        kind, what = file_kind(path)
        with gzip.open(path) if kind == "gzip" else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or not head.startswith(_BYTES):
                found = what if kind != "gzip" else f"a gzip file of {head.hex(' ') or 'nothing'}"
                raise DataError(path, fault=f"{found} (an IDX file of unsigned bytes allowed)")
            sizes = [int.from_bytes(file.read(4), "big") for _ in range(head[3])]
            if sizes[1:] != list(shape) or len(sizes) != len(shape) + 1:
                wanted = " x ".join(["items", *map(str, shape)])
                raise DataError(path, fault=f"holds {' x '.join(map(str, sizes))} bytes ({wanted} allowed)")
            count = int(np.prod(sizes, dtype=object))
            if count > path.stat().st_size * (_MOST_PACKED if kind == "gzip" else 1):
                raise DataError(path, fault=f"declares {count:,} bytes, more than the file can hold")
            content = file.read(count + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, fault=f"cannot be read ({error})") from None
    if len(content) != count:
        more = "more than " if len(content) > count else ""
        raise DataError(path, fault=f"holds {more}{min(len(content), count):,} bytes, not the {count:,} it declares")
    return np.frombuffer(content, np.uint8).reshape(sizes)
