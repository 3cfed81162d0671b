"""What the command prints reaches a terminal of any kind, and ends no work."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ranvier import cli
from ranvier.cli import main, show
from ranvier.cli.progress import TrainingProgress
from ranvier.data import write_recording
from ranvier.escape import escape_controls
from tests.results import run_result

NAMES = ("水", "zwölf", "\u202eright to left", "a\x1b[31mb", "[/red] [bold]", "one\ntwo", "")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "a.h5"
    names = NAMES[:-1]  # a class without a name is refused
    times, units = [np.array([0.005, 0.015, 0.025])] * len(names), [np.array([0, 1, 2])] * len(names)
    write_recording(file, times, units, np.arange(len(names)), classes=names)
    return file


def ranvier(*arguments: str | Path, encoding: str = "utf-8", **options: object) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "ranvier", *map(str, arguments)]
    surroundings = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, env=surroundings, check=False, **{"capture_output": True, **options})  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("text", ["plain", "水 é e\u0301 🧑\u200d🎓 ¿?", "a b\u3000c\u00a0d"])
def test_what_can_be_seen_stays(text: str) -> None:
    assert escape_controls(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb\x9b\x00\x7f", r"a\x1b[31mb\x9b\x00\x7f"),
        ("\u202e\u2066x\u2069\u200f\u061c", r"\u202e\u2066x\u2069\u200f\u061c"),
        ("a\nb\rc\u2028d\u2029", r"a\nb\rc\u2028d\u2029"),
        ("a\u200bb\ufeff\u00ad", r"a\u200bb\ufeff\xad"),
        ("\udce4.wav", r"\udce4.wav"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_cannot_be_seen_or_steers_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert escape_controls(text) == shown
    assert escape_controls(shown) == shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_names_are_printed_whatever_letters_the_terminal_has(recording: Path, encoding: str) -> None:
    done = ranvier("data", "check", recording, encoding=encoding)
    assert (done.returncode in (0, 2), done.stderr) == (True, b"")  # an empty name may be a fault
    out = done.stdout.decode(encoding)
    for name in NAMES[:-1]:
        shown = escape_controls(name).encode(encoding, "backslashreplace").decode(encoding)
        assert shown in out, name
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_a_table_and_a_line_of_progress_take_names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr(show, "Console", lambda **options: Console(file=seen, width=120))
    accuracy = {"value": 0.5, "low": 0.1, "high": 0.9, "correct": 1, "clips": 2}
    validation = {**accuracy, "speakers": dict.fromkeys(NAMES, accuracy)}
    show.show_result(run_result(recipe=NAMES[4], accuracy={"validation": validation}), Path(NAMES[3]))
    progress = TrainingProgress()
    progress.begin(f"speaker {NAMES[4]} {NAMES[2]}", 1)
    for name in NAMES:
        assert escape_controls(name) in seen.getvalue()
    assert "\x1b" not in seen.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes of this kind")
@pytest.mark.parametrize("arguments", [("ls",), ("--help",), ("data", "check", "a.h5")])
def test_a_reader_that_has_left_is_no_error(recording: Path, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        usual = ranvier(*arguments, cwd=recording.parent).returncode
        done = ranvier(*arguments, cwd=recording.parent, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (usual, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_to_a_full_disk_is_an_error_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = ranvier("ls", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"No space left" in done.stderr


@pytest.mark.parametrize(("debug", "lines"), [("", 1), ("0", 1), ("1", None)])
def test_a_fault_of_our_own_is_one_line_and_a_traceback_only_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], debug: str, lines: int | None
) -> None:
    def broken(given: list[str]) -> int:
        raise ZeroDivisionError("a\nb\x1b")

    monkeypatch.setattr(cli, "_dispatch", broken)
    monkeypatch.setenv("RANVIER_DEBUG", debug)
    with pytest.raises(SystemExit) as ended:
        main(["ls"])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (1, "")
    assert r"ZeroDivisionError: a b\x1b" in err.splitlines()[-1]
    assert "report" in err.splitlines()[-1]
    assert ("Traceback" in err) == (lines is None)
    assert lines is None or err.count("\n") == lines


def test_json_is_the_same_in_every_encoding(recording: Path) -> None:
    one, other = (ranvier("data", "check", recording, "--json", encoding=name).stdout for name in ("ascii", "utf-8"))
    assert one == other
    assert json.loads(one)
