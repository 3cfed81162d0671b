"""Recipes that take synapses away, or replace them, while they train."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.cli import main
from ranvier.data import Subset
from ranvier.network import Network
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint
from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.recipes.fit import fit, run_epoch
from ranvier.recipes.initialise import check_init
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.splits import build_splits
from ranvier.recipes.tables import load_table
from ranvier.recipes.train_run import resume, train
from ranvier.recipes.training import Training
from ranvier.runs import read_metrics

from .conftest import Quiet, StopsAfterAnEpoch

Make = Callable[..., Config]

SYNAPSES = [10 * 12, 12 * 10, 10 * 3]
PRUNED = {"train__prune": "magnitude", "train__density": "0.25", "train__prune_start": "0.3", "train__prune_end": "0.6"}
REWIRED = {"train__rewire": "rigl", "train__density": "0.25", "train__rewire_steps": "3"}


def synapses(network: Network) -> list[int]:
    return [connection.synapse_count for layer in network.layers for connection in layer.inputs]


def train_and_resume(config: Config, folder: Path) -> None:
    """Train in ``whole``, and in ``stopped`` with a stop after every epoch but the last."""
    train(config, folder / "whole", Quiet())
    for number in range(config.train.epochs - 1):
        begin = partial(train, config) if number == 0 else resume
        with pytest.raises(KeyboardInterrupt):
            begin(folder / "stopped", StopsAfterAnEpoch())
    resume(folder / "stopped", Quiet())


@pytest.mark.parametrize("schedule", ["iteration", "epoch"])
def test_density_follows_the_schedule(small: Make, schedule: str) -> None:
    config = small(train__schedule_per=schedule, **PRUNED)
    splits = build_splits(config)
    training = Training(config, splits)
    generator = np.random.default_rng(0)
    left = []
    for step in range(1, training.steps + 1):
        training.iterate(generator.choice(splits.train.clips, 16, replace=False))
        left.append([len(layer.synapse_delays()) for layer in training.model.delay_layers])
        progress = (step - (step % training.steps_per_epoch if schedule == "epoch" else 0)) / training.steps
        density = 0.25 + 0.75 * (1 - min(1, max(0, (progress - 0.3) / 0.3))) ** 3
        assert left[-1] == [round(density * count) for count in SYNAPSES]
        for layer in training.model.delay_layers:
            assert layer.weight_mask is not None
            moments, gone = training.optimisers[0].state[layer.weight], ~layer.weight_mask
            assert (layer.weight[gone] == 0).all()
            assert (moments["exp_avg"][gone] == 0).all()
            assert (moments["exp_avg_sq"][gone] == 0).all()
    assert left[0] == SYNAPSES
    assert len(set(map(tuple, left))) > (2 if schedule == "iteration" else 1)


def test_a_moving_average_is_pruned_when_the_model_is(small: Make) -> None:
    changes = {**PRUNED, "train__epochs": "5", "train__schedule_per": "epoch", "train__ema_decay": "0.9"}
    training = Training(config := small(**changes), splits := build_splits(config))
    for _ in range(3 * training.steps_per_epoch):
        training.iterate(splits.train.clips[:16])
    assert training.step / training.steps == config.train.prune_end
    assert synapses_of(training.outcome().state_dict()) == synapses_of(training.model.state_dict()) == [30, 30, 8]


@pytest.mark.parametrize("by", ["magnitude", "delay", "joint"])
def test_a_pruned_training_resumes_to_the_bit(small: Make, tmp_path: Path, by: str) -> None:
    more = {"train__ema_decay": "0.9", "model__recurrent": "synaptic"} if by == "joint" else {}
    train_and_resume(small(**{**PRUNED, "train__prune": by}, **more), tmp_path)
    networks = [(tmp_path / name / "network.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert networks[0] == networks[1]
    frozen = Network.read(tmp_path / "whole" / "network.safetensors")
    assert sorted(synapses(frozen)) == sorted([30, 30, 8, *([36, 25] if more else [])])
    metrics = [(tmp_path / name / "metrics.jsonl").read_text().count("\n") for name in ("whole", "stopped")]
    assert metrics == [3, 3]


def test_the_epoch_is_chosen_among_pruned_ones(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(train__epochs="5", **PRUNED)
    splits = build_splits(config)
    training = Training(config, splits)
    chosen = []
    for share in (0.9, 0.8, 0.7, 0.2, 0.1):

        def predict(_: object, __: object, part: Subset, share: float = share) -> np.ndarray:
            right = np.arange(len(part)) < share * len(part)
            return np.where(right, part.dataset.labels[part.clips], -1)

        monkeypatch.setattr("ranvier.recipes.fit._predict", predict)
        run_epoch(training, splits, Quiet())
        chosen.append(training.best["epoch"])
    assert chosen == [1, 2, 3, 3, 3]  # pruned after 0.6 of 5 epochs
    assert synapses_of(training.best["model"]) == [30, 30, 8]


def synapses_of(state: dict[str, torch.Tensor]) -> list[int]:
    return [int(mask.sum()) for name, mask in state.items() if name.endswith("weight_mask")]


def test_a_run_from_a_pruned_one_stays_pruned(small: Make, tmp_path: Path) -> None:
    train(small(**PRUNED), tmp_path / "first", Quiet())
    for name, options, left in (
        ("second", {}, [30, 30, 8]),
        ("third", {**PRUNED, "train__density": "0.1"}, [12, 12, 3]),
        ("fourth", {"train__init_interpolation": "0.5"}, [30, 30, 8]),
    ):
        config = small(train__init_from=str(tmp_path / "first"), train__epochs="2", **options)
        train(config, tmp_path / name, Quiet())
        assert synapses(Network.read(tmp_path / name / "network.safetensors")) == left
        state = load_checkpoint(checkpoint_file(tmp_path / name))
        assert state is not None
        assert synapses_of(state["model"]) == left


@pytest.mark.parametrize(
    "options", [PRUNED, REWIRED, {**REWIRED, "train__rewire": "random", "train__rewire_steps": "1"}]
)
def test_a_run_from_a_pruned_one_cannot_ask_for_more_synapses(
    small: Make, tmp_path: Path, options: dict[str, str]
) -> None:
    train(small(**PRUNED), tmp_path / "first", Quiet())
    more: dict[str, str] = {"train__init_from": str(tmp_path / "first"), "train__epochs": "2", **options}
    for density in ("0.5", "0.3"):
        message = rf"^train\.density: {density} is not allowed with train\.init_from = .*first, .* 25%, 25%, 26\.7% of"
        with pytest.raises(ConfigError, match=message) as error:
            train(small(**{**more, "train__density": density}), tmp_path / "second", Quiet())
        assert not (tmp_path / "second").exists()
    allowed = re.findall(r"up to ([\d.]+)", str(error.value))
    assert allowed == ["0.266"]  # of 8 / 30, rounded down
    config = small(**{**more, "train__density": allowed[0]})
    check_init(config, build_splits(config), tmp_path / "second")
    train(small(**more), tmp_path / "third", Quiet())  # as many
    assert synapses(Network.read(tmp_path / "third" / "network.safetensors")) == [30, 30, 8]


def test_a_pruned_run_begins_where_a_run_without_pruning_was_saved(small: Make, tmp_path: Path) -> None:
    train(small(train__epochs="1"), tmp_path / "first", Quiet())
    state = load_checkpoint(checkpoint_file(tmp_path / "first"))
    assert state is not None
    assert synapses_of(state["model"]) == []
    train(small(train__init_from=str(tmp_path / "first"), **PRUNED), tmp_path / "second", Quiet())
    assert synapses(Network.read(tmp_path / "second" / "network.safetensors")) == [30, 30, 8]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"train.density": "0.5"}, "train.density"),
        ({"train.prune": "magnitude"}, "train.density"),
        ({"train.prune": "magnitude", "train.density": "0"}, "train.density"),
        ({"train.prune": "age", "train.density": "0.5"}, "train.prune"),
        ({"train.prune": "joint", "train.density": "0.5", "train.prune_start": "0.75"}, "train.prune_start"),
        ({"train.prune": "delay", "train.density": "0.5", "model.delays": "none"}, "train.prune"),
        ({"train.prune": "joint", "train.density": "0.5", "compare": ("fixed", "none")}, "compare"),
        ({"train.prune_end": "0.5"}, "train.prune_end"),
        ({"train.rewire": "rigl", "train.density": "0.5", "train.prune_start": "0.5"}, "train.prune_start"),
        ({"train.prune": "magnitude", "train.density": "0.5", "train.rewire_steps": "5"}, "train.rewire_steps"),
        ({"train.rewire": "rigl"}, "train.density"),
        ({"train.rewire": "rigl", "train.density": "0.5", "train.prune": "magnitude"}, "train.rewire"),
        ({"train.rewire": "rigl", "train.density": "0.5", "train.ema_decay": "0.9"}, "train.rewire"),
        ({"train.rewire": "rigl", "train.density": "0.5", "train.rewire_steps": "0"}, "train.rewire_steps"),
    ],
)
def test_wiring_that_means_nothing_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{field}: "):
        build_config(load_values("shd"), changes)
    assert build_config(load_values("shd"), {"train.prune": "joint", "train.density": "0.5"}).train.density == 0.5


def test_the_table_of_motion_counts_what_is_left(tmp_path: Path) -> None:
    rows = {row.name: row for row in load_table("motion").rows}
    for name, row in rows.items():
        train_section = row.config(0, {}).train
        pruned = train_section.prune != "none" or train_section.rewire != "none"
        assert pruned == ("1/" in name)
        if pruned:
            assert train_section.density == 1 / int(name.partition("1/")[2].split()[0])
    options = [part for name, value in MOTION.items() for part in ("--set", f"{name}={value}")]
    left = ["learned delays", "smallest weights pruned, 1/4 left", "longest delays pruned, 1/8 left"]
    chosen = [part for name in left for part in ("--row", name)]
    main(["reproduce", "motion", "--seeds", "1", "--out", str(tmp_path), *chosen, *options])
    with (tmp_path / "table.csv").open(encoding="utf-8") as file:
        written = {line["model"]: line for line in csv.DictReader(file)}
    parameters = [int(written[name]["parameters"]) for name in left]
    others = 2 * 4  # batch norm
    # a kernel element has a weight and a delay, a synapse of the readout a weight; 25 places of 4 channels
    whole = [4 * 2 * 9, 3 * 4 * 25]
    assert parameters == [2 * round(whole[0] / n) + round(whole[1] / n) + others for n in (1, 4, 8)]
    counts = [int(written[name]["synapses"]) for name in left]
    networks = [Network.read(tmp_path / rows[name].folder / "seed-0" / "network.safetensors") for name in left]
    assert counts == [sum(synapses(network)) for network in networks]
    assert counts[0] > 3 * counts[1] > 4 * counts[2]


MOTION = {
    "data.size": 9, "data.clip_ms": 20, "data.directions": 3, "data.speed": 0.6, "data.train_clips": 24,
    "data.validation_clips": 6, "data.test_clips": 6, "model.hidden": 4, "model.kernel_size": 3, "model.stride": 2,
    "model.max_delay_ms": 5, "model.tail_ms": 4, "train.epochs": 2, "train.batch_size": 8,
}  # fmt: skip


@pytest.mark.parametrize(("field", "kind"), [("prune", "magnitude"), ("rewire", "rigl")])
def test_detectors_keep_their_synapses(field: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"^train\.{field}: {kind} .*detectors"):
        build_config(load_values("coincidence"), {f"train.{field}": kind, "train.density": "0.5"})


@pytest.mark.parametrize("delays", ["learned", "fixed"])
def test_synapses_are_replaced_at_a_fixed_number(small: Make, delays: str) -> None:
    config = small(train__epochs="4", model__delays=delays, **REWIRED)
    splits = build_splits(config)
    training = Training(config, splits)
    layers = training.model.delay_layers
    generator = np.random.default_rng(0)
    replaced = []
    for _ in range(training.steps):
        before = [(layer.weight_mask.clone(), layer.delay.detach().clone()) for layer in layers]  # type: ignore[union-attr]
        training.iterate(generator.choice(splits.train.clips, 16, replace=False))
        gone = []
        for layer, (mask, delay) in zip(layers, before, strict=True):
            assert layer.weight_mask is not None
            assert not layer.dense_gradient
            gone.append(int((mask & ~layer.weight_mask).sum()))
            assert (layer.weight[~layer.weight_mask] == 0).all()
            changed = (layer.delay != delay)[~layer.weight_mask]
            assert changed.all() if sum(gone) else not changed.any()
            if gone[-1]:
                came, gradient = ~mask & layer.weight_mask, layer.weight.grad
                assert gradient is not None
                assert float(gradient[came].abs().max()) > 0
                assert float(gradient[came].abs().min()) >= float(gradient[~mask & ~came].abs().max())
                moments = training.optimisers[0].state[layer.weight]["exp_avg_sq"]
                assert (moments[~(mask & layer.weight_mask)] == 0).all()
                assert (moments[mask & layer.weight_mask] > 0).any()
        replaced.append(gone)
        assert [len(layer.synapse_delays()) for layer in layers] == [30, 30, 8]
    last = 0.75 * training.steps
    for step, gone in enumerate(replaced):
        now = step > 0 and step % 3 == 0 and step < last
        share = 0.15 * (1 + np.cos(np.pi * step / last)) if now else 0.0
        assert gone == [round(share * count) for count in (30, 30, 8)]
    assert sum(map(sum, replaced)) > 20


def test_synapses_drawn_at_random_may_be_kept(small: Make) -> None:
    config = small(train__rewire="random", train__density="0.25", train__rewire_steps="1")
    splits = build_splits(config)
    training, other = Training(config, splits), Training(small(**REWIRED), splits)
    before = [layer.weight_mask.clone() for layer in training.model.delay_layers]  # type: ignore[union-attr]
    for clips in np.array_split(splits.train.clips, 5):
        training.iterate(clips)
    for layer, same, mask in zip(training.model.delay_layers, other.model.delay_layers, before, strict=True):
        assert layer.weight_mask is not None
        assert torch.equal(layer.weight_mask, mask)
        assert torch.equal(mask, same.weight_mask)  # type: ignore[arg-type]
        assert int(mask.sum()) == round(0.25 * mask.numel())


def test_how_far_delays_moved_is_told_from_where_synapses_came(small: Make) -> None:
    training = Training(config := small(train__epochs="4", model__delays="fixed", **REWIRED), build_splits(config))
    begun = [first.clone() for first in training.first_delays]
    for clips in np.array_split(build_splits(config).train.clips, 5):
        training.iterate(clips)
    for layer, first, start in zip(training.model.delay_layers, training.first_delays, begun, strict=True):
        assert torch.equal(layer.delay, first)  # fixed delays never move
        assert not torch.equal(first, start)


def test_a_run_tells_where_the_synapses_of_its_best_epoch_began(
    small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = iter([True] * 2 + [False] * 6)  # on the validation and the seen clips of four epochs

    def predict(_: object, __: object, part: Subset) -> np.ndarray:
        return part.dataset.labels[part.clips] if next(right) else np.full(len(part), -1)

    monkeypatch.setattr("ranvier.recipes.fit._predict", predict)
    config = small(train__epochs="4", model__delays="fixed", **{**REWIRED, "train__rewire_steps": "2"})
    fitted = fit(config, build_splits(config), tmp_path, Quiet(), "", lambda row: None)
    assert fitted.best_epoch == 1
    for layer, begun in zip(fitted.model.delay_layers, fitted.delays_before, strict=True):
        assert np.array_equal(layer.synapse_delays().numpy(), begun)  # fixed delays never move


def test_a_rewired_training_resumes_to_the_bit(small: Make, tmp_path: Path) -> None:
    changes = {**REWIRED, "train__epochs": "5", "train__rewire_steps": "2"}
    train_and_resume(small(model__recurrent="synaptic", **changes), tmp_path)
    networks = [(tmp_path / name / "network.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert networks[0] == networks[1]
    moved = [[row.delay_moved_ms for row in read_metrics(tmp_path / name)] for name in ("whole", "stopped")]
    assert moved[0] == moved[1]


def test_a_rewired_run_may_start_from_a_whole_one(small: Make, tmp_path: Path) -> None:
    train(small(train__epochs="1"), tmp_path / "first", Quiet())
    saved = load_checkpoint(checkpoint_file(tmp_path / "first"))
    assert saved is not None
    config = small(train__init_from=str(tmp_path / "first"), **REWIRED)
    training = Training(config, build_splits(config), saved["best"]["model"])
    for layer in training.model.delay_layers:
        assert layer.weight_mask is not None
        size = layer.weight.detach().abs()
        assert int(layer.weight_mask.sum()) == round(0.25 * size.numel())
    last = training.model.linear
    left = last.weight.detach()[last.weight_mask].abs()
    assert float(left.min()) >= float(saved["best"]["model"]["linear.weight"][~last.weight_mask].abs().max())


def test_a_training_without_a_rewiring_is_refused(small: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^train\.rewire_steps: 100 .*9 iterations"):
        train(small(**{**REWIRED, "train__rewire_steps": "100"}), tmp_path / "run", Quiet())
    assert not (tmp_path / "run").exists()
