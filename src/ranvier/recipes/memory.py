"""The memory of a training: keep what the system has given, and measure its peak."""

from __future__ import annotations

import ctypes
import platform
from contextlib import suppress
from pathlib import Path

import torch

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # of glibc's malloc.h


def disable_malloc_trim() -> bool:
    """Ask glibc to reuse freed memory of any size; returns whether it did (other systems are left as they are).

    By default glibc gives every block above 32 MiB back when it is freed, and the next step has to take its pages from
    the system one by one: measured as up to 50 ms for a tensor of 34 MB. It holds for the whole process and to its end,
    which then keeps about the most memory that it ever used. Threads that start from now on share one heap, for glibc
    gives the heap of a thread back all the same: measured as 0.1 s of a step of 0.37 s now and then.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    done = [
        libc.mallopt(name, value) for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_ARENA_MAX, 1))
    ]
    return all(done)


class PeakMemory:
    """The most memory held inside a ``with`` above what was held on entering it.

    Attributes:
        megabytes: after the ``with``; None where the system does not report it (a CPU, other than on Linux).
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.megabytes: float | None = None
        self._before: int | None = None

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
            return self
        if platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)  # what is free goes back, so that it counts when it is used again
        with suppress(OSError):
            # the high-water mark falls to what is held now
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
            self._before = _resident("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        cuda = self.device.type == "cuda"
        highest = torch.cuda.max_memory_allocated(self.device) if cuda else _resident("VmHWM")
        if highest is not None and self._before is not None:
            self.megabytes = round((highest - self._before) / 1e6, 1)


def _resident(name: str) -> int | None:
    """Bytes of the process in memory: ``VmRSS`` now, ``VmHWM`` at most."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return int(lines[name].split()[0]) * 1024 if name in lines else None
