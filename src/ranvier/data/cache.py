"""Unpacked recordings and counted data sets on disk, keyed by the file's hash and the settings."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from numpy.typing import NDArray

from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import Grid
from ranvier.data.file_kind import file_kind

_CACHE_VERSION = 3  # of how events are counted too
_ARRAYS = ("step", "source", "count", "offsets", "lengths", "labels", "speakers")


def cache_folder(cache: str | os.PathLike[str] | None) -> Path:
    """The given folder, else ``$RANVIER_CACHE``, else the user's cache folder."""
    return Path(cache or os.environ.get("RANVIER_CACHE") or pooch.os_cache("ranvier"))


def kept_array(name: str, make: Callable[[], NDArray[Any]], cache: str | os.PathLike[str] | None) -> NDArray[Any]:
    """The array of that name from the cache folder, mapped into memory; made and kept there if it is not there yet.

    Where nothing can be written it is made anew.
    """
    file = cache_folder(cache) / f"{name}.npy"
    with suppress(OSError, ValueError, EOFError):  # not there yet, or damaged
        mapped: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        return mapped
    array = make()
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as out:
                np.save(out, array)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    return array


def unpacked(path: Path, cache: str | os.PathLike[str] | None) -> Path:
    """``path`` itself, or for gzip, whatever its name, its content in the cache, unpacked once."""
    if file_kind(path)[0] != "gzip":
        return path
    target = cache_folder(cache) / f"{pooch.file_hash(str(path))[:16]}-{path.stem}"
    if _is_whole(target, path):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with gzip.open(path) as packed, temporary.open("wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
        temporary.replace(target)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error})") from None
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _is_whole(file: Path, packed: Path) -> bool:
    """False also for a copy that has been damaged since: it is unpacked again."""
    try:
        with packed.open("rb") as source:
            source.seek(-4, os.SEEK_END)
            size = int.from_bytes(source.read(4), "little")  # modulo 4 GiB
        return file.stat().st_size % 2**32 == size and file_kind(file)[0] == "hdf5"
    except OSError:
        return False


def _cache_file(path: Path, grid: Grid, settings: Any, cache: str | os.PathLike[str] | None) -> Path:
    known = json.dumps([_CACHE_VERSION, asdict(grid), settings], sort_keys=True)
    key = f"{pooch.file_hash(str(path))[:16]}-{hashlib.sha256(known.encode()).hexdigest()[:8]}"
    return cache_folder(cache) / f"{key}-{path.name.split('.')[0]}.npz"


def load_cached(path: Path, grid: Grid, settings: Any, cache: str | os.PathLike[str] | None) -> SpikeDataset | None:
    """The counted data set of an earlier reading, or None."""
    file = _cache_file(path, grid, settings, cache)
    if not file.exists():
        return None
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return SpikeDataset(
                **{name: arrays[name] for name in _ARRAYS},
                classes=tuple(str(name) for name in arrays["classes"]),
                speaker_names=tuple(str(name) for name in arrays["speaker_names"]),
                sources=grid.sources,
                dt_ms=grid.dt_ms,
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # a damaged cache is made again


def store_cached(
    dataset: SpikeDataset, path: Path, grid: Grid, settings: Any, cache: str | os.PathLike[str] | None
) -> None:
    """Keep a counted data set for the next reading."""
    file = _cache_file(path, grid, settings, cache)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as out:
            names = {"classes": np.array(dataset.classes), "speaker_names": np.array(dataset.speaker_names, np.str_)}
            np.savez(out, allow_pickle=False, **names, **{name: getattr(dataset, name) for name in _ARRAYS})
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
