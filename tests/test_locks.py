"""One process at a time; where nobody can be kept out, nobody enters."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.data import DataError, Grid, read_recording, write_recording
from ranvier.data.cache import cache_lock
from ranvier.locks import NoLockError, file_lock
from ranvier.runs import BusyError, run_lock

fcntl = pytest.importorskip("fcntl")

HOLDER = """
import os, sys
from pathlib import Path
from ranvier.locks import file_lock
with file_lock(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.readline()
    os._exit(9)
"""


def test_a_second_process_is_kept_out_until_the_first_has_died(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "in\n"
        with pytest.raises(BlockingIOError) as busy, file_lock(lock, wait=False):
            pass
        assert busy.value.filename == str(lock)
        holder.stdin.write("\n")
        holder.stdin.flush()
        with file_lock(lock):
            assert holder.wait(10) == 9
    assert list(tmp_path.iterdir()) == []


def test_threads_take_turns_though_the_locks_file_goes_away_each_time(tmp_path: Path) -> None:
    inside, most = 0, []

    def work() -> None:
        nonlocal inside
        for _ in range(5):
            with file_lock(tmp_path / "a.lock"):
                inside += 1
                most.append(inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""
    number = getattr(errno, request.param)

    def refuse(file: Any, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_nobody_enters_where_there_are_no_locks(tmp_path: Path) -> None:
    with pytest.raises(NoLockError, match="no file locks") as refused, file_lock(tmp_path / "a.lock"):
        pytest.fail("entered")
    assert str(tmp_path) in str(refused.value)
    with pytest.raises(DataError, match="RANVIER_CACHE"), cache_lock(tmp_path / "a.h5", "spikes"):
        pytest.fail("entered")


@pytest.mark.usefixtures("no_locks")
def test_a_run_is_claimed_where_there_are_no_locks(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with run_lock(run), pytest.raises(BusyError), run_lock(run):
        pytest.fail("entered")
    with run_lock(run):
        assert [path.name for path in tmp_path.iterdir() if path != run] == ["run.training.claim-1"]
    assert list(tmp_path.iterdir()) == [run]


@pytest.mark.usefixtures("no_locks")
def test_a_plain_recording_needs_no_lock(tmp_path: Path) -> None:
    recording = tmp_path / "a.h5"
    write_recording(recording, [np.array([0.005, 0.015])] * 3, [np.array([0, 1])] * 3, np.arange(3))
    assert len(read_recording(recording, Grid(8, 1, 10.0), cache=tmp_path / "cache")) == 3
