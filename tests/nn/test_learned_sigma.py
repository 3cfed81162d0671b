"""Widths of taps that are learned with the delays."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ranvier.models import Recurrence, feedforward
from ranvier.nn import DelayLinear, SigmaSchedule
from ranvier.ops.dense import delayed_current
from ranvier.ops.recurrent_lif import recurrent_lif
from tests.ops.test_recurrent_lif import KINDS, MAX_DELAY, draw, slow
from tests.ops.twins import assert_twins


def made(learn_sigma: Any, **options: Any) -> DelayLinear:
    generator = torch.Generator().manual_seed(0)
    return DelayLinear(5, 4, 9, sigma=3.0, learn_sigma=learn_sigma, generator=generator, **options)


@pytest.mark.parametrize("kernel", ["gaussian", "triangle", "delrec"])
@pytest.mark.parametrize(
    ("learn_sigma", "delay_type", "widths"),
    [("layer", "synaptic", ()), ("synapse", "synaptic", (1, 4, 5)), ("synapse", "axonal", (1, 1, 5))],
)
def test_a_width_is_found_again(learn_sigma: str, delay_type: Any, widths: tuple[int, ...], kernel: Any) -> None:
    layer = made(learn_sigma, delay_type=delay_type, kernel=kernel)
    assert layer.sigma.shape == widths
    assert layer.parameter_count() == 20 + layer.delay.numel() + layer.sigma.numel()
    wanted = copy.deepcopy(layer)
    wanted.set_sigma(1.2)
    x = (torch.rand(60, 8, 5, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    target = wanted(x)[0].detach()
    optimiser = torch.optim.Adam([layer.sigma], lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        ((layer(x)[0] - target) ** 2).mean().backward()
        optimiser.step()
    assert layer.sigma.detach().numpy() == pytest.approx(1.2, abs=0.1)


@pytest.mark.parametrize(("kernel", "lowest"), [("gaussian", 0.12), ("triangle", 0.0), ("delrec", 0.0)])
def test_widths_keep_their_range(kernel: Any, lowest: float) -> None:
    layer = made("synapse", kernel=kernel)
    for gradient, bound in ((1.0, lowest), (-1.0, 10.0)):
        layer.sigma.grad = torch.full_like(layer.sigma, gradient)
        torch.optim.SGD([layer.sigma], lr=100).step()
        assert layer.sigma.detach().numpy() == pytest.approx(bound)


def test_a_schedule_leaves_them_where_they_are() -> None:
    layers = [made(False), made("layer"), made("synapse")]
    schedule = SigmaSchedule(nn.ModuleList(layers), 5.0, 0.5, 4)
    assert [float(layer.sigma.detach().mean()) for layer in layers] == [5.0] * 3
    schedule.step()
    widths = [float(layer.sigma.detach().mean()) for layer in layers]
    assert widths == pytest.approx([5 * 0.1**0.25, 5.0, 5.0])
    with torch.no_grad():
        layers[1].sigma.fill_(2.5)
    schedule.load_state_dict(schedule.state_dict())
    assert float(layers[1].sigma.detach()) == 2.5


def test_a_state_of_widths_is_loaded_by_layers_that_have_as_many() -> None:
    layer = made("synapse")
    with torch.no_grad():
        layer.sigma.uniform_(1, 2, generator=torch.Generator().manual_seed(2))
    other = made("synapse")
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.sigma, layer.sigma)
    with pytest.raises(RuntimeError, match="sigma"):
        made(False).load_state_dict(layer.state_dict())


@pytest.mark.parametrize("of", ["layer", "delay"])
@pytest.mark.parametrize("kind", ["synaptic", "axonal", "dendritic"])
def test_recurrent_connections_have_their_gradient(kind: str, of: str) -> None:
    inputs = draw(kind)
    generator = torch.Generator().manual_seed(3)
    width = 0.5 + 2 * torch.rand(() if of == "layer" else KINDS[kind], dtype=torch.float64, generator=generator)
    inputs["sigma"] = width.requires_grad_()
    fast, reference = (partial(function, max_delay=MAX_DELAY) for function in (recurrent_lif, slow))
    assert_twins(fast, reference, inputs, tolerance=1e-9, exact=["output 0"])


def test_every_connection_that_learns_delays_learns_them() -> None:
    connection = partial(DelayLinear, learn_sigma="synapse")
    build = partial(feedforward, 6, [5], 3, 8, decay=0.5, connection=connection)
    model = build(recurrence=Recurrence("axonal", 4.0, connection=connection))
    shapes = [tuple(layer.sigma.shape) for layer in model.delay_layers]
    assert shapes == [(1, 5, 6), (1, 1, 5), (1, 3, 5)]
    plain = build(recurrence=Recurrence("axonal", 4.0))
    assert [layer.learn_sigma for layer in plain.delay_layers] == [True, False, True]
    with pytest.raises(ValueError, match="learn_sigma: synapse is not allowed with learn_delay=False"):
        build(recurrence=Recurrence("undelayed", connection=connection))


def test_others_are_refused() -> None:
    with pytest.raises(ValueError, match="learn_sigma: 'neuron'"):
        made("neuron")
    with pytest.raises(ValueError, match="learn_delay=False"):
        made("layer", learn_delay=False)
    x, weight = torch.zeros(3, 2, 5), torch.zeros(1, 4, 5)
    delay: Tensor = torch.zeros(1, 4, 5)
    for shape in [(5,), (1, 1, 5), (1, 4, 5, 1)]:
        with pytest.raises(ValueError, match="sigma: shape"):
            delayed_current(x, weight, delay, torch.ones(shape), max_delay=9)
    with pytest.raises(ValueError, match="up to 10 steps"):
        made("synapse").set_sigma(10.5)
    with pytest.raises(ValueError, match="learn_sigma: 'neuron'"):
        DelayLinear(5, 4, 9, learn_delay=False, learn_sigma="neuron")  # type: ignore[arg-type]


def test_widths_that_are_still_wide_are_warned_of_once() -> None:
    layer = DelayLinear(5, 4, 9, learn_sigma="synapse")
    layer.delay.grad = torch.zeros_like(layer.delay)
    torch.optim.SGD(layer.parameters(), lr=0.1).step()
    with pytest.warns(UserWarning, match="learned to 5.27 steps"):
        layer.eval()(torch.zeros(3, 1, 5))
    assert layer.freeze("input")[0].max_delay == 9  # a second warning would be an error here
