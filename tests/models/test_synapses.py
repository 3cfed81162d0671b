"""Which synapses there are: ten for each neuron, or one for every delay."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from ranvier.models import Stack, feedforward, freeze
from ranvier.network import Input
from ranvier.nn import DelayLinear
from tests.networks import dense


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(model: Stack, sources: int, steps: int = 20) -> Stack:
    torch.manual_seed(0)
    delays = [layer.delay for layer in model.delay_layers if layer.learn_delay]
    weights = [p for p in model.parameters() if p.requires_grad and all(p is not delay for delay in delays)]
    optimisers = [torch.optim.Adam(weights, 1e-2, weight_decay=1e-2)]
    if delays:
        optimisers.append(torch.optim.Adam(delays, 0.1))
    for _ in range(steps):
        x = (torch.rand(30, 8, sources) < 0.2).float()
        loss = F.cross_entropy(model.scores(x), torch.randint(0, 4, (8,)))
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
    model.set_sigma(0.5)
    return model


def test_ten_synapses_stay_ten_synapses() -> None:
    connection = partial(DelayLinear, synapses_per_pair=2, fan_in=10)
    model = feedforward(25, [20, 16], 4, 6, decay=0.3, connection=connection, generator=generator())
    before = [(layer.connection_mask.clone(), layer.delay.detach().clone()) for layer in model.delay_layers]
    trained(model, 25)
    for layer, (connection_mask, delay) in zip(model.delay_layers, before, strict=True):
        assert layer.connection_mask is not None
        assert torch.equal(layer.connection_mask, connection_mask)
        assert connection_mask.sum(1).tolist() == [10] * layer.out_features
        missing = ~connection_mask.expand_as(layer.weight)
        assert layer.weight[missing].count_nonzero() == 0
        assert layer.weight[~missing].count_nonzero() == (~missing).sum()
        assert torch.equal(layer.delay[missing], delay[missing])
        assert (layer.delay[~missing] != delay[~missing]).all()
        expected = layer.delay_steps()[~missing].sort().values
        assert torch.equal(layer.synapse_delays().sort().values, expected)
    frozen = freeze(model.eval(), dt_ms=1.0, classes=tuple("abcd"), input=Input(channels=25))
    assert [int((dense(layer).weight != 0).sum()) for layer in frozen.layers] == [2 * 10 * 20, 2 * 10 * 16, 2 * 10 * 4]


def test_sources_are_drawn_at_random_and_kept_in_the_state() -> None:
    first, second, other = (DelayLinear(40, 30, 5, fan_in=10, generator=generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.connection_mask, second.connection_mask)  # type: ignore[arg-type]
    assert not torch.equal(first.connection_mask, other.connection_mask)  # type: ignore[arg-type]
    other.load_state_dict(first.state_dict())
    assert torch.equal(first.connection_mask, other.connection_mask)  # type: ignore[arg-type]
    counts = torch.stack(
        [DelayLinear(40, 30, 5, fan_in=10, generator=generator(seed)).connection_mask.sum(0) for seed in range(40)]  # type: ignore[union-attr]
    ).sum(0)
    # each source has 1,200 chances of 1/4: 300, give or take 5 standard deviations of 15
    assert counts.min() > 225
    assert counts.max() < 375


def test_fewer_sources_start_with_larger_weights() -> None:
    layer = DelayLinear(160, 100, 5, fan_in=10, generator=generator())
    bound = (6 / 10) ** 0.5
    assert 0.99 * bound < layer.weight.abs().max() <= bound * 1.000001


@pytest.mark.parametrize("fan_in", [0, 6])
def test_as_many_sources_as_there_are(fan_in: int) -> None:
    with pytest.raises(ValueError, match=f"fan_in: {fan_in} is not allowed \\(1 ... 5 sources\\)"):
        DelayLinear(5, 3, 2, fan_in=fan_in)


def test_every_delay_is_a_dense_convolution() -> None:
    layer = DelayLinear(
        5, 3, 4, synapses_per_pair=5, learn_delay=False, dense_kernel=True, generator=generator()
    ).double()
    x = torch.rand(11, 2, 5, dtype=torch.float64, requires_grad=True)
    out, _ = layer(x)
    # conv1d correlates: the newest step comes last
    kernels = layer.weight.detach().permute(1, 2, 0).flip(-1).requires_grad_()
    expected = F.conv1d(F.pad(x, (0, 0, 0, 0, 4, 0)).permute(1, 2, 0), kernels).permute(2, 0, 1)
    torch.testing.assert_close(out, expected)
    direction = torch.rand_like(out)
    ours = torch.autograd.grad((out * direction).sum(), [x, layer.weight])
    theirs = torch.autograd.grad((expected * direction).sum(), [x, kernels])
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1].flip(-1).permute(2, 0, 1))


def test_every_delay_trains_and_freezes() -> None:
    connection = partial(DelayLinear, synapses_per_pair=4, learn_delay=False, dense_kernel=True)
    model = feedforward(6, [9], 4, 3, decay=0.3, connection=connection, generator=generator())
    before = model.linear.weight.detach().clone()
    trained(model, 6)
    assert (model.linear.weight != before).all()
    frozen = freeze(model.eval(), dt_ms=1.0, classes=tuple("abcd"), input=Input(channels=6))
    assert dense(frozen.layers[0]).delay_steps[:, 0, 0].tolist() == [0, 1, 2, 3]


def test_every_delay_needs_a_branch_for_each() -> None:
    for options in ({"synapses_per_pair": 3}, {"synapses_per_pair": 4, "learn_delay": True}):
        with pytest.raises(ValueError, match="dense_kernel: needs learn_delay=False and synapses_per_pair=4"):
            DelayLinear(2, 2, 3, dense_kernel=True, **{"learn_delay": False, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hidden", "classes", "taps", "millions"),
    [([256, 256], 20, 25, 2.66), ([512, 512], 35, 31, 10.9), ([512, 512, 512], 35, 31, 19.0)],
)
def test_the_dense_convolutions_parameters_are_the_papers(
    hidden: list[int], classes: int, taps: int, millions: float
) -> None:
    connection = partial(DelayLinear, synapses_per_pair=taps, learn_delay=False, dense_kernel=True)
    model = feedforward(140, hidden, classes, taps - 1, decay=0.005, connection=connection)
    decimals = 2 if millions < 10 else 1
    assert round(sum(layer.parameter_count() for layer in model.delay_layers) / 1e6, decimals) == millions


def parameters(width: int, max_delay: int = 0, **options: Any) -> int:
    connection = partial(DelayLinear, **options)
    return feedforward(140, [width, width], 20, max_delay, decay=0.005, connection=connection).parameter_count()


@pytest.mark.parametrize(("fan_in", "learned", "width"), [(None, 214_016, 388), (10, 11_664, 478)])
def test_without_delays_a_wider_network_has_as_many_parameters(fan_in: int | None, learned: int, width: int) -> None:
    assert parameters(256, 24, fan_in=fan_in) == learned
    off = {w: abs(parameters(w, learn_delay=False, fan_in=fan_in) - learned) for w in (width - 1, width, width + 1)}
    assert min(off, key=off.get) == width  # type: ignore[arg-type]
    assert off[width] < 0.001 * learned
