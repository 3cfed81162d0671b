"""16-bit sound from a pipe: raw, or with the header of a WAV file; it may be endless."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError

Read = Callable[[int], bytes]
"""Reads up to so many bytes, as many as there are now; none at the end."""

RAW_RATE = 48_000
_OPEN_SIZE = 0x7FFF_F000  # sizes from here on stand for "not known yet", as does 0: programs that write into a pipe
_MOST_HEADER = 1 << 20
_PIECE_S = 0.01
_OTHERS = {
    b"fLaC": "FLAC", b"OggS": "Ogg", b"FORM": "AIFF", b"RIFX": "RIFX", b"RF64": "RF64", b".snd": "AU", b"ID3": "MP3",
}  # fmt: skip


@dataclass(frozen=True)
class PcmStream:
    """Sound that is read as it comes.

    Attributes:
        name: for messages.
        rate: samples per second.
        channels: of the sound; they are mixed to their mean.
        size: bytes of sound; None where nobody says.
    """

    name: str
    rate: int
    channels: int
    size: int | None
    _read: Read
    _first: bytes

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        """Samples, full scale is 1, in pieces of 10 ms or less.

        Raises:
            DataError: after the last whole sample, where the sound is cut short.
        """
        frame = 2 * self.channels
        most = max(1, round(self.rate * _PIECE_S)) * frame
        left, total = self._first, len(self._first)
        while self.size is None or total < self.size or left:
            wanted = most - len(left) if self.size is None else min(most - len(left), self.size - total)
            more = self._read(wanted) if wanted > 0 else b""
            total += len(more)
            known = left + more
            whole = len(known) - len(known) % frame
            left = known[whole:]
            if whole:
                samples = np.frombuffer(known[:whole], "<i2").reshape(-1, self.channels)
                yield samples.mean(1) / 32768
            elif not more:
                break
        if left:
            raise DataError(
                f"{self.name}: is cut short within a sample: {total} bytes (whole samples of {frame} allowed)"
            )
        if self.size is not None and total < self.size:
            raise DataError(f"{self.name}: is cut short: {total} bytes of the {self.size} that it declares")
        if not total:
            raise DataError(f"{self.name}: is empty")


def open_pcm(read: Read, *, rate: int | None = None, name: str = "standard input") -> PcmStream:
    """Look at the first bytes.

    Args:
        read: gives the sound.
        rate: samples per second of raw sound; None means 48000, or what a WAV header says.
        name: for messages.

    Raises:
        DataError: it is another format, another kind of WAV file, or of another rate than the one that was given.
    """
    first = _exactly(read, 12)
    for magic, what in _OTHERS.items():
        if first.startswith(magic):
            raise DataError(f"{name}: is {what} (raw 16-bit little-endian PCM, or WAV with that, allowed)")
    if not (first.startswith(b"RIFF") and first[8:] == b"WAVE"):
        return PcmStream(name, RAW_RATE if rate is None else rate, 1, None, read, first)
    own, channels, size = _wav_header(read, name)
    if rate not in (None, own):
        raise DataError(f"{name}: its header says {own} samples per second, --rate {rate} (the same, or no --rate)")
    return PcmStream(name, own, channels, size, read, b"")


def _wav_header(read: Read, name: str) -> tuple[int, int, int | None]:
    """Rate, channels and bytes of the sound, up to which the header is read."""
    found: tuple[int, int] | None = None
    for _ in range(64):
        head = _exactly(read, 8)
        if len(head) < 8:
            break
        chunk, size = head[:4], struct.unpack("<I", head[4:])[0]
        if chunk == b"data":
            if found is None:
                break
            return *found, None if size == 0 or size >= _OPEN_SIZE else size
        if size > _MOST_HEADER:
            break
        content = _exactly(read, size + size % 2)
        if chunk == b"fmt " and len(content) >= 16:
            kind, channels, own, _, _, bits = struct.unpack("<HHIIHH", content[:16])
            extended = kind == 0xFFFE and content[24:26] == b"\x01\x00"
            if not (kind == 1 or extended) or bits != 16 or not channels:
                raise DataError(f"{name}: is WAV of format {kind} with {bits} bits (PCM with 16 bits allowed)")
            found = own, channels
    raise DataError(f"{name}: its WAV header is cut short or damaged")


def _exactly(read: Read, size: int) -> bytes:
    """So many bytes, fewer at the end."""
    found = b""
    while len(found) < size and (more := read(size - len(found))):
        found += more
    return found
