"""How much every source of a network sends."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.clip import check_clip
from ranvier.engine.engine import Clip, Engine
from ranvier.network import Network


def activity(network: Network, clips: Iterable[Clip]) -> dict[str, NDArray[np.float64]]:
    """Mean size sent per time step of the clips and their tails, ``{"input": [source], "hidden_1": [neuron], ...}``.

    Args:
        network: that runs.
        clips: one or more, as :meth:`Engine.run_many` takes them.

    Raises:
        ValueError: there is no clip, or as :meth:`Engine.run`.
    """
    given = list(clips)
    if not given:
        raise ValueError("clips: none (1 or more)")
    spiking = [layer for layer in network.layers if layer.spikes]
    sent = {"input": np.zeros(network.sources)} | {layer.name: np.zeros(layer.targets) for layer in spiking}
    steps = 0
    for clip, result in zip(given, Engine(network).run_many(given), strict=True):
        (_, source, size), _ = check_clip(clip[0], network.sources, clip[1])
        sent["input"] += np.bincount(source, size, network.sources)
        for layer, spikes in zip(network.layers, result.spikes, strict=False):
            sent[layer.name] += np.bincount(spikes[:, 1], minlength=layer.targets)
        if network.layers[-1].spikes:  # they are counted
            sent[network.layers[-1].name] += result.voltage.sum(0)
        steps += len(result.voltage)
    return {name: total / steps for name, total in sent.items()}
