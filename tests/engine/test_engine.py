"""The engine against the equations written out, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ranvier.engine import Engine
from ranvier.network import LIF, Decoding, Dense, Input, Integrator, Layer, Network, Neuron, Tail, Trace
from tests.networks import chained, changed, decay_of, dense_layer
from tests.networks import dense as connection_of


def draw_network(seed: int, branches: int, tail: Tail, max_delay: int = 6, *, filtered: bool = False) -> Network:
    generator = np.random.default_rng(seed)

    def layer(sources: int, targets: int, threshold: float) -> Layer:
        shape = (branches, targets, sources)
        return dense_layer(
            weight=generator.normal(0.3, 0.6, size=shape).astype(np.float32),
            delay_steps=generator.integers(0, max_delay + 1, shape).astype(np.int16),
            bias=generator.normal(0, 0.1, size=targets).astype(np.float32),
            decay=generator.uniform(0, 0.9, targets).astype(np.float32),
            threshold=np.full(targets, threshold, np.float32),
            max_delay=max_delay,
            trace=generator.uniform(0, 1, targets).astype(np.float32) if filtered and np.isfinite(threshold) else None,
        )

    layers = (layer(4, 6, 1.0), layer(6, 5, 0.8), layer(5, 3, np.inf))
    return chained(5.0, layers, ("a", "b", "c"), Input(4), Decoding(tail_steps=3, tail=tail))


def by_hand(network: Network, x: NDArray[Any]) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """Dense spikes of every layer, and the readout's voltage, straight from the equations.

    A clip of T steps with a tail of S: ``clip``: every layer runs T + S steps. ``per_layer``: layer 0 runs T + S, layer
    1 T + 2 S, layer 2 T + 3 S, each with silence where its predecessor has ended.
    """
    rasters, length, tail = [], len(x), network.decoding.tail_steps
    for number, layer in enumerate(network.layers):
        steps = length + tail + (number * tail if network.decoding.tail == "per_layer" else 0)
        x = np.concatenate([x, np.zeros((steps - len(x), x.shape[1]))]) if len(x) < steps else x
        out, received = np.zeros((2, steps, layer.targets))
        connection = connection_of(layer)
        for j in range(layer.targets):
            v = s = y = 0.0
            for t in range(steps):
                current = float(layer.bias[j])
                for k in range(connection.synapses_per_pair):
                    for i in range(connection.sources):
                        sent = t - int(connection.full_delay_steps[k, j, i])
                        if sent >= 0:
                            current += float(connection.weight[k, j, i]) * x[sent, i]
                v = float(decay_of(layer)[j]) * v * (1 - s) + current
                s = float(isinstance(layer.neuron, LIF) and v >= layer.neuron.threshold[j])
                out[t, j] = s if layer.spikes else v
                if isinstance(layer.output, Trace):
                    y = y + 1 if s else float(layer.output.decay[j]) * y
                received[t, j] = out[t, j] if layer.output is None else y
        rasters.append(out)
        x = received
    return rasters[:-1], rasters[-1]


def dense(spikes: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    raster = np.zeros_like(like)
    raster[spikes[:, 0], spikes[:, 1]] = 1
    return raster


@pytest.mark.parametrize("tail", ["clip", "per_layer"])
@pytest.mark.parametrize(("branches", "filtered"), [(1, False), (3, False), (1, True)])
@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), steps=st.integers(1, 25))
def test_is_the_equations(tail: Tail, branches: int, filtered: bool, seed: int, steps: int) -> None:
    network = draw_network(seed, branches, tail, filtered=filtered)
    x = np.random.default_rng(seed).poisson(0.4, size=(steps, 4)).astype(float)
    result = Engine(network).run(x)
    rasters, voltage = by_hand(network, x)
    for spikes, raster in zip(result.spikes, rasters, strict=True):
        np.testing.assert_array_equal(dense(spikes, raster), raster)
    np.testing.assert_allclose(result.voltage, voltage, atol=1e-9)
    share = np.exp(voltage) / np.exp(voltage).sum(1, keepdims=True)
    np.testing.assert_allclose(result.scores, share.sum(0), rtol=1e-9)
    assert result.prediction == share.sum(0).argmax()


def test_events_and_dense_input_are_the_same() -> None:
    network = draw_network(3, 1, "clip")
    x = np.random.default_rng(1).poisson(0.5, size=(20, 4))
    step, source = np.nonzero(x)
    events = (step.astype(np.uint8), source.astype(np.uint8), x[step, source].astype(np.uint8))
    a, b = Engine(network).run(x), Engine(network).run(events, 20)
    np.testing.assert_array_equal(a.voltage, b.voltage)
    assert sum(len(s) for s in a.spikes) > 0


def test_real_valued_input_is_taken() -> None:
    network = draw_network(3, 1, "clip")
    x = np.random.default_rng(1).normal(size=(20, 4))
    np.testing.assert_allclose(Engine(network).run(x).voltage, by_hand(network, x)[1], atol=1e-9)


def test_silence_and_a_single_step() -> None:
    network = draw_network(0, 1, "clip")
    empty = (np.empty(0, np.uint8),) * 3
    assert Engine(network).run(empty).voltage.shape == (1 + 3, 3)
    assert Engine(network).run(empty, 9).voltage.shape == (9 + 3, 3)


@pytest.mark.parametrize(("tail", "steps"), [("clip", (10, 10, 10)), ("per_layer", (10, 13, 16))])
def test_every_layer_runs_as_long_as_the_tail_says(tail: Tail, steps: tuple[int, ...]) -> None:
    # with a bias above every threshold a neuron fires in each step that its layer runs
    network = draw_network(0, 1, tail)
    loud = [replace(layer, bias=np.full_like(layer.bias, 1000)) for layer in network.layers[:2]]
    result = Engine(replace(network, layers=(*loud, network.layers[2]))).run(np.zeros((7, 4)))
    assert [int(spikes[:, 0].max()) + 1 for spikes in result.spikes] == list(steps[:2])
    assert len(result.voltage) == steps[2]


@pytest.mark.parametrize(
    ("events", "length", "message"),
    [
        (([0, 5], [0, 0], [1, 1]), 5, "steps 0 ... 5"),
        (([3, 1], [0, 0], [1, 1]), 9, "rising"),
        (([-1], [0], [1]), 9, "steps -1"),
        (([2**40], [0], [1]), None, "steps 1099511627776"),
        (([0], [4], [1]), 5, "sources 4 ... 4"),
        (([0], [-1], [1]), 5, "sources -1 ... -1"),
        (([0.0], [0], [1]), 5, "step is float64"),
        (([0], [0.0], [1]), 5, "source is float64"),
        (([True], [0], [1]), 5, "step is bool"),
        (([0], [0], [np.nan]), 5, "size is float64"),
        (([0], [0], [np.inf]), 5, "size is float64"),
        (([0], [0], [1j]), 5, "size is complex128"),
        (([0, 1], [0], [1]), 5, "shapes"),
        (([[0]], [[0]], [[1]]), 5, "shapes"),
        (([0], [0], [1]), 0, "length: 0"),
        (([0], [0], [1]), 5.0, "length: 5.0"),
        (([0], [0], [1]), True, "length: True"),
        (([0], [0], [1]), 10**12, "length: 1000000000000"),
    ],
)
def test_events_that_do_not_fit_are_refused(events: Any, length: Any, message: str) -> None:
    step, source, size = (np.array(part) for part in events)
    with pytest.raises(ValueError, match=message):
        Engine(draw_network(0, 1, "clip")).run((step, source, size), length)


@pytest.mark.parametrize(
    "events",
    [
        np.zeros((5, 2)),
        np.zeros((4, 5)),
        np.zeros((0, 4)),
        np.zeros(4),
        np.zeros((2, 5, 4)),
        np.full((5, 4), np.nan),
        np.full((5, 4), "1"),
        (np.zeros(3, np.int64),) * 2,
        {"step": [0]},
        torch.zeros(5, 4),
    ],
)
def test_a_dense_form_that_does_not_fit_is_refused(events: Any) -> None:
    with pytest.raises(ValueError, match=r"events: "):
        Engine(draw_network(0, 1, "clip")).run(events)


def test_no_torch_on_this_path() -> None:
    code = "import sys; sys.modules['torch'] = None; import ranvier.engine, ranvier.network, ranvier.recipes.evaluation"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("axis", [1, 2])
def test_axonal_and_dendritic_delays_run_as_the_full_ones(axis: int) -> None:
    network = draw_network(5, 2, "clip")
    small = [{"delay_steps": connection_of(layer).delay_steps.take([0], axis)} for layer in network.layers]
    layers = [changed(layer, **fields) for layer, fields in zip(network.layers, small, strict=True)]
    full = [changed(layer, delay_steps=connection_of(layer).full_delay_steps) for layer in layers]
    x = np.random.default_rng(1).poisson(0.5, size=(20, 4))
    one, other = (Engine(replace(network, layers=tuple(each))).run(x) for each in (layers, full))
    assert sum(len(spikes) for spikes in one.spikes) > 20
    for mine, theirs in zip(one.spikes, other.spikes, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(one.voltage, other.voltage)


def test_a_layer_may_receive_from_itself_a_later_one_and_one_further_back() -> None:
    """Against the equations written out with every current that there is."""
    network = draw_network(2, 1, "clip")
    generator = np.random.default_rng(7)

    def connection(source: str, sources: int, targets: int) -> Dense:
        weight = generator.normal(0.2, 0.5, (1, targets, sources)).astype(np.float32)
        return Dense(source, 4, weight, generator.integers(1, 5, weight.shape).astype(np.int16))

    first, second, last = network.layers
    layers = (
        replace(first, inputs=(*first.inputs, connection("hidden_1", 6, 6), connection("hidden_2", 5, 6))),
        replace(second, inputs=(*second.inputs, connection("input", 4, 5))),
        last,
    )
    x = generator.poisson(0.5, size=(15, 4)).astype(float)
    result = Engine(replace(network, layers=layers)).run(x)
    steps = 15 + 3
    sent = {
        "input": np.concatenate([x, np.zeros((3, 4))]),
        "hidden_1": np.zeros((steps, 6)),
        "hidden_2": np.zeros((steps, 5)),
    }
    states, voltage = [np.zeros(layer.targets) for layer in layers], np.zeros((steps, 3))
    for t in range(steps):
        for layer, v in zip(layers, states, strict=True):
            current = layer.bias.astype(float)
            for each in layer.inputs:
                for source, target, weight, delay in zip(*each.synapses(), strict=True):
                    current[target] += float(weight) * sent[each.source][t - delay, source] if t >= delay else 0.0
            v[:] = decay_of(layer).astype(float) * v + current
            if isinstance(layer.neuron, LIF):
                sent[layer.name][t] = v >= layer.neuron.threshold
                v[sent[layer.name][t] > 0] = 0
            else:
                voltage[t] = v
    for spikes, name in zip(result.spikes, ("hidden_1", "hidden_2"), strict=True):
        np.testing.assert_array_equal(dense(spikes, sent[name]), sent[name])
        assert len(spikes) > 5
    np.testing.assert_allclose(result.voltage, voltage, atol=1e-9)


def test_a_part_without_a_runner_is_named() -> None:
    class Other(Integrator):
        kind = "other"

    try:
        network = draw_network(0, 1, "clip")
        last = replace(network.layers[2], neuron=Other(decay_of(network.layers[2])))
        assert len(Engine(replace(network, layers=(*network.layers[:2], last))).run(np.ones((3, 4))).voltage) == 6
    finally:
        del Neuron.kinds["other"]
