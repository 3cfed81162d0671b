"""Adaptive neurons as a module: time constants in their ranges, frozen to what they compute."""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ranvier.engine import Engine
from ranvier.models import Stack, feedforward, freeze
from ranvier.network import Input
from ranvier.nn import AdaptiveLIF, Trace
from ranvier.ops.adaptive_lif import EULERS, adaptive_lif

RANGES = {"tau_fraction": (0, 1), "adaptation_tau_fraction": (0, 1), "a": (0, 1), "b": (0, 2)}


def made(neurons: int = 200, **options: Any) -> AdaptiveLIF:
    return AdaptiveLIF(neurons, generator=torch.Generator().manual_seed(0), **options)


def test_starts_uniform_in_its_ranges() -> None:
    layer = made()
    assert {name: p.shape for name, p in layer.named_parameters()} == dict.fromkeys(RANGES, (200,))
    for name, (low, high) in RANGES.items():
        values = getattr(layer, name)
        assert low <= values.min() < low + 0.05 * high
        assert high - 0.05 * high < values.max() <= high
    assert torch.equal(layer.b, made().b)


def test_a_fraction_stands_for_a_time_constant_of_its_range() -> None:
    layer = made(3, tau_steps=(2.0, 10.0), adaptation_tau_steps=(20.0, 40.0), scale=5.0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.tensor([0.0, 0.25, 1.0]))
    values = {name: value.tolist() for name, value in layer.values().items()}
    assert values["decay"] == pytest.approx([math.exp(-1 / tau) for tau in (2, 4, 10)])
    assert values["adaptation_decay"] == pytest.approx([math.exp(-1 / tau) for tau in (20, 25, 40)])
    assert values["a"] == values["b"] == pytest.approx([0, 1.25, 5])


@pytest.mark.parametrize("euler", EULERS)
def test_is_its_equation_and_every_parameter_learns(euler: Any) -> None:
    layer = made(7, euler=euler, scale=2.0, threshold=0.5, surrogate="triangle", alpha=1.5)
    current = 4 * torch.rand(30, 2, 7, generator=torch.Generator().manual_seed(1))
    spikes, state = layer(current)
    expected = adaptive_lif(current, **layer.values(), euler=euler, surrogate="triangle", alpha=1.5)
    assert torch.equal(spikes, expected[0])
    assert torch.equal(state, expected[1])
    assert 0.02 < spikes.mean() < 0.9
    spikes.mul(torch.rand_like(spikes)).sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None
        assert (parameter.grad != 0).sum() > 3, name
    first, between = layer(current[:11])
    rest, end = layer(current[11:], between)
    assert torch.equal(torch.cat([first, rest]), spikes)
    assert torch.equal(end, state)


@pytest.mark.parametrize("copied", [lambda layer: layer, copy.deepcopy, lambda layer: layer.double()])
@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.SGD])
def test_any_optimiser_keeps_the_ranges(optimiser: Any, copied: Any) -> None:
    layer = copied(made())
    layer.load_state_dict(layer.state_dict(), assign=True)
    steps = optimiser(layer.parameters(), lr=10.0)
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter) * torch.tensor([1.0, -1.0]).repeat(100)
    steps.step()
    for name, (low, high) in RANGES.items():
        assert getattr(layer, name).tolist() == [low, high] * 100


def test_a_state_of_other_ranges_is_refused() -> None:
    state = made(scale=3.0, tau_steps=(1.0, 2.0)).state_dict()
    made(scale=3.0, tau_steps=(1.0, 2.0)).load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"scale: 3 in the state.*\n.*tau_min: 1 in the state"):
        made().load_state_dict(state)


def network_of(euler: Any, **options: Any) -> Stack:
    generator = torch.Generator().manual_seed(3)

    def neuron(decay: float, *, neurons: int) -> nn.Module:
        return AdaptiveLIF(neurons, 0.1, scale=3.0, euler=euler, generator=generator)

    return feedforward(6, [12, 10], 4, 8, decay=0.3, generator=generator, neuron=neuron, **options)


@pytest.mark.parametrize("euler", EULERS)
@pytest.mark.parametrize("options", [{"dropout": 0.3}, {"trace": partial(Trace, 0.8)}, {"batch_norm": False}])
def test_the_engine_spikes_as_the_frozen_module(euler: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = network_of(euler, **options)

    def clips() -> Tensor:
        return torch.poisson(torch.full((40, 3, 6), 0.6))

    for _ in range(5):  # batch norm's running statistics away from their start
        model.scores(clips())
    model.eval()
    if "batch_norm" in options:
        for block in model.blocks:
            block.linear.weight.data.mul_(4)
    x = clips()
    rasters, voltage = model.forward_with_spikes(x)
    network = freeze(model, dt_ms=4.0, classes=tuple("abcd"), input=Input(6))
    assert [layer.neuron.kind for layer in network.layers] == ["adaptive_lif", "adaptive_lif", "integrator"]
    for clip in range(3):
        result = Engine(network).run(x[:, clip].numpy())
        for spikes, raster in zip(result.spikes, rasters, strict=True):
            assert spikes.tolist() == (raster[:, clip] > 0).nonzero().tolist()
        np.testing.assert_allclose(result.voltage, voltage[:, clip].detach().numpy(), atol=1e-4)
    assert all(40 < int((raster > 0).sum()) < 0.8 * raster.numel() for raster in rasters)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("neurons", {"neurons": 0}),
        ("threshold", {"threshold": 0.0}),
        ("tau_steps", {"tau_steps": (3.0, 2.0)}),
        ("adaptation_tau_steps", {"adaptation_tau_steps": (0.0, 2.0)}),
        ("scale", {"scale": -1.0}),
        ("euler", {"euler": "backward"}),
        ("surrogate", {"surrogate": "box"}),
    ],
)
def test_names_what_is_wrong(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .* is not allowed"):
        AdaptiveLIF(**{"neurons": 3, **options})
