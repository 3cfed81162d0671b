"""HDF5 files are parsed in a process that can be ended: a damaged one can make HDF5 loop, crash or take all memory.

The process is started once (a quarter of a second), serves file after file, and goes when nobody has asked it for a
minute. Its limits stand in :mod:`ranvier.data.hdf5_worker`.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError

_SCRIPT = Path(__file__).with_name("hdf5_worker.py")
# where the system limits processor time that ends a loop; silence then only means a slow disk
_SILENCE_S = 20.0 if os.name == "nt" else 120.0
# of processor time; reading SHD takes a hundredth of what its size allows
_CPU_S, _BYTES_PER_CPU_S = 2.0, 4_000_000
_IDLE_S = 50.0  # the process goes after 60 s without a file


@dataclass(frozen=True, eq=False)
class Answer:
    """What the process answers: plain values, and arrays in the order that the values say."""

    values: dict[str, Any]
    arrays: list[NDArray[Any]]


class _Worker:
    """A process, and what it has been asked."""

    def __init__(self) -> None:
        if not sys.executable:
            raise DataError("HDF5 files are read by a second Python process, and this Python does not say where it is")
        self.owner = os.getpid()
        self.used = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(_SCRIPT), json.dumps([str(place) for place in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # one thread: it forks
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            pipesize=1 << 20,  # where the system lets it be
            start_new_session=True,  # an interrupt from the keyboard is the caller's alone
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    def ask(self, **request: Any) -> None:
        assert self.process.stdin is not None
        # a process that has ended is noticed by what it does not answer
        with suppress(OSError, ValueError):
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()

    def answer(self) -> Answer:
        """The next answer.

        Raises:
            DataError: the process was ended, or was silent for too long.
        """
        silent = threading.Event()

        def end() -> None:
            silent.set()
            self.end()

        watch = threading.Timer(_SILENCE_S, end)
        watch.daemon = True
        watch.start()
        try:
            return self._read()
        except (EOFError, ValueError):
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            self.end()
            raise DataError(f"not a whole HDF5 file ({self._why(silent.is_set())})") from None
        finally:
            watch.cancel()

    def _read(self) -> Answer:
        out = self.process.stdout
        assert out is not None
        values = json.loads(out.readline())  # of nothing: ValueError
        arrays = []
        for form, count in values.pop("forms"):
            dtype = np.dtype(form)
            content = out.read(count * dtype.itemsize)
            if len(content) < count * dtype.itemsize:
                raise EOFError
            arrays.append(np.frombuffer(content, dtype))
        return Answer(values, arrays)

    def _why(self, silent: bool) -> str:
        code = self.process.returncode
        if silent:
            return f"HDF5 came to no end in {_SILENCE_S:g} s"
        # the process passes on how the one that it forked ended: a signal's number below 0, modulo 256
        number = -code if code < 0 else 256 - code
        if os.name != "nt" and number in (signal.SIGPROF, signal.SIGKILL):
            return "HDF5 came to no end"
        return f"HDF5 crashed, {code}"

    def end(self) -> None:
        """Kill the process and what it has forked."""
        with suppress(OSError):
            if os.name == "nt":
                self.process.kill()
            else:
                os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(OSError):
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


_idle: list[_Worker] = []


@atexit.register
def end_workers() -> None:
    """End the processes that wait for a file."""
    while _idle:
        worker = _idle.pop()
        if worker.owner == os.getpid():
            worker.end()


def _worker() -> _Worker:
    while True:
        try:
            worker = _idle.pop()  # one call, so that no two threads get the same
        except IndexError:
            return _Worker()
        if worker.owner != os.getpid():  # a forked process must not talk to its parent's
            continue
        if worker.process.poll() is None and time.monotonic() - worker.used < _IDLE_S:
            return worker
        worker.end()


def read_hdf5(path: Path) -> Generator[Answer, None, None]:
    """The header of a file, then its clips batch by batch; the process parses a batch ahead.

    The last answer may be a fault: its values have ``fault``.

    Raises:
        DataError: HDF5 crashed, or came to no end within the limits on time and memory; the message does not name
            the file.
    """
    worker, waiting, ended = _worker(), 1, False
    worker.ask(path=str(path.absolute()), cpu_seconds=_CPU_S + path.stat().st_size / _BYTES_PER_CPU_S)
    ahead = 0  # a caller that only wants the header must not wait for clips
    try:
        while not ended:
            while waiting < ahead:
                worker.ask(more=True)
                waiting += 1
            answer = worker.answer()
            waiting, ahead = waiting - 1, 2
            ended = "end" in answer.values
            if "fault" in answer.values and sys.platform != "linux":
                worker.end()  # it does not fork there: what HDF5 made of the file may be with it still
            if not ended or "fault" in answer.values:
                yield answer
    except DataError:
        ended = True
        raise
    finally:
        _give_back(worker, ended)


def _give_back(worker: _Worker, ended: bool) -> None:
    """Bring a worker to the end of its file, for the next."""
    try:
        if not ended:
            worker.ask(more=False)
            while "end" not in worker.answer().values:
                pass
    except DataError:
        return  # it has ended
    except BaseException:
        worker.end()
        raise
    if worker.process.poll() is None:
        worker.used = time.monotonic()
        _idle.append(worker)
