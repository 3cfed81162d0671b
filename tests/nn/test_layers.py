"""Layers: what training mode adds, what evaluation leaves, and how they start."""

from __future__ import annotations

import math

import pytest
import torch

from ranvier.network import Scores
from ranvier.nn import LIF, ClipDropout, DelayLinear, Integrator, SequenceBatchNorm, class_scores
from ranvier.nn.dense import DelayType
from ranvier.ops import delayed_current


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_training_blurs_and_evaluation_rounds() -> None:
    layer = DelayLinear(3, 4, 6, sigma=1.5, generator=generator())
    x = torch.rand(9, 2, 3)
    blurred = delayed_current(x, layer.weight, layer.delay, 1.5, max_delay=6)
    frozen = delayed_current(x, layer.weight, layer.delay, None, max_delay=6)
    torch.testing.assert_close(layer(x)[0], blurred)
    torch.testing.assert_close(layer.eval()(x)[0], frozen)
    assert not torch.allclose(blurred, frozen)


def test_fixed_delays_are_one_tap_in_training_too() -> None:
    layer = DelayLinear(3, 4, 6, learn_delay=False, generator=generator())
    x = torch.rand(9, 2, 3)
    torch.testing.assert_close(layer.train()(x)[0], layer.eval()(x)[0])
    assert not layer.delay.requires_grad


@pytest.mark.parametrize(
    ("delay_type", "shape"), [("synaptic", (2, 4, 3)), ("axonal", (2, 1, 3)), ("dendritic", (2, 4, 1))]
)
def test_delay_types_share_delays(delay_type: DelayType, shape: tuple[int, ...]) -> None:
    layer = DelayLinear(3, 4, 6, synapses_per_pair=2, delay_type=delay_type, generator=generator())
    assert layer.delay.shape == shape
    assert layer.delay_steps().shape == layer.weight.shape
    x = torch.rand(9, 2, 3)
    spread = delayed_current(x, layer.weight, layer.delay.expand_as(layer.weight), layer.sigma, max_delay=6)
    torch.testing.assert_close(layer(x)[0], spread)
    layer(x)[0].sum().backward()
    assert layer.delay.grad is not None
    assert layer.delay.grad.shape == shape


def test_the_start_is_the_papers() -> None:
    layer = DelayLinear(140, 256, 24, synapses_per_pair=2, generator=generator())
    bound = math.sqrt(6 / (140 * 2))
    assert layer.weight.abs().max() <= bound
    assert layer.weight.abs().max() > 0.99 * bound
    assert layer.delay.min() >= 0
    assert layer.delay.max() <= 24
    assert layer.delay.mean().item() == pytest.approx(12, abs=0.2)
    assert layer.sigma.item() == pytest.approx(12.27)


def test_a_generator_decides_the_start() -> None:
    layers = [DelayLinear(5, 5, 9, generator=generator(seed)) for seed in (1, 1, 2)]
    assert torch.equal(layers[0].delay, layers[1].delay)
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert not torch.equal(layers[0].delay, layers[2].delay)


def test_delays_are_brought_back_into_range() -> None:
    layer = DelayLinear(2, 2, 5)
    with torch.no_grad():
        layer.delay.copy_(torch.tensor([[[-3.0, 9.0], [2.4, 2.6]]]))
    assert layer.delay_steps().tolist() == [[[0, 5], [2, 3]]]
    layer.clamp_delay()
    assert layer.delay.flatten().tolist() == pytest.approx([0, 5, 2.4, 2.6])


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("in_features", (0, 1, 1), {}),
        ("out_features", (1, 0, 1), {}),
        ("max_delay", (1, 1, -1), {}),
        ("max_delay", (1, 1, 40000), {}),
        ("synapses_per_pair", (1, 1, 1), {"synapses_per_pair": 0}),
        ("kernel", (1, 1, 1), {"kernel": "box"}),
        ("delay_type", (1, 1, 1), {"delay_type": "somatic"}),
        ("sigma", (1, 1, 1), {"sigma": 0.0}),
    ],
)
def test_delay_linear_names_what_is_wrong(name: str, arguments: tuple[int, int, int], options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .* allowed"):
        DelayLinear(*arguments, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make", [lambda: LIF(1.5), lambda: LIF(0.5, 0.0), lambda: LIF(0.5, alpha=-1.0), lambda: Integrator(-0.1)]
)
def test_neurons_name_what_is_wrong(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="allowed"):
        make()


def test_dropout_silences_a_neuron_for_the_whole_clip() -> None:
    torch.manual_seed(0)
    out = ClipDropout(0.4)(torch.ones(30, 50, 40))
    assert torch.equal(out.amax(0), out.amin(0))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert (out[0] == 0).float().mean().item() == pytest.approx(0.4, abs=0.05)
    assert torch.equal(ClipDropout(0.4).eval()(torch.ones(3, 2, 2)), torch.ones(3, 2, 2))


def test_batch_norm_counts_only_steps_that_belong_to_a_clip() -> None:
    x, steps = torch.randn(12, 3, 5), torch.tensor([12, 4, 7])
    norm, peer = SequenceBatchNorm(5), torch.nn.BatchNorm1d(5)
    own = torch.cat([x[: int(n), clip] for clip, n in enumerate(steps)])
    expected = peer(own)
    out = norm(x, steps)
    torch.testing.assert_close(torch.cat([out[: int(n), clip] for clip, n in enumerate(steps)]), expected)
    torch.testing.assert_close(norm.running_var, peer.running_var)
    torch.testing.assert_close(norm.running_mean, peer.running_mean)
    longer = torch.cat([x, torch.randn(9, 3, 5)])
    torch.testing.assert_close(SequenceBatchNorm(5)(longer, steps)[:12], out)


def test_batch_norm_in_evaluation_is_the_plain_one() -> None:
    norm = SequenceBatchNorm(5)
    norm(torch.randn(12, 3, 5) * 3 + 1)
    x = torch.randn(4, 2, 5)
    torch.testing.assert_close(norm.eval()(x), torch.nn.BatchNorm1d.forward(norm, x.flatten(0, 1)).view_as(x))


@pytest.mark.parametrize(("kind", "expected"), [("sum", [-3.0, 1.5]), ("max", [-0.5, 2.0]), ("last", [-1.5, -0.5])])
def test_class_scores_of_each_kind(kind: Scores, expected: list[float]) -> None:
    clip = torch.tensor([[-1.0, 0.0], [-0.5, 2.0], [-1.5, -0.5], [9.0, 9.0]])
    voltage = torch.stack([clip, clip.flip(1)], 1)
    scores = class_scores(voltage, torch.tensor([3, 3]), kind)
    torch.testing.assert_close(scores, torch.tensor([expected, expected[::-1]]))
    torch.testing.assert_close(class_scores(voltage[:3], None, kind), scores)
    halves = class_scores(voltage.bfloat16(), torch.tensor([3, 3]), kind)
    torch.testing.assert_close(halves.float(), scores)
    with pytest.raises(ValueError, match=r"^scores: 'mean' "):
        class_scores(voltage, None, "mean")  # type: ignore[arg-type]


def test_class_scores_ignore_what_follows_the_clip() -> None:
    voltage, steps = torch.randn(10, 2, 3), torch.tensor([10, 4])
    scores = class_scores(voltage, steps)
    torch.testing.assert_close(scores.sum(1), steps.float())
    torch.testing.assert_close(scores[1], voltage[:4, 1].softmax(-1).sum(0))
    changed = voltage.clone()
    changed[4:, 1] += 5
    torch.testing.assert_close(class_scores(changed, steps), scores)
    torch.testing.assert_close(class_scores(voltage), voltage.softmax(-1).sum(0))
