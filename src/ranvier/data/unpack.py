"""Compressed files: how large they become, and unpacking without going beyond it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ranvier.data.dataset import DataError

_CHUNK = 1 << 20
# the published recordings become 3 times as large; deflate can make anything up to 1032 times as large
_MOST_TIMES, _ALWAYS = 100, 64 << 20


def unpacked_size(packed: Path) -> int:
    """Bytes that a ``.gz`` file unpacks to, as far as it says.

    The file's last four bytes are the size modulo 2^32; what cannot be compressed takes 0.1% more than it has, so the
    size is at least about that of the file.
    """
    stored = packed.stat().st_size
    with packed.open("rb") as file:
        file.seek(max(0, stored - 4))
        size = int.from_bytes(file.read(4), "little")
    smallest = stored - stored // 1000 - 64
    return size + max(0, -(-(smallest - size) // (1 << 32))) * (1 << 32)


def unpack(content: IO[bytes] | Any, out: IO[bytes], packed: Path, on_chunk: Callable[[], None] | None = None) -> None:
    """Copy what a packed file holds.

    Args:
        content: the packed file's content, to be read.
        out: where to.
        packed: the packed file.
        on_chunk: called after every chunk.

    Raises:
        DataError: it holds more than any recording would, 100 times its size and 64 MB.
    """
    most = _ALWAYS + _MOST_TIMES * packed.stat().st_size
    done = 0
    while chunk := content.read(_CHUNK):
        done += len(chunk)
        if done > most:
            raise DataError(packed, fault=f"unpacks to more than {most // 1_000_000} MB (100 times its size allowed)")
        out.write(chunk)
        if on_chunk is not None:
            on_chunk()
