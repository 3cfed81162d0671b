"""What trackers were told is what ``metrics.jsonl`` holds, read back with the trackers' own readers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ranvier.recipes import trackers
from ranvier.recipes.config import ConfigError, build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.run_config import read_config
from ranvier.recipes.trackers import check_tracker, tracked
from ranvier.recipes.train_run import train as start
from ranvier.runs import EpochRow, read_metrics, read_result
from tests.results import run_result

from .conftest import Quiet

OVERRIDES = {
    "compare": "empty", "data.train_clips": "128", "data.validation_clips": "64", "data.test_clips": "64",
    "train.epochs": "3",
}  # fmt: skip
READ = {
    "tensorboard": """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(f"{run}/tensorboard").Reload()
told = {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}
""",
    "trackio": """
from trackio.sqlite_storage import SQLiteStorage
(project,) = SQLiteStorage.get_projects()
(name,) = SQLiteStorage.get_runs(project)
told = {}
for row in SQLiteStorage.get_logs(project, name):
    for key in row.keys() - {"step", "timestamp"}:
        told.setdefault(key, []).append((row["step"], row[key]))
""",
    "wandb": """
import glob, struct
from wandb.proto import wandb_internal_pb2
told = {}
for file in glob.glob(f"{run}/wandb/offline-run-*/*.wandb"):
    data, begun, at = open(file, "rb").read(), b"", 7  # a leveldb log after a head of seven bytes
    while at < len(data):
        if 32768 - at % 32768 < 7:  # too little of a block for another head
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        part, at = data[at + 7 : at + 7 + length], at + 7 + length
        begun = part if kind in (1, 2) else begun + part  # whole, first; middle, last
        if kind in (2, 3):
            continue
        record = wandb_internal_pb2.Record.FromString(begun)
        for item in (*record.history.item, *record.summary.update):
            key = (item.nested_key or [item.key])[0]
            step = record.history.step.num if record.HasField("history") else 3
            if not key.startswith("_") and (record.HasField("history") or key.startswith("chosen")):
                told.setdefault(key, []).append((step, json.loads(item.value_json)))
""",
}


NO_PICTURES = "from ranvier.recipes import train_run\ntrain_run.draw_figures = lambda *given: None"
# what a process does before it trains, to be killed at that very place
EARLY, LATE = "between the second epoch's metrics and its checkpoint", "between the last checkpoint and the result"
STOPS = {
    EARLY: """
import os
from ranvier.recipes import fit
save = fit.save_checkpoint
fit.save_checkpoint = lambda file, state: os._exit(9) if state["epoch"] == 2 else save(file, state)
""",
    LATE: """
import os
from ranvier.recipes import train_run
train_run._finish = lambda *given: os._exit(9)
""",
}


def train(run: Path, *options: str, stop: str = "") -> subprocess.CompletedProcess[str]:
    # a process of its own: wandb and trackio leave threads and services behind
    environment = {**os.environ, "WANDB_MODE": "offline", "TRACKIO_DIR": str(run.parent / "trackio")}
    given = ["coincidence", "--out", str(run), *(f"--{k.replace('_', '-')}={v}" for k, v in OVERRIDES.items())]
    words = ["train", *(options if "--resume" in options else [*given, *options])]
    code = f"{stop}\n{NO_PICTURES}\nfrom ranvier.cli import main\nraise SystemExit(main({words!r}))"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


def told(tracker: str, run: Path) -> dict[str, list[Any]]:
    code = f"import json\nrun = {str(run)!r}\n{READ[tracker]}\nprint(json.dumps(told))"
    environment = {**os.environ, "TRACKIO_DIR": str(run.parent / "trackio")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout.splitlines()[-1])
    return {name: sorted((int(step), float(value)) for step, value in points) for name, points in values.items()}


@pytest.mark.parametrize(
    ("tracker", "place"),
    [
        pytest.param("tensorboard", LATE, marks=pytest.mark.slow),
        pytest.param("trackio", EARLY, marks=pytest.mark.slow),
        pytest.param("wandb", EARLY, marks=pytest.mark.slow),
    ],
)
def test_every_epoch_and_the_end_are_told_whatever_was_killed(tracker: str, place: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(run, "--tracker", tracker, stop=STOPS[place]).returncode == 9
    assert len(read_metrics(run)) == (2 if place == EARLY else 3)
    done = train(run, "--resume", str(run))
    assert done.returncode == 0, done.stderr
    rows, result, seen = read_metrics(run), read_result(run), told(tracker, run)
    assert result is not None
    names = {name for name, value in rows[0].model_dump().items() if isinstance(value, float)}
    assert {"loss", "validation_accuracy", "sigma_ms", "seconds"} <= names
    assert set(seen) == names | {"chosen_validation_accuracy", "chosen_test_accuracy"}
    for name in names - {"seconds"}:
        points = sorted(set(seen[name])) if tracker == "wandb" else seen[name]  # a file for each start, to be merged
        assert points == [(row.epoch, pytest.approx(getattr(row, name), rel=1e-6)) for row in rows]
    assert seen["chosen_test_accuracy"] == [(3, pytest.approx(result.accuracy["test"].value, rel=1e-6))]


def test_a_name_is_kept_and_not_shared(tmp_path: Path) -> None:
    names = []
    for folder in (tmp_path / "runs" / "a", tmp_path / "runs" / "a" / "fixed", tmp_path / "table" / "a b?"):
        folder.mkdir(parents=True)
        names.append(trackers._name(folder))
        assert trackers._name(folder) == names[-1]
    assert [name.rpartition("-")[0] for name in names] == ["a", "a-fixed", "table-a-b-"]
    assert len({name.rpartition("-")[2] for name in names}) == 3


@pytest.mark.parametrize("tracker", sorted(READ))
def test_a_missing_package_is_told_before_anything_is_written(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = build_config(load_values("coincidence"), {**OVERRIDES, "tracker": tracker})
    check_tracker(config)
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=f"tracker: {tracker} is not installed .pip install {tracker}"):
        start(config, tmp_path / "run", Quiet())
    assert not list(tmp_path.iterdir())


def test_without_a_tracker_nothing_is_made(tmp_path: Path) -> None:
    config = build_config(load_values("coincidence"), {})
    with tracked(config, tmp_path) as tracker:
        tracker.epoch(EpochRow(epoch=1, loss=1.0, train_accuracy=0.5, seconds=1.0))
        tracker.end(run_result())
    assert not list(tmp_path.iterdir())


def test_wandb_without_an_account_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    environment = {**os.environ, "HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    run = tmp_path / "run"
    small = [f"--{k.replace('_', '-')}={v}" for k, v in OVERRIDES.items()]
    done = subprocess.run(
        [sys.executable, "-m", "ranvier", "train", "coincidence", "--out", str(run), "--tracker=wandb", *small],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.search(r"wandb[ .]login", done.stderr)  # a command or, in wandb 0.18, a function
    assert f"ranvier train --resume {run}" in done.stderr
    assert "Traceback" not in done.stderr
    assert read_config(run).tracker == "wandb"
