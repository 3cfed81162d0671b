"""Skip connections: against a reference by hand, in pieces, frozen, and what is refused."""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ranvier.engine import Engine
from ranvier.models import Recurrence, SkipConnections, Stack, feedforward, freeze, set_bits
from ranvier.network import Decoding, Dense, Input, Tail, quantize
from ranvier.nn import (
    LIF,
    ClipDropout,
    DelayConv2d,
    DelayLinear,
    Integrator,
    SequenceBatchNorm,
    Trace,
    draw_synapses,
    prune,
    rewire,
    set_sigma,
)
from ranvier.ops.surrogate import spike

ABOUT: dict[str, Any] = {"dt_ms": 1.0, "classes": ("a", "b", "c"), "input": Input(8)}
TAILS = get_args(Tail)
LENGTHS = torch.tensor([30, 17, 24, 1, 9])


def clips() -> Tensor:
    x = (torch.rand(30, 5, 8, generator=torch.Generator().manual_seed(1)) < 0.3).double()
    return x * (torch.arange(30)[:, None, None] < LENGTHS[:, None])


def network(tail: Tail = "clip", **options: Any) -> Stack:
    torch.manual_seed(0)
    neuron = partial(LIF, threshold=0.5)
    options = {"skip": "all", "dropout": 0.1, "decoding": Decoding(4, tail), "neuron": neuron, **options}
    return feedforward(8, [12, 10, 9], 3, 6, decay=0.8, **options).double()


def trained(tail: Tail = "clip", **options: Any) -> Stack:
    """After a few steps, so that batch norm has statistics and delays have moved."""
    model = network(tail, **options)
    set_sigma(model, 1.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-2)
    for _ in range(5):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model.scores(clips(), LENGTHS), torch.arange(5) % 3).backward()
        optimiser.step()
    set_sigma(model, 0.3)
    return model.eval()


def kernels(layer: DelayLinear) -> Tensor:
    """Weight of every source at every lag, ``[lag, target, source]``: equation of ops/dense."""
    lag = torch.arange(layer.max_delay + 1.0, dtype=torch.float64)[:, None, None, None]
    tap = torch.exp(-(((lag - layer.delay) / layer.sigma) ** 2) / 2)
    return (layer.weight * tap / (1e-7 + tap.sum(0))).sum(1)


def current(layer: DelayLinear, given: Tensor, steps: int) -> Tensor:
    """Of one clip ``[time, source]`` that is silent after its end, for so many time steps."""
    kernel = kernels(layer)
    rows = [
        sum((kernel[lag] @ given[t - lag] for lag in range(len(kernel)) if 0 <= t - lag < len(given)), torch.zeros(()))
        for t in range(steps)
    ]
    return torch.stack([row.expand(layer.out_features) for row in rows])


def by_hand(model: Stack, clip: Tensor) -> Tensor:
    """Class scores of one clip ``[time, source]``: every layer receives all layers before and the input."""
    given, decoding = [clip], model.decoding
    hidden = [(block.linear, block.neuron) for block in model.blocks]
    for number, (linear, neuron) in enumerate([*hidden, (model.linear, model.readout)]):
        steps = decoding.steps(len(clip), number)
        several = isinstance(linear, SkipConnections)
        total = current(linear.direct if several else linear, given[-1], steps)
        for source in linear.sources if several else ():
            total = total + current(linear.skips[str(source)], given[source], steps)
        bias = (linear.direct if several else linear).bias
        total = total if bias is None else total + bias
        v, sent = torch.zeros(total.shape[1], dtype=torch.float64), []
        for now in total:
            v = neuron.decay * v + now
            if isinstance(neuron, LIF):
                sent.append(spike(v - neuron.threshold, neuron.surrogate, neuron.alpha))
                v = v * (1 - sent[-1].detach())
            else:
                sent.append(v)
        given.append(torch.stack(sent))
    return given[-1].softmax(-1).sum(0)


@pytest.mark.parametrize("tail", TAILS)
def test_scores_and_gradients_are_those_of_the_equation(tail: Tail) -> None:
    model = network(tail, batch_norm=False, dropout=0.0)
    set_sigma(model, 1.0)
    assert [len(layer.connections) for layer in model.modules() if isinstance(layer, SkipConnections)] == [2, 3, 4]
    scores, weights = [], torch.randn(5, 3, dtype=torch.float64)
    gradients = []
    for made in (
        model.scores(clips(), LENGTHS),
        torch.stack([by_hand(model, clips()[:length, n]) for n, length in enumerate(LENGTHS.tolist())]),
    ):
        model.zero_grad()
        (made * weights).sum().backward()
        scores.append(made.detach())
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    torch.testing.assert_close(*scores, rtol=1e-10, atol=1e-12)
    assert len(gradients[0]) == 10 * 2 + 3
    for name, gradient in gradients[0].items():
        assert gradient is not None
        assert float(gradient.abs().max()) > 0, name
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-8, atol=1e-10, msg=name)


OPTIONS: list[dict[str, Any]] = [
    {"skip": "all"},
    {"skip": "input"},
    {"batch_norm": False},
    {"trace": partial(Trace, 0.6)},
    {"recurrence": Recurrence("axonal", max_init_delay=4.0, dropout=0.1)},
    {"connection": partial(DelayLinear, fan_in=5, delay_type="axonal")},
]


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: next(iter(options.items()))[0])
def test_it_freezes_spike_for_spike(tail: Tail, options: dict[str, Any]) -> None:
    model = trained(tail, **options)
    for module in model.modules():  # statistics that matter
        if isinstance(module, SequenceBatchNorm):
            assert module.running_mean is not None
            module.running_mean.sub_(0.1)
            module.bias.data.add_(0.2)
    frozen = freeze(model, **ABOUT)
    own = ["hidden_1", "hidden_2", "hidden_3"] if "recurrence" in options else []
    skipped = ["input", "hidden_1", "hidden_2"] if options.get("skip", "all") == "all" else ["input"]
    assert [[made.source for made in layer.inputs] for layer in frozen.layers] == [
        ["input", *own[:1]],
        ["hidden_1", *skipped[:1], *own[1:2]],
        ["hidden_2", *skipped[:2], *own[2:]],
        ["hidden_3", *skipped],
    ]
    with torch.no_grad():
        expected, voltage = model.forward_with_spikes(clips(), LENGTHS)
    assert all(0.02 < float(raster.mean()) < 0.7 for raster in expected)
    engine = Engine(frozen)
    for clip, length in enumerate(LENGTHS.tolist()):
        run = engine.run(clips()[:length, clip].numpy())
        ends = [frozen.decoding.steps(length, number) for number in range(4)]
        for spikes, raster, end in zip(run.spikes, expected, ends, strict=False):
            np.testing.assert_array_equal(spikes, torch.nonzero(raster[:end, clip]).numpy())
        np.testing.assert_allclose(run.voltage, voltage[: ends[-1], clip].numpy(), atol=1e-5)


@pytest.mark.parametrize("skip", ["input", "all"])
def test_a_stream_in_pieces_is_the_whole(skip: Any) -> None:
    model, x = trained(skip=skip, decoding=Decoding(0)), clips()
    with torch.no_grad():
        whole, _ = model(x)
        state, pieces = None, []
        for piece in x.split([1, 2, 16, 11]):
            voltage, state = model(piece, state)
            pieces.append(voltage)
        torch.testing.assert_close(torch.cat(pieces), whole, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(model.forward_sequence(x), whole, rtol=1e-12, atol=1e-14)
        for name, parameter in model.named_parameters():
            if "skips" in name and name.endswith("weight"):
                parameter.zero_()
        assert not torch.allclose(model(x)[0], whole)
    with pytest.raises(ValueError, match=r"^state: of 1 modules"):
        model(x, [None])


def test_what_a_layer_gives_is_after_its_trace_and_dropout() -> None:
    """In training: the readout receives of both layers what the next layer would."""
    torch.manual_seed(0)
    skip = SkipConnections(DelayLinear(6, 3, 2), {1: DelayLinear(6, 3, 2)})
    layers = [DelayLinear(8, 6, 2), LIF(0.5, 0.2), Trace(0.5), ClipDropout(0.5), DelayLinear(6, 6, 2), LIF(0.5, 0.2)]
    model, seen = Stack(*layers, skip, Integrator(0.9)), []
    skip.skips["1"].register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    for use in (model, model.scores):
        use(clips().float())
        silenced = (seen[-1] == 0).all(0)
        assert 0 < int(silenced.sum()) < silenced.numel()
        assert len(seen[-1].unique()) > 10  # traces, not spikes


def test_layers_are_found_wherever_they_are() -> None:
    model = network(skip="all", connection=partial(DelayLinear, fan_in=4))
    widths = [(8, 12), (12, 10), (8, 10), (10, 9), (8, 9), (12, 9), (9, 3), (8, 3), (12, 3), (10, 3)]
    assert [(layer.in_features, layer.out_features) for layer in model.delay_layers] == widths
    assert list(model.delays_ms(2.0))[1:3] == ["blocks.1.linear.direct", "blocks.1.linear.skips.0"]
    norms = 2 * (12 + 10 + 9)
    assert model.parameter_count() == norms + sum(2 * 4 * targets for _, targets in widths)
    model = network(skip="all")
    # as if the 39 sources of the readout were those of one layer
    largest = max(float(layer.weight.detach().abs().max()) for layer in model.delay_layers[-4:])
    assert 0.9 < largest / (6 / 39) ** 0.5 <= 1
    draw_synapses(model, 0.5, torch.Generator().manual_seed(0))
    for layer in model.delay_layers:
        layer.dense_gradient = True
    model.scores(clips(), LENGTHS).sum().backward()
    before = [layer.synapse_mask() for layer in model.delay_layers]
    before = [old.clone() for old in before if old is not None]
    rewire(model, 0.3)
    prune(model, 0.4)
    for layer, old in zip(model.delay_layers, before, strict=True):
        assert layer.weight_mask is not None
        assert old is not None
        assert int(layer.weight_mask.sum()) == round(0.4 * layer.weight.numel())
        assert bool((layer.weight_mask & ~old).any())
    other = network(skip="all")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval().scores(clips()), model.eval().scores(clips()))


def test_delays_of_few_bits_are_those_of_quantize() -> None:
    model = network()
    set_bits(model, delay_bits=2)
    frozen = freeze(model.eval(), **ABOUT)
    made = quantize(frozen, delay_bits=2)
    for one, other in zip(frozen.layers, made.layers, strict=True):
        for ours, theirs in zip(one.inputs, other.inputs, strict=True):
            assert isinstance(ours, Dense)
            assert isinstance(theirs, Dense)
            assert set(ours.delay_steps.flat) == {0, 2, 4, 6}
            np.testing.assert_array_equal(ours.delay_steps, theirs.delay_steps)
    with pytest.raises(ValueError, match=r"^blocks\.1\.linear: SkipConnections"):
        set_bits(model, weight_bits=4)


def test_convolutions_may_skip_layers() -> None:
    """Batch norm by channel is folded into both."""
    torch.manual_seed(0)

    def conv(padding: int) -> DelayConv2d:
        return DelayConv2d(2, 2, 1 + 2 * padding, 3, (2, 2), padding=padding)

    layers: list[nn.Module] = [conv(1), SequenceBatchNorm(2, positions=4), LIF(0.5, 0.5)]
    layers += [SkipConnections(conv(1), {0: conv(0)}), SequenceBatchNorm(2, positions=4), LIF(0.5, 0.5)]
    model = Stack(*layers, DelayLinear(8, 3, 0), Integrator(0.9)).double()
    for _ in range(5):
        model.scores(clips(), LENGTHS)
    set_sigma(model.eval(), 0.3)
    frozen = freeze(model, **ABOUT)
    with torch.no_grad():
        expected, _ = model.forward_with_spikes(clips())
    assert int(expected[1].sum()) > 50
    run = Engine(frozen).run(clips()[:, 0].numpy())
    np.testing.assert_array_equal(run.spikes[1], torch.nonzero(expected[1][:, 0]).numpy())


class Doubled(Stack):
    def forward(self, x: Tensor, state: Any = None) -> Any:
        return super().forward(2 * x, state)


def skip(*sources: int, **options: Any) -> SkipConnections:
    return SkipConnections(DelayLinear(8, 3, 2), {source: DelayLinear(8, 3, 2) for source in sources})


@pytest.mark.parametrize(
    ("modules", "error", "said"),
    [
        ([skip(0), Integrator(0.9)], ValueError, r"^0: .* layer 0 is not allowed \(none in the first layer\)"),
        ([DelayLinear(8, 8, 2), LIF(0.5), skip(1), Integrator(0.9)], ValueError, r"^2: .* layer 1 .*\(0 \.\.\. 0\)"),
        ([Doubled(DelayLinear(8, 8, 2), LIF(0.5)), skip(0), Integrator(0.9)], TypeError, "^0: Doubled"),
        ([DelayLinear(8, 8, 2), LIF(0.5), Doubled(skip(0)), Integrator(0.9)], TypeError, "^2: Doubled"),
    ],
)
def test_layers_that_cannot_be_counted_are_refused_everywhere(
    modules: list[nn.Module], error: type[Exception], said: str
) -> None:
    model = Stack(*modules).eval()
    uses: list[Any] = [model, model.scores, lambda _: freeze(model, **ABOUT)]
    for use in uses:
        with pytest.raises(error, match=said):
            use(clips().float())


def test_a_hook_on_a_block_with_skip_connections_is_refused_not_passed_over() -> None:
    model = network()
    model.blocks[1].register_forward_hook(lambda *_: None)
    for use in (model, model.scores):
        with pytest.raises(TypeError, match=r"^blocks\.1: Stack"):
            use(clips())


def test_connections_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^skips\.0: 4 targets is not allowed \(3,"):
        SkipConnections(DelayLinear(8, 3, 2), {0: DelayLinear(8, 4, 2)})
    with pytest.raises(TypeError, match=r"^skips\.0: Linear"):
        SkipConnections(DelayLinear(8, 3, 2), {0: nn.Linear(8, 3)})  # type: ignore[dict-item]
    for sources in ((), (-1,), (0.5,), ("0",), (True,)):
        with pytest.raises(ValueError, match=r"^skips: "):
            SkipConnections(DelayLinear(8, 3, 2), {source: DelayLinear(8, 3, 2) for source in sources})  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"^skip: 'some'"):
        network(skip="some")
    model = Stack(DelayLinear(7, 8, 2), LIF(0.5), skip(0), Integrator(0.9))
    for use in (model, model.scores):
        with pytest.raises(ValueError, match=r"^x: "):
            use(torch.zeros(5, 2, 7))
