"""Who works on what, among processes and machines that share a disk, with or without file locks.

A claim is a file beside the work, ``NAME.claim-1``. Its owner touches it every :data:`HEARTBEAT_S` seconds. A dead
claim is taken over by making the next number, ``NAME.claim-2``, which only one process can; the number that lives is
the highest. Only the owner removes its file, and lower numbers go when the work is finished. Whoever has made a number
looks again: the one before must still be there and dead, or it was made on an older state and goes.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ranvier.files import is_running, write_new
from ranvier.runs.versioned import RunError

HEARTBEAT_S = 10.0
DEAD_AFTER_S = 120.0
"""Without a heartbeat for so long the owner is taken for dead. On its own machine only the process counts."""


class LostClaimError(RunError):
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
        return _file(self.place, self.number)

    def check(self) -> None:
        """See that it is still held.

        Raises:
            LostClaimError: it was taken over, as after a long halt of this machine.
        """
        if not self.file.exists() or _file(self.place, self.number + 1).exists():
            raise LostClaimError(f"{self.place}: another process has taken it over")


@contextmanager
def claim(place: Path) -> Iterator[Claim]:
    """Only this process works on ``place``; a dead process's claim is taken over. Needs no file locks.

    The block must first look whether the work is finished: another process may have ended it.

    Args:
        place: file or folder to be made; its folder must exist.

    Raises:
        BlockingIOError: a living process holds it.
        OSError: the folder cannot be written to.
    """
    newest = _newest(place)
    if newest and not _is_dead(_file(place, newest)):
        raise BlockingIOError(errno.EAGAIN, "another process works on it", str(place))
    mine = Claim(place, newest + 1)
    owner = json.dumps({"host": _host(), "pid": os.getpid(), "began": _began(os.getpid())})
    made = write_new(mine.file, owner)
    if not (made and _newest(place) == mine.number and (not newest or _is_dead(_file(place, newest)))):
        if made:  # others have worked and ended since this process looked
            mine.file.unlink(missing_ok=True)
        raise BlockingIOError(errno.EAGAIN, "another process works on it", str(place))
    ended = threading.Event()
    beat = threading.Thread(target=_beat, args=(mine.file, ended), daemon=True)
    beat.start()
    try:
        with suppress(OSError):  # a shared disk's client may still know an older state of the folder
            list(place.iterdir())
        yield mine
        mine.check()
        for number in range(1, mine.number):
            _file(place, number).unlink(missing_ok=True)
    finally:
        ended.set()
        beat.join()
        if not _file(place, mine.number + 1).exists():
            mine.file.unlink(missing_ok=True)


def is_claimed(place: Path) -> bool:
    """Whether a living process holds it."""
    newest = _newest(place)
    return bool(newest) and not _is_dead(_file(place, newest))


def _file(place: Path, number: int) -> Path:
    return place.with_name(f"{place.name}.claim-{number}")


def _newest(place: Path) -> int:
    """Number of the highest claim, 0 where there is none."""
    name = re.compile(re.escape(place.name) + r"\.claim-(\d+)")
    if not place.parent.is_dir():
        return 0
    found = (name.fullmatch(entry.name) for entry in place.parent.iterdir())
    return max((int(match[1]) for match in found if match), default=0)


def _beat(file: Path, ended: threading.Event) -> None:
    while not ended.wait(HEARTBEAT_S):
        with suppress(OSError):  # the disk may be away for a while, or the claim gone: check() says so
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
        return not (is_running(pid) and _began(pid) == owner["began"])
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
    with suppress(OSError):
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
