"""What a recipe says reaches the model, the batches and the comparisons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.nn import LIF, AdaptiveLIF
from ranvier.recipes.build import build_model
from ranvier.recipes.config import Config, build_config
from ranvier.recipes.conversions import sigma_steps
from ranvier.recipes.fit import _batches
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.run_config import read_config
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import train
from ranvier.recipes.training import Training
from tests.results import present

from .conftest import Quiet

Make = Callable[..., Config]


def test_every_field_of_the_model_reaches_it(small: Make) -> None:
    config = small(
        model__dropout="0.35",
        model__synapses_per_pair="2",
        model__kernel="triangle",
        model__surrogate="triangle",
        model__surrogate_alpha="2.5",
        model__threshold="1.5",
        model__tau_ms="20",
        model__delay_type="axonal",
        model__tail="per_layer",
    )
    model = build_model(config, build_splits(config), torch.Generator().manual_seed(0))
    assert [block.linear.out_features for block in model.blocks] == [12, 10]
    assert model.linear.out_features == 3
    for block in model.blocks:
        assert block.dropout.p == 0.35
        assert (block.neuron.surrogate, block.neuron.alpha) == ("triangle", 2.5)
        assert block.neuron.threshold.item() == 1.5
        assert block.neuron.decay.item() == pytest.approx(0.5)
    for layer in model.delay_layers:
        assert (layer.max_delay, layer.kernel, layer.delay_type) == (6, "triangle", "axonal")
        assert len(layer.weight) == 2
    assert (model.decoding.tail, model.decoding.tail_steps) == ("per_layer", 6)
    assert model.readout.decay.item() == pytest.approx(0.5)


def test_a_counted_readout_spikes_as_hidden_neurons_do(small: Make) -> None:
    options = {"model__surrogate": "triangle", "model__surrogate_alpha": "2.5", "model__reset": "subtract"}
    config = small(model__scores="count", model__threshold="1.5", model__tau_ms="20", **options)
    readout = build_model(config, build_splits(config), torch.Generator()).readout
    assert isinstance(readout, LIF)
    assert (readout.surrogate, readout.alpha, readout.reset) == ("triangle", 2.5, "subtract")
    assert readout.threshold.item() == 1.5
    assert readout.decay.item() == pytest.approx(0.5)


def test_without_batch_norm_there_is_a_bias(small: Make) -> None:
    config = small(model__batch_norm="false")
    training = Training(config, build_splits(config))
    for block in training.model.blocks:
        assert not hasattr(block, "norm")
        assert block.linear.bias.requires_grad
    before = training.model.blocks[0].linear.bias.detach().clone()
    training.update(*training_batch(training, config))
    assert not torch.equal(training.model.blocks[0].linear.bias, before)
    normed = build_model(small(), build_splits(small()), torch.Generator())
    assert all(hasattr(block, "norm") and block.linear.bias is None for block in normed.blocks)


@pytest.mark.parametrize(
    ("schedule", "first", "half", "last"),
    [("one-cycle", 1e-2 / 25, None, 4e-8), ("cosine", 1e-2, 5e-3, 0.0), ("constant", 1e-2, 1e-2, 1e-2)],
)
def test_the_weights_learning_rate_goes_by_its_schedule(
    small: Make, schedule: str, first: float, half: float | None, last: float
) -> None:
    config = small(
        train__weight_lr="0.01", train__weight_lr_schedule=schedule, train__schedule_per="epoch", train__epochs="40"
    )
    training = Training(config, build_splits(config))
    schedule_of_weights, optimiser = training.schedules[0], training.optimisers[0]
    rates = [optimiser.param_groups[0]["lr"]]
    for _ in range(39):
        optimiser.step()
        schedule_of_weights.step()
        rates.append(optimiser.param_groups[0]["lr"])
        assert optimiser.param_groups[1]["lr"] == rates[-1]
    assert rates[0] == pytest.approx(first)
    assert max(rates) == pytest.approx(1e-2)
    if half is not None:
        assert rates[20] == pytest.approx(half)
    assert rates[-1] == pytest.approx(last, abs=1e-4)


def test_learned_decays_and_traces_reach_it(small: Make) -> None:
    plain = small()
    assert [
        getattr(block, "synapse", None) for block in build_model(plain, build_splits(plain), torch.Generator()).blocks
    ] == [None] * 2
    config = small(
        model__neuron="plif", model__synapse_tau_ms="40", model__tau_ms="20", model__learn_synapse_tau="true"
    )
    model = build_model(config, build_splits(config), torch.Generator().manual_seed(0))
    for block in model.blocks:
        assert block.synapse is not None
        assert (block.neuron.decay.item(), block.synapse.decay.item()) == pytest.approx((0.5, 0.75))
        assert block.neuron.decay.requires_grad
        assert block.synapse.decay.requires_grad
    assert model.readout.decay.item() == pytest.approx(0.5)
    assert model.readout.decay.requires_grad
    fixed = small(model__synapse_tau_ms="40")
    (first, _) = build_model(fixed, build_splits(fixed), torch.Generator()).blocks
    assert first.synapse is not None
    assert not first.synapse.decay.requires_grad


def test_time_constants_and_thresholds_of_every_neuron_reach_it(small: Make) -> None:
    each = {"model__learn_tau": "neuron", "model__learn_threshold": "neuron", "model__tau_ms": "20"}
    config = small(**each, model__reset="subtract", train__tau_weight_decay="1e-3")
    training = Training(config, build_splits(config))
    assert [block.neuron.reset for block in training.model.blocks] == ["subtract"] * 2
    shapes = {name: tuple(p.shape) for name, p in training.model.named_parameters() if "linear" not in name}
    thresholds = {"blocks.0.neuron.threshold": (12,), "blocks.1.neuron.threshold": (10,)}
    w = "parametrizations.decay.original"
    decays = {f"blocks.0.neuron.{w}": (12,), f"blocks.1.neuron.{w}": (10,), f"readout.{w}": (3,)}
    assert {name: shape for name, shape in shapes.items() if "norm" not in name} == thresholds | decays
    named = dict(training.model.named_parameters())
    of_taus = training.optimisers[0].param_groups[2]
    assert of_taus["weight_decay"] == 1e-3
    assert {id(p) for p in of_taus["params"]} == {id(named[name]) for name in decays}
    assert {id(named[name]) for name in thresholds} <= {id(p) for p in training.optimisers[0].param_groups[1]["params"]}
    plif = small(model__neuron="plif", model__tau_ms="20")
    model = build_model(plif, build_splits(plif), torch.Generator())
    assert model.readout.parametrizations.decay.original.shape == ()


def test_adaptive_neurons_reach_it_and_are_trained_without_weight_decay(small: Make) -> None:
    ranges = {"model__adlif_tau_min_ms": "30", "model__adlif_tau_max_ms": "50"}
    config = small(model__neuron="adlif", model__adlif_euler="forward", model__adlif_scale="7", **ranges)
    training = Training(config, build_splits(config))
    neurons = [block.neuron for block in training.model.blocks]
    for neuron, count in zip(neurons, (12, 10), strict=True):
        assert isinstance(neuron, AdaptiveLIF)
        assert (neuron.euler, neuron.scale, neuron.surrogate, neuron.alpha) == ("forward", 7, "arctan", 5)
        assert (neuron.tau_min, neuron.tau_max, neuron.adaptation_tau_min, neuron.adaptation_tau_max) == (3, 5, 24, 120)
        assert neuron.a.shape == (count,)
    assert list(training.model.readout.parameters()) == []
    undecayed = {id(p) for p in training.optimisers[0].param_groups[1]["params"]}
    learned = [p for neuron in neurons for p in neuron.parameters()]
    assert len(learned) == 8
    assert undecayed >= {id(p) for p in learned}
    before = [p.detach().clone() for p in learned]
    training.model.train()
    training.update(*training_batch(training, config))
    assert all((p != old).any() for p, old in zip(learned, before, strict=True))
    again = build_model(config, build_splits(config), torch.Generator().manual_seed(config.train.seed))
    assert torch.equal(again.blocks[1].neuron.b, before[7])


@pytest.mark.parametrize(("name", "parameters"), [("shd", 214_016), ("shd-plif", 214_019), ("shd-stateful", 214_016)])
def test_the_variants_have_a_parameter_more_for_each_learned_layer(name: str, parameters: int) -> None:
    dataset = SimpleNamespace(sources=140, classes=tuple("abcdefghijklmnopqrst"))
    splits: Any = SimpleNamespace(train=SimpleNamespace(dataset=dataset))
    model = build_model(build_config(load_values(name)), splits, torch.Generator().manual_seed(0))
    assert model.parameter_count() == parameters


def test_learned_decays_are_trained_with_the_weights_without_weight_decay(small: Make) -> None:
    config = small(model__neuron="plif", model__synapse_tau_ms="40", model__learn_synapse_tau="true")
    training = Training(config, build_splits(config))
    w = {name: p for name, p in training.model.named_parameters() if name.endswith("decay.original")}
    assert len(w) == 5
    weights, delays = training.optimisers
    decayed, undecayed = weights.param_groups
    assert (decayed["weight_decay"], undecayed["weight_decay"]) == (1e-5, 0.0)
    groups = {id(p): group for group in (decayed, undecayed, *delays.param_groups) for p in group["params"]}
    assert all(groups[id(p)] is undecayed for p in w.values())
    assert decayed["lr"] == undecayed["lr"]
    before = {name: p.item() for name, p in w.items()}
    training.model.train()
    training.update(*training_batch(training, config))
    assert all(p.item() != before[name] for name, p in w.items())


def training_batch(training: Training, config: Config) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The first clips of a training."""
    part = build_splits(config).train
    return part.dataset.batch(next(iter(_batches(training, part))))


def test_the_loss_is_smoothed_and_the_gradient_limited(small: Make) -> None:
    config = small(train__label_smoothing="0.25", train__gradient_norm="1e-3")
    training = Training(config, build_splits(config))
    training.model.train()
    training.model.set_sigma(sigma_steps(config, 0))
    x, lengths, labels = training_batch(training, config)
    torch.manual_seed(0)
    scores = training.model.scores(x, lengths).detach()
    torch.manual_seed(0)  # the same dropout
    loss, _ = training.update(x, lengths, labels)
    rows = scores.log_softmax(1)
    expected = -(0.75 * rows[torch.arange(len(labels)), labels] + 0.25 * rows.mean(1)).mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    gradients = torch.cat([p.grad.flatten() for p in training.model.parameters() if p.grad is not None])
    assert float(gradients.norm()) == pytest.approx(1e-3, rel=1e-3)


def test_every_epoch_takes_every_clip_once_in_a_new_order(small: Make) -> None:
    config = small()
    splits = build_splits(config)
    training = Training(config, splits)
    first, second = (np.concatenate(list(_batches(training, splits.train))) for _ in range(2))
    assert sorted(first) == sorted(second) == splits.train.clips.tolist()
    assert first.tolist() != second.tolist()
    assert first.tolist() != splits.train.clips.tolist()


def test_comparisons_train_at_their_own_rate(tmp_path: Path) -> None:
    few = {"train.epochs": "1", "data.train_clips": "64", "data.validation_clips": "16", "data.test_clips": "16"}
    config = build_config(load_values("coincidence"), {**few, "compare": "none"})
    result = train(config, tmp_path / "run", Quiet())
    compared = read_config(tmp_path / "run" / "none")
    assert (compared.model.delays, compared.train.weight_lr) == ("none", 3e-2)
    assert compared.compare == ()
    assert set(result.comparison) == {"none"}
    assert read_config(tmp_path / "run").train.weight_lr == 5e-4


def test_the_delays_before_training_are_those_it_began_with(tmp_path: Path) -> None:
    few = {"train.epochs": "1", "data.train_clips": "64", "data.validation_clips": "16", "data.test_clips": "16"}
    config = build_config(load_values("coincidence"), {**few, "compare": "empty", "model.delays": "fixed"})
    found = present(train(config, tmp_path / "run", Quiet()).delays_found)
    assert found.found == found.at_start == 22
    assert found.decisive == 80
