"""Networks in integers: what is rounded, by how much, and what has no integer form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ranvier.engine import Engine, activity
from ranvier.network import (
    LIF,
    Dense,
    Input,
    IntegerIntegrator,
    IntegerLIF,
    Integrator,
    Layer,
    Network,
    NetworkError,
    Trace,
    WeightBits,
    quantize,
)
from ranvier.network.quantize import with_delay_bits
from tests.networks import chained, dense, dense_layer


def network(seed: int = 0, max_delay: int = 12) -> Network:
    """30-40-30-5, weights small against the threshold, as trained ones are."""
    generator = np.random.default_rng(seed)

    def layer(sources: int, targets: int, threshold: float) -> Layer:
        shape = (1, targets, sources)
        return dense_layer(
            weight=generator.normal(0.05, 0.25, shape).astype(np.float32),
            delay_steps=generator.integers(0, max_delay + 1, shape).astype(np.int16),
            bias=generator.normal(0, 0.1, targets).astype(np.float32),
            decay=generator.uniform(0, 0.5, targets).astype(np.float32),
            threshold=np.full(targets, threshold, np.float32),
            max_delay=max_delay,
        )

    return chained(10.0, (layer(30, 40, 1.0), layer(40, 30, 0.8), layer(30, 5, np.inf)), tuple("abcde"), Input(30))


@pytest.mark.parametrize(("bits", "levels", "step"), [(8, 127, 1), (4, 7, 16), ("ternary", 1, 64)])
def test_weights_are_whole_steps_of_the_range(bits: WeightBits, levels: int, step: int) -> None:
    made = quantize(network(), weight_bits=bits)
    assert made.integer
    for before, after in zip(network().layers, made.layers, strict=True):
        weight = dense(after).weight.astype(int)
        assert weight.dtype != np.float32
        assert (weight % step == 0).all()
        assert np.abs(weight).max() <= levels * step
        assert len(np.unique(weight)) >= min(2 * levels - 2, 60)
        np.testing.assert_array_equal(dense(after).delay_steps, dense(before).delay_steps)
        assert isinstance(before.neuron, LIF | Integrator)
        assert isinstance(after.neuron, IntegerLIF | IntegerIntegrator)
        assert np.abs(after.neuron.decay / 4096 - before.neuron.decay).max() <= 0.5 / 4096 + 1e-9


def test_eight_bits_round_by_half_a_step_and_thresholds_count_in_the_same_steps() -> None:
    before, after = network().layers[0], quantize(network()).layers[0]
    assert isinstance(before.neuron, LIF)
    assert isinstance(after.neuron, IntegerLIF)
    size = before.neuron.threshold / after.neuron.threshold  # [target], to within the rounding of the threshold
    error = np.abs(dense(after).weight[0] * size[:, None] - dense(before).weight[0])
    assert error.max() < 0.7 * size.max() + 0.01
    assert np.abs(after.bias * size - before.bias).max() < 0.7 * size.max()
    readout = quantize(network()).layers[2].neuron
    assert isinstance(readout, IntegerIntegrator)
    weight = dense(quantize(network()).layers[2]).weight * 2.0**readout.scale_exponent
    assert np.abs(weight - dense(network().layers[2]).weight).max() <= 2.0**readout.scale_exponent / 2


def test_spikes_stay_nearly_the_same_and_the_finer_the_nearer() -> None:
    x = np.random.default_rng(1).poisson(0.4, (300, 30))
    made = {bits: quantize(network(), weight_bits=bits) for bits in (8, 4, "ternary")}
    spikes = Engine(network()).run(x).spikes[0]
    raster = {tuple(each) for each in spikes.tolist()}
    moved = {bits: len(raster ^ {tuple(e) for e in Engine(q).run(x).spikes[0].tolist()}) for bits, q in made.items()}
    assert len(raster) > 500
    assert moved[8] < 0.02 * len(raster) < moved[4] < moved["ternary"]


def test_sources_count_by_their_activity() -> None:
    """A source that alone is active is rounded as if the others were not there."""
    clip = np.zeros((50, 30))
    clip[:, 3] = 1
    measured = activity(network(), [(clip, None)])
    assert measured["input"][3] == pytest.approx(1.0, abs=0.2)
    assert measured["input"].sum() == pytest.approx(measured["input"][3])
    assert set(measured) == {"input", "hidden_1", "hidden_2"}

    def error(made: Network) -> float:
        before, after = network().layers[0], made.layers[0]
        assert isinstance(before.neuron, LIF)
        assert isinstance(after.neuron, IntegerLIF)
        size = before.neuron.threshold / after.neuron.threshold
        return float(((dense(after).weight[0] * size[:, None] - dense(before).weight[0]) ** 2)[:, 3].sum())

    one = quantize(network(), weight_bits="ternary", activity=measured)
    assert error(one) < 0.5 * error(quantize(network(), weight_bits="ternary"))
    with pytest.raises(NetworkError, match=r"activity.hidden_1"):
        quantize(network(), activity={"input": np.ones(30), "hidden_1": np.ones(3)})


def test_delays_go_to_the_nearest_of_a_few_values() -> None:
    made = with_delay_bits(network(max_delay=30), 2)
    for before, after in zip(network(max_delay=30).layers, made.layers, strict=True):
        assert np.unique(dense(after).delay_steps).tolist() == [0, 10, 20, 30]
        assert np.abs(dense(after).delay_steps - dense(before).delay_steps).max() <= 5
    kept = with_delay_bits(network(), 4)  # 13 values fit
    for before, after in zip(network().layers, kept.layers, strict=True):
        np.testing.assert_array_equal(dense(after).delay_steps, dense(before).delay_steps)


def test_a_recurrent_delay_stays_a_step() -> None:
    first, *others = network().layers
    generator = np.random.default_rng(0)
    shape = (1, 40, 40)
    loop = Dense(
        "hidden_1",
        40,
        generator.normal(0, 0.1, shape).astype(np.float32),
        generator.integers(1, 41, shape).astype("i2"),
    )
    looped = replace(network(), layers=(replace(first, inputs=(*first.inputs, loop)), *others))
    made = quantize(looped, delay_bits=1)
    again = made.layers[0].inputs[1]
    assert isinstance(again, Dense)
    assert np.unique(again.delay_steps).tolist() == [1, 40]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_bits": 5}, "weight_bits: 5"),
        ({"delay_bits": 0}, "delay_bits: 0"),
        ({"delay_bits": 16}, "delay_bits: 16"),
    ],
)
def test_what_is_out_of_range_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        quantize(network(), **fields)


def test_what_has_no_integer_form_is_named() -> None:
    first, *others = network().layers
    traced = replace(network(), layers=(replace(first, output=Trace(np.full(40, 0.5, np.float32))), *others))
    with pytest.raises(NetworkError, match=r"layers.0.output: trace"):
        quantize(traced)
    with pytest.raises(NetworkError, match=r"layers.0.neuron: integer_lif"):
        quantize(quantize(network()))
