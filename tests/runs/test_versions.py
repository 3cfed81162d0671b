"""Files of earlier versions are read through one upgrade; those of newer versions are refused in one line."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

from ranvier.data import DataError
from ranvier.errors import RuleError
from ranvier.runs import EpochRow, RunError, read_metrics, read_result, write_result
from tests.results import present, run_result

ACCURACY = {"value": 0.75, "low": 0.6, "high": 0.9, "clips": 20, "correct": 15}
# as 3cf00c6 wrote it, with its comparison, a start and fields of somebody else's
OLD: dict[str, Any] = {
    "recipe": "shd",
    "seed": 3,
    "delays": "learned",
    "protocol": "paper",
    "epoch_chosen_on": "test (as published: optimistic)",
    "clips": {"train": 9, "validation": 20, "seen": 0, "test": 20},
    "left_out": [],
    "notes": ["a note"],
    "data": {"dataset": "x"},
    "parameters": 12,
    "epochs": 4,
    "best_epoch": 2,
    "last_epoch": {"epoch": 4, "loss": 1.0},
    "seconds": 1.0,
    "versions": {"torch": "2.6"},
    "git_commit": None,
    "machine": "m",
    "threads": 2,
    "start": {"run": "r", "recipe": "shd", "seed": 0, "best_epoch": 1, "git_commit": None, "classes": ["a"],
              "heard": ["folder"], "share": 0.5},
    "accuracy": {"validation": {**ACCURACY, "speakers": {"a": ACCURACY}, "of somebody": 1},
                 "test": {key: value for key, value in ACCURACY.items() if key != "correct"}},
    "comparison": {"learned": {"accuracy": {"test": ACCURACY}, "parameters": 12, "seconds": 1.0},
                   "fixed": {"accuracy": {"test": ACCURACY}, "parameters": 6, "seconds": 2.0}},
    "mean_over_speakers": 0.5,
    "somebody": {"else": 1},
}  # fmt: skip
ROW = {"epoch": 1, "loss": math.nan, "train_accuracy": 0.5, "seconds": 1, "delay_histograms": [[1, 2]], "other": 1}


def test_an_older_result_is_upgraded_and_written_as_this_version(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(OLD))
    result = present(read_result(tmp_path))
    assert (result.version, result.epoch_chosen_on, result.best_epoch) == (1, "test", 2)
    init = present(result.init_from)
    assert (init.trained_on, init.interpolation, init.classes) == (("folder",), 0.5, ("a",))
    assert result.accuracy["test"].correct == 15
    assert result.accuracy["validation"].speakers["a"].clips == 20
    assert {name: one.parameters for name, one in result.comparison.items()} == {"fixed": 6}
    write_result(tmp_path, result)
    assert read_result(tmp_path) == result
    assert json.loads((tmp_path / "result.json").read_text())["version"] == 1


def test_older_folds_are_upgraded_as_well(tmp_path: Path) -> None:
    whole = {key: value for key, value in OLD.items() if key not in ("comparison", "start")}
    (tmp_path / "result.json").write_text(json.dumps({**whole, "folds": {"a": OLD}}))
    fold = present(read_result(tmp_path)).folds["a"]
    assert (fold.version, fold.epoch_chosen_on) == (1, "test")


def test_an_older_line_of_metrics_is_upgraded(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps(ROW) + "\n")
    (row,) = read_metrics(tmp_path)
    assert math.isnan(row.loss)
    assert (row.version, row.delay_histograms, row.seconds) == (1, ((1, 2),), 1.0)
    (tmp_path / "metrics.jsonl").write_text(row.line())
    assert read_metrics(tmp_path)[0].delay_histograms == row.delay_histograms


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": 2}, "version: 2 is newer"),
        ({"of_tomorrow": 1}, "of_tomorrow: no such field"),
        ({"seed": "3"}, "seed: '3'"),
        ({"accuracy": {"test": {**ACCURACY, "value": 2.0}}}, "accuracy.test.value: 2.0"),
        ({"version": "1"}, "version: '1'"),
    ],
)
def test_what_this_version_does_not_read_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], place: str
) -> None:
    write_result(tmp_path, run_result())
    values = json.loads((tmp_path / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(RunError) as refused:
        read_result(tmp_path)
    assert f"{tmp_path / 'result.json'}: not a result ({place}" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_newer_line_of_metrics_is_refused_with_its_number(tmp_path: Path) -> None:
    line = EpochRow(epoch=1, loss=1.0, train_accuracy=0.5, seconds=1.0).line()
    (tmp_path / "metrics.jsonl").write_text(line + json.dumps({**ROW, "epoch": 2, "version": 2}) + "\n")
    with pytest.raises(RunError, match=r"line 2: version: 2 is newer"):
        read_metrics(tmp_path)


def test_an_error_has_its_place_value_and_what_is_allowed() -> None:
    error = RuleError("gap", 2, "3 or more")
    assert (error.place, error.value, error.allowed, str(error)) == (
        "gap",
        2,
        "3 or more",
        "gap: 2 is not allowed (3 or more)",
    )
    told = pickle.loads(pickle.dumps(DataError("a.h5", fault="not a whole HDF5 file")))
    assert type(told) is DataError
    assert (told.place, told.fault, str(told)) == ("a.h5", "not a whole HDF5 file", "a.h5: not a whole HDF5 file")
    assert str(DataError("nothing else")) == "nothing else"
