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

from ranvier.engine import run
from ranvier.network import Input, Layer, Network, Readout, Tail


def draw_network(seed: int, branches: int, tail: Tail, max_delay: int = 6, *, filtered: bool = False) -> Network:
    generator = np.random.default_rng(seed)

    def layer(sources: int, targets: int, threshold: float) -> Layer:
        shape = (branches, targets, sources)
        return Layer(
            weight=generator.normal(0.3, 0.6, size=shape).astype(np.float32),
            delay_steps=generator.integers(0, max_delay + 1, shape).astype(np.int16),
            bias=generator.normal(0, 0.1, size=targets).astype(np.float32),
            decay=generator.uniform(0, 0.9, targets).astype(np.float32),
            threshold=np.full(targets, threshold, np.float32),
            max_delay=max_delay,
            synapse_decay=generator.uniform(0, 1, targets).astype(np.float32)
            if filtered and np.isfinite(threshold)
            else None,
        )

    layers = (layer(4, 6, 1.0), layer(6, 5, 0.8), layer(5, 3, np.inf))
    return Network(5.0, layers, ("a", "b", "c"), Input(4), Readout(tail_steps=3, tail=tail))


def by_hand(network: Network, x: NDArray[Any]) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """Dense spikes of every layer, and the readout's voltage, straight from the equations.

    A clip of T steps with a tail of S: ``clip``: every layer runs T + S steps. ``per_layer``: layer 0 runs T + S, layer
    1 T + 2 S, layer 2 T + 3 S, each with silence where its predecessor has ended.
    """
    rasters, length, tail = [], len(x), network.readout.tail_steps
    for number, layer in enumerate(network.layers):
        steps = length + tail + (number * tail if network.readout.tail == "per_layer" else 0)
        x = np.concatenate([x, np.zeros((steps - len(x), x.shape[1]))]) if len(x) < steps else x
        out, heard = np.zeros((2, steps, layer.targets))
        for j in range(layer.targets):
            v = s = y = 0.0
            for t in range(steps):
                current = float(layer.bias[j])
                for k in range(layer.branches):
                    for i in range(layer.sources):
                        sent = t - int(layer.delay_steps[k, j, i])
                        if sent >= 0:
                            current += float(layer.weight[k, j, i]) * x[sent, i]
                v = float(layer.decay[j]) * v * (1 - s) + current
                s = float(v >= layer.threshold[j])
                out[t, j] = s if layer.spikes else v
                if layer.synapse_decay is not None:
                    y = y + 1 if s else float(layer.synapse_decay[j]) * y
                heard[t, j] = out[t, j] if layer.synapse_decay is None else y
        rasters.append(out)
        x = heard
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
    result = run(network, x)
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
    a, b = run(network, x), run(network, events, 20)
    np.testing.assert_array_equal(a.voltage, b.voltage)
    assert sum(len(s) for s in a.spikes) > 0


def test_real_valued_input_is_taken() -> None:
    network = draw_network(3, 1, "clip")
    x = np.random.default_rng(1).normal(size=(20, 4))
    np.testing.assert_allclose(run(network, x).voltage, by_hand(network, x)[1], atol=1e-9)


def test_silence_and_a_single_step() -> None:
    network = draw_network(0, 1, "clip")
    empty = (np.empty(0, np.uint8),) * 3
    assert run(network, empty).voltage.shape == (1 + 3, 3)
    assert run(network, empty, 9).voltage.shape == (9 + 3, 3)


@pytest.mark.parametrize(("tail", "steps"), [("clip", (10, 10, 10)), ("per_layer", (10, 13, 16))])
def test_every_layer_runs_as_long_as_the_tail_says(tail: Tail, steps: tuple[int, ...]) -> None:
    # with a bias above every threshold a neuron fires in each step that its layer runs
    network = draw_network(0, 1, tail)
    loud = [replace(layer, bias=np.full_like(layer.bias, 1000)) for layer in network.layers[:2]]
    result = run(replace(network, layers=(*loud, network.layers[2])), np.zeros((7, 4)))
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
        run(draw_network(0, 1, "clip"), (step, source, size), length)


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
        run(draw_network(0, 1, "clip"), events)


def test_no_torch_on_this_path() -> None:
    code = "import sys; sys.modules['torch'] = None; import ranvier.engine, ranvier.network, ranvier.recipes.evaluate"
    subprocess.run([sys.executable, "-c", code], check=True)
