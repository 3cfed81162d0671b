"""What a file is, by its first bytes, whatever its name says."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

Kind = Literal["hdf5", "gzip", "zip", "npz", "npy", "text", "other", "unknown"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_STARTS: dict[bytes, tuple[Kind, str]] = {
    _HDF5: ("hdf5", "an HDF5 file"),
    b"\x1f\x8b": ("gzip", "a gzip file"),
    b"PK\x03\x04": ("zip", "a zip file"),
    b"PK\x05\x06": ("zip", "an empty zip file"),
    b"\x93NUMPY": ("npy", "a NumPy array"),
    b"\xfd7zXZ": ("other", "an xz file: unpack it first"),
    b"BZh": ("other", "a bzip2 file: unpack it first"),
    b"\x28\xb5\x2f\xfd": ("other", "a zstd file: unpack it first"),
    b"7z\xbc\xaf": ("other", "a 7-zip file: unpack it first"),
    b"RIFF": ("other", "a sound file: ranvier encode makes a recording of it"),
    b"fLaC": ("other", "a sound file: ranvier encode makes a recording of it"),
    b"OggS": ("other", "a sound file: ranvier encode makes a recording of it"),
    b"version https://git-lfs": ("other", "a Git LFS pointer in place of the file: git lfs pull brings it"),
}
_HTML = ("<!doctype html", "<html", "<head", "<?xml")


def file_kind(path: Path) -> tuple[Kind, str]:
    """What a file is, and in words.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(1024)
        # HDF5 may stand behind a block of the user's own
        for offset in (512, 1024, 2048, 4096, 8192):
            file.seek(offset)
            if not start.startswith(_HDF5) and file.read(len(_HDF5)) == _HDF5:
                return "hdf5", "an HDF5 file"
    if not start:
        return "unknown", "it is empty"
    for signature, (kind, what) in _STARTS.items():
        if start.startswith(signature):
            return _zip(path) if kind == "zip" else (kind, what)
    text = _text(start)
    if text is None:
        return "unknown", f"it starts with the bytes {start[:8].hex(' ')}"
    if text.lstrip("\ufeff \t\r\n").lower().startswith(_HTML):
        return "other", "a web page, as sites send it where a file is not there: download it again"
    return "text", "a text file"


def _text(start: bytes) -> str | None:
    for cut in range(4):  # the last letter may not be whole
        try:
            text = start[: len(start) - cut].decode()
        except UnicodeDecodeError:
            continue
        return text if all(letter.isprintable() or letter in "\t\r\n\ufeff" for letter in text) else None
    return None


def _zip(path: Path) -> tuple[Kind, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        return "zip", f"not a whole zip file ({error})"
    if names and all(name.endswith(".npy") for name in names):
        return "npz", "NumPy arrays"
    some = ", ".join(map(repr, names[:3])) or "nothing"
    return "zip", f"a zip file that holds {some}: unpack it first (python -m zipfile -e {path.name} .)"
