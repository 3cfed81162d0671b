"""Locks between processes, and claims for file systems without locks.

A claim is a file beside the work, ``NAME.claim-1``. Its owner touches it every :data:`HEARTBEAT_S` seconds. A dead
claim is taken over by making the next number, ``NAME.claim-2``, which only one process can; the number that lives is
the highest. Only the owner removes its file, and lower numbers go when the work is finished. Whoever has made a number
looks again: the one before must still be there and dead, or it was made on an older state and goes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from ranvier.errors import RuleError
from ranvier.files import is_running, write_new

HEARTBEAT_S = 10.0
DEAD_AFTER_S = 120.0
"""Without a heartbeat for so long the owner is taken for dead. On its own machine only the process counts."""

_LOOK_AGAIN_S = 1.0
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


class LostClaimError(RuleError):
    """Another process has taken the work over."""


@dataclass(frozen=True)
class Claim:
    """What this process works on.

    Attributes:
        place: the work.
        number: of the claim.
    """

    place: Path
    number: int

    @property
    def file(self) -> Path:
        """The claim's file."""
        return _claim_file(self.place, self.number)

    def check(self) -> None:
        """See that it is still held.

        Raises:
            LostClaimError: it was taken over, as after a long halt of this machine.
        """
        if not self.file.exists() or _claim_file(self.place, self.number + 1).exists():
            raise LostClaimError(f"{self.place}: another process has taken it over")


@contextlib.contextmanager
def claim(place: Path) -> Iterator[Claim]:
    """Only this process works on ``place``; a dead process's claim is taken over. Needs no file locks.

    The block must first look whether the work is finished: another process may have ended it.

    Args:
        place: file or folder to be made; its folder must exist.

    Raises:
        BlockingIOError: a living process holds it.
        OSError: the folder cannot be written to.
    """
    newest = _newest_claim(place)
    if newest and not _is_dead(_claim_file(place, newest)):
        raise BlockingIOError(errno.EAGAIN, "another process works on it", str(place))
    mine = Claim(place, newest + 1)
    owner = json.dumps({"host": _host(), "pid": os.getpid(), "began": _began(os.getpid())})
    made = write_new(mine.file, owner)
    if not (made and _newest_claim(place) == mine.number and (not newest or _is_dead(_claim_file(place, newest)))):
        if made:  # others have worked and ended since this process looked
            mine.file.unlink(missing_ok=True)
        raise BlockingIOError(errno.EAGAIN, "another process works on it", str(place))
    ended = threading.Event()
    beat = threading.Thread(target=_beat, args=(mine.file, ended), daemon=True)
    beat.start()
    try:
        with contextlib.suppress(OSError):  # a shared disk's client may still know an older state of the folder
            list(place.iterdir())
        yield mine
        mine.check()
        for number in range(1, mine.number):
            _claim_file(place, number).unlink(missing_ok=True)
    finally:
        ended.set()
        beat.join()
        if not _claim_file(place, mine.number + 1).exists():
            mine.file.unlink(missing_ok=True)


@contextlib.contextmanager
def wait_claim(place: Path) -> Iterator[Claim]:
    """:func:`claim`, which waits for a living process that holds it."""
    with contextlib.ExitStack() as held:
        while True:
            try:
                mine = held.enter_context(claim(place))
                break
            except BlockingIOError:
                time.sleep(_LOOK_AGAIN_S)
        yield mine


def is_claimed(place: Path) -> bool:
    """Whether a living process holds it."""
    newest = _newest_claim(place)
    return bool(newest) and not _is_dead(_claim_file(place, newest))


def _claim_file(place: Path, number: int) -> Path:
    return place.with_name(f"{place.name}.claim-{number}")


def _newest_claim(place: Path) -> int:
    """Number of the highest claim, 0 where there is none."""
    name = re.compile(re.escape(place.name) + r"\.claim-(\d+)")
    if not place.parent.is_dir():
        return 0
    found = (name.fullmatch(entry.name) for entry in place.parent.iterdir())
    return max((int(match[1]) for match in found if match), default=0)


def _beat(file: Path, ended: threading.Event) -> None:
    while not ended.wait(HEARTBEAT_S):
        with contextlib.suppress(OSError):  # the disk may be away for a while, or the claim gone: check() says so
            os.utime(file)


def _is_dead(file: Path) -> bool:
    """Whether a claim's owner has ended without removing it; False where there is no such claim."""
    try:
        text, beat_s = file.read_text(encoding="utf-8"), file.stat().st_mtime
    except FileNotFoundError:
        return False
    try:
        owner = json.loads(text)
    except ValueError:  # not whole yet
        owner = {}
    if owner.get("host") == _host() and os.name != "nt":
        pid = int(owner["pid"])
        if not is_running(pid) or _began(pid) != owner["began"]:
            return True
        if owner["began"]:  # else the system does not say when a process began, and numbers are used again
            return False
    return _now_s(file.parent) - beat_s > DEAD_AFTER_S


def _now_s(folder: Path) -> float:
    """The time by the clock of the folder's disk, which may be another machine's."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"0")
        file.flush()
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_mtime


def _host() -> str:
    """This machine since it was started, and the set of process numbers in it."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _began(pid: int) -> str:
    """When a process began, in the system's own count, since numbers are used again; empty for one that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *facts = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else facts[18]
