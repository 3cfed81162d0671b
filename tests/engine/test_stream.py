"""Engine, streams and many clips at once against the equations, on networks of every kind."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ranvier.engine import Engine, Run
from ranvier.network import Decoding, Input, Network
from tests.drawn import Floats, Integers, connection, draw, draw_clip
from tests.engine.plain import integer_scores, run_plain

KINDS = st.fixed_dictionaries(dict.fromkeys(("integer", "loops", "traces", "adaptive"), st.booleans())).filter(
    lambda kind: not (kind["integer"] and (kind["traces"] or kind["adaptive"]))
)


def dense(spikes: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    raster = np.zeros_like(like)
    raster[spikes[:, 0], spikes[:, 1]] = 1
    return raster


def assert_same(one: Run, other: Run) -> None:
    """To the bit."""
    for mine, theirs in zip(one.spikes, other.spikes, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(one.voltage, other.voltage)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert one.prediction == other.prediction


@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), kind=KINDS, rate=st.sampled_from([0.0, 0.1, 0.4, 3.0]))
def test_the_engine_is_the_equations(seed: int, kind: dict[str, bool], rate: float) -> None:
    network = draw(seed, **kind)
    x = draw_clip(network, seed, rate=rate)
    plain = run_plain(network, x)
    rasters, voltage = plain.rasters, plain.voltage
    result = Engine(network).run(x)
    for spikes, raster in zip(result.spikes, rasters, strict=True):
        np.testing.assert_array_equal(dense(spikes, raster), raster)
        assert len(spikes) == raster.sum()
    if network.integer:
        np.testing.assert_array_equal(result.voltage, voltage)
        assert (result.scores * 2**15).tolist() == integer_scores(network, voltage)
    else:
        np.testing.assert_allclose(result.voltage, voltage, atol=1e-9)
        share = np.exp(voltage - voltage.max(1, keepdims=True))
        np.testing.assert_allclose(result.scores, (share / share.sum(1, keepdims=True)).sum(0), rtol=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), kind=KINDS, data=st.data())
def test_a_clip_in_packets_gives_the_bits_of_the_whole(seed: int, kind: dict[str, bool], data: st.DataObject) -> None:
    network = draw(seed, **kind)
    x = draw_clip(network, seed, steps=int(np.random.default_rng(seed).integers(1, 400)))
    engine = Engine(network)
    whole = engine.run(x)
    stream, at, parts = engine.stream(), 0, []
    while at < len(x):
        steps = data.draw(st.integers(1, len(x) - at))
        if steps == 1:
            spiking = stream.step(np.flatnonzero(x[at]), x[at][x[at] != 0])
            made = tuple(np.stack([np.full(len(each), at), each], 1) for each in spiking)
            parts.append(Run(made, np.empty((0, len(network.classes))), stream.scores, stream.prediction))
        else:
            parts.append(stream.push(x[at : at + steps]))
        at += steps
        if data.draw(st.booleans()):  # what was kept and put into another stream goes on alike
            state = stream.state()
            stream = engine.stream()
            stream.push(x[:1])
            stream.restore(state)
    parts.append(stream.finish())
    spikes = tuple(np.concatenate([part.spikes[number] for part in parts]) for number in range(len(whole.spikes)))
    kept = [t for part in parts if len(part.voltage) for t in [part.voltage]]
    assert stream.t == len(whole.voltage)
    for mine, theirs in zip(spikes, whole.spikes, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert len(whole.voltage) >= sum(map(len, kept))
    np.testing.assert_array_equal(parts[-1].scores, whole.scores)
    assert parts[-1].prediction == whole.prediction


def test_an_engine_keeps_nothing_from_one_clip_to_the_next_and_many_run_as_one() -> None:
    network = draw(15, loops=True)
    clips = [(draw_clip(network, seed), None) for seed in range(40)]
    engine = Engine(network)
    alone = [Engine(network).run(*clip) for clip in clips]
    for workers in (1, 3, None):
        many = list(engine.run_many(iter(clips), workers=workers))
        assert len(many) == 40
        for one, other in zip(many, alone, strict=True):
            assert_same(one, other)
    with pytest.raises(ValueError, match="workers: 0"):
        list(engine.run_many(clips, workers=0))


def test_an_error_in_one_of_many_clips_comes_out() -> None:
    network = draw(3)
    clips = [(draw_clip(network, 0), None), (np.full((5, network.sources), np.nan), None)]
    with pytest.raises(ValueError, match="events"):
        list(Engine(network).run_many(clips))


def most_allocated(integer: bool, neurons: int) -> int:
    """Bytes that a hundred steps hold at once, of a network that is warm."""
    generator = np.random.default_rng(0)
    numbers = (Integers if integer else Floats)(generator)
    shapes = (("input", (1, neurons, 50)), ("hidden_1", (1, 2, neurons)))
    inputs = [connection(numbers, source, shape) for source, shape in shapes]
    layers = [
        numbers.layer(name, [one], last=name == "readout")
        for name, one in zip(("hidden_1", "readout"), inputs, strict=True)
    ]
    stream = Engine(Network(5.0, tuple(layers), ("a", "b"), Input(50), Decoding())).stream()
    clip = generator.poisson(0.4, (100, 50))
    events = [(np.flatnonzero(row), row[row != 0]) for row in clip]
    peaks, spikes = [], 0
    for _ in range(60):  # in the first ones Python makes what it keeps
        tracemalloc.start()
        try:
            spikes += sum(len(stream.step(source, size)[0]) for source, size in events)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert spikes > 5 * neurons
    return min(peaks)


@pytest.mark.parametrize("integer", [False, True])
def test_a_step_allocates_no_array(integer: bool) -> None:
    """An array of a byte per neuron would be 2,000 more, one of voltages 8,000 or 16,000."""
    assert most_allocated(integer, 2000) - most_allocated(integer, 20) < 1000


@pytest.mark.parametrize(
    ("source", "size", "message"),
    [
        ([9], None, "source: 9 ... 9"),
        ([-1], None, "source: -1"),
        ([0.0], None, "source: float64"),
        ([[0]], None, "source: int64"),
        ([0], [np.nan], "size: float64"),
        ([0], [1, 2], "size: int64"),
        ([0], ["1"], "size: <U1"),
    ],
)
def test_events_of_a_step_are_checked(source: Any, size: Any, message: str) -> None:
    stream = Engine(draw(4)).stream()
    with pytest.raises(ValueError, match=message):
        stream.step(source, size)
    assert stream.t == 0


@pytest.mark.parametrize("size", [-1, 256, 0.5])
def test_an_integer_network_takes_counts_only(size: float) -> None:
    engine = Engine(draw(4, integer=True))
    with pytest.raises(ValueError, match="whole numbers in 0"):
        engine.stream().step(np.array([0]), np.array([size]))
    with pytest.raises(ValueError, match="whole numbers in 0"):
        engine.run((np.array([0]), np.array([0]), np.array([size])))


def test_a_state_that_does_not_fit_is_refused() -> None:
    engine = Engine(draw(4))
    state = engine.stream().state()
    for change, message in [
        ({"t": np.array(-1)}, "state.t: -1"),
        ({"other": np.zeros(2)}, "state.other: is not known"),
        ({"scores": np.zeros(99)}, "state.scores: float64"),
        ({"readout.neuron": np.full_like(state["readout.neuron"], np.nan)}, "state.readout.neuron"),
    ]:
        with pytest.raises(ValueError, match=message):
            engine.stream().restore({**state, **change})
    with pytest.raises(ValueError, match=r"state.scores: is missing"):
        engine.stream().restore({name: array for name, array in state.items() if name != "scores"})
