"""What was learned about delays, in numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.network import Connection, Network


def found_delays(
    delay_steps: NDArray[np.integer], offsets: NDArray[np.integer], tolerance: int = 1
) -> NDArray[np.bool_]:
    """Which delays make a pattern's spikes meet.

    A detector may fire any time after the pattern, so its delays are right up to a common shift. The shift is the one
    that most of its delays agree with: ``delay_steps[c, i] + offsets[c, i]`` is constant in a perfect detector.

    Args:
        delay_steps: ``[class, channel]``, delays of each class's detector in steps.
        offsets: ``[class, channel]``, when each channel fires in the class's pattern, in steps.
        tolerance: steps by which a delay may miss.

    Returns:
        ``[class, channel]``, True where a delay is found. Even random delays agree by chance in a few: compare with
        the delays before training.

    Raises:
        ValueError: the two are not integers of one shape ``[class, channel]``.
    """
    for name, steps in (("delay_steps", delay_steps), ("offsets", offsets)):
        if steps.ndim != 2 or steps.shape != offsets.shape or steps.dtype.kind not in "iu":
            raise ValueError(f"{name}: {steps.dtype} of shape {steps.shape} (integers [class, channel], both alike)")
    arrival = delay_steps.astype(np.int64) + offsets
    shifts = np.arange(arrival.min(), arrival.max() + 1)
    hits = np.abs(arrival[:, :, None] - shifts) <= tolerance
    best = hits.sum(1).argmax(1)
    return np.take_along_axis(hits, best[:, None, None], 2)[:, :, 0]


def permuted_delays(network: Network, generator: np.random.Generator) -> Network:
    """The network with the delays of each connection permuted among its synapses."""
    return _with_delays(network, lambda delays: generator.permutation(delays.ravel()).reshape(delays.shape))


def mean_delays(network: Network) -> Network:
    """The network with every delay its connection's mean, rounded."""
    return _with_delays(network, lambda delays: np.full_like(delays, round(float(delays.mean()))))


def _with_delays(network: Network, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Network:
    """Only synapses that are there take part: a weight of 0 is none."""

    def changed(connection: Connection) -> Connection:
        delays = connection.delays()
        return connection.with_delays(change(delays)) if len(delays) else connection

    layers = [replace(layer, inputs=tuple(map(changed, layer.inputs))) for layer in network.layers]
    return replace(network, layers=tuple(layers))
