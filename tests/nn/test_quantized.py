"""Weights and delays of an integer network in training: what is trained is what quantize makes of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.models import Recurrence, Stack, feedforward, freeze, set_bits
from ranvier.network import Dense, Input, IntegerIntegrator, Network, quantize
from ranvier.network.quantize import LEVELS
from ranvier.nn import LIF, AdaptiveLIF, DelayConv1d, DelayLinear, Integrator, Trace
from ranvier.nn.quantized import nearest_delay, quantized_weight
from tests.networks import dense

BITS: Any = [8, 4, "ternary"]


def network_of(model: Stack) -> Network:
    return freeze(model.eval(), dt_ms=1.0, classes=("a", "b", "c"), input=Input(9))


def trained(bits: Any, delay_bits: int | None = None, **options: Any) -> Stack:
    """A network after three steps of Adam on random clips, with a norm whose gains have both signs."""
    torch.manual_seed(0)
    made = {"connection": partial(DelayLinear, **options), "neuron": partial(LIF, threshold=0.5)}
    model = feedforward(9, [7, 6], 3, 12, decay=0.7, **made)  # type: ignore[arg-type]
    set_bits(model, bits, delay_bits)
    model.set_sigma(1)
    with torch.no_grad():
        for block in model.blocks:
            block.norm.weight.uniform_(-1, 1)
    optimiser = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(3):
        optimiser.zero_grad()
        x, labels = (torch.rand(30, 8, 9) < 0.3).float(), torch.randint(3, (8,))
        torch.nn.functional.cross_entropy(model.scores(x), labels).backward()
        optimiser.step()
    return model


def rounding(network: Network, bits: Any) -> float:
    """The largest change of a weight by quantize, as a share of the largest weight."""
    changes = []
    for layer, whole in zip(network.layers, quantize(network, weight_bits=bits).layers, strict=True):
        floats, steps = dense(layer).weight, dense(whole).weight.astype(np.float64)
        assert len(np.unique(np.abs(steps))) > 1
        size = np.abs(floats).max((0, 2), keepdims=True) / np.maximum(np.abs(steps).max((0, 2), keepdims=True), 1)
        changes.append(np.abs(steps * size - floats).max() / np.abs(floats).max())
    return float(max(changes))


@pytest.mark.parametrize("synapses", [1, 2])
@pytest.mark.parametrize("bits", BITS)
def test_quantize_changes_no_weight_that_was_trained_with_its_bits(bits: Any, synapses: int) -> None:
    network = network_of(trained(bits, synapses_per_pair=synapses))
    assert rounding(network, bits) < 1e-6
    assert rounding(network_of(trained(None, synapses_per_pair=synapses)), bits) > 1e-3
    integers = quantize(network, weight_bits=bits)
    readout = integers.layers[-1].neuron
    assert isinstance(readout, IntegerIntegrator)
    last = dense(integers.layers[-1]).weight
    np.testing.assert_allclose(last * 2.0**readout.scale_exponent, dense(network.layers[-1]).weight, atol=1e-7)


@pytest.mark.parametrize("delay_type", ["synaptic", "axonal"])
def test_quantize_changes_no_delay_that_was_trained_with_its_bits(delay_type: Any) -> None:
    model = trained(None, 2, delay_type=delay_type)
    network = network_of(model)
    allowed = {0, 4, 8, 12}
    for layer, whole in zip(network.layers, quantize(network, delay_bits=2).layers, strict=True):
        connection, other = layer.inputs[0], whole.inputs[0]
        assert isinstance(connection, Dense)
        assert isinstance(other, Dense)
        assert set(np.unique(connection.delay_steps)) <= allowed
        np.testing.assert_array_equal(connection.delay_steps, other.delay_steps)
    learned = torch.cat([layer.delay.flatten() for layer in model.delay_layers])
    assert float((learned - learned.round()).abs().max().detach()) > 0.01


@pytest.mark.parametrize("bits", BITS)
def test_the_model_runs_as_it_freezes(bits: Any) -> None:
    from ranvier.engine import Engine

    model = trained(bits, 2)
    x = (torch.rand(40, 1, 9, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    network = network_of(model)
    with torch.no_grad():
        scores = model.scores(x)[0].numpy()
    np.testing.assert_allclose(Engine(network).run(x[:, 0].numpy()).scores, scores, atol=1e-4)


def test_weights_by_hand() -> None:
    weight = torch.tensor([[[0.9, -0.1, 0.5, 0.0], [-0.02, 0.02, 0.0, 0.02]]], requires_grad=True)
    found = quantized_weight(weight, "ternary")
    assert torch.unique(found[0, 0].abs()).numel() == 2
    assert torch.equal(found[0].sign(), torch.tensor([[1.0, 0, 1, 0], [-1, 1, 0, 1]]))
    torch.testing.assert_close(found[0, 1].abs().max(), torch.tensor(0.02))
    found.backward(torch.ones_like(found))
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, torch.ones_like(weight))


@pytest.mark.parametrize("bits", BITS)
def test_a_shared_step_is_a_power_of_two(bits: Any) -> None:
    weight = torch.randn(1, 5, 11, generator=torch.Generator().manual_seed(0))
    found = quantized_weight(weight, bits, shared=True)
    levels = np.unique(np.abs(found.numpy()))
    assert len(levels) <= LEVELS[bits] + 1
    step = np.diff(levels).min()
    assert np.log2(step) == round(np.log2(step))
    np.testing.assert_array_equal(levels / step, np.rint(levels / step))


def test_nearest_delays() -> None:
    delay = torch.tensor([0.0, 1.9, 2.6, 7.4, 20.0])
    assert nearest_delay(delay, 0, 15, 2).tolist() == [0, 0, 5, 5, 15]
    assert nearest_delay(delay, 1, 3, 4).tolist() == [1, 2, 3, 3, 3]
    assert nearest_delay(delay, 4, 4, 1).tolist() == [4] * 5


def test_what_has_no_integer_form_is_refused() -> None:
    with pytest.raises(ValueError, match="weight_bits: 3"):
        DelayLinear(2, 2, 3).set_bits(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="delay_bits: 0"):
        DelayLinear(2, 2, 3).set_bits(8, 0)
    recurrent = feedforward(4, [5], 2, 3, decay=0.5, recurrence=Recurrence("axonal", max_init_delay=4))
    with pytest.raises(ValueError, match=r"neuron: Recurrent"):
        set_bits(recurrent, 8)
    for neurons in ([AdaptiveLIF(8)], [LIF(0.9, reset="subtract")], [LIF(0.9), Trace(0.5)]):
        with pytest.raises(ValueError, match=r"^[12]: .* has no integer form"):
            set_bits(Stack(DelayLinear(2, 8, 3), *neurons, DelayLinear(8, 2, 3), Integrator(0.9)), 4)
    with pytest.raises(ValueError, match="delay_bits: True"):
        DelayLinear(2, 2, 3).set_bits(8, True)
    later = Stack(DelayLinear(2, 8, 3), LIF(0.9), DelayConv1d(1, 1, 2, 8, 3), Integrator(0.9))
    with pytest.raises(ValueError, match=r"^2: DelayConv1d "):
        set_bits(later, 8)
    assert later.delay_layers[0].connected_weight() is later.delay_layers[0].weight  # all layers or none
