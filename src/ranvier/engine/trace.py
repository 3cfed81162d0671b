"""Synaptic traces, time step by time step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
from ranvier.engine.runner import Packet, State, runner
from ranvier.network import Trace


@runner.register(Trace)
class TraceRunner:
    """y[t] = y[t-1] - (1 - s[t]) (1 - decay) y[t-1] + s[t]; the state is y."""

    def __init__(self, part: Trace) -> None:
        self._lost = 1 - part.decay.astype(np.float64)

    def rest(self) -> State:
        return np.zeros(len(self._lost))

    def advance(self, state: State, spikes: Packet, sent: Packet, steps: int) -> None:
        _advance(self._lost, state, steps, spikes.starts, spikes.source, *sent)


@compiled
def _advance(
    lost: State, y: State, steps: int, spiked: NDArray[np.int64], spiking: NDArray[np.int32],
    starts: NDArray[np.int64], source: NDArray[np.int32], size: State,
) -> None:  # fmt: skip
    events, spike = 0, 0
    starts[0] = 0
    for k in range(steps):
        for j in range(len(y)):
            if spike < spiked[k + 1] and spiking[spike] == j:  # in order of neurons
                spike += 1
                y[j] += 1
            else:
                y[j] -= lost[j] * y[j]
            if y[j] != 0:
                source[events], size[events] = j, y[j]
                events += 1
        starts[k + 1] = events
