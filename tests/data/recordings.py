"""Small recordings in SHD's format, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Damage = Callable[[Path], None]
"""Spoils the file at a path."""


def put(file: h5py.File, name: str, clips: Sequence[Sequence[Any]], dtype: str) -> None:
    """A ragged dataset, as SHD holds its spikes."""
    data = file.create_dataset(name, len(clips), h5py.vlen_dtype(np.dtype(dtype)))
    for number, clip in enumerate(clips):
        data[number] = np.array(clip, dtype)


def packed(path: Path, target: Path) -> Path:
    """The same file, as gzip."""
    target.write_bytes(gzip.compress(path.read_bytes()))
    return target


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def garbage(file: Path) -> None:
    file.write_bytes(bytes(range(1, 256)) * 4)


def overwrite(old: bytes) -> Damage:
    """Where this stands for the first time, something else now stands."""

    def damage(file: Path) -> None:
        content = file.read_bytes()
        at = content.index(old)
        file.write_bytes(content[:at] + b"\xff" * len(old) + content[at + len(old) :])

    return damage


def without(name: str) -> Damage:
    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[name]

    return damage


def numbers(name: str, values: Any) -> Damage:
    """Put a plain dataset in the place of another."""

    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[name]
            file[name] = values

    return damage


def ragged(name: str, clips: Sequence[Sequence[Any]], dtype: str) -> Damage:
    """Put a list of numbers per clip in the place of a dataset."""

    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[name]
            put(file, name, clips, dtype)

    return damage


def clip(name: str, number: int, values: Any) -> Damage:
    """Other numbers for one clip."""

    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            file[name][number] = values

    return damage


def folder(name: str) -> Damage:
    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[name]
            file.create_group(name)

    return damage


def words(name: str) -> Damage:
    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[name]
            file[name] = np.array([b"a", b"b", b"c", b"d"], h5py.string_dtype())

    return damage


def broken_header(name: str) -> Damage:
    """The bytes that describe a dataset are lost; the rest of the file is whole."""

    def damage(path: Path) -> None:
        with h5py.File(path) as file:
            at = h5py.h5o.get_info(file[name].id).addr
        content = bytearray(path.read_bytes())
        content[at : at + 64] = b"\xff" * 64
        path.write_bytes(bytes(content))

    return damage


def broken_chunk(name: str) -> Damage:
    """The bytes that hold a compressed dataset's numbers are lost; the rest of the file is whole."""

    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            values = file[name][:]
            del file[name]
            file.create_dataset(name, data=values, chunks=values.shape, compression="gzip")
            at = file[name].id.get_chunk_info(0).byte_offset
        content = bytearray(path.read_bytes())
        content[at : at + 8] = b"\xff" * 8
        path.write_bytes(bytes(content))

    return damage
