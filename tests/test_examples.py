"""The scripts in ``examples/`` are short, run, and give the numbers that they promise."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs an example in a folder of its own; returns its variables."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    return lambda name: runpy.run_path(str(EXAMPLES[0].with_name(f"{name}.py")), run_name="__main__")


def test_they_are_seven_short_scripts_that_say_what_they_show() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "continue_training", "delay_linear_anywhere", "every_step", "own_events", "own_loss", "read_a_run", "stream",
    ]  # fmt: skip
    for path in EXAMPLES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 70
        assert ast.get_docstring(ast.parse(text))


def test_own_events_are_learned_and_the_frozen_network_predicts_them(run: Any, tmp_path: Path) -> None:
    names = run("own_events")
    assert names["accuracy"] > 0.9
    assert names["run"].prediction == names["labels"][0]
    assert {path.name for path in tmp_path.iterdir()} == {"orders.safetensors", "delays.png"}


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # by SpikingJelly
def test_delays_are_learned_in_a_stack_and_in_a_spikingjelly_network(run: Any) -> None:
    accuracies = run("delay_linear_anywhere")["accuracies"]
    assert sorted(accuracies) == ["SpikingJelly", "Stack"]
    assert min(accuracies.values()) > 0.95


def test_a_loss_of_ones_own_is_learned(run: Any) -> None:
    names = run("own_loss")
    assert names["accuracy"] > 0.95
    assert names["rates"][-1] < 1 < names["rates"][0]


def test_a_value_and_a_label_in_every_step_are_learned_and_streamed(run: Any) -> None:
    names = run("every_step")
    assert names["explained"] > 0.6
    streamed, voltage = torch.tensor(names["values"]), (names["error"] + names["lag"])[:, 0]
    assert voltage.std() > 0.5
    torch.testing.assert_close(streamed.float(), voltage, atol=1e-4, rtol=0)
    assert names["right"][names["counts"]].float().mean() > 0.9


def test_a_continued_training_gives_the_same_numbers(run: Any) -> None:
    names = run("continue_training")
    assert len(names["continued"]) == 30
    assert names["continued"] == names["uninterrupted"]


def test_a_run_is_read_with_its_delays(run: Any) -> None:
    names = run("read_a_run")
    assert [delays.shape for delays in names["delays_ms"].values()] == [(35840,), (65536,), (5120,)]
    assert len(names["validation"]) == names["run"].result.epochs
    assert names["validation"].max() == pytest.approx(names["run"].result.accuracy["validation"].value)


def test_a_stream_in_chunks_gives_the_whole(run: Any) -> None:
    names = run("stream")
    assert names["difference"] < 1e-5
    assert names["whole"].abs().max() > 0.1
