"""A network run by its equations, synapse by synapse, with every current of the past at hand: slow and obvious."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.network import (
    LIF,
    AdaptiveLIF,
    IntegerIntegrator,
    IntegerLIF,
    Integrator,
    Network,
    Neuron,
    SoftResetLIF,
    Trace,
)


@dataclass(frozen=True, eq=False)
class Plain:
    """What a network did.

    Attributes:
        rasters: spikes ``[time, neuron]`` of every layer that spikes.
        potentials: their voltages before reset, ``[time, neuron]``.
        voltage: of the readout ``[time, class]``, before reset.
    """

    rasters: list[NDArray[Any]]
    potentials: list[NDArray[Any]]
    voltage: NDArray[Any]


def run_plain(network: Network, x: NDArray[Any]) -> Plain:
    """Run a clip ``[time, source]`` and its tail.

    Sums are in double precision, in which those of integer networks are exact.
    """
    ends = [network.decoding.steps(len(x), number) for number in range(len(network.layers))]
    sent = {"input": np.concatenate([x, np.zeros((max(ends) - len(x), network.sources))]).astype(float)}
    made: dict[str, NDArray[Any]] = {}
    spiked: dict[str, NDArray[Any]] = {}
    for layer in network.layers:
        sent[layer.name], made[layer.name], spiked[layer.name] = np.zeros((3, max(ends), layer.targets))
    v = [np.zeros(layer.targets) for layer in network.layers]
    y = [np.zeros(layer.targets) for layer in network.layers]
    w = [np.zeros(layer.targets) for layer in network.layers]
    synapses = [[connection.synapses() for connection in layer.inputs] for layer in network.layers]
    for t in range(max(ends)):
        for number, layer in enumerate(network.layers):
            if t >= ends[number]:
                continue
            current = layer.bias.astype(float)
            for connection, (source, target, weight, delay) in zip(layer.inputs, synapses[number], strict=True):
                there = t >= delay
                values = sent[connection.source][np.where(there, t - delay, 0), source] * there
                np.add.at(current, target, weight.astype(float) * values)
            before = v[number], spiked[layer.name][t - 1] if t else np.zeros(layer.targets)
            if isinstance(layer.neuron, AdaptiveLIF):
                current = (1 - layer.neuron.decay.astype(float)) * (current - w[number])
            v[number] = kept(layer.neuron, v[number]) + current
            made[layer.name][t] = v[number]
            if layer.spikes:
                s = v[number] >= threshold(layer.neuron)
                sent[layer.name][t] = spiked[layer.name][t] = s
                soft = isinstance(layer.neuron, SoftResetLIF)
                v[number][s] = v[number][s] - threshold(layer.neuron)[s] if soft else 0
                if isinstance(layer.neuron, AdaptiveLIF):
                    w[number] = adapted(layer.neuron, w[number], before, (v[number], s))
                if isinstance(layer.output, Trace):
                    decay = layer.output.decay.astype(float)
                    y[number] = y[number] - (1 - s) * (1 - decay) * y[number] + s
                    sent[layer.name][t] = y[number]
    readout = network.layers[-1].neuron
    scale = 2.0**readout.scale_exponent if isinstance(readout, IntegerIntegrator) else 1.0
    hidden = [(layer, end) for layer, end in zip(network.layers, ends, strict=True) if layer.spikes]
    return Plain(
        [spiked[layer.name][:end] for layer, end in hidden],
        [made[layer.name][:end] for layer, end in hidden],
        made[network.layers[-1].name][: ends[-1]] * scale,
    )


def adapted(neuron: AdaptiveLIF, w: NDArray[Any], before: Any, now: Any) -> NDArray[Any]:
    """The adaptation after a step from the voltage after reset and the spikes of the step before, and of this one."""
    u, s = now if neuron.euler == "symplectic" else before
    share = neuron.adaptation_decay.astype(float)
    return np.asarray(share * w + (1 - share) * (neuron.a.astype(float) * u + neuron.b.astype(float) * s))


def kept(neuron: Neuron, v: NDArray[Any]) -> NDArray[Any]:
    """What a time step leaves of a voltage."""
    if isinstance(neuron, IntegerLIF | IntegerIntegrator):
        return np.asarray(np.trunc(neuron.decay.astype(float) * v / 4096))
    assert isinstance(neuron, LIF | SoftResetLIF | AdaptiveLIF | Integrator)
    return np.asarray(neuron.decay.astype(float) * v)


def threshold(neuron: Neuron) -> NDArray[Any]:
    """At which neurons spike."""
    assert isinstance(neuron, LIF | SoftResetLIF | AdaptiveLIF | IntegerLIF)
    return neuron.threshold.astype(float)


def integer_scores(network: Network, voltage: NDArray[Any]) -> list[int]:
    """Class scores of an integer network, in 1/2^15, as :class:`IntegerIntegrator` says, in Python's integers."""
    readout = network.layers[-1].neuron
    assert isinstance(readout, IntegerIntegrator)
    scores = [0] * len(network.classes)
    for row in voltage:
        v = [int(value) for value in row / 2.0**readout.scale_exponent]
        y = [((max(v) - value) * 23637) >> (6 - readout.scale_exponent) for value in v]
        p = [round(2**15 * 2 ** (-(k & 255) / 256)) >> (k >> 8) if k >> 8 < 16 else 0 for k in y]
        for c, share in enumerate(p):
            scores[c] += (share << 15) // sum(p)
    return scores
