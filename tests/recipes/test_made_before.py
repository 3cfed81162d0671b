"""Runs made before there were parts (commit 3cf00c6) are read, and a stopped one goes on to the same digits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ranvier.network import Network
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint, save_checkpoint
from ranvier.recipes.config import ConfigError
from ranvier.recipes.evaluation import evaluate_file
from ranvier.recipes.run_config import read_config
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import resume
from tests.recipes.conftest import Quiet

MADE = Path(__file__).parents[1] / "made_at_3cf00c6"


def test_a_finished_run_gives_the_accuracy_it_had() -> None:
    run = MADE / "coincidence"
    accuracy = json.loads((run / "result.json").read_text())["accuracy"]["test"]
    again = evaluate_file(run / "network.safetensors", run / "test.h5").accuracy
    assert (again.correct, again.clips) == (accuracy["correct"], accuracy["clips"])


def test_a_stopped_run_is_refused_in_one_line(tmp_path: Path) -> None:
    """Its data were not told by their content yet."""
    shutil.copytree(MADE / "stopped", tmp_path / "run")
    with pytest.raises(ConfigError, match="the data are not those") as error:
        resume(tmp_path / "run", Quiet())
    assert len(str(error.value).splitlines()) == 1


def test_what_it_held_is_continued_to_the_end_it_would_have_had(tmp_path: Path) -> None:
    shutil.copytree(MADE / "stopped", tmp_path / "run")
    file = checkpoint_file(tmp_path / "run")
    state = load_checkpoint(file)
    assert state is not None
    save_checkpoint(file, {**state, "data": build_splits(read_config(tmp_path / "run")).fingerprint()})
    resume(tmp_path / "run", Quiet())
    rows, expected = (
        [json.loads(line) for line in file.read_text().splitlines()]
        for file in (tmp_path / "run" / "metrics.jsonl", MADE / "stopped_metrics.jsonl")
    )
    assert len(rows) == len(expected) == 3
    for row, before in zip(rows, expected, strict=True):
        assert {name: row[name] for name in before if name != "seconds"} == {
            name: value for name, value in before.items() if name != "seconds"
        }
    ours, theirs = (
        Network.read(file) for file in (tmp_path / "run/network.safetensors", MADE / "stopped_network.safetensors")
    )
    for one, other in zip(ours.layers, theirs.layers, strict=True):
        np.testing.assert_array_equal(one.bias, other.bias)
        for part, before in zip(one.parts().values(), other.parts().values(), strict=True):
            for name, array in part.arrays().items():
                np.testing.assert_array_equal(array, before.arrays()[name])
