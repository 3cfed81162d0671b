"""Work is one process's at a time, on file systems without locks too, and a dead one's is taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ranvier.locks import DEAD_AFTER_S, LostClaimError, claim, is_claimed

HOLDER = """
import sys
from pathlib import Path
from ranvier.locks import claim
with claim(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.readline()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def foreign(file: Path, age_s: float) -> None:
    """A claim of another machine, whose last heartbeat was so long ago."""
    file.write_text(json.dumps({"host": "elsewhere", "pid": os.getpid(), "began": "1"}))
    os.utime(file, (time.time() - age_s,) * 2)


def test_a_second_process_is_kept_out_until_the_first_is_killed(tmp_path: Path) -> None:
    place = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        assert is_claimed(place)
        with pytest.raises(BlockingIOError) as busy, claim(place):
            pytest.fail("entered")
        assert busy.value.filename == str(place)
        holder.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # it stays as a zombie
        assert not is_claimed(place)
        with claim(place) as mine:
            assert mine.number == 2
            assert is_claimed(place)
    assert names(tmp_path) == []


def test_a_number_that_another_process_has_now_is_no_owner(tmp_path: Path) -> None:
    with claim(tmp_path / "run") as mine:
        owner = json.loads(mine.file.read_text())
        assert owner["pid"] == os.getpid()
        mine.file.write_text(json.dumps({**owner, "began": "1"}))
        assert not is_claimed(tmp_path / "run")


@pytest.mark.parametrize(("age_s", "alive"), [(DEAD_AFTER_S - 30, True), (DEAD_AFTER_S + 30, False)])
def test_another_machines_claim_lives_by_its_heartbeat(age_s: float, alive: bool, tmp_path: Path) -> None:
    foreign(tmp_path / "run.claim-1", age_s)
    assert is_claimed(tmp_path / "run") is alive
    if alive:
        with pytest.raises(BlockingIOError), claim(tmp_path / "run"):
            pytest.fail("entered")
    else:
        with claim(tmp_path / "run"):
            assert names(tmp_path) == ["run.claim-1", "run.claim-2"]
        assert names(tmp_path) == []


def test_an_error_frees_the_work_and_keeps_the_dead_claims_before_it(tmp_path: Path) -> None:
    foreign(tmp_path / "run.claim-1", 2 * DEAD_AFTER_S)
    with pytest.raises(KeyError), claim(tmp_path / "run"):
        raise KeyError
    assert names(tmp_path) == ["run.claim-1"]


def test_who_was_taken_over_hears_of_it(tmp_path: Path) -> None:
    def work() -> None:
        with claim(tmp_path / "run") as mine:
            foreign(tmp_path / "run.claim-2", 0)
            try:
                mine.check()
            except LostClaimError:
                heard.append(mine.number)

    heard: list[int] = []
    with pytest.raises(LostClaimError, match="taken it over"):
        work()
    assert heard == [1]
    assert names(tmp_path) == ["run.claim-1", "run.claim-2"]
    with pytest.raises(BlockingIOError), claim(tmp_path / "run"):
        pytest.fail("entered")


def test_a_claim_that_is_not_whole_yet_is_somebodys(tmp_path: Path) -> None:
    (tmp_path / "run.claim-1").write_text("")
    assert is_claimed(tmp_path / "run")


def test_only_one_of_many_takes_a_dead_claim_over(tmp_path: Path) -> None:
    place, inside, most, together = tmp_path / "run", 0, [], threading.Barrier(8)

    def work() -> None:
        nonlocal inside
        together.wait()
        for _ in range(30):
            try:
                with claim(place):
                    inside += 1
                    most.append(inside)
                    time.sleep(0.001)
                    inside -= 1
            except BlockingIOError:
                time.sleep(0.001)

    foreign(tmp_path / "run.claim-1", 2 * DEAD_AFTER_S)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * len(most)
    assert len(most) > 8
    assert names(tmp_path) == []
