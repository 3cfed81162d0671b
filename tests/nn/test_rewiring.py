"""Rewiring: which synapses go and come, with which weights and delays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ranvier.nn import LIF, DelayConv2d, DelayLayer, DelayLinear, Recurrent, draw_synapses, rewire
from ranvier.ops.dense import delayed_current


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mask_of(layer: DelayLayer) -> Tensor:
    assert layer.weight_mask is not None
    return layer.weight_mask.clone()


def wired(layer: DelayLayer, density: float = 0.4) -> DelayLayer:
    """With random synapses and a gradient."""
    draw_synapses(layer, density, generator())
    layer.weight.grad = torch.randn(layer.weight.shape, generator=generator(1))
    return layer


@pytest.mark.parametrize(("density", "fan_in", "expected"), [(0.25, None, 300), (0.25, 10, 75), (1.0, 10, 300)])
def test_synapses_are_drawn_at_random(density: float, fan_in: int | None, expected: int) -> None:
    layer = DelayLinear(40, 30, 5, fan_in=fan_in, generator=generator(2))
    before = layer.weight.detach().clone()
    draw_synapses(layer, density, generator())
    mask = mask_of(layer)
    assert int(mask.sum()) == expected
    torch.testing.assert_close(layer.weight.detach(), before * mask / math.sqrt(density))
    other = DelayLinear(40, 30, 5, fan_in=fan_in, generator=generator(2))
    draw_synapses(other, density, generator(1))
    assert torch.equal(mask, mask_of(other)) == (density == 1)


LAYERS = {
    "synaptic": lambda: DelayLinear(9, 8, 20, synapses_per_pair=2, generator=generator(2)),
    "fan_in": lambda: DelayLinear(9, 8, 20, fan_in=5, generator=generator(2)),
    "fixed": lambda: DelayLinear(9, 8, 20, learn_delay=False, generator=generator(2)),
    "axonal": lambda: DelayLinear(9, 8, 20, delay_type="axonal", generator=generator(2)),
    "every delay": lambda: DelayLinear(
        9, 8, 3, synapses_per_pair=4, dense_kernel=True, learn_delay=False, generator=generator(2)
    ),
    "conv": lambda: DelayConv2d(2, 4, 3, 20, (6, 6), generator=generator(2)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_the_smallest_weights_go_and_the_largest_gradients_come(kind: str) -> None:
    layer = wired(LAYERS[kind]())
    mask, weight, delay = mask_of(layer), layer.weight.detach().clone(), layer.delay.detach().clone()
    possible = layer.possible_mask()
    free = ~mask if possible is None else ~mask & possible
    assert layer.weight.grad is not None
    count = round(0.25 * int(mask.sum()))
    goes = np.argsort(np.where(mask, weight.abs(), np.inf).ravel(), kind="stable")[:count]
    comes = np.argsort(np.where(free, -layer.weight.grad.abs(), np.inf).ravel(), kind="stable")[:count]
    rewire(layer, 0.25, generator(3))
    expected = mask.flatten().clone()
    expected[goes], expected[comes] = False, True
    after = mask_of(layer)
    assert torch.equal(after.flatten(), expected)
    assert (layer.weight[~(mask & after)] == 0).all()
    assert torch.equal(layer.weight[mask & after], weight[mask & after])
    moved = layer.delay.detach() != delay
    if kind in ("axonal", "every delay"):
        assert not moved.any()
    else:
        assert torch.equal(moved, ~after)
        assert float(layer.delay.detach().min()) >= 0
        assert 15 < float(layer.delay.detach()[~after].max()) <= 20


@pytest.mark.parametrize("kind", [*LAYERS, "recurrent"])
def test_the_gradient_is_that_of_a_weight_that_would_be_there(kind: str) -> None:
    own = DelayLinear(8, 8, 5, min_delay=1, sigma=2.0, generator=generator(2))
    layer = own if kind == "recurrent" else LAYERS[kind]()
    draw_synapses(layer, 0.4, generator())
    model = Recurrent(LIF(0.9, 0.5), own) if kind == "recurrent" else layer
    x = torch.rand(25, 3, layer.in_features, generator=generator(4))

    def gradient() -> tuple[Tensor, Tensor]:
        layer.weight.grad = None
        current = model(x)[0]
        current.pow(2).sum().backward()
        assert layer.weight.grad is not None
        return current.detach(), layer.weight.grad

    sparse, at_synapses = gradient()
    layer.dense_gradient = True
    dense, everywhere = gradient()
    assert torch.equal(sparse, dense)
    mask = mask_of(layer)
    torch.testing.assert_close(everywhere[mask], at_synapses[mask])
    assert (at_synapses[~mask] == 0).all()
    assert float((everywhere[~mask] != 0).float().mean()) > 0.5


def test_a_synapse_that_comes_brings_what_its_gradient_said() -> None:
    layer = DelayLinear(6, 5, 8, sigma=1.0, generator=generator())
    draw_synapses(layer, 0.5, generator())
    x = torch.rand(30, 4, 6, generator=generator(1))
    layer.dense_gradient = True
    layer(x)[0].sum().backward()
    assert layer.weight.grad is not None
    place = tuple(int(n[0]) for n in torch.nonzero(~mask_of(layer), as_tuple=True))
    only = torch.zeros_like(layer.weight)
    only[place] = 1.0
    brought = delayed_current(x, only, layer.delay.detach(), 1.0, max_delay=8).sum()
    torch.testing.assert_close(layer.weight.grad[place], brought)


def test_no_more_come_than_there_are_places_for() -> None:
    layer = wired(DelayLinear(10, 10, 5, generator=generator()), 0.95)
    before = mask_of(layer)
    rewire(layer, 0.5, generator())
    assert int(mask_of(layer).sum()) == 95
    assert mask_of(layer)[~before].all()


def test_what_cannot_be_rewired_is_refused() -> None:
    layer = DelayLinear(10, 10, 5)
    with pytest.raises(ValueError, match=r"^model: .*weight_mask"):
        rewire(layer, 0.5)
    draw_synapses(layer, 0.5)
    with pytest.raises(ValueError, match=r"^model: .*gradient"):
        rewire(layer, 0.5)
    for share in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"^share: "):
            rewire(layer, share)
    with pytest.raises(ValueError, match=r"^density: "):
        draw_synapses(layer, 0.0)
