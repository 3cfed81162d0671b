"""The paper's network: its size, its streams, and that clips do not see one another."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.models import Recurrence, Stack, detectors, feedforward
from ranvier.network import Decoding, Tail
from ranvier.nn import LIF, AdaptiveLIF, DelayLinear, Integrator, Trace
from ranvier.nn.decay import Learn


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(tail: Tail = "clip", **options: object) -> Stack:
    model = feedforward(
        6,
        [12, 10],
        4,
        8,
        decay=0.3,
        dropout=0.3,
        decoding=Decoding(tail_steps=5, tail=tail),
        generator=generator(),
        **options,  # type: ignore[arg-type]
    )
    model.train()
    torch.manual_seed(0)
    for _ in range(5):  # batch norm's running statistics away from their start
        model.scores((torch.rand(30, 16, 6) < 0.3).float() * 2, torch.full((16,), 30))
    return model.eval()


def adaptive(decay: float, *, neurons: int) -> AdaptiveLIF:
    return AdaptiveLIF(neurons, 0.05, scale=3.0, generator=generator(2))


def learned(decay: Learn, threshold: Learn = False) -> dict[str, Any]:
    """Options for learned decays of all layers, and learned thresholds."""
    neuron = partial(LIF, learn_decay=decay, learn_threshold=threshold)
    return {"neuron": neuron, "readout": partial(Integrator, learn_decay=decay)}


TRACE: dict[str, Any] = {"trace": partial(Trace, 0.8)}
LEARNED_TRACE: dict[str, Any] = {"trace": partial(Trace, 0.8, learn_decay=True)}


VARIANTS: list[dict[str, Any]] = [
    {},
    learned(True),
    TRACE,
    {"neuron": adaptive},
    {"neuron": partial(LIF, reset="subtract")},
    learned("neuron", "layer"),
    {**learned(True), **LEARNED_TRACE, "batch_norm": False},
]


def clips() -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([20, 7, 13])
    x = (torch.rand(20, 3, 6, generator=generator(1)) < 0.4).float() * 2
    return x * (torch.arange(20).unsqueeze(1) < lengths).unsqueeze(-1), lengths


@pytest.mark.parametrize(
    ("hidden", "classes", "max_delay", "synapses_per_pair", "parameters"),
    [
        ([256, 256], 20, 24, 1, 214_016),
        ([512, 512], 35, 30, 1, 705_536),
        ([512, 512], 35, 30, 2, 1_409_024),
        ([512, 512, 512], 35, 30, 1, 1_230_848),
        ([512, 512, 512], 35, 30, 2, 2_458_624),
    ],
)
def test_parameter_counts_are_the_papers(
    hidden: list[int], classes: int, max_delay: int, synapses_per_pair: int, parameters: int
) -> None:
    connection = partial(DelayLinear, synapses_per_pair=synapses_per_pair)
    model = feedforward(140, hidden, classes, max_delay, decay=0.005, connection=connection)
    assert model.parameter_count() == parameters


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("tail", ["clip", "per_layer"])
def test_a_clip_is_worth_the_same_alone_in_any_batch_and_with_any_padding(tail: Tail, variant: dict[str, Any]) -> None:
    model = small(tail, **variant).double()  # where nothing but the padding itself could make a difference
    x, lengths = clips()
    x = x.double()
    together = model.scores(x, lengths)
    padded = model.scores(torch.cat([x, torch.zeros(17, 3, 6).double()]), lengths)
    torch.testing.assert_close(padded, together, atol=1e-10, rtol=0)
    for clip, length in enumerate(lengths.tolist()):
        alone = model.scores(x[:length, clip : clip + 1], lengths[clip : clip + 1])
        torch.testing.assert_close(alone[0], together[clip], atol=1e-10, rtol=0)
    assert together.argmax(1).unique().numel() > 1 or together.std() > 0.01


@pytest.mark.parametrize("variant", VARIANTS[:3])
@pytest.mark.parametrize("tail", ["clip", "per_layer"])
def test_batch_norms_statistics_do_not_see_the_padding(tail: Tail, variant: dict[str, Any]) -> None:
    x, lengths = clips()
    statistics = []
    for padding in (0, 40):
        model = small(tail, **variant).train()
        torch.manual_seed(0)  # of dropout
        model.forward_with_spikes(torch.cat([x, torch.zeros(padding, 3, 6)]), lengths)
        statistics.append({name: value for name, value in model.state_dict().items() if "running" in name})
    for name, value in statistics[0].items():
        torch.testing.assert_close(statistics[1][name], value, msg=f"{name} depends on the padding")


def test_the_silence_after_a_clip_is_as_long_in_all_as_the_official_padding() -> None:
    assert feedforward(140, [256, 256], 20, 24, decay=0.005).decoding == Decoding(tail_steps=36)
    assert feedforward(140, [512, 512, 512], 35, 30, decay=1 / 3).decoding == Decoding(tail_steps=60)


def test_the_tail_is_received() -> None:
    x, lengths = clips()
    model = small()
    longer = small()
    longer.decoding = Decoding(tail_steps=9)
    assert not torch.allclose(model.scores(x, lengths), longer.scores(x, lengths))
    torch.testing.assert_close(model.scores(x, lengths).sum(1), lengths + 5.0)


def test_per_layer_tails_add_up() -> None:
    x, lengths = clips()
    torch.testing.assert_close(small("per_layer").scores(x, lengths).sum(1), lengths + 15.0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stream_in_pieces_is_the_whole(variant: dict[str, Any]) -> None:
    model = small(**variant)
    x, _ = clips()
    whole, _ = model(x)
    state, pieces = None, []
    for piece in x.split([3, 1, 9, 7]):
        voltage, state = model(piece, state)
        pieces.append(voltage)
    torch.testing.assert_close(torch.cat(pieces), whole)
    assert whole.abs().max() > 0.1


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_clip_with_its_tail_is_a_stream_followed_by_silence(variant: dict[str, Any]) -> None:
    model = small(**variant)
    x, _ = clips()
    _, voltage = model.forward_with_spikes(x, torch.full((3,), 20))
    stream, _ = model(torch.cat([x, torch.zeros(5, 3, 6)]))
    torch.testing.assert_close(voltage, stream)


def test_sigma_reaches_every_layer() -> None:
    model = small()
    model.set_sigma(0.7)
    assert [round(float(layer.sigma), 4) for layer in model.delay_layers] == [0.7] * 3


def test_detectors_count_votes() -> None:
    model = detectors(5, 3, 6, decay=0.005, readout_decay=0.9, vote=4.0, generator=generator()).eval()
    spikes, voltage = model.forward_with_spikes(torch.ones(10, 1, 5), torch.tensor([10]))
    assert spikes[0].sum() > 0
    expected, v = [], torch.zeros(1, 3)
    for step in spikes[0]:
        v = 0.9 * v + 4.0 * step
        expected.append(v)
    torch.testing.assert_close(voltage, torch.stack(expected))
    assert model.parameter_count() == 2 * 5 * 3 + 3


def test_detectors_are_made_by_a_factory_as_other_networks_neurons() -> None:
    """Called with the decay and how many they are."""
    options: dict[str, Any] = {"readout_decay": 0.9, "vote": 4.0}
    made = partial(LIF, surrogate="triangle", alpha=2.0, learn_threshold="neuron")
    neuron = detectors(5, 3, 6, decay=0.25, neuron=made, generator=generator(), **options).blocks[0].neuron
    assert isinstance(neuron, LIF)
    assert (neuron.surrogate, neuron.alpha, float(neuron.decay), len(neuron.threshold)) == ("triangle", 2.0, 0.25, 3)
    plain = detectors(5, 3, 6, decay=0.25, generator=generator(), **options).blocks[0].neuron
    assert (plain.surrogate, plain.alpha) == ("arctan", 5.0)
    with pytest.raises(ValueError, match=r"^neuron: LIF object is not allowed \(a class"):
        detectors(5, 3, 6, decay=0.25, neuron=LIF(0.25), **options)
    with pytest.raises(ValueError, match=r"^neuron: option neurons is not allowed"):
        detectors(5, 3, 6, decay=0.25, neuron=partial(LIF, neurons=3), **options)


def test_a_frozen_norm_stays_frozen_in_training() -> None:
    model = feedforward(5, [4], 2, 3, decay=0.3, generator=torch.Generator().manual_seed(0))
    norm = model.blocks[0].norm
    assert norm is not None
    x, lengths = torch.rand(9, 6, 5), torch.full((6,), 9)
    model.train().scores(x, lengths)
    moved = norm.running_mean
    assert moved is not None
    before = moved.clone()
    assert before.any()
    norm.eval()
    model.scores(x, lengths)
    assert torch.equal(moved, before)


@pytest.mark.parametrize(
    ("options", "more"),
    [
        (learned(True), 3),
        (TRACE, 0),
        (LEARNED_TRACE, 2),
        ({**learned(True), **LEARNED_TRACE}, 5),
        (learned(False, "layer"), 2),
    ],
)
def test_a_learned_decay_is_one_number_per_layer_and_is_learned(options: dict[str, Any], more: int) -> None:
    model = feedforward(140, [256, 256], 20, 24, decay=0.005, **options)
    assert model.parameter_count() == 214_016 + more
    model = small(**options).train()
    alone = [p for name, p in model.named_parameters() if name.endswith(("decay.original", "threshold"))]
    assert len(alone) == more
    model.scores(*clips()).square().sum().backward()
    for parameter in alone:
        assert parameter.grad is not None
        assert parameter.grad != 0


@pytest.mark.parametrize("options", [{}, {"batch_norm": False}])
@pytest.mark.parametrize("training", [True, False])
def test_the_next_layer_hears_traces_of_spikes_and_dropout_comes_last(training: bool, options: dict[str, Any]) -> None:
    block = small(**TRACE, **options).train(training).blocks[0]
    x, lengths = clips()
    (spikes,), received = block.forward_with_spikes(x, lengths)
    assert spikes.unique().tolist() == [0, 1]
    y, trace = torch.zeros(3, 12), []
    for s in spikes:
        y = torch.where(s > 0, y + 1, 0.8 * y)
        trace.append(y)
    whole = torch.stack(trace)
    if not training:
        torch.testing.assert_close(received, whole)
        torch.testing.assert_close(block(x)[0], whole)
        return
    silenced = (received == 0).all(0)
    assert 0.05 < silenced[(whole > 0).any(0)].float().mean() < 0.7
    torch.testing.assert_close(received, torch.where(silenced, 0.0, whole / 0.7))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"neuron": LIF(0.9)}, ValueError, "neuron: LIF object"),
        ({"trace": Trace(0.8)}, ValueError, "trace: Trace object"),
        ({"neuron": partial(LIF, 0.3)}, ValueError, "neuron: options by position"),
        ({"neuron": partial(LIF, neurons=7)}, ValueError, "neuron: option neurons"),
        ({"neuron": AdaptiveLIF}, TypeError, "neuron: cannot be called as neuron"),
        ({"connection": partial(DelayLinear, bias=True)}, ValueError, "connection: option bias"),
        ({"connection": partial(DelayLinear, longest=3)}, TypeError, "connection: cannot be called .* 'longest'"),  # type: ignore[call-arg]
        (
            {"recurrence": Recurrence("axonal", connection=partial(DelayLinear, learn_delay=False))},
            ValueError,
            r"recurrence\.connection: option learn_delay",
        ),
        ({"recurrence": "axonal"}, ValueError, "recurrence: 'axonal'"),
        ({"decoding": "count"}, ValueError, "decoding: 'count'"),
        ({"readout": LIF}, ValueError, "readout: LIF .* softmax"),
        ({"readout": Integrator, "decoding": Decoding(scores="count")}, ValueError, "readout: Integrator .* count"),
    ],
)
def test_parts_that_cannot_be_made_as_asked_are_named(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        feedforward(6, [5, 4], 3, 8, **{"decay": 0.5, **options})
