"""``ranvier report`` and ``ranvier watch``: what they say and refuse."""

from __future__ import annotations

import functools
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ranvier.cli import main
from ranvier.cli.watch import blocks, show_state
from ranvier.recipes.config import build_config
from ranvier.recipes.progress import run_state
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.run_config import config_values
from ranvier.runs import make_folder, write_result
from tests.analysis.reports import Page
from tests.results import run_result

LITTLE = ["--train.epochs", "2", "--data.train-clips", "40", "--data.test-clips", "20", "--data.validation-clips", "20"]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def row(epoch: int) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "loss": 2 / epoch,
        "train_accuracy": 0.4,
        "validation_accuracy": [0.0, 0.3, 0.7, 0.5][epoch],
        "sigma_ms": 9.0,
        "seconds": 10.0 * epoch,
    }


def running(folder: Path, epochs: int = 3, **changes: str) -> Path:
    """A run of six epochs, some of which are done."""
    config = build_config(load_values("digits"), {"train.epochs": "6", **changes})
    make_folder(folder, config_values(config), force=False)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row(epoch)) + "\n" for epoch in range(1, epochs + 1)))
    return folder


def finish(folder: Path) -> None:
    accuracy = {"value": 0.75, "low": 0.6, "high": 0.85, "correct": 15, "clips": 20}
    write_result(folder, run_result(accuracy={"test": {**accuracy, "spikes_per_neuron_and_clip": (3.25, 1.5)}}))


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"ranvier: [^\n]+\n", said)
    return said


def test_train_says_where_its_report_is_and_report_makes_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "coincidence", "--compare", "", *LITTLE]) == 0
    assert "report: runs/coincidence/report.html\n" in capsys.readouterr().out
    first = Path("runs/coincidence/report.html").read_text()
    assert main(["report", "runs/coincidence", "--out", "mine.html"]) == 0
    assert capsys.readouterr().out == "mine.html written\n"
    assert Path("mine.html").read_text() == first
    assert main(["report", "runs/coincidence", "--data", "runs/coincidence/test.h5"]) == 0
    page = Page(Path("runs/coincidence/report.html").read_text())
    assert sum(sum(counts) for counts in page.data[0]["confusion"]) == 20
    assert "test.h5" in page.text
    assert main(["watch", "runs/coincidence"]) == 0
    assert "coincidence: finished, test " in capsys.readouterr().out


@pytest.mark.parametrize("command", ["report", "watch"])
def test_what_is_no_run_is_refused(command: str, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere: is not a run's folder" in refused(capsys, command, "nowhere")
    (work / "empty").mkdir()
    assert "empty: is not a run's folder" in refused(capsys, command, "empty")
    (work / "empty" / "config.toml").write_text("name = 3")
    assert "empty/config.toml: " in refused(capsys, command, "empty")
    assert "RUN" in refused(capsys, command)
    assert list((work / "empty").iterdir()) == [work / "empty" / "config.toml"]


def test_report_refuses_what_it_cannot_write_or_read(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running(work / "run")
    before = contents(work)
    assert "nowhere" in refused(capsys, "report", "run", "--out", "nowhere/report.html")
    assert "--out: ." in refused(capsys, "report", "run", "--out", ".")
    assert contents(work) == before
    (work / "run" / "network.safetensors").write_bytes(b"damaged")
    assert "network.safetensors: not a whole safetensors file" in refused(capsys, "report", "run")


def test_several_runs_are_written_here(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running(work / "a")
    running(work / "b", 2, **{"train.seed": "3"})
    assert main(["report", "a", "b"]) == 0
    assert capsys.readouterr().out == "report.html written\n"
    page = Page((work / "report.html").read_text())
    assert page.tables["Fields that differ"] == [["field", "a", "b"], ["train.seed", "0", "3"]]


@pytest.mark.parametrize("more", [[], ["--once"]])
def test_watch_tells_how_a_run_is_doing_and_writes_nothing(
    work: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    running(work / "run")
    before = contents(work)
    assert main(["watch", "run", *more]) == 0
    said = capsys.readouterr().out
    for part in (
        "digits",
        "epoch 3 of 6",
        "0:30 min left",
        "10.0 s an epoch",
        "best 70.0% after epoch 2",
        "50.0%",
        "σ",
    ):
        assert part in said, part
    assert "finished" not in said
    assert contents(work) == before
    assert max(map(len, said.splitlines())) <= 100


def test_watch_tells_the_end(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish(running(work / "run"))
    assert main(["watch", "run"]) == 0
    said = capsys.readouterr().out
    assert "digits: finished, test 75.0% (clips' interval 60.0 ... 85.0%)" in said
    assert "layer 1 3.25, layer 2 1.50" in said
    assert "left" not in said


def test_watch_before_the_first_epoch_and_beside_half_a_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = running(work / "run", 0)
    assert main(["watch", "run"]) == 0
    assert "epoch 0 of 6" in capsys.readouterr().out
    (folder / "metrics.jsonl").write_text(json.dumps(row(1)) + '\n{"epoch": 2, "lo')
    assert main(["watch", "run"]) == 0
    assert "epoch 1 of 6" in capsys.readouterr().out


def test_watch_outlives_a_loss_that_is_not_a_number(work: Path) -> None:
    folder = running(work / "run")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({**row(3), "epoch": 4, "loss": float("nan")}) + "\n")
    assert "epoch 4 of 6" in said(folder)


def test_watch_says_when_nothing_has_come_for_long(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = running(work / "run")
    assert "stopped?" not in said(folder)
    long_ago = time.time() - 7200
    os.utime(folder / "metrics.jsonl", (long_ago, long_ago))
    assert "nothing new for 2:00:0" in said(folder)


def said(folder: Path, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=100, color_system=None)
    console.print(show_state(run_state(folder), console))
    file.seek(0)
    return file.read()


def test_a_terminal_without_blocks_gets_letters(work: Path) -> None:
    folder = running(work / "run")
    plain = said(folder, "ascii")
    assert "sigma, ms" in plain
    assert "@" in plain
    assert "█" in said(folder)


def test_watch_follows_the_trainings_of_a_run(work: Path) -> None:
    folder = running(work / "run", 0, compare="fixed,none")
    finish(running(folder / "fixed"))
    running(folder / "none", 1)
    state = run_state(folder)
    assert (state.current.name, state.finished) == ("none", False)
    text = said(folder)
    assert "fixed: finished, test 75.0%" in text
    assert "epoch 1 of 6" in text
    finish(folder / "none")
    assert run_state(folder).current.name == ""
    finish(folder)
    state = run_state(folder)
    assert (state.current.name, state.finished) == ("", True)


def test_watch_follows_speakers_left_out(work: Path) -> None:
    config = build_config(load_values("shd"), {"data.validation": "leave-one-speaker-out"})
    make_folder(work / "run", config_values(config), force=False)
    finish(running(work / "run" / "speaker-0"))
    running(work / "run" / "speaker-1", 2)
    state = run_state(work / "run")
    assert [training.name for training in state.trainings] == ["speaker-0", "speaker-1"]
    assert state.current.name == "speaker-1"
    assert not state.finished


def test_blocks_draw_a_curve() -> None:
    assert blocks([0, 1, 2, 3, 4, 5, 6, 7], 8, 1) == ["▁▂▃▄▅▆▇█"]
    assert blocks([0, 1], 2, 2) == [" █", "▁█"]
    assert blocks([1, 1, 1], 3, 1) == ["▅▅▅"]
    assert len(blocks(list(range(1000)), 10, 3)[0]) == 10
    assert blocks([0, 0, 8, 8], 2, 1) == ["▁█"]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_watch_in_a_terminal_follows_to_the_end_and_ctrl_c_is_quiet(work: Path) -> None:
    import pty
    import signal

    folder = running(work / "run", 1)

    def started() -> tuple[subprocess.Popen[bytes], int]:
        ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        command = [sys.executable, "-m", "ranvier", "watch", "run"]
        # a suite started in the background hands on that Ctrl-C is to be ignored
        heed = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, preexec_fn=heed)
        os.close(theirs)
        return process, ours

    def until(ours: int, wanted: bytes, limit_s: float = 60) -> bytes:
        seen, end = b"", time.monotonic() + limit_s
        while wanted not in seen:
            assert time.monotonic() < end, seen
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the other side has gone
                break
        return seen

    process, ours = started()
    until(ours, b"epoch 1 of 6")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row(2)) + "\n")
    until(ours, b"epoch 2 of 6")
    finish(folder)
    assert b"finished, test 75.0%" in until(ours, b"finished, test 75.0%")
    until(ours, b"never said")
    assert process.wait(20) == 0
    os.close(ours)

    (folder / "result.json").unlink()
    process, ours = started()
    until(ours, b"epoch 2 of 6")
    process.send_signal(signal.SIGINT)
    last = until(ours, b"never said")
    assert process.wait(20) == 0
    assert b"Traceback" not in last
    os.close(ours)
