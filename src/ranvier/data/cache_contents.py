"""What the cache holds, and emptying it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ranvier.data.cache import cache_folder
from ranvier.files import is_abandoned, is_temporary
from ranvier.locks import NoLockError, file_lock

_KINDS = (
    (r"[0-9a-f]{16}-[0-9a-f]{8}-.*\.npz", "recording, counted"),
    (r"sound-[0-9a-f]{16}\.h5", "sound, as spikes"),
    (r"gsc-\w+-[0-9a-f]{16}\.h5", "Speech Commands, as spikes"),
    (r"[0-9a-f]{24}-.*\.npy", "sound, as frames"),
    (r"membrane-.*\.npy", "tables of the ear"),
    (r"[0-9a-f]{16}-.*\.h5", "recording, unpacked"),
)
_UNFINISHED = {".part": "not finished", ".lock": "lock", ".wait": "lock"}


@dataclass(frozen=True)
class CacheEntry:
    """A file of the cache, or a folder of it.

    Attributes:
        path: where it is.
        size: bytes, of all files together.
        content: what it is, in words.
    """

    path: Path
    size: int
    content: str


def cache_contents(cache: str | os.PathLike[str] | None = None) -> list[CacheEntry]:
    """What Ranvier has put into the cache; whatever else lies in the folder is not in the list.

    Args:
        cache: folder of the cache; None means the user's (``RANVIER_CACHE`` sets another).

    Raises:
        OSError: the folder cannot be read.
    """
    folder = cache_folder(cache)
    if not folder.exists():
        return []
    found = [(path, _content(path)) for path in sorted(folder.iterdir())]
    return [CacheEntry(path, _size(path), content) for path, content in found if content is not None]


def empty_cache(cache: str | os.PathLike[str] | None = None) -> tuple[Sequence[CacheEntry], Sequence[CacheEntry]]:
    """Remove what :func:`cache_contents` lists, but for what another process is writing.

    Returns:
        What was removed, and what was kept.

    Raises:
        OSError: something cannot be removed.
    """
    removed: list[CacheEntry] = []
    kept: list[CacheEntry] = []
    for entry in cache_contents(cache):
        (removed if _remove(entry.path) else kept).append(entry)
    return removed, kept


def _content(path: Path) -> str | None:
    if is_temporary(path):
        return "left by a process that was killed" if is_abandoned(path) else "being written"
    made, state = path.name, _UNFINISHED.get(path.suffix)
    if state is not None:
        made = path.stem
    content = next((content for pattern, content in _KINDS if re.fullmatch(pattern, made)), None)
    return content if content is None or state is None else f"{content}: {state}"


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in files if os.path.lexists(file))


def _remove(path: Path) -> bool:
    if is_temporary(path):
        if is_abandoned(path):
            path.unlink(missing_ok=True)
        return not os.path.lexists(path)
    # whoever makes a file, or a folder on the way to it, holds one of these
    made = path.with_suffix("") if path.suffix in _UNFINISHED else path
    with ExitStack() as held:
        try:
            for lock in (f"{made.name}.wait", f"{made.name}.lock"):
                held.enter_context(file_lock(path.with_name(lock), wait=False))
        except BlockingIOError:
            return False
        except NoLockError:
            pass  # then nobody has made anything under a lock
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.suffix not in (".lock", ".wait"):
            path.unlink(missing_ok=True)
    return True
