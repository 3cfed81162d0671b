"""One process at a time."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextlib.contextmanager
def alone(lock: Path, *, wait: bool = True) -> Iterator[None]:
    """Nobody else in here; the system frees the lock of a process that dies.

    Raises:
        BlockingIOError: somebody else is, and ``wait`` is False.
    """
    if sys.platform == "win32":
        yield
        return
    while True:
        with lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise
            except OSError:  # some network disks know no locks; whatever is written is written whole
                pass
            try:
                if not os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                    continue
            except FileNotFoundError:  # whoever held it has finished and taken it away
                continue
            try:
                yield
                return
            finally:
                with contextlib.suppress(FileNotFoundError):
                    # another's, if the folder was replaced meanwhile
                    if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                        lock.unlink()
