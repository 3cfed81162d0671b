"""The Lava NetX file has our integers, by the names and in the terms that Lava reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from ranvier.export import ExportError, targets, to_lava
from ranvier.network import Dense, IntegerLIF, Network
from tests.drawn import chain, recurrent
from tests.network.test_integer import network as integer_network

NAMES = {"type", "shape", "inFeatures", "outFeatures", "weight", "delay", "bias", "neuron"}
NEURON = {"type", "iDecay", "vDecay", "vThMant", "refDelay"}


def test_the_file_has_the_structure_of_netx(tmp_path: Path) -> None:
    network = integer_network(decay=100)
    targets()["lava"].write(network, tmp_path / "n.net")
    with h5py.File(tmp_path / "n.net") as file:
        assert set(file) == {"layer"}
        assert set(file["layer"]) == {"0", "1"}
        for number, layer in enumerate(network.layers):
            group = file[f"layer/{number}"]
            assert set(group) == NAMES
            assert set(group["neuron"]) == NEURON
            # read as NetX does: the first of an array of bytes, or a scalar of bytes
            assert group["type"][0].decode("ascii") == "dense"
            assert group["neuron/type"][()].decode("ascii") == "CUBA"
            assert np.prod(group["shape"][()]) == layer.targets
            made = layer.inputs[0]
            assert isinstance(made, Dense)
            assert (group["inFeatures"][()], group["outFeatures"][()]) == (made.sources, made.targets)
            np.testing.assert_array_equal(group["weight"][()], made.weight[0])
            np.testing.assert_array_equal(group["bias"][()], layer.bias)
            delays, there = group["delay"][()], made.weight[0] != 0
            np.testing.assert_array_equal(delays[there], made.delay_steps[0][there])
            assert not delays[~there].any()
            assert (group["neuron/iDecay"][()], group["neuron/vDecay"][()]) == (4096, 4096 - 100)
        assert file["layer/0/neuron/vThMant"][()] == 500 - 1
        assert file["layer/1/neuron/vThMant"][()] == 131071


def loihi(datasets: dict[str, NDArray[Any]], number: int, events: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Spikes ``[time, target]`` of a layer by Loihi's equations: 6 bits below the weights' unit, a spike above vth."""

    def of(name: str) -> NDArray[Any]:
        return datasets[f"layer/{number}/{name}"].astype(np.int64)

    weight, delay, length = of("weight"), of("delay"), len(events)
    current, voltage = np.zeros(len(weight), np.int64), np.zeros(len(weight), np.int64)
    spikes = np.zeros((length, len(weight)), np.bool_)
    for t in range(length):
        sent = np.clip(t - delay, -1, None)
        arriving = np.where(sent >= 0, events[sent, np.arange(weight.shape[1])], 0)
        kept = current * (4096 - of("neuron/iDecay"))
        current = np.sign(kept) * (abs(kept) >> 12) + ((weight * arriving).sum(1) << 6)
        kept = voltage * (4096 - of("neuron/vDecay"))
        voltage = np.sign(kept) * (abs(kept) >> 12) + current + (of("bias") << 6)
        spikes[t] = voltage > of("neuron/vThMant") << 6
        voltage[spikes[t]] = 0
    return spikes


def ours(network: Network, number: int, events: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The same by our equations."""
    layer = network.layers[number]
    made, neuron = layer.inputs[0], layer.neuron
    assert isinstance(made, Dense)
    assert isinstance(neuron, IntegerLIF)
    voltage = np.zeros(layer.targets, np.int64)
    spikes = np.zeros((len(events), layer.targets), np.bool_)
    for t in range(len(events)):
        kept = voltage * neuron.decay
        voltage = np.sign(kept) * (abs(kept) // 4096) + layer.bias
        for source, target, weight, delay in zip(*made.synapses(), strict=True):
            voltage[target] += int(weight) * (events[t - delay, source] if t >= delay else 0)
        spikes[t] = voltage >= neuron.threshold
        voltage[spikes[t]] = 0
    return spikes


def test_loihis_neurons_spike_as_ours_where_nothing_is_rounded() -> None:
    events = np.random.default_rng(1).poisson(1.0, (200, 3))
    network = integer_network(decay=0)
    neuron = IntegerLIF(np.zeros(4, np.int16), np.array([100, 83, 1, 131072], np.int32))
    network = replace(network, layers=(replace(network.layers[0], neuron=neuron), network.layers[1]))
    expected = ours(network, 0, events)
    assert 0.05 < expected.mean() < 0.9
    np.testing.assert_array_equal(loihi(to_lava(network), 0, events), expected)
    decaying = integer_network(decay=2048)
    differing = loihi(to_lava(decaying), 0, events) != ours(decaying, 0, events)
    assert differing.mean() < 0.02


def test_what_loihi_cannot_do_is_refused() -> None:
    network = integer_network()
    with pytest.raises(ExportError, match=r"^layers\.0\.inputs\.0: float32 weights"):
        to_lava(chain())
    with pytest.raises(ExportError, match=r"^layers\.0\.inputs: from \['input', 'output', 'second'\]"):
        to_lava(recurrent(0, back=2))  # though it is not in integers either: that can be helped
    first, last = network.layers
    made = first.inputs[0]
    assert isinstance(made, Dense)
    far = replace(made, max_delay=63, delay_steps=np.full((1, 1, 1), 63, np.int16))

    def with_first(**fields: Any) -> Network:
        return replace(network, layers=(replace(first, **fields), last))

    with pytest.raises(ExportError, match=r"^layers\.0\.inputs\.0\.delay_steps: 63 is not allowed \(0 ... 62"):
        to_lava(with_first(inputs=(far,)))
    with pytest.raises(ExportError, match=r"^layers\.0\.inputs: from \['input', 'input'\]"):
        to_lava(with_first(inputs=(made, made)))
    twice = replace(
        made, weight=np.ones((2, *made.weight.shape[1:]), np.int8), delay_steps=np.repeat(made.delay_steps, 2, 0)
    )
    with pytest.raises(ExportError, match="2 synapses a pair"):
        to_lava(with_first(inputs=(twice,)))
    with pytest.raises(ExportError, match=r"^layers\.0\.bias: 5000 \.\.\. 5000"):
        to_lava(with_first(bias=np.full(4, 5000, np.int32)))
    high = IntegerLIF(np.zeros(4, np.int16), np.full(4, 2**17 + 1, np.int32))
    with pytest.raises(ExportError, match=r"^layers\.0\.neuron\.threshold"):
        to_lava(with_first(neuron=high))
