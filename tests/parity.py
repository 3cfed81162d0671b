"""Spikes of torch and of the engine side by side: how many there are, how many differ, and by how little."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranvier.engine import Engine
from ranvier.models import Stack
from ranvier.network import LIF, Layer, Network, Trace
from tests.networks import decay_of
from tests.networks import dense as connection_of

CLOSE = 1e-5  # of a threshold of 1: float32 sums of a few hundred products are off by less


@dataclass
class Parity:
    """What was counted.

    Attributes:
        spikes: of the engine, in all hidden layers.
        differing: places (clip, layer, step, neuron) where one of the two spikes and the other does not.
        margins: of every first difference, ``|v - threshold|``; what differs later follows from it.
        clips, predictions: how many, and in how many of them both give the same class.
        unexplained: clips whose class differs although no spike does.
    """

    spikes: int = 0
    differing: int = 0
    margins: list[float] = field(default_factory=list)
    clips: int = 0
    predictions: int = 0
    unexplained: int = 0

    def __str__(self) -> str:
        return (
            f"{self.differing} of {self.spikes:,} spikes differ, after {len(self.margins)} first differences "
            f"(largest |v - threshold| {max(self.margins, default=0):.1e}); {self.predictions} of {self.clips} "
            "predictions agree"
        )


@torch.no_grad()
def count_differences(
    parity: Parity, model: Stack, network: Network, x: Tensor, lengths: Tensor, voltage_close: float = 1e-4
) -> None:
    """Run clips ``x [time, batch, source]`` through both and add to the counts."""
    rasters, voltage = model.forward_with_spikes(x, lengths)
    engine = Engine(network)
    predicted = model.scores(x, lengths).argmax(1).tolist()
    for place, length in enumerate(lengths.tolist()):
        clip = x[:length, place].numpy().astype(np.float64)
        result = engine.run(clip)
        parity.clips += 1
        parity.predictions += result.prediction == predicted[place]
        theirs: list[NDArray[np.bool_]] = []
        ours: list[NDArray[np.bool_]] = []
        for spikes, raster in zip(result.spikes, rasters, strict=True):
            dense = np.zeros((steps_of(network, length, len(ours)), raster.shape[2]), np.bool_)
            dense[spikes[:, 0], spikes[:, 1]] = True
            ours.append(dense)
            theirs.append(raster[: len(dense), place].numpy() > 0)
        parity.spikes += sum(int(dense.sum()) for dense in ours)
        differing = sum(int((a != b).sum()) for a, b in zip(ours, theirs, strict=True))
        parity.differing += differing
        parity.margins += first_margins(network, clip, ours, theirs)
        if not differing:
            parity.unexplained += result.prediction != predicted[place]
            torch.testing.assert_close(
                torch.from_numpy(result.voltage),
                voltage[: len(result.voltage), place].double(),
                atol=voltage_close,
                rtol=1e-4,
            )


def steps_of(network: Network, length: int, layer: int) -> int:
    """Steps of a layer, as the format's documentation has it: one tail for all, or one more for every layer."""
    return length + network.decoding.tail_steps * (1 + (layer if network.decoding.tail == "per_layer" else 0))


def first_margins(
    network: Network, clip: NDArray[Any], ours: list[NDArray[np.bool_]], theirs: list[NDArray[np.bool_]]
) -> Iterator[float]:
    """Distance from threshold where a neuron differs first, and nothing that it hears has differed until then."""
    heard, before = clip, np.inf  # the first step at which what is heard differs
    for layer, mine, others in zip(network.layers, ours, theirs, strict=False):
        steps = np.flatnonzero((mine != others).any(1))
        for neuron in np.flatnonzero((mine != others).any(0)):
            step = int(np.argmax(mine[:, neuron] != others[:, neuron]))
            if step < before:
                yield abs(
                    voltage_of(layer, heard, mine[:, neuron], int(neuron), step) - threshold_of(layer, int(neuron))
                )
        before = min(before, int(steps[0])) if len(steps) else before
        heard = traced(layer, mine)


def threshold_of(layer: Layer, neuron: int) -> float:
    """Of a layer that spikes."""
    assert isinstance(layer.neuron, LIF)
    return float(layer.neuron.threshold[neuron])


def traced(layer: Layer, spikes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What the next layer hears: spikes, or their trace."""
    made = spikes.astype(np.float64)
    if isinstance(layer.output, Trace):
        y = np.zeros(layer.targets)
        for t, s in enumerate(spikes):
            y = np.where(s, y + 1, layer.output.decay.astype(np.float64) * y)
            made[t] = y
    return made


def voltage_of(layer: Layer, heard: NDArray[Any], spikes: NDArray[np.bool_], neuron: int, step: int) -> float:
    """A neuron's voltage at a step, before reset, from the equations in double precision."""
    connection = connection_of(layer)
    v, weight = 0.0, connection.weight[:, neuron].astype(np.float64)
    for t in range(step + 1):
        sent = t - connection.full_delay_steps[:, neuron].astype(np.int64)  # [synapse, source]
        there = (sent >= 0) & (sent < len(heard))
        values = np.where(there, heard[np.clip(sent, 0, len(heard) - 1), np.arange(connection.sources)], 0.0)
        kept = 0.0 if t == 0 or spikes[t - 1] else v
        v = float(decay_of(layer)[neuron]) * kept + float(layer.bias[neuron]) + float((weight * values).sum())
    return v
