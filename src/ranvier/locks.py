"""Locks between processes."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from ranvier.errors import RuleError

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


class NoLockError(RuleError):
    """The file system has no locks."""


@contextlib.contextmanager
def file_lock(lock: Path, *, wait: bool = True) -> Iterator[None]:
    """Only one process, and only one thread of it, is in the block; the system frees the lock of a process that dies.

    Args:
        lock: the lock's file; its folder must exist. It is removed at the end.
        wait: wait for whoever holds it.

    Raises:
        BlockingIOError: another process holds it, and ``wait`` is False.
        NoLockError: the file system has no locks; nobody could be kept out.
        OSError: the lock's file cannot be made.
    """
    # a marker in place of a lock would outlive a killed process
    held = FileLock(lock, timeout=-1 if wait else 0, thread_local=False, fallback_to_soft=False)
    mine = _acquire(held, lock)
    try:
        yield
    finally:
        # the folder may have been replaced meanwhile, and the file of that name be another process's
        with contextlib.suppress(OSError):
            if os.path.samestat(mine, lock.stat()):
                lock.unlink()
        held.release()


def _acquire(held: BaseFileLock, lock: Path) -> os.stat_result:
    """Acquire the lock; returns what its file is."""
    while True:
        try:
            held.acquire()
            return lock.stat()
        except Timeout:
            raise BlockingIOError(errno.EAGAIN, "another process holds the lock", str(lock)) from None
        except FileNotFoundError:
            if not held.is_locked:
                raise
            held.release()  # the folder was replaced between the two calls
        except (NotImplementedError, OSError) as error:  # the former in versions before 4, for ENOSYS
            if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                raise
            reason = getattr(error, "strerror", None) or str(error)
            raise NoLockError(
                f"{lock.parent}: its file system has no file locks ({reason}): use a folder on another disk"
            ) from None
