"""Convolutions in a frozen network: their synapses, their rules, their file, and what they cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.engine import Engine, cost
from ranvier.export import ExportError, to_nir
from ranvier.network import Conv, Dense, Network, NetworkError, quantize
from tests.drawn import convolution, draw_clip, draw_conv


def dense(part: Conv) -> Dense:
    """The same, synapse by synapse."""
    source, target, weight, delay_steps = part.synapses()
    shape = (len(source), part.targets, part.sources)
    slot = np.zeros((part.targets, part.sources), np.int64)
    weights, delays = np.zeros(shape[1:], np.float32), np.zeros(shape[1:], np.int16)
    np.add.at(slot, (target, source), 1)
    assert slot.max(initial=0) <= 1  # a pair has one kernel element
    weights[target, source], delays[target, source] = weight, delay_steps
    return Dense(part.source, part.max_delay, weights[None], delays[None])


def expanded(network: Network) -> Network:
    """The network with dense connections in the place of convolutions."""
    layers = [
        replace(layer, inputs=tuple(dense(each) if isinstance(each, Conv) else each for each in layer.inputs))
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def drawn(seed: int) -> Conv:
    (made,) = draw_conv(seed).layers[0].inputs
    assert isinstance(made, Conv)
    return made


def good(**changes: Any) -> Conv:
    given: dict[str, Any] = {
        "source": "input",
        "max_delay": 5,
        "size": (6, 7),
        "stride": (1, 2),
        "padding": (1, 0),
        "weight": np.ones((3, 2, 3, 4), np.float32),
        "delay_steps": np.full((3, 2, 3, 4), 5, np.int16),
    }
    return Conv(**{**given, **changes})


@pytest.mark.parametrize("seed", range(20))
def test_synapses_are_those_of_the_equation(seed: int) -> None:
    part = drawn(seed)
    expected = []
    (height, width), (out_height, out_width) = part.size, part.out_size
    for o, c, u, v in np.ndindex(*part.weight.shape):
        for y in range(out_height):
            for x in range(out_width):
                row = y * part.stride[0] + u - part.padding[0]
                column = x * part.stride[1] + v - part.padding[1]
                weight, delay = float(part.weight[o, c, u, v]), int(part.delay_steps[o, c, u, v])
                if 0 <= row < height and 0 <= column < width and weight != 0:
                    source, target = (c * height + row) * width + column, (o * out_height + y) * out_width + x
                    expected.append((source, target, weight, delay))
    assert list(zip(*(values.tolist() for values in part.synapses()), strict=True)) == expected
    assert part.synapse_count == len(expected)
    last = ((np.array(part.size) + 2 * np.array(part.padding) - part.weight.shape[2:]) // part.stride).tolist()
    assert part.out_size == (last[0] + 1, last[1] + 1)


def test_delays_are_those_of_kernel_elements() -> None:
    part = drawn(3)
    assert len(part.delays()) == np.count_nonzero(part.weight) < part.weight.size
    other = part.with_delays(part.max_delay - part.delays())
    there = part.weight != 0
    assert np.array_equal(other.delay_steps[there], part.max_delay - part.delay_steps[there])
    assert np.array_equal(other.delay_steps[~there], part.delay_steps[~there])
    assert np.array_equal(other.with_delays(part.delays()).delay_steps, part.delay_steps)


def test_a_file_gives_it_back(tmp_path: Path) -> None:
    network = draw_conv(1)
    network.write(tmp_path / "network.safetensors")
    back = Network.read(tmp_path / "network.safetensors")
    for ours, theirs in zip(network.layers, back.layers, strict=True):
        assert ours.inputs[0].settings() == theirs.inputs[0].settings()
        for name, array in ours.inputs[0].arrays().items():
            assert np.array_equal(array, theirs.inputs[0].arrays()[name])
    assert repr(back) == repr(network)
    clip = draw_clip(network, 0, 30)
    runs = [Engine(each).run(clip) for each in (network, back)]
    assert np.array_equal(runs[0].voltage, runs[1].voltage)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("size", {"size": (0, 7)}),
        ("size", {"size": (6,)}),
        ("size", {"size": "67"}),
        ("size", {"size": (6, 7.0)}),
        ("size", {"size": (2**13, 2**12)}),
        ("stride", {"stride": (0, 1)}),
        ("stride", {"stride": [1, True]}),
        ("stride", {"stride": (2**24, 2**24)}),
        ("padding", {"padding": (3, 0)}),
        ("padding", {"padding": (-1, 0)}),
        ("weight", {"size": (6, 3)}),
        ("weight", {"weight": np.ones((3, 2, 3, 4), np.float64)}),
        ("weight", {"weight": np.full((3, 2, 3, 4), np.nan, np.float32)}),
        ("delay_steps", {"delay_steps": np.zeros((3, 2, 3, 1), np.int16)}),
        ("delay_steps", {"delay_steps": np.full((3, 2, 3, 4), -1, np.int16)}),
        ("delay_steps", {"max_delay": 4}),
        ("max_delay", {"max_delay": 40000}),
        ("max_delay", {"max_delay": 32767, "size": (50, 50)}),
    ],
)
def test_what_breaks_a_rule_is_named(name: str, change: dict[str, Any]) -> None:
    assert good().targets == 3 * 6 * 2
    with pytest.raises(NetworkError, match=f"^{name}: "):
        good(**change)


def test_synapses_beyond_memory_are_refused_before_they_are_listed() -> None:
    shape = (3, 2, 8, 8)
    part = good(size=(1500, 1500), max_delay=1, weight=np.ones(shape, np.float32), delay_steps=np.ones(shape, np.int16))
    assert part.synapse_count > 2**27
    with pytest.raises(NetworkError, match=r"^weight: "):
        part.synapses()


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_costs_what_its_synapses_cost_but_for_what_is_stored(seed: int) -> None:
    network = draw_conv(seed)
    clips = [(draw_clip(network, n, 20), None) for n in range(2)]
    ours, theirs = (cost(each, clips) for each in (network, expanded(network)))
    shared = ("spikes", "synaptic_operations", "synapses", "ring_bytes", "history_bytes", "queue_bytes", "weight_bits")
    for mine, other, layer in zip(ours.layers, theirs.layers, network.layers, strict=True):
        assert {name: getattr(mine, name) for name in shared} == {name: getattr(other, name) for name in shared}
        (part,) = layer.inputs
        if isinstance(part, Conv):
            assert mine.weight_bytes == 4 * np.count_nonzero(part.weight)
            steps = mine.dense_operations / part.weight.size / np.prod(part.out_size)
            assert steps == 20 + network.decoding.tail_steps
    assert (ours.layers[0].synaptic_operations or 0) > 0
    assert (ours.total.synaptic_operations is None) == (network.layers[0].output is not None)


def test_what_does_not_take_it_says_so() -> None:
    network = draw_conv(1)
    with pytest.raises(NetworkError, match=r"^layers\.0\.inputs\.0: conv has no integer form"):
        quantize(network)
    with pytest.raises(ExportError) as refused:
        to_nir(network)
    assert (refused.value.place, refused.value.value) == ("layers.0.inputs.0", "conv")


def test_the_drawn_ones_differ() -> None:
    generator = np.random.default_rng(0)
    parts = [convolution(generator, "input", 1, (5, 6)) for _ in range(20)]
    assert len({part.stride for part in parts}) > 3
    assert any(part.padding != (0, 0) for part in parts)
