"""Convolutional layers with delays: in training, in evaluation, as part of a stack, and frozen."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.engine import Engine
from ranvier.models import Stack, freeze
from ranvier.network import Conv, Decoding, Input
from ranvier.nn import LIF, DelayConv1d, DelayConv2d, DelayLinear, Integrator, SequenceBatchNorm, SigmaSchedule, prune
from ranvier.ops.conv import delayed_convolution


def layer(**options: Any) -> DelayConv2d:
    return DelayConv2d(2, 3, (3, 2), 4, (6, 5), generator=torch.Generator().manual_seed(0), **options)


def stack(*, norm: bool = True, dense_kernel: bool = False) -> Stack:
    torch.manual_seed(0)
    every: dict[str, Any] = {"dense_kernel": True, "learn_delay": False} if dense_kernel else {}
    first = DelayConv2d(2, 4, 3, 5, (6, 6), padding=1, bias=not norm, **every)
    second = DelayConv2d(4, 3, 3, 3, (6, 6), stride=2, bias=True)
    norms = [SequenceBatchNorm(4, positions=36)] if norm else []
    last = DelayLinear(12, 3, 2)
    neurons = [LIF(0.6, 0.4) for _ in range(2)]
    parts = (first, *norms, neurons[0], second, neurons[1], last, Integrator(0.9))
    return Stack(*parts, decoding=Decoding(tail_steps=4))


def clip(time: int = 20, batch: int = 3, sources: int = 72) -> torch.Tensor:
    return (torch.rand(time, batch, sources, generator=torch.Generator().manual_seed(1)) < 0.2).float()


def test_training_blurs_and_evaluation_rounds() -> None:
    made, x = layer(sigma=1.5, stride=(2, 1), padding=(1, 0), bias=True), clip(9, 2, 60)
    assert made.bias is not None
    torch.nn.init.normal_(made.bias)
    given = {"max_delay": 4, "bias": made.bias}
    blurred = delayed_convolution(x, made.weight, made.delay, 1.5, made.places, **given)  # type: ignore[arg-type]
    rounded = delayed_convolution(x, made.weight, made.delay, None, made.places, **given)  # type: ignore[arg-type]
    torch.testing.assert_close(made(x)[0], blurred)
    torch.testing.assert_close(made.eval()(x)[0], rounded)
    assert not torch.allclose(blurred, rounded)
    assert blurred.shape == (9, 2, made.out_features) == (9, 2, 3 * 3 * 4)
    assert made.out_size == (3, 4)


def test_fixed_delays_are_one_tap_in_training_too() -> None:
    made, x = layer(learn_delay=False), clip(9, 2, 60)
    torch.testing.assert_close(made.train()(x)[0], made.eval()(x)[0])
    assert not made.delay.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_a_stream_in_pieces_is_the_whole(training: bool) -> None:
    made, x = layer(padding=1).train(training), clip(23, 2, 60)
    whole, last = made(x)
    state, pieces = None, []
    for piece in x.split([1, 7, 2, 13]):
        current, state = made(piece, state)
        pieces.append(current)
    torch.testing.assert_close(torch.cat(pieces), whole)
    assert state is not None
    assert torch.equal(state, last)
    assert last.shape == (4, 2, 60)


def test_a_dense_kernel_has_a_weight_for_every_delay() -> None:
    made = layer(dense_kernel=True, learn_delay=False)
    assert made.weight.shape == (3, 2, 3, 2, 5)
    assert made.delay.tolist() == [0, 1, 2, 3, 4]
    assert made.parameter_count() == made.weight.numel() == 180
    with torch.no_grad():
        made.weight.zero_()[1, 0, 2, 1, 3] = 1
    x, one = clip(9, 2, 60), layer(learn_delay=False)
    with torch.no_grad():
        one.weight.zero_()[1, 0, 2, 1] = 1
        one.delay.fill_(3)
    assert torch.equal(made(x)[0], one(x)[0])
    parts, _ = made.freeze("input")
    assert isinstance(parts, tuple)
    (part,) = parts
    assert (part.max_delay, part.delays().tolist()) == (3, [3])
    prune(made, 0.1, "delay")
    assert made.synapse_delays().tolist() == [0] * 18
    with pytest.raises(ValueError, match="dense_kernel"):
        layer(dense_kernel=True)
    with pytest.raises(RuntimeError, match="dense_kernel"):
        layer().load_state_dict(layer(dense_kernel=True, learn_delay=False).state_dict())


def test_one_dimension_is_a_picture_of_one_row() -> None:
    made = DelayConv1d(2, 3, 4, 5, 11, stride=2, padding=3, generator=torch.Generator().manual_seed(0))
    assert made.weight.shape == made.delay.shape == (3, 2, 1, 4)
    assert (made.in_features, made.out_features, made.out_size) == (22, 21, (1, 7))
    x = clip(6, 2, 22)
    torch.nn.init.zeros_(made.delay)
    theirs = torch.nn.functional.conv1d(x.view(12, 2, 11), made.weight[:, :, 0], stride=2, padding=3)
    torch.testing.assert_close(made.eval()(x)[0].flatten(0, 1), theirs.flatten(1))


def test_any_optimiser_keeps_delays_in_range_also_of_a_copy() -> None:
    for made in (layer(), copy.deepcopy(layer())):
        optimiser = torch.optim.SGD(made.parameters(), lr=1e4)
        made(clip(9, 2, 60))[0].square().sum().backward()
        optimiser.step()
        assert {0.0, 4.0} == set(made.delay.flatten().tolist())


def test_a_stack_reaches_its_delays() -> None:
    model = stack()
    assert len(model.delay_layers) == 3
    delays = model.delays_ms(2.0)
    assert [tuple(values.shape) for values in delays.values()] == [(4, 2, 3, 3), (3, 4, 3, 3), (1, 3, 12)]
    torch.testing.assert_close(delays["0"], model.delay_layers[0].delay.detach() * 2)
    model.set_sigma(1.25)
    assert {float(made.sigma) for made in model.delay_layers} == {1.25}
    SigmaSchedule(model, 2.0, 0.5, 10)
    assert {float(made.sigma) for made in model.delay_layers} == {2.0}
    kernels = 4 * 2 * 9 + 3 * 4 * 9
    assert model.parameter_count() == 2 * kernels + 2 * 4 + 3 + 2 * 36
    with torch.no_grad():
        model.delay_layers[0].delay.fill_(99)
    model.clamp_delay()
    assert float(model.delay_layers[0].delay.detach().max()) == 5
    assert layer().learned_delays().shape == layer().synapse_delays().shape == (36,)


@pytest.mark.parametrize("dense_kernel", [False, True])
@pytest.mark.parametrize("norm", [True, False])
def test_a_frozen_stack_spikes_as_it_does(norm: bool, dense_kernel: bool) -> None:
    model, x = stack(norm=norm, dense_kernel=dense_kernel), clip()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(3):
        model.scores(x)[:, 0].log().sum().neg().backward()
        optimiser.step()
        optimiser.zero_grad()
    model.set_sigma(0.5)
    with torch.no_grad():
        rasters, voltage = model.eval().forward_with_spikes(x)
    network = freeze(model, dt_ms=1.0, classes=("a", "b", "c"), input=Input(72))
    assert [type(made.inputs[0]) for made in network.layers[:2]] == [Conv, Conv]
    assert [len(made.inputs) for made in network.layers] == [6 if dense_kernel else 1, 1, 1]
    assert min(int(raster.sum()) for raster in rasters) > 10
    engine = Engine(network)
    for number in range(x.shape[1]):
        run = engine.run(x[:, number].numpy())
        for ours, theirs in zip(run.spikes, rasters, strict=True):
            assert np.array_equal(ours, theirs[:, number].nonzero().numpy())
        np.testing.assert_allclose(run.voltage, voltage[:, number].numpy(), atol=1e-4)


def test_batch_norm_of_channels_is_torchs_over_pictures() -> None:
    x = torch.randn(7, 2, 3 * 5) * 2 + 1
    ours, theirs = SequenceBatchNorm(3, positions=5), torch.nn.BatchNorm2d(3)
    pictures = theirs(x.view(14, 3, 5, 1))
    torch.testing.assert_close(ours(x, torch.tensor([7, 7])), pictures.view_as(x))
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x.view(14, 3, 5, 1)).view_as(x))
    steps = torch.tensor([7, 4])
    own = torch.cat([x[:7, 0], x[:4, 1]])
    part = ours.train()(x, steps)
    expected = torch.nn.BatchNorm2d(3)(own.view(11, 3, 5, 1)).view_as(own)
    torch.testing.assert_close(torch.cat([part[:7, 0], part[:4, 1]]), expected)
    assert not part[4:, 1].any()


def test_a_batch_norm_of_neurons_cannot_be_frozen() -> None:
    model = Stack(
        DelayConv2d(1, 2, 3, 4, (4, 4)), SequenceBatchNorm(8), LIF(0.5), DelayLinear(8, 2, 0), Integrator(0.5)
    )
    with pytest.raises(TypeError, match=r"^SequenceBatchNorm: 8 features"):
        freeze(model, dt_ms=1.0, classes=("a", "b"), input=Input(16))


def test_a_state_of_other_places_is_refused() -> None:
    made = layer(padding=1)
    made.load_state_dict(layer(padding=1).state_dict())
    with pytest.raises(RuntimeError, match="padding_rows: 0 in the state, 1 here"):
        made.load_state_dict(layer().state_dict())


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("in_channels", (0, 1, 1, 1, (2, 2)), {}),
        ("out_channels", (1, 0, 1, 1, (2, 2)), {}),
        ("kernel_size", (1, 1, 0, 1, (2, 2)), {}),
        ("kernel_size", (1, 1, 3, 1, (2, 2)), {}),
        ("size", (1, 1, 1, 1, (2, 0)), {}),
        ("stride", (1, 1, 1, 1, (2, 2)), {"stride": 0}),
        ("padding", (1, 1, 1, 1, (2, 2)), {"padding": (0, 1)}),
        ("max_delay", (1, 1, 1, 40000, (2, 2)), {}),
        ("kernel", (1, 1, 1, 1, (2, 2)), {"kernel": "box"}),
        ("sigma", (1, 1, 1, 1, (2, 2)), {"sigma": 0.0}),
        ("max_init_delay", (1, 1, 1, 1, (2, 2)), {"max_init_delay": -1}),
    ],
)
def test_what_is_wrong_is_named(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .* allowed"):
        DelayConv2d(*arguments, **options)
