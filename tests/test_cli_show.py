"""The tables at the end of a training hold every split, speaker and delay setting of its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ranvier.cli.show import show_evaluation, show_result
from tests.recipes.test_evaluate import ANIMALS, animals, clips
from tests.results import run_result


def of(correct: int, clips: int) -> dict[str, Any]:
    return {"value": correct / clips, "low": 0.1, "high": 0.9, "correct": correct, "clips": clips}


def table(text: str) -> dict[str, list[str]]:
    """Cells of every row of the tables, by the first."""
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line]
    return {row[0]: row[1:] for row in rows}


def test_every_split_has_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    accuracy = {
        "validation": {**of(5, 8), "speakers": {"anna": of(2, 4), "10": of(3, 4)}},
        "seen": of(7, 9),
        "test": of(11, 12),
    }
    part = {"accuracy": {"test": of(3, 12), "validation": of(1, 2)}, "seconds": 2.0, "parameters": 7}
    changes = {"delays": "learned", "parameters": 1234, "epochs": 6, "best_epoch": 4, "seconds": 2.0}
    show_result(run_result(accuracy=accuracy, comparison={"fixed": part}, **changes), tmp_path)
    text = capsys.readouterr().out
    interval = "10.00 ... 90.00"
    assert table(text) == {
        "validation": ["62.50%", interval, "8"],
        "speaker anna": ["50.00%", interval, "4"],
        "speaker 10": ["75.00%", interval, "4"],
        "seen speakers, held-out clips": ["77.78%", interval, "9"],
        "test": ["91.67%", interval, "12"],
        "delays learned": ["91.67%", interval, "12"],
        "delays random, frozen": ["25.00%", interval, "12"],
    }
    assert "1,234 parameters" in text
    assert "epoch 4 of 6" in text
    assert "4 s of training" in text


@pytest.mark.parametrize(("classes", "by_number"), [(ANIMALS, False), (("0", "1", "2"), True)])
def test_mistakes_stand_with_the_commonest_first_and_matching_by_number_is_said(
    classes: tuple[str, ...], by_number: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ranvier.recipes.evaluation import evaluate

    monkeypatch.setenv("NO_COLOR", "1")
    show_evaluation(evaluate(animals(), clips([1, 2, 2, 0], classes, [0, 1, 1, 0])), "network")
    text = capsys.readouterr().out
    assert text.index("dog   │ owl") < text.index("cat   │ dog")
    assert ("by number" in text) == by_number
