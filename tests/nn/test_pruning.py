"""Pruning: which synapses stay, and that the others are 0 in forward, to every optimiser and in a state."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ranvier.models import Stack, freeze
from ranvier.network import Input
from ranvier.nn import (
    LIF,
    DelayConv1d,
    DelayConv2d,
    DelayLayer,
    DelayLinear,
    Integrator,
    Recurrent,
    density_after,
    prune,
)

LAYERS: dict[str, Callable[[], DelayLayer]] = {
    "synaptic": lambda: DelayLinear(7, 5, 9, synapses_per_pair=2),
    "axonal": lambda: DelayLinear(7, 5, 9, delay_type="axonal"),
    "dendritic": lambda: DelayLinear(7, 5, 9, delay_type="dendritic"),
    "fan_in": lambda: DelayLinear(7, 5, 9, fan_in=4),
    "fixed": lambda: DelayLinear(7, 5, 9, learn_delay=False),
    "conv1d": lambda: DelayConv1d(2, 3, 3, 4, 9, padding=1),
    "conv2d": lambda: DelayConv2d(1, 3, 3, 4, (4, 5), stride=2),
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def mask_of(layer: DelayLayer) -> Tensor:
    assert layer.weight_mask is not None
    return layer.weight_mask


def expected(layer: DelayLayer, count: int, by: str) -> np.ndarray:
    """The mask as the docstring has it, by sorting in numpy."""
    weight = layer.weight.detach().numpy().ravel()
    steps = layer.delay_steps().numpy().ravel()
    size = np.abs(weight)
    keys = {"magnitude": (-size,), "joint": (-size / (1 + steps),), "delay": (-size, steps)}[by]
    order = [place for place in np.lexsort(keys) if weight[place] != 0]
    mask = np.zeros(weight.size, bool)
    mask[order[:count]] = True
    return mask.reshape(layer.weight.shape)


@pytest.mark.parametrize("by", ["magnitude", "delay", "joint"])
@pytest.mark.parametrize("kind", LAYERS)
def test_the_synapses_of_the_highest_score_stay(kind: str, by: Any) -> None:
    layer = LAYERS[kind]()
    synapses = len(layer.synapse_delays())
    with torch.no_grad():
        masks = [expected(layer, round(density * synapses), by) for density in (0.5, 0.2)]
    for density, mask in zip((0.5, 0.2), masks, strict=True):
        prune(layer, density, by)
        assert np.array_equal(mask_of(layer).numpy(), mask)
        assert np.array_equal(layer.weight.detach().numpy() != 0, mask)
    prune(layer, 0.4, by)
    assert np.array_equal(mask_of(layer).numpy(), masks[1])  # what is gone does not come back
    left = round(0.2 * synapses)
    assert len(layer.synapse_delays()) == len(layer.learned_delays()) == left
    delays = left if layer.delay.shape == layer.weight.shape else layer.delay.numel()
    assert layer.parameter_count() == left + (delays if layer.learn_delay else 0)


def test_the_criteria_differ() -> None:
    layers = [LAYERS["synaptic"]()]
    layers += [copy.deepcopy(layers[0]) for _ in range(2)]
    for layer, by in zip(layers, ("magnitude", "delay", "joint"), strict=True):
        prune(layer, 0.3, by)  # type: ignore[arg-type]
    size, delay = ([float(of(layer)) for layer in layers] for of in (_mean_size, _mean_delay))
    assert size[0] > size[2] > size[1]
    assert delay[0] > delay[2] > delay[1]


def _mean_size(layer: DelayLayer) -> Tensor:
    return layer.of_synapses(layer.weight.detach().abs()).mean()


def _mean_delay(layer: DelayLayer) -> Tensor:
    return layer.learned_delays().mean()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("learning", [True, False])
def test_what_is_gone_adds_nothing_to_a_current(kind: str, learning: bool) -> None:
    layer = LAYERS[kind]().train(learning)
    prune(layer, 0.4)
    plain = LAYERS[kind]().train(learning)
    plain.load_state_dict({k: v for k, v in layer.state_dict().items() if k != "weight_mask"})
    with torch.no_grad():
        layer.weight[~mask_of(layer)] = 5.0  # as an optimiser of another library might
    x = torch.rand(12, 2, layer.in_features)
    torch.testing.assert_close(layer(x)[0], plain(x)[0])
    frozen = layer.freeze("input")[0].arrays()["weight"]
    left = plain.weight.detach()[mask_of(layer)]
    assert sorted(frozen[frozen != 0].tolist()) == sorted(left.tolist())


@pytest.mark.parametrize("kind", [*LAYERS, "recurrent"])
def test_no_optimiser_moves_what_is_gone(kind: str) -> None:
    own = DelayLinear(6, 6, 9, min_delay=1, sigma=2.0)
    layer = own if kind == "recurrent" else LAYERS[kind]()
    model = Recurrent(LIF(0.9, 0.5), own) if kind == "recurrent" else layer
    optimiser = torch.optim.Adam([layer.weight], lr=0.1, weight_decay=0.1)
    x = torch.rand(20, 3, layer.in_features, requires_grad=True)

    def step() -> None:
        optimiser.zero_grad()
        model(x)[0].pow(2).sum().backward()
        optimiser.step()

    step()  # momentum of everything
    prune(layer, 0.4)
    gone, before = ~mask_of(layer), layer.weight.detach().clone()
    for _ in range(3):
        step()
        assert layer.weight.grad is not None
        assert (layer.weight.grad[gone] == 0).all()
        assert (layer.weight[gone] == 0).all()
    assert float((layer.weight - before)[~gone].detach().abs().min()) > 0


def test_a_copy_and_a_loaded_layer_keep_their_zeros() -> None:
    layer, loaded = LAYERS["synaptic"](), LAYERS["synaptic"]()
    unpruned = copy.deepcopy(layer.state_dict())
    prune(layer, 0.5)
    loaded.load_state_dict(layer.state_dict())
    for other in (loaded, copy.deepcopy(layer), copy.deepcopy(layer).to(torch.float64)):
        assert torch.equal(mask_of(other), mask_of(layer))
        other.weight.grad = torch.ones_like(other.weight)
        torch.optim.SGD([other.weight], lr=0.1).step()
        assert torch.equal(other.weight.detach() != 0, mask_of(layer))
    loaded.load_state_dict(unpruned)  # of before there were masks
    assert loaded.weight_mask is None
    assert torch.equal(loaded.weight, unpruned["weight"])
    loaded.weight.grad = torch.ones_like(loaded.weight)
    torch.optim.SGD([loaded.weight], lr=0.1).step()
    assert (loaded.weight != 0).all()


@pytest.mark.parametrize("kind", ["synaptic", "axonal", "dendritic", "conv2d"])
def test_delays_that_are_left_bound_the_frozen_buffer(kind: str) -> None:
    layer = LAYERS[kind]()
    longest = int(layer.synapse_delays().max())
    assert layer.freeze("input")[0].max_delay == layer.max_delay
    prune(layer, 0.15, "delay")
    part = layer.freeze("input")[0]
    assert part.max_delay == int(part.synapses().delay_steps.max()) == int(layer.synapse_delays().max()) < longest
    assert sorted(set(part.delays())) == sorted(set(layer.synapse_delays().tolist()))


def test_every_layer_of_a_model_is_pruned_by_itself() -> None:
    model = Stack(DelayLinear(9, 8, 5), Recurrent(LIF(0.5), DelayLinear(8, 8, 5, min_delay=1)), DelayLinear(8, 4, 0),
                  Integrator(0.9))  # fmt: skip
    with torch.no_grad():
        model.delay_layers[2].weight.mul_(1e-3)
    prune(model, 0.25)
    assert [len(layer.synapse_delays()) for layer in model.delay_layers] == [18, 16, 8]
    assert model.parameter_count() == 2 * (18 + 16 + 8)
    network = freeze(model, dt_ms=1.0, classes=list("abcd"), input=Input(9, 1))
    assert [c.synapse_count for layer in network.layers for c in layer.inputs] == [18, 16, 8]


def test_the_schedule_is_zhu_and_guptas() -> None:
    shares = [density_after(progress, 0.1, 0.2, 0.6) for progress in (0, 0.2, 0.3, 0.4, 0.6, 1)]
    assert shares == pytest.approx([1, 1, 0.1 + 0.9 * 0.75**3, 0.1 + 0.9 * 0.5**3, 0.1, 0.1])
    assert density_after(0.6, 0.1, 0.2, 0.6) == 0.1


def test_what_cannot_be_pruned_is_refused() -> None:
    layer = LAYERS["fan_in"]()
    for density, by, name in ((0, "magnitude", "density"), (1.5, "magnitude", "density"), (0.5, "age", "by")):
        with pytest.raises(ValueError, match=rf"^{name}: "):
            prune(layer, density, by)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^model: LIF "):
        prune(LIF(0.5), 0.5)
    for density, start, name in ((0.5, 0.6, "start"), (0.5, 0.7, "start"), (0, 0.2, "density")):
        with pytest.raises(ValueError, match=rf"^{name}: "):
            density_after(0.5, density, start, 0.6)
    for mask in (torch.ones(1, 5, 7), torch.ones(5, 7, dtype=torch.bool), torch.ones(1, 5, 7, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"^mask: "):
            layer.set_weight_mask(mask)
    assert layer.weight_mask is None
    prune(layer, 1e-9)
    assert len(layer.synapse_delays()) == 1
