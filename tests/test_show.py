"""The table at the end of a training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ranvier.analysis.intervals import speaker_interval
from ranvier.cli.show import show_pretrained, show_result
from ranvier.recipes.pretrained import PretrainedRun
from ranvier.runs import Accuracy
from tests.results import run_result


def accuracy(correct: int, clips: int, *speakers: float) -> dict[str, Any]:
    low, high = 0.5 * correct / clips, 0.5 + 0.5 * correct / clips
    shown = Accuracy(value=correct / clips, low=low, high=high, correct=correct, clips=clips).model_dump()
    return {**shown, "over_speakers": speaker_interval(speakers).model_dump()} if speakers else shown


def shown(capsys: pytest.CaptureFixture[str], **changes: Any) -> list[str]:
    show_result(run_result(**changes), Path("runs/mine"))
    return [re.sub(r"\s*[│┃]\s*", "|", line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")


def test_every_split_and_speaker_has_a_row_and_each_interval_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    of_each = {"2": accuracy(9, 10), "10": accuracy(7, 10)}
    lines = shown(
        capsys,
        accuracy={
            "validation": {**accuracy(16, 20, 0.9, 0.8, 0.7), "speakers": of_each},
            "seen": accuracy(19, 20),
            "test": accuracy(5, 10, 0.5),
        },
    )
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    assert rows[0] == ["accuracy", "over speakers", "clips' interval", "clips"]
    assert rows[1] == ["validation", "80.00%", "55.2 ... 100.0 (3)", "40.00 ... 90.00", "20"]
    assert [(row[0].split(",")[0], row[1]) for row in rows[2:]] == [
        ("speaker 2", "90.00%"), ("speaker 10", "70.00%"), ("seen speakers", "95.00%"), ("test", "50.00%"),
    ]  # fmt: skip
    assert rows[5][2] == "one speaker: none"
    assert any("one speaker: no interval over speakers" in line for line in lines)


def test_a_run_of_the_package_says_whose_clips_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    speakers = {"anna": accuracy(5, 10)}
    found = {"one": accuracy(5, 10, 0.5), "several": accuracy(5, 10, 0.5, 0.7), "none": accuracy(5, 10)}
    results = {name: run_result(accuracy={"test": {**one, "speakers": speakers}}) for name, one in found.items()}
    show_pretrained([PretrainedRun(name, Path(), result, "free") for name, result in results.items()])
    said = [re.findall(r"of (\w+) speakers", line) for line in capsys.readouterr().out.splitlines()]
    assert said == [["unseen"], ["unseen"], ["seen"]]


def test_without_unseen_speakers_there_is_no_interval_over_them(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, accuracy={"test": accuracy(5, 10)}, notes=("a note",))
    assert not any("over speakers" in line for line in lines)
    assert "note: a note" in lines
