"""Learned time constants: where they start, how they are learned, and that they stay what they are."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ranvier.nn import LIF, Integrator, Trace


def parameter(module: nn.Module) -> Tensor:
    """The only one, w."""
    (only,) = module.parameters()
    return only


def plain(current: Tensor, w: Tensor, threshold: float, alpha: float = 5.0) -> tuple[Tensor, Tensor]:
    """Spikes and voltages as the paper of PLIF has them; what is differentiated is arctan's slope at the threshold."""
    v, spikes, voltages = torch.zeros_like(current[0]), [], []
    for step in current:
        v = v - torch.sigmoid(w) * v + step
        over = v - threshold
        smooth = torch.atan(math.pi / 2 * alpha * over) / math.pi
        s = (over >= 0).to(v) + smooth - smooth.detach()
        voltages.append(v)
        v = v * (1 - s.detach())
        spikes.append(s)
    return torch.stack(spikes), torch.stack(voltages)


MODULES = [
    lambda decay, learn: LIF(decay, learn_decay=learn),
    lambda decay, learn: Integrator(decay, learn_decay=learn),
    lambda decay, learn: Trace(decay, learn_decay=learn),
]


@pytest.mark.parametrize("make", MODULES)
@pytest.mark.parametrize("tau_steps", [1.005, 1.5, 10.0])
def test_starts_at_the_decay_that_was_asked_for(make: object, tau_steps: float) -> None:
    assert callable(make)
    module = make(1 - 1 / tau_steps, True)
    assert parameter(module).item() == pytest.approx(-math.log(tau_steps - 1), rel=1e-6)
    assert parameter(module).shape == ()
    assert module.decay.item() == pytest.approx(1 - 1 / tau_steps, rel=1e-6)
    assert "decay=" in repr(module)
    fixed = make(1 - 1 / tau_steps, False)
    assert list(fixed.parameters()) == []
    assert list(fixed.state_dict())[:1] == ["decay"]


@pytest.mark.parametrize("tau_steps", [1.005, 1.5, 10.0])
def test_a_spiking_layers_gradients_are_those_of_the_equation_written_out(tau_steps: float) -> None:
    generator = torch.Generator().manual_seed(0)
    current = torch.randn(40, 3, 12, dtype=torch.double, generator=generator) * 0.8 + 0.4
    probe = torch.randn(40, 3, 12, dtype=torch.double, generator=generator)
    layer = LIF(1 - 1 / tau_steps, learn_decay=True).double()
    w = parameter(layer)
    ours, theirs = current.clone().requires_grad_(), current.clone().requires_grad_()
    spikes, _ = layer(ours)
    expected, _ = plain(theirs, w, 1.0)
    assert torch.equal(spikes, expected.round())
    assert 0.1 < spikes.mean() < 0.5
    mine = torch.autograd.grad(spikes, (ours, w), probe)
    others = torch.autograd.grad(expected, (theirs, w), probe)
    for a, b in zip(mine, others, strict=True):
        assert b.abs().max() > 0.001
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_the_readouts_gradients_are_those_of_the_equation_written_out() -> None:
    current = torch.randn(30, 2, 4, dtype=torch.double)
    layer = Integrator(0.6, learn_decay=True).double()
    w = parameter(layer)
    voltage, _ = layer(current)
    _, expected = plain(current, w, 1e9)
    torch.testing.assert_close(voltage, expected)
    mine, theirs = (torch.autograd.grad(v.square().sum(), w)[0] for v in (voltage, expected))
    torch.testing.assert_close(mine, theirs)
    assert theirs.abs() > 0.1


def test_a_filters_gradient_is_that_of_its_equation() -> None:
    spikes = (torch.rand(30, 2, 4) < 0.3).double()
    layer = Trace(0.9, learn_decay=True).double()
    w = parameter(layer)
    trace, _ = layer(spikes)
    y, expected = torch.zeros(2, 4, dtype=torch.double), []
    for s in spikes:
        y = y - (1 - s) * y * torch.sigmoid(w) + s
        expected.append(y)
    torch.testing.assert_close(trace, torch.stack(expected))
    mine, theirs = (torch.autograd.grad(t.square().sum(), w)[0] for t in (trace, torch.stack(expected)))
    torch.testing.assert_close(mine, theirs)
    assert theirs.abs() > 0.1


@pytest.mark.parametrize("make", MODULES)
def test_stays_a_share_wherever_training_takes_it(make: object) -> None:
    assert callable(make)
    module = make(0.5, True)
    for w in (-40.0, 40.0):
        with torch.no_grad():
            parameter(module).fill_(w)
        assert 0 <= module.decay <= 1
        out, _ = module((torch.rand(20, 2, 3) < 0.5).float())
        assert out.isfinite().all()


@pytest.mark.parametrize("make", MODULES)
def test_is_saved_copied_and_loaded(make: object) -> None:
    assert callable(make)
    module = make(0.5, True)
    with torch.no_grad():
        parameter(module).fill_(1.5)
    again = make(0.9, True)
    again.load_state_dict(module.state_dict())
    assert again.decay.item() == copy.deepcopy(module).decay.item() == pytest.approx(1 / (1 + math.exp(1.5)))


@pytest.mark.parametrize("make", MODULES)
@pytest.mark.parametrize(("decay", "learn"), [(-0.1, False), (1.1, False), (0.0, True), (1.0, True), (math.nan, True)])
def test_names_what_is_wrong(make: object, decay: float, learn: bool) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"^decay: .* is not allowed"):
        make(decay, learn)


@pytest.mark.parametrize("kind", [LIF, Integrator])
def test_each_neuron_may_learn_its_own(kind: type[LIF | Integrator]) -> None:
    layer = kind(0.6, learn_decay="neuron", neurons=4).double()
    w = parameter(layer)
    assert w.shape == (4,)
    assert layer.decay.tolist() == pytest.approx([0.6] * 4)
    current = torch.rand(30, 2, 4, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 1.2
    with torch.no_grad():
        w.copy_(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    result = layer(current)[0]
    (gradient,) = torch.autograd.grad(result.square().cumsum(0).sum(), w)
    for neuron in range(4):
        alone = kind(0.6, learn_decay="layer").double()
        with torch.no_grad():
            parameter(alone).copy_(w[neuron])
        mine = alone(current[..., neuron : neuron + 1])[0]
        torch.testing.assert_close(mine, result[..., neuron : neuron + 1])
        expected = torch.autograd.grad(mine.square().cumsum(0).sum(), parameter(alone))[0]
        torch.testing.assert_close(gradient[neuron], expected)
    assert layer.freeze(4).decay.tolist() == pytest.approx(layer.decay.tolist())
    assert "decay=0.1192 ... 0.8808" in repr(layer)


@pytest.mark.parametrize(("learn", "shape"), [(True, ()), ("layer", ()), ("neuron", (3,))])
def test_a_threshold_is_learned_and_stays_above_zero(learn: Any, shape: tuple[int, ...]) -> None:
    layer = copy.deepcopy(LIF(0.5, 2.0, learn_threshold=learn, neurons=3))
    (threshold,) = layer.parameters()
    assert threshold is layer.threshold
    assert threshold.shape == shape
    assert threshold.tolist() == torch.full(shape, 2.0).tolist()
    spikes, _ = layer(torch.full((9, 1, 3), 1.5))
    (gradient,) = torch.autograd.grad(spikes.sum(), threshold)
    assert gradient.max() < 0
    threshold.grad = -gradient
    torch.optim.SGD([threshold], lr=1e6).step()
    assert threshold.tolist() == torch.full(shape, 0.02).tolist()
    assert layer.freeze(3).threshold.tolist() == pytest.approx([0.02] * 3)
    assert "threshold=0.02" in repr(layer)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LIF(0.5, learn_decay="neuron"),
        lambda: Integrator(0.5, learn_decay="neuron"),
        lambda: LIF(0.5, learn_threshold="neuron", neurons=0),
    ],
)
def test_how_many_neurons_there_are_is_needed(make: Any) -> None:
    with pytest.raises(ValueError, match=r"^neurons: .* is not allowed where each learns its"):
        make()
    with pytest.raises(ValueError, match=r"^learn_threshold: 'all' is not allowed"):
        LIF(0.5, learn_threshold="all")  # type: ignore[arg-type]
