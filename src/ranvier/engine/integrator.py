"""Leaky integrators, time step by time step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.runner import State, runner
from ranvier.network import Integrator

_NONE = np.empty(0, np.int64)


@runner.register(Integrator)
class IntegratorRunner:
    """v[t] = decay * v[t-1] + I[t]; the state is the voltage."""

    def __init__(self, part: Integrator) -> None:
        self._decay = part.decay.astype(np.float64)

    def rest(self) -> State:
        return np.zeros(len(self._decay))

    def step(self, state: State, current: NDArray[np.float64]) -> NDArray[np.int64]:
        state[:] = self._decay * state + current
        return _NONE
