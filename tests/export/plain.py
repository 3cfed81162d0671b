"""Integer networks in plain NumPy, straight from the parts' docstrings: dense loops over time, nothing clever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.network import IntegerIntegrator, Network

TABLE = [round(2**15 * 2 ** (-k / 256)) for k in range(256)]


@dataclass
class PlainRun:
    """Spikes ``[time, neuron]`` of every hidden layer, voltage ``[time, class]``, scores ``[class]``."""

    spikes: list[NDArray[np.int64]]
    voltage: NDArray[np.int64]
    scores: list[int]


def run_plain(network: Network, clip: NDArray[Any]) -> PlainRun:
    """A dense clip ``[time, source]`` of whole numbers, and its tail."""
    ends = [network.decoding.steps(len(clip), number) for number in range(len(network.layers))]
    sent = {"input": np.zeros((max(ends), network.sources), np.int64)}
    sent["input"][: len(clip)] = clip
    voltage = {}
    for layer in network.layers:
        sent[layer.name] = np.zeros((max(ends), layer.targets), np.int64)
        voltage[layer.name] = np.zeros((max(ends) + 1, layer.targets), np.int64)  # [0] is the rest
    for t in range(max(ends)):
        for layer, end in zip(network.layers, ends, strict=True):
            if t >= end:
                continue
            current = layer.bias.astype(np.int64)
            for connection in layer.inputs:
                source, target, weight, delay = connection.synapses()
                then = t - delay.astype(np.int64)
                arrived = np.where(then >= 0, sent[connection.source][np.maximum(then, 0), source], 0)
                np.add.at(current, target, weight * arrived)
            fired = sent[layer.name][t - 1] if t else np.zeros(layer.targets, np.int64)
            decay = layer.neuron.arrays()["decay"].astype(np.int64)
            product = decay * voltage[layer.name][t] * (1 - fired)
            v = np.sign(product) * (np.abs(product) // 4096) + current
            assert np.abs(v).max() < 2**31
            voltage[layer.name][t + 1] = v
            if layer.spikes:
                sent[layer.name][t] = v >= layer.neuron.arrays()["threshold"]
    readout = network.layers[-1]
    assert isinstance(readout.neuron, IntegerIntegrator)
    made = voltage[readout.name][1 : ends[-1] + 1]
    spikes = [sent[layer.name][:end] for layer, end in zip(network.layers[:-1], ends, strict=False)]
    return PlainRun(spikes, made, plain_scores(made, readout.neuron.scale_exponent))


def plain_scores(voltage: NDArray[np.int64], scale_exponent: int) -> list[int]:
    """Scores of voltages ``[time, class]``, in Python's integers."""
    scores = [0] * voltage.shape[1]
    for row in voltage.tolist():
        p = []
        for v in row:
            y = ((max(row) - v) * 23637) >> (6 - scale_exponent)
            p.append(TABLE[y & 255] >> (y >> 8) if y >> 8 < 16 else 0)
        for place, share in enumerate(p):
            scores[place] += (2**15 * share) // sum(p)
    return scores
