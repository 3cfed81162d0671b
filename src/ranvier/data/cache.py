"""Unpacked recordings and counted data sets on disk, keyed by the file's hash and the settings."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from numpy.typing import NDArray

from ranvier.data.counted_file import map_columns, write_counted
from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import Grid
from ranvier.data.file_kind import file_kind
from ranvier.data.unpack import unpack, unpacked_size
from ranvier.files import free_bytes, write_atomically
from ranvier.locks import NoLockError, file_lock

_CACHE_VERSION = 4  # of how events are counted too
_PER_CLIP = ("offsets", "lengths", "labels", "speakers")


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
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(file) as temporary, temporary.open("wb") as out:
            np.save(out, array)
    return array


def make_cache_folder(folder: Path, content: str) -> None:
    """Make a folder of the cache, for what cannot do without.

    Raises:
        DataError: it cannot be made or written to; the message says which variable names another.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unusable(folder, content, error.strerror or str(error)) from None


@contextmanager
def cache_lock(file: Path, content: str) -> Iterator[None]:
    """Only one process at a time makes a file of the cache; the others wait. Its folder is made if need be.

    Args:
        file: of the cache.
        content: what is kept there, in words.

    Raises:
        DataError: the folder cannot be written to or has no locks; the message says which variable names another.
    """
    make_cache_folder(file.parent, content)
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(file.with_name(f"{file.name}.wait")))
        except NoLockError as error:
            raise DataError(f"{error} (RANVIER_CACHE=FOLDER names another cache)") from None
        except OSError as error:
            raise _unusable(file.parent, content, error.strerror or str(error)) from None
        yield


def _unusable(folder: Path, content: str, reason: str) -> DataError:
    return DataError(
        f"{folder}: the cache, which keeps {content}, cannot be written ({reason}): RANVIER_CACHE=FOLDER names another"
    )


def unpacked(
    path: Path, cache: str | os.PathLike[str] | None, progress: Callable[[int, int], None] | None = None
) -> Path:
    """``path`` itself, or for gzip, whatever its name, its content in the cache, unpacked once.

    Args:
        path: a recording.
        cache: folder of the cache; None means the user's (``RANVIER_CACHE`` sets another).
        progress: called with (bytes read, bytes of the packed file) while it is unpacked.

    Raises:
        DataError: the file is damaged or holds too much, the disk has no room, or the cache cannot be written.
    """
    if file_kind(path)[0] != "gzip":
        return path
    target = cache_folder(cache) / f"{pooch.file_hash(str(path))[:16]}-{path.stem}"
    if _is_whole(target, path):
        return target
    with cache_lock(target, f"what {path.name} unpacks to"):
        if not _is_whole(target, path):  # another process may have unpacked it in the meantime
            _unpack(path, target, progress)
    return target


def _unpack(path: Path, target: Path, progress: Callable[[int, int], None] | None) -> None:
    needed, free, stored = unpacked_size(path), free_bytes(target.parent), path.stat().st_size
    if needed > free:
        raise DataError(
            f"{target.parent}: {path.name} unpacks to {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free on this "
            "disk (RANVIER_CACHE=FOLDER names another cache)"
        )
    try:
        with (
            write_atomically(target) as temporary,
            path.open("rb") as packed,
            gzip.open(packed) as content,
            temporary.open("wb") as plain,
        ):
            unpack(content, plain, path, None if progress is None else lambda: progress(packed.tell(), stored))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(path, fault=f"not a whole gzip file ({error})") from None


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
    """The counted data set of an earlier reading, its cells mapped into memory; None if there is none."""
    file = _cache_file(path, grid, settings, cache)
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return SpikeDataset(
                **map_columns(file),
                **{name: arrays[name] for name in _PER_CLIP},
                classes=tuple(str(name) for name in arrays["classes"]),
                speaker_names=tuple(str(name) for name in arrays["speaker_names"]),
                sources=grid.sources,
                dt_ms=grid.dt_ms,
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # it is not there yet, or damaged: the recording is read


def store_cached(
    clips: Iterable[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
    path: Path,
    grid: Grid,
    settings: Any,
    cache: str | os.PathLike[str] | None,
    **about: NDArray[Any],
) -> None:
    """Keep counted clips for :func:`load_cached`.

    Args:
        clips: step, source and count of each, sorted by step.
        path, grid, settings: what they depend on.
        cache: folder of the cache; None means the user's (``RANVIER_CACHE`` sets another).
        about: ``labels``, ``speakers``, ``classes`` and ``speaker_names``.

    Raises:
        OSError: the cache cannot be written.
    """
    file = _cache_file(path, grid, settings, cache)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_counted(file, clips, **about)
