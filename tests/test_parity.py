"""Torch and engine give the same spikes, on generated clips and on recordings; what differs is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ranvier.network as network_parts
from ranvier.data import Grid, SpikeDataset, read_recording
from ranvier.models import Stack, feedforward, freeze
from ranvier.network import Decoding, Input, Network, Tail
from ranvier.nn import LIF, DelayLinear, Integrator, Trace
from tests.networks import chained, dense_layer
from tests.parity import CLOSE, Parity, count_differences, first_margins

CLIPS = 200
GRID = Grid(700, 5, 10.0)


@pytest.fixture(scope="module")
def shd(shd_root: Path, tmp_path_factory: pytest.TempPathFactory) -> SpikeDataset:
    return read_recording(shd_root / "shd_train.h5.gz", GRID)


LEARNED = {"neuron": partial(LIF, learn_decay=True), "readout": partial(Integrator, learn_decay=True)}
STATEFUL = {**LEARNED, "trace": partial(Trace, 0.9, learn_decay=True)}


def trained_a_little(shd: SpikeDataset, tail: Tail, tail_steps: int, **variant: Any) -> Stack:
    """The paper's SHD network with learned delays, trained for a few steps so that its layers spike as they should."""
    model = feedforward(
        140,
        [256, 256],
        20,
        24,
        decay=0.005,
        dropout=0.4,
        decoding=Decoding(tail_steps, tail),
        generator=torch.Generator().manual_seed(0),
        **variant,
    )
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.set_sigma(0.5)
    for step in range(6):
        x, lengths, labels = shd.batch(np.arange(32) + 1000 + 32 * step)
        loss = torch.nn.functional.cross_entropy(model.scores(x, lengths), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.clamp_delay()
    return model.eval()


SHAPES: list[tuple[list[int], int, int, Tail, dict[str, Any]]] = [
    ([13], 1, 0, "clip", {}),
    ([17, 5], 2, 7, "clip", {}),
    ([9, 31], 1, 12, "per_layer", LEARNED),
    ([24, 7], 3, 5, "per_layer", STATEFUL),
    ([11, 3, 19], 1, 9, "clip", {"trace": partial(Trace, 0.8)}),
    ([16], 1, 4, "clip", {"batch_norm": False}),
    ([12, 8], 1, 6, "per_layer", {"connection": partial(DelayLinear, delay_type="axonal")}),
    ([12, 8], 7, 6, "clip", {"connection": partial(DelayLinear, dense_kernel=True, learn_delay=False)}),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_random_networks_freeze_spike_for_spike(
    shape: tuple[list[int], int, int, Tail, dict[str, Any]], seed: int, record_property: Callable[[str, object], None]
) -> None:
    hidden, synapses_per_pair, max_delay, tail, variant = shape
    generator = torch.Generator().manual_seed(seed)
    sources, classes, tail_steps = 5 + 2 * seed, 3 + seed, seed * 4
    connection = partial(variant.get("connection", DelayLinear), synapses_per_pair=synapses_per_pair)
    options = {**variant, "connection": connection, "decoding": Decoding(tail_steps, tail), "generator": generator}
    model = feedforward(sources, hidden, classes, max_delay, decay=0.6, **options)
    x = torch.poisson(torch.full((41, 16, sources), 0.3), generator)
    lengths = torch.randint(1, 42, (16,), generator=generator)
    x = x.where((torch.arange(41).unsqueeze(1) < lengths).unsqueeze(-1), torch.zeros(()))
    with torch.no_grad():
        for block in model.blocks:
            block.linear.weight.mul_(3)  # so that they spike without any training
            if block.linear.bias is not None:
                block.linear.bias.uniform_(-0.2, 0.5, generator=generator)
        for _ in range(5):  # batch norm's running statistics away from their start
            model.train().scores(x, lengths)
    network = freeze(
        model.eval(), dt_ms=10.0, classes=[f"class {number}" for number in range(classes)], input=Input(sources)
    )
    parity = Parity()
    count_differences(parity, model, network, x, lengths)
    record_property("parity", str(parity))
    assert parity.spikes > 100
    assert all(margin < CLOSE for margin in parity.margins), str(parity)
    assert parity.margins or not parity.differing
    assert parity.unexplained == 0


def test_a_difference_is_counted_and_its_first_margin_is_found() -> None:
    ones = np.ones(2, np.float32)
    weight = np.array([[[0.75, 0.0], [0.25, 0.5]]], np.float32)
    layer = dense_layer(weight, np.array([[[0, 0], [1, 0]]], np.int16), 0 * ones, 0.5 * ones, ones, 1)
    readout = replace(layer, neuron=network_parts.Integrator(0.5 * ones))
    network = chained(1.0, (layer, readout), ("a", "b"), Input(2), Decoding())
    clip = np.array([[1.0, 0], [1, 1], [1, 0]])
    # neuron 0: v = 0.75, 1.125 (spikes), 0.75; neuron 1: v = 0, 0.75, 0.625
    mine = np.array([[0, 0], [1, 0], [0, 0]], bool)
    others = np.array([[0, 0], [0, 0], [1, 1]], bool)
    margins = list(first_margins(network, clip, [mine], [others]))
    assert margins == pytest.approx([0.125, 0.375])
    same = mine.copy()
    same[2, 1] = True
    # a neuron of the next layer that differs after what it hears has differed is no first difference
    deeper = chained(1.0, (layer, layer, readout), ("a", "b"), Input(2))
    assert list(first_margins(deeper, clip, [mine, same], [others, mine])) == margins


@pytest.mark.parametrize(
    ("tail", "tail_steps", "variant"), [("clip", 36, {}), ("per_layer", 12, {}), ("per_layer", 12, STATEFUL)]
)
def test_frozen_network_spikes_as_the_model_does(
    shd: SpikeDataset,
    tail: Tail,
    tail_steps: int,
    variant: dict[str, Any],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    model = trained_a_little(shd, tail, tail_steps, **variant)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    freeze(model, dt_ms=10.0, classes=shd.classes, input=Input(700, 5)).write(tmp_path / "n.safetensors")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    network = Network.read(tmp_path / "n.safetensors")

    parity = Parity()
    for clips in np.array_split(np.random.default_rng(0).choice(len(shd), CLIPS, replace=False), 4):
        x, lengths, _ = shd.batch(clips)
        count_differences(parity, model, network, x, lengths)
    record_property("parity", str(parity))
    assert parity.spikes > 100_000
    assert parity.differing <= 1e-5 * parity.spikes, str(parity)
    assert all(margin < CLOSE for margin in parity.margins), str(parity)
    assert parity.margins or not parity.differing
    assert parity.unexplained == 0
    assert parity.predictions >= 0.99 * CLIPS


@torch.no_grad()
def test_a_real_clip_is_worth_the_same_alone_in_any_batch_and_with_any_padding(shd: SpikeDataset) -> None:
    with torch.enable_grad():
        model = trained_a_little(shd, "clip", 36)
    clips = np.argsort(shd.lengths)[[0, 100, 4000, -1]]
    x, lengths, _ = shd.batch(clips)
    padded, _, _ = shd.batch(clips, steps=250)
    together = model.scores(x, lengths)
    torch.testing.assert_close(model.scores(padded, lengths), together, atol=1e-3, rtol=1e-5)
    for place, clip in enumerate(clips):
        alone = model.scores(*shd.batch(np.array([clip]))[:2])
        torch.testing.assert_close(alone[0], together[place], atol=1e-3, rtol=1e-5)
