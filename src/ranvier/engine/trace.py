"""Synaptic traces, time step by time step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.runner import State, runner
from ranvier.network import Trace


@runner.register(Trace)
class TraceRunner:
    """y[t] = y[t-1] - (1 - s[t]) (1 - decay) y[t-1] + s[t]; the state is y."""

    def __init__(self, part: Trace) -> None:
        self._lost = 1 - part.decay.astype(np.float64)

    def rest(self) -> State:
        return np.zeros(len(self._lost))

    def step(self, state: State, spiking: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        s = np.zeros(len(state))
        s[spiking] = 1
        state[:] = state - (1 - s) * self._lost * state + s
        source = np.flatnonzero(state)
        return source, state[source]
