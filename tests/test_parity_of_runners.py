"""All runners give a network the same spikes: those of its equations.

Integer networks: equal always. Networks of floats: equal, or at a first difference the voltage is within 1e-5 of the
threshold. What a runner cannot run it refuses by its place, and only what stands in :data:`REFUSED`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ranvier import load_network
from ranvier.export import ExportError
from ranvier.network import AdaptiveLIF, Conv, Decoding, Input, Network, Scores, SoftResetLIF, Tail, quantize
from ranvier.nn import class_scores
from tests.drawn import conv_with_gaps, counted, draw, draw_clip, draw_conv, made_sparse
from tests.engine.plain import Plain, integer_scores, run_plain
from tests.networks import chained, dense_layer
from tests.parity import CLOSE
from tests.runners import RUNNERS, Clips, Outcome

REFUSED = {
    ("nir", "traces"): "output",
    ("nest", "traces"): "output",
    ("nir", "soft"): "neuron",
    ("nest", "soft"): "neuron",
    ("nir", "adaptive"): "neuron",
    ("nest", "adaptive"): "neuron",
    ("nir", "integer"): "neuron",
    ("nest", "integer"): "neuron",
    ("nir", "conv"): "inputs",
    ("onnx step", "per_layer"): "decoding",
}
"""What each runner cannot run, and what its error names."""


def kinds(network: Network) -> set[str]:
    found = {"traces"} if any(layer.output for layer in network.layers) else set()
    found |= {"conv"} if any(isinstance(made, Conv) for layer in network.layers for made in layer.inputs) else set()
    found |= {"integer"} if network.integer else set()
    found |= {"soft"} if isinstance(network.layers[0].neuron, SoftResetLIF) else set()
    found |= {"adaptive"} if isinstance(network.layers[0].neuron, AdaptiveLIF) else set()
    return found | ({"per_layer"} if network.decoding.tail == "per_layer" and network.decoding.tail_steps else set())


def tiny(max_delay: int, delay: int, synapses: int = 1) -> Network:
    """One input, one hidden neuron, one class."""

    def layer(threshold: float) -> Any:
        return dense_layer(
            weight=np.full((synapses, 1, 1), 0.7, np.float32),
            delay_steps=np.full((synapses, 1, 1), delay, np.int16),
            bias=np.zeros(1, np.float32),
            decay=np.full(1, 0.5, np.float32),
            threshold=np.full(1, threshold, np.float32),
            max_delay=max_delay,
        )

    return chained(1.0, (layer(1.0), layer(np.inf)), ("a",), Input(1), Decoding(max_delay))


def loud() -> Network:
    """300 neurons that spike in every time step: 36,000 spikes in 120."""
    network = draw(0)
    generator = np.random.default_rng(0)

    def layer(sources: int, targets: int, threshold: float, bias: float) -> Any:
        shape = (1, targets, sources)
        return dense_layer(
            weight=generator.normal(0, 0.01, shape).astype(np.float32),
            delay_steps=generator.integers(0, 4, shape).astype(np.int16),
            bias=np.full(targets, bias, np.float32),
            decay=np.full(targets, 0.5, np.float32),
            threshold=np.full(targets, threshold, np.float32),
            max_delay=3,
        )

    return chained(network.dt_ms, (layer(2, 300, 1.0, 3.0), layer(300, 2, np.inf, 0.0)), ("a", "b"), Input(2))


def scored(kind: Scores, seed: int, tail: Tail = "clip") -> Network:
    """A drawn network whose class scores are of another kind; all voltages of some classes are below 0."""
    network = draw(seed)
    readout = network.layers[-1]
    lower = replace(readout, bias=readout.bias - np.float32(0.3))
    decoding = replace(network.decoding, scores=kind, tail=tail)
    return replace(network, layers=(*network.layers[:-1], lower), decoding=decoding)


def clips_of(network: Network, seed: int = 0) -> Clips:
    """Usual, silent, of one time step, and everything at once."""
    generator = np.random.default_rng(seed)
    every = np.zeros((12, network.sources))
    every[3] = generator.integers(1, 4, network.sources)
    usual = draw_clip(network, seed, steps=40)
    return [usual, np.zeros((9, network.sources)), usual[:1], np.ones((1, network.sources)), every]


CASES: dict[str, Network] = {
    "delay 0": tiny(0, 0),
    "longest delay": tiny(40, 40),
    "two synapses a pair": tiny(3, 2, synapses=2),
    "more than 32,767 spikes": loud(),
    **{f"chain {seed}": draw(seed) for seed in (0, 2, 4, 5, 7, 8)},
    **{f"loops {seed}": draw(seed, loops=True) for seed in (15, 17, 18)},
    **{f"traces {seed}": draw(seed, traces=True) for seed in (20, 22, 24)},
    **{f"adaptive {seed}": draw(seed, adaptive=True) for seed in (45, 56, 59)},
    **{f"adaptive loops {seed}": draw(seed, adaptive=True, loops=True) for seed in (59, 71)},
    **{f"adaptive traces {seed}": draw(seed, adaptive=True, traces=True) for seed in (52, 73)},
    **{f"soft reset {seed}": draw(seed, soft=True, traces=seed == 5) for seed in (0, 2, 5)},
    "sparse, two synapses a pair": made_sparse(tiny(3, 2, synapses=2)),
    **{f"sparse chain {seed}": made_sparse(draw(seed)) for seed in (0, 2, 5)},
    **{f"sparse loops {seed}": made_sparse(draw(seed, loops=True)) for seed in (15, 17)},
    "sparse traces": made_sparse(draw(20, traces=True)),
    "sparse integers": made_sparse(draw(32, integer=True)),
    "sparse loops of integers": made_sparse(draw(44, integer=True, loops=True)),
    "soft reset loops": draw(10, soft=True, loops=True),
    **{f"convolutions {seed}": draw_conv(seed) for seed in (50, 51, 52, 53, 54, 55)},
    "convolutions with gaps": conv_with_gaps(),
    "scores sum": scored("sum", 0),
    "scores max": scored("max", 2),
    "scores last": scored("last", 4),
    "scores max of each layer's tail": scored("max", 2, "per_layer"),
    "counted": counted(draw(0)),
    "counted, each class inhibits the others": counted(draw(18, loops=True), inhibited=True),
    "counted after adaptive neurons": counted(draw(45, adaptive=True)),
    "counted after traces": counted(draw(22, traces=True)),
    "counted after convolutions": counted(draw_conv(51)),
    "counted in integers": counted(draw(33, integer=True)),
    "counted in integers, each class inhibits the others": counted(draw(44, integer=True, loops=True), inhibited=True),
    **{f"integers {seed}": draw(seed, integer=True) for seed in (32, 33, 39)},
    **{f"loops of integers {seed}": draw(seed, integer=True, loops=True) for seed in (44, 45, 50)},
}


@cache
def expected(case: str) -> list[Plain]:
    network = CASES[case]
    return [run_plain(network, clip) for clip in clips(case)]


@cache
def clips(case: str) -> Clips:
    network = CASES[case]
    return [np.ones((120, 2))] if case.startswith("more than") else clips_of(network)


def compare(network: Network, plain: Plain, outcome: Outcome) -> int:
    """Check what a runner gave; returns how many spikes there were."""
    made = [np.zeros_like(raster) for raster in plain.rasters]
    for raster, spikes in zip(made, outcome.spikes, strict=True):
        raster[spikes[:, 0], spikes[:, 1]] = 1
        assert raster.sum() == len(spikes)
    if network.integer:
        for mine, theirs in zip(made, plain.rasters, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert outcome.scores is not None
        if network.decoding.scores == "softmax":
            np.testing.assert_array_equal(outcome.voltage, plain.voltage)
            assert outcome.scores.tolist() == integer_scores(network, plain.voltage)
    elif margins := first_differences(network, plain, made):
        print(f"first difference at |v - threshold| = {max(margins):.1e}")
        assert max(margins) < CLOSE
    elif outcome.voltage is not None:
        np.testing.assert_allclose(outcome.voltage, plain.voltage, rtol=1e-4, atol=1e-4)
        if outcome.scores is not None:
            scores = class_scores(torch.from_numpy(plain.voltage)[:, None], scores=network.decoding.scores)[0]
            np.testing.assert_allclose(outcome.scores, scores, atol=1e-3)
    if network.decoding.scores == "count" and outcome.scores is not None:
        assert outcome.scores.tolist() == made[-1].sum(0).tolist()
    return sum(map(len, outcome.spikes))


def first_differences(network: Network, plain: Plain, made: list[NDArray[Any]]) -> list[float]:
    """``|v - threshold|`` of the spikes that differ in the first time step that has any, there in the first layer."""
    first: tuple[float, int] = (np.inf, 0)
    for number, (mine, theirs) in enumerate(zip(made, plain.rasters, strict=True)):
        steps = np.flatnonzero((mine != theirs).any(1))
        if len(steps) and (steps[0], number) < first:
            first = (steps[0], number)
    if first[0] == np.inf:
        return []
    step, number = int(first[0]), first[1]
    differing = np.flatnonzero(made[number][step] != plain.rasters[number][step])
    threshold = network.layers[number].neuron.arrays()["threshold"][differing].astype(float)
    return [float(margin) for margin in np.abs(plain.potentials[number][step, differing] - threshold)]


@pytest.mark.parametrize("name", RUNNERS)
@pytest.mark.parametrize("case", CASES)
def test_every_runner_gives_the_spikes_of_the_equations(case: str, name: str) -> None:
    network = CASES[case]
    refused = [word for (runner, kind), word in REFUSED.items() if runner == name and kind in kinds(network)]
    if refused:
        with pytest.raises(ExportError) as error:
            RUNNERS[name](network, clips(case))
        assert any(word in error.value.place for word in refused), str(error.value)
        return
    outcomes = RUNNERS[name](network, clips(case))
    plain = expected(case)
    assert len(outcomes) == len(plain)
    spikes = [compare(network, one, outcome) for one, outcome in zip(plain, outcomes, strict=True)]
    assert sum(spikes) > (32_767 if case.startswith("more than") else 1)


@pytest.mark.parametrize("name", ["engine", "stream", "nir", "onnx scan"])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), integer=st.booleans(), loops=st.booleans(), adaptive=st.booleans())
def test_shapes_and_clips_of_any_kind(name: str, seed: int, integer: bool, loops: bool, adaptive: bool) -> None:
    adaptive = adaptive and not integer and name != "nir"
    network = draw(seed, integer=integer and name != "nir", loops=loops, adaptive=adaptive)
    for clip, outcome in zip(clips_of(network, seed), RUNNERS[name](network, clips_of(network, seed)), strict=True):
        compare(network, run_plain(network, clip), outcome)


@pytest.mark.parametrize("name", ["engine", "stream", "onnx scan"])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_convolutions_of_any_shape(name: str, seed: int) -> None:
    network = draw_conv(seed)
    for clip, outcome in zip(clips_of(network, seed), RUNNERS[name](network, clips_of(network, seed)), strict=True):
        compare(network, run_plain(network, clip), outcome)


@pytest.fixture(scope="module")
def packaged() -> tuple[Network, Clips]:
    """The network of the package, and spoken digits of its test set."""
    from tests.export.test_c import packaged_clips

    return load_network("digits"), packaged_clips(4)


@pytest.mark.parametrize("bits", [None, 8, 4, "ternary"])
@pytest.mark.parametrize("name", RUNNERS)
def test_a_trained_network(packaged: tuple[Network, Clips], name: str, bits: Any) -> None:
    network, spoken = packaged
    network = network if bits is None else quantize(network, weight_bits=bits)
    if bits is not None and (name, "integer") in REFUSED:
        with pytest.raises(ExportError):
            RUNNERS[name](network, spoken)
        return
    plain = [run_plain(network, clip) for clip in spoken]
    outcomes = RUNNERS[name](network, spoken)
    assert sum(compare(network, one, outcome) for one, outcome in zip(plain, outcomes, strict=True)) > 5000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stream", "c", "onnx scan"])
def test_recordings(shd_root: Path, packaged: tuple[Network, Clips], name: str) -> None:
    """500 clips of recorded speech in an integer network, as the engine runs them."""
    from ranvier.data import Grid, read_recording

    dataset = read_recording(shd_root / "shd_train.h5.gz", Grid(700, 5, 10.0))
    network = quantize(packaged[0])
    recorded = []
    for clip in np.arange(0, len(dataset), len(dataset) // 500)[:500]:
        step, source, size = dataset.clip(clip)
        x = np.zeros((int(dataset.lengths[clip]), 140))
        np.add.at(x, (step, source), size)
        recorded.append(x)
    spikes = 0
    for one, other in zip(RUNNERS["engine"](network, recorded), RUNNERS[name](network, recorded), strict=True):
        for mine, theirs in zip(one.spikes, other.spikes, strict=True):
            np.testing.assert_array_equal(mine, theirs)
            spikes += len(mine)
        np.testing.assert_array_equal(one.scores, other.scores)
    assert spikes > 500_000


def test_the_comparison_itself_fails_where_a_spike_is_missing_or_more() -> None:
    network = replace(CASES["chain 2"])
    (clip, *_), (plain, *_) = clips("chain 2"), expected("chain 2")
    (right,) = RUNNERS["engine"](network, [clip])
    compare(network, plain, right)
    far = np.argwhere(np.abs(plain.potentials[0] - network.layers[0].neuron.arrays()["threshold"]) > 0.01)
    flipped = plain.rasters[0].copy()
    flipped[tuple(far[0])] = 1 - flipped[tuple(far[0])]
    with pytest.raises(AssertionError):
        compare(network, plain, replace(right, spikes=[np.argwhere(flipped), *right.spikes[1:]]))
