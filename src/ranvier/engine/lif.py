"""Leaky integrate-and-fire neurons, time step by time step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.runner import State, runner
from ranvier.network import LIF


@runner.register(LIF)
class LIFRunner:
    """v[t] = decay * v[t-1] * (1 - s[t-1]) + I[t]; the state is the voltage after reset."""

    def __init__(self, part: LIF) -> None:
        self._decay, self._threshold = part.decay.astype(np.float64), part.threshold.astype(np.float64)

    def rest(self) -> State:
        return np.zeros(len(self._decay))

    def step(self, state: State, current: NDArray[np.float64]) -> NDArray[np.int64]:
        state[:] = self._decay * state + current
        spiking = np.flatnonzero(state >= self._threshold)
        state[spiking] = 0
        return spiking
