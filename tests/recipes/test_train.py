"""Runs: what they leave, how they are validated, and that a kill changes nothing."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.analysis import figures
from ranvier.corpora import recorded
from ranvier.data import Grid, read_recording, write_clips
from ranvier.network import Network, Trace
from ranvier.recipes.build import build_model
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint
from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.recipes.conversions import sigma_steps
from ranvier.recipes.diverged import DivergedError
from ranvier.recipes.evaluation import evaluate, evaluate_file
from ranvier.recipes.fit import run_epoch
from ranvier.recipes.predict import predict
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.sections import FeedforwardModel
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import resume, train
from ranvier.recipes.training import Training
from ranvier.runs import EpochRow, RunError, RunResult, read_metrics, read_result, run_lock
from ranvier.runs import folder as folder_file
from tests.analysis.reports import Page
from tests.networks import decay_of, dense
from tests.results import present

from .conftest import Quiet, write_small_recording

Make = Callable[..., Config]
TIMES = {"seconds", "wall_seconds", "finished"}


def untimed(value: Any) -> Any:
    """Without what the clock decides."""
    if isinstance(value, EpochRow | RunResult):
        return untimed(value.model_dump())
    if isinstance(value, dict):
        return {key: untimed(part) for key, part in value.items() if key not in TIMES}
    return [untimed(part) for part in value] if isinstance(value, list) else value


def assert_same_end(one: Path, other: Path) -> None:
    """Two runs ended alike, to the bit."""
    assert (one / "network.safetensors").read_bytes() == (other / "network.safetensors").read_bytes()
    assert untimed(read_metrics(one)) == untimed(read_metrics(other))
    results = [untimed(json.loads((run / "result.json").read_text())) for run in (one, other)]
    assert results[0] == results[1]
    states = [load_checkpoint(checkpoint_file(run)) for run in (one, other)]
    for state in states:
        assert state is not None
        state.pop("seconds")
    assert_equal(*states)


def assert_equal(a: Any, b: Any) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    else:
        assert a == b


@pytest.mark.pictures
def test_a_run_leaves_all_it_promises(small: Make, tmp_path: Path) -> None:
    watcher, folder = Quiet(), tmp_path / "run"
    result = train(small(), folder, watcher)
    left = {file.name for file in folder.iterdir()}
    assert left == {
        *("config.toml", "metrics.jsonl", "checkpoint", "network.safetensors", "result.json"),
        *("delays.png", "raster.png", "observed.npz", "report.html"),
    }
    assert read_result(folder) == result
    assert result.clips == {"train": 48, "validation": 30, "seen": 12, "test": 0}
    assert set(result.accuracy["validation"].speakers) == {"2"}
    assert set(result.accuracy["seen"].speakers) == {"0", "1"}
    assert result.epoch_chosen_on == "validation"
    rows = read_metrics(folder)
    assert [row.epoch for row in rows] == [1, 2, 3]
    best = max(present(row.validation_accuracy) for row in rows)
    assert rows[present(result.best_epoch) - 1].validation_accuracy == best
    assert result.accuracy["validation"].value == best
    assert (result.recipe, result.epochs) == ("shd", 3)
    assert min(result.parameters, result.seconds) > 0
    assert "torch" in result.versions
    assert result.machine
    assert len(watcher.rows) == 3


@pytest.mark.parametrize(
    ("dt_ms", "alignment", "pool", "seconds"),
    [(1.0, "zero", 1, 2.4), (1.0, "first_event", 3, 2.4), (2.5, "first_event", 2, 1.2), (10.0, "zero", 7, 18.0)],
)
def test_the_test_clips_are_kept_as_they_were_tested(
    dt_ms: float, alignment: str, pool: int, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    times = [np.sort(generator.uniform(0.7, seconds, 40)) for _ in range(16)]
    units = [generator.integers(0, 20, 40) for _ in times]
    labels, speakers = np.arange(16) % 2, np.arange(16) // 8
    names = {"classes": ("yes", "no"), "speaker_names": ("Doe, Jane", "Ürs")}
    clips = zip(times, units, strict=True)
    write_clips(tmp_path / "clips.h5", clips, labels, speakers=speakers, **names)  # type: ignore[arg-type]
    own = {"root": tmp_path / "clips.h5", "channels": 20, "pool": pool, "dt_ms": dt_ms, "alignment": alignment}
    own |= {"test": "fraction", "test_fraction": 0.5, "validation": "none"}
    fields = {f"data.{name}": str(value) for name, value in own.items()}
    fields |= {"model.hidden": "6", "model.max_delay_ms": "20", "model.tail_ms": "20", "model.tau_ms": "20"}
    config = build_config(load_values("folder"), {**fields, "train.epochs": "1", "train.batch_size": "8"})
    result = train(config, tmp_path / "run", Quiet())

    test = build_splits(config).read_test()
    assert test is not None
    network = Network.read(tmp_path / "run" / "network.safetensors")
    grid = Grid(20, pool, dt_ms, network.input.alignment)
    again = read_recording(tmp_path / "run" / "test.h5", grid)
    for number, clip in enumerate(test.clips):
        for one, other in zip(again.clip(number), test.dataset.clip(clip), strict=True):
            np.testing.assert_array_equal(one, other)
    assert again.lengths.tolist() == test.dataset.lengths[test.clips].tolist()
    assert again.labels.tolist() == test.dataset.labels[test.clips].tolist()
    assert again.speakers.tolist() == test.dataset.speakers[test.clips].tolist()
    assert (again.classes, again.speaker_names) == (test.dataset.classes, test.dataset.speaker_names)
    evaluation = evaluate_file(tmp_path / "run" / "network.safetensors", tmp_path / "run" / "test.h5")
    assert evaluation.accuracy.model_dump().items() <= result.accuracy["test"].model_dump().items()
    assert evaluation.predictions.tolist() == evaluate(network, test.dataset, test.clips).predictions.tolist()


def test_training_learns(small: Make, tmp_path: Path) -> None:
    result = train(small(train__epochs="25", model__dropout="0"), tmp_path / "run", Quiet())
    assert result.accuracy["validation"].value > 0.8
    rows = read_metrics(tmp_path / "run")
    assert rows[-1].loss < 0.7 * rows[0].loss


def test_the_frozen_network_is_the_best_epochs_model(small: Make, tmp_path: Path) -> None:
    config = small()
    result = train(config, tmp_path / "run", Quiet())
    part = build_splits(config).validation
    assert part is not None
    network = Network.read(tmp_path / "run" / "network.safetensors")
    assert evaluate(network, part.dataset, part.clips).accuracy.model_dump() == {
        key: value
        for key, value in result.accuracy["validation"].model_dump().items()
        if key in ("value", "low", "high", "correct", "clips")
    }


def test_schedules_follow_the_steps_so_that_any_number_of_epochs_is_whole(small: Make) -> None:
    for epochs in ("1", "2", "7"):
        config = small(train__epochs=epochs, train__batch_size="4")
        splits = build_splits(config)
        training = Training(config, splits)
        rates: list[tuple[float, float, float]] = []
        for _ in range(training.steps):
            rates.append(
                (
                    training.optimisers[0].param_groups[0]["lr"],
                    training.optimisers[1].param_groups[0]["lr"],
                    training.step / training.steps,
                )
            )
            training.update(*splits.train.dataset.batch(splits.train.clips[:4]))
        weight, delay, _ = np.array(rates).T
        assert weight[0] == pytest.approx(5e-3 / 25)
        assert delay[0] == pytest.approx(0.1)
        assert weight.max() > 0.8 * 5e-3
        assert weight[-1] < 5e-3 / 100
        assert delay[-1] < 0.1 * 0.8
        assert (np.diff(delay) < 0).all()
        assert training.model.linear.sigma.item() == pytest.approx(0.5)


def test_delays_stay_in_their_range_after_every_step(small: Make) -> None:
    config = small(train__delay_lr_ms="200")  # 20 steps at once, of 6 allowed
    splits = build_splits(config)
    training = Training(config, splits)
    for _ in range(2):
        training.update(*splits.train.dataset.batch(splits.train.clips[:8]))
        for layer in training.model.delay_layers:
            assert layer.delay.min() >= 0
            assert layer.delay.max() <= 6
        assert (training.model.linear.delay == 6).any()


def test_weight_decay_spares_batch_norm_and_delays(small: Make) -> None:
    config = small()
    training = Training(config, build_splits(config))
    decayed, spared = training.optimisers[0].param_groups
    assert decayed["weight_decay"] == 1e-5
    assert spared["weight_decay"] == 0
    assert {id(p) for p in decayed["params"]} == {id(layer.weight) for layer in training.model.delay_layers}
    assert len(spared["params"]) == 4
    assert training.optimisers[1].param_groups[0]["weight_decay"] == 0
    assert len(training.optimisers[1].param_groups[0]["params"]) == 3


def test_training_leaves_the_callers_randomness_alone(small: Make, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(small(train__epochs="1"), tmp_path / "run", Quiet())
    assert torch.equal(torch.rand(3), expected)


def test_a_seed_decides_the_run(small: Make, tmp_path: Path) -> None:
    torch.manual_seed(1)
    train(small(), tmp_path / "a", Quiet())
    torch.manual_seed(2)
    train(small(), tmp_path / "b", Quiet())
    train(small(train__seed="1"), tmp_path / "c", Quiet())
    assert_same_end(tmp_path / "a", tmp_path / "b")
    a, c = ((tmp_path / name / "network.safetensors").read_bytes() for name in "ac")
    assert a != c


def test_predict_does_not_change_the_model(small: Make) -> None:
    config = small()
    splits = build_splits(config)
    training = Training(config, splits)
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    predict(training.model, splits.train)
    assert_equal(before, dict(training.model.state_dict()))


def test_fraction_and_none_validate_as_they_say(small: Make, tmp_path: Path) -> None:
    fraction = train(
        small(data__validation="fraction", data__validation_fraction="0.3", train__epochs="1"), tmp_path / "f", Quiet()
    )
    assert fraction.clips == {"train": 63, "validation": 27, "seen": 0, "test": 0}
    none = train(small(data__validation="none", train__epochs="2"), tmp_path / "n", Quiet())
    assert none.clips == {"train": 90, "validation": 0, "seen": 0, "test": 0}
    assert none.best_epoch == 2
    assert none.epoch_chosen_on == "nothing"
    assert none.accuracy == {}


def test_each_speaker_is_left_out_in_turn(small: Make, tmp_path: Path) -> None:
    result = train(small(data__validation="leave-one-speaker-out", train__epochs="1"), tmp_path / "run", Quiet())
    assert set(result.folds) == {"0", "1", "2"}
    shares = []
    for speaker, fold in result.folds.items():
        assert set(fold.accuracy["validation"].speakers) == {speaker}
        assert (tmp_path / "run" / f"speaker-{speaker}" / "network.safetensors").exists()
        shares.append(fold.accuracy["validation"].value)
    assert present(result.accuracy["validation"].over_speakers).value == pytest.approx(np.mean(shares))
    assert result.accuracy["validation"].clips == 90


def test_each_file_is_read_once_and_the_test_split_only_after_training(
    small: Make, small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small_recording(small_root / "shd_test.h5", 30, 7)
    order: list[str] = []
    read = recorded.read_recording  # type: ignore[attr-defined]

    def spy(path: Path, *arguments: Any, **options: Any) -> Any:
        order.append(path.name)
        return read(path, *arguments, **options)

    monkeypatch.setattr(recorded, "read_recording", spy)
    watcher = Quiet()
    watcher.epoch = lambda row: order.append("epoch")  # type: ignore[method-assign]
    result = train(small(), tmp_path / "run", watcher)
    assert order.count("shd_train.h5") == order.count("shd_test.h5") == 1
    assert order[-1] == "shd_test.h5"
    assert order[-4:-1] == ["epoch"] * 3
    assert result.accuracy["test"].clips == 30


def test_the_papers_protocol_chooses_on_test_and_says_so(small: Make, small_root: Path, tmp_path: Path) -> None:
    write_small_recording(small_root / "shd_test.h5", 30, 7)
    result = train(small(protocol="paper"), tmp_path / "run", Quiet())
    assert result.protocol == "paper"
    assert result.epoch_chosen_on.startswith("test")
    assert result.clips["train"] == 90
    rows = read_metrics(tmp_path / "run")
    assert result.accuracy["test"].value == max(present(row.validation_accuracy) for row in rows)


def test_a_finished_run_is_only_told_again(small: Make, tmp_path: Path) -> None:
    result = train(small(), tmp_path / "run", Quiet())
    watcher = Quiet()
    assert resume(tmp_path / "run", watcher) == result
    assert watcher.rows == []


def test_two_processes_do_not_spoil_each_others_run(small: Make, tmp_path: Path) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    train(small(), whole, Quiet())
    refused = []

    class Intruder(Quiet):
        def epoch(self, row: EpochRow) -> None:
            for intrude in (lambda: resume(run, Quiet()), lambda: train(small(), run, Quiet(), force=True)):
                with pytest.raises(RunError, match="another process is training it"):
                    intrude()
                refused.append(row.epoch)

    train(small(), run, Intruder())
    assert refused[:4] == [1, 1, 2, 2]
    assert_same_end(whole, run)
    assert not (run / "training.lock").exists()
    train(small(), run, Quiet(), force=True)
    (tmp_path / "empty").mkdir()
    train(small(), tmp_path / "empty", Quiet(), force=True)


def test_a_part_of_a_run_is_locked_as_well(small: Make, tmp_path: Path) -> None:
    refused = []

    class Intruder(Quiet):
        def begin(self, title: str, epochs: int) -> None:
            if "fixed" in title:
                with pytest.raises(RunError, match="another process is training it"):
                    resume(tmp_path / "run" / "fixed", Quiet())
                refused.append(title)

    train(small(compare="fixed"), tmp_path / "run", Intruder())
    assert len(refused) == 1


def test_a_replaced_folders_lock_is_anothers(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    with ExitStack() as before:
        before.enter_context(run_lock(first))
        shutil.rmtree(first)  # as --force does
        second.rename(first)
        with run_lock(first):
            before.close()
            with pytest.raises(RunError, match="another process"):
                run_lock(first).__enter__()
    assert not list(first.iterdir())


def test_a_finished_run_is_told_where_nothing_can_be_written(
    small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = train(small(), tmp_path / "run", Quiet())

    def refuse(lock: Path, *, wait: bool = True) -> Any:
        raise OSError(errno.EROFS, "Read-only file system", str(lock))

    monkeypatch.setattr(folder_file, "file_lock", refuse)
    assert resume(tmp_path / "run", Quiet()) == result


class StopHereError(Exception):
    """Stands for a kill between two epochs."""


STATEFUL = {"model__neuron": "plif", "model__synapse_tau_ms": "100", "model__learn_synapse_tau": "true"}


@pytest.mark.parametrize("changes", [{}, STATEFUL, {"model__neuron": "adlif"}])
def test_a_run_stopped_between_epochs_continues_to_the_bit(
    small: Make, changes: dict[str, str], tmp_path: Path
) -> None:
    train(small(**changes), tmp_path / "whole", Quiet())
    watcher = Quiet()

    def stop(row: EpochRow) -> None:
        if row.epoch == 2:
            raise StopHereError

    watcher.epoch = stop  # type: ignore[method-assign]
    with pytest.raises(StopHereError):
        train(small(**changes), tmp_path / "stopped", watcher)
    assert not (tmp_path / "stopped" / "result.json").exists()
    last = read_metrics(tmp_path / "stopped")[-1]
    with (tmp_path / "stopped" / "metrics.jsonl").open("a") as file:
        third = last.model_copy(update={"epoch": 3, "loss": 1.0}).line()
        file.write(third + '{"epoch": 4, "lo')  # what a kill may leave behind
    again = Quiet()
    resume(tmp_path / "stopped", again)
    assert [row.epoch for row in again.rows] == [3]
    assert_same_end(tmp_path / "whole", tmp_path / "stopped")


def test_a_stopped_run_is_not_continued_with_another_recipe(small: Make, tmp_path: Path) -> None:
    watcher = Quiet()

    def stop(row: EpochRow) -> None:
        raise StopHereError

    watcher.epoch = stop  # type: ignore[method-assign]
    with pytest.raises(StopHereError):
        train(small(), tmp_path / "run", watcher)
    file = tmp_path / "run" / "config.toml"
    file.write_text(file.read_text().replace("batch_size = 16", "batch_size = 8"))
    with pytest.raises(ConfigError, match=r"config\.toml has been changed"):
        resume(tmp_path / "run", Quiet())


def test_a_stopped_run_is_continued_though_recipes_have_fields_that_it_does_not_know(small: Make) -> None:
    config = small()
    training = Training(config, build_splits(config))
    state = training.state()
    values = json.loads(state["config"])
    for field in ("neuron", "synapse_tau_ms", "learn_synapse_tau"):
        del values["model"][field]
    training.load_state({**state, "config": json.dumps(values)})
    values["model"]["neuron"] = "plif"
    with pytest.raises(ConfigError, match=r"config\.toml has been changed"):
        training.load_state({**state, "config": json.dumps(values)})
    values["model"]["neuron"] = "of a later time"
    with pytest.raises(ConfigError, match="not one of this Ranvier's") as error:
        training.load_state({**state, "config": json.dumps(values)})
    assert "\n" not in str(error.value)


def test_a_run_keeps_its_number_of_threads(small: Make, tmp_path: Path) -> None:
    """Another number of threads sums in another order."""
    seen: list[int] = []
    watcher = Quiet()

    def stop(row: EpochRow) -> None:
        raise StopHereError

    watcher.epoch = stop  # type: ignore[method-assign]
    torch.set_num_threads(2)
    with pytest.raises(StopHereError):
        train(small(), tmp_path / "run", watcher)
    torch.set_num_threads(1)
    watcher.epoch = lambda row: seen.append(torch.get_num_threads())  # type: ignore[method-assign]
    resume(tmp_path / "run", watcher)
    assert seen == [2, 2]
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"model__delays": "dense"},
        {"model__delays": "fixed"},
        {"model__delays": "none"},
        {"model__fan_in": "4"},
        {"model__fan_in": "4", "model__delays": "dense"},
    ],
)
def test_every_kind_of_synapse_goes_the_whole_way(small: Make, changes: dict[str, str], tmp_path: Path) -> None:
    config = small(**changes, train__epochs="1")
    result = train(config, tmp_path / "run", Quiet())
    network = Network.read(tmp_path / "run" / "network.safetensors")
    branches = 7 if config.model.delays == "dense" else 1  # 60 ms in steps of 10
    assert [dense(layer).synapses_per_pair for layer in network.layers] == [branches] * 3
    incoming = config.model.fan_in if isinstance(config.model, FeedforwardModel) else None
    targets, sources = [12, 10, 3], [10, 12, 10]
    synapses = [t * (incoming or s) * branches for t, s in zip(targets, sources, strict=True)]
    assert [int((dense(layer).weight != 0).sum()) for layer in network.layers] == synapses
    assert result.accuracy["validation"].clips == 30
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.pictures
@pytest.mark.parametrize("changes", [{}, {"model__fan_in": "4"}, {"model__delay_type": "axonal", "model__fan_in": "4"}])
def test_how_far_delays_have_moved_is_of_the_synapses_that_there_are(
    small: Make, changes: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    plot = figures.plot_delays

    def watched(before: Any, after: Any, *others: Any) -> Any:
        drawn.extend(len(delays) for delays in after)
        return plot(before, after, *others)

    monkeypatch.setattr(figures, "plot_delays", watched)
    config = small(**changes, train__epochs="2")
    train(config, tmp_path / "run", Quiet())
    first = build_model(config, build_splits(config), torch.Generator().manual_seed(0))
    last = build_model(config, build_splits(config), torch.Generator().manual_seed(1))
    saved = load_checkpoint(checkpoint_file(tmp_path / "run"))
    assert saved is not None
    last.load_state_dict(saved["model"])
    synapses = []
    moved_ms = map(present, present(read_metrics(tmp_path / "run")[-1].delay_moved_ms))
    for layer, begun, moved in zip(last.delay_layers, first.delay_layers, moved_ms, strict=True):
        there = (layer.weight != 0).nonzero().tolist()
        spread = [one.delay.detach().expand_as(one.weight) for one in (layer, begun)]
        far = [abs(float(spread[0][tuple(place)] - spread[1][tuple(place)])) for place in there]
        assert moved == pytest.approx(10 * float(np.median(far)), abs=1e-3)
        assert moved > 0
        synapses.append(len(there))
    assert drawn == synapses, "delays.png is of these as well"


@pytest.mark.parametrize("learned", ["true", "false"])
def test_neurons_and_synapses_that_remember_go_the_whole_way(small: Make, learned: str, tmp_path: Path) -> None:
    changes = {**STATEFUL, "model__learn_synapse_tau": learned, "train__weight_lr": "0.05"}
    config = small(**changes)
    result = train(config, tmp_path / "run", Quiet())
    plain = build_model(small(), build_splits(config), torch.Generator()).parameter_count()
    assert result.parameters == plain + 3 + (2 if learned == "true" else 0)
    network = Network.read(tmp_path / "run" / "network.safetensors")
    start = 1 - 10 / 10.05
    assert all(
        decay_of(layer).min() == decay_of(layer).max() != pytest.approx(start, rel=1e-3) for layer in network.layers
    )
    first, second, last = network.layers
    assert last.output is None
    for layer in (first, second):
        assert isinstance(layer.output, Trace)
        assert (layer.output.decay[0] == np.float32(0.9)) == (learned == "false")
        assert layer.output.decay[0] == pytest.approx(0.9, abs=0.05)
    splits = build_splits(config)
    assert splits.validation is not None
    evaluated = evaluate(network, splits.validation.dataset, splits.validation.clips)
    assert evaluated.accuracy.value == result.accuracy["validation"].value
    page = Page((tmp_path / "run" / "report.html").read_text())
    assert "synaptic operations per clip" not in page.facts, "a trace arrives at every step"
    assert ("synaptic traces (learned)" in page.text, "synaptic traces" in page.text) == (learned == "true", True)


def test_more_sources_than_there_are_are_refused_before_anything_is_written(small: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.fan_in: 11 is not allowed \(1 \.\.\. 10"):
        train(small(model__fan_in="11"), tmp_path / "run", Quiet())
    assert not (tmp_path / "run").exists()


def epochs_written(run: Path) -> int:
    return sum(len(file.read_text().splitlines()) for file in run.rglob("metrics.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_a_killed_process_continues_to_the_bit(seed: int, tmp_path: Path) -> None:
    """Kill the real process three times, a random moment after an epoch, on the recipe with its comparisons."""
    options = ["coincidence", "--train.epochs", "3", "--data.train-clips", "320", "--data.test-clips", "80"]
    options += ["--compare", "fixed"]
    command = [sys.executable, "-m", "ranvier", "train"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, *options, "--out", whole], env=environment, check=True, capture_output=True)
    chance = random.Random(seed)
    for epochs in sorted(chance.sample(range(1, 7), 3)):
        continuing = (killed / "config.toml").exists()
        arguments = ["--resume", str(killed)] if continuing else [*options, "--out", str(killed)]
        with subprocess.Popen([*command, *arguments], env=environment, stderr=subprocess.DEVNULL) as process:
            while epochs_written(killed) < epochs and process.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        assert process.returncode in (-signal.SIGKILL, 0)
    subprocess.run([*command, "--resume", killed], env=environment, check=True, capture_output=True)
    assert_same_end(whole, killed)
    assert_same_end(whole / "fixed", killed / "fixed")


def diverging(small: Make) -> Config:
    return small(train__weight_lr="1e38", train__weight_decay="0", train__batch_size="8")


def test_a_training_that_diverges_stops_there_and_keeps_the_last_finite_epoch(
    small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, watcher = tmp_path / "run", Quiet()
    update = Training.update

    def diverges(self: Training, *batch: Any) -> Any:
        if self.step == 2 * self.steps_per_epoch + 1:
            with torch.no_grad():
                self.model.linear.weight[0, 1, 2] = torch.nan
        return update(self, *batch)

    monkeypatch.setattr(Training, "update", diverges)
    with pytest.raises(DivergedError, match=r"epoch 3, iteration 2: the loss is nan") as error:
        train(small(train__epochs="5"), folder, watcher)
    assert (error.value.epoch, error.value.iteration, error.value.last_epoch) == (3, 2, 2)
    assert str(folder) in str(error.value)
    for remedy in ("train.weight_lr, now 0.005", "train.delay_lr_ms"):
        assert remedy in str(error.value)
    assert [row.epoch for row in read_metrics(folder)] == [1, 2]
    state = load_checkpoint(checkpoint_file(folder))
    assert state is not None
    assert state["epoch"] == 2
    assert all(tensor.isfinite().all() for tensor in state["model"].values())
    assert not (folder / "result.json").exists()
    assert Network.read(folder / "network.safetensors").layers[-1].targets == 3

    monkeypatch.setattr(Training, "update", None)  # it does not train again
    with pytest.raises(DivergedError) as again:
        resume(folder, watcher)
    assert str(again.value) == str(error.value)
    (folder / "diverged.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"diverged\.json: is damaged"):
        resume(folder, watcher)


def test_a_gradient_that_is_not_finite_is_not_laid_to_the_learning_rate(
    small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Training._forward
    weights: list[torch.Tensor] = []

    def overflows(self: Training, *batch: Any) -> Any:
        rasters, scores = forward(self, *batch)
        if self.step == 1:
            weights.extend(p.detach().clone() for p in self.model.parameters())
            scores.register_hook(lambda grad: grad * torch.inf)
        return rasters, scores

    monkeypatch.setattr(Training, "_forward", overflows)
    config = small(train__gradient_norm="1")
    splits = build_splits(config)
    made = Training(config, splits)
    with pytest.raises(DivergedError, match=r"epoch 1, iteration 2: a gradient is not finite") as error:
        run_epoch(made, splits, Quiet())
    assert "model.surrogate_alpha, now 5" in str(error.value)
    assert "lr" not in str(error.value)
    assert len(weights) > 3
    assert all(torch.equal(*pair) for pair in zip(weights, made.model.parameters(), strict=True))  # no step was taken


def test_weights_that_are_not_finite_end_the_epoch(small: Make, tmp_path: Path) -> None:
    with pytest.raises(DivergedError) as error:
        train(diverging(small), tmp_path / "run", Quiet())
    assert error.value.epoch == 1
    assert 1 <= error.value.iteration <= 6
    assert {file.name for file in (tmp_path / "run").iterdir()} == {"config.toml", "metrics.jsonl", "diverged.json"}


@pytest.mark.parametrize("field", ["sigma_start_ms", "sigma_end_ms"])
def test_a_width_that_is_too_narrow_for_its_steps_is_refused(small: Make, field: str) -> None:
    with pytest.raises(ConfigError, match=rf"^train\.{field}: 1\.1 is not allowed \(1\.2 ms or more"):
        small(**{f"train__{field}": "1.1"})
    small(**{f"train__{field}": "1.2"})
    small(**{f"train__{field}": "1.1"}, model__delays="fixed")
    small(**{f"train__{field}": "1.1"}, model__kernel="triangle")


@pytest.mark.parametrize(
    ("schedule", "half"), [("exponential", (122.7 * 5) ** 0.5), ("linear", 63.85), ("cosine", 63.85)]
)
def test_every_schedule_narrows_the_taps(small: Make, schedule: str, half: float) -> None:
    config = small(train__sigma_schedule=schedule, train__sigma_fraction="0.5")
    widths = [10 * sigma_steps(config, progress) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert widths == pytest.approx([122.7, half, 5.0, 5.0])
