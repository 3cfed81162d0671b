"""Leaky integrators, time step by time step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
from ranvier.engine.runner import NeuronRunner, State, runner
from ranvier.network import Integrator


@runner.register(Integrator)
class IntegratorRunner(NeuronRunner):
    """v[t] = decay * v[t-1] + I[t]; the state is the voltage."""

    def __init__(self, part: Integrator) -> None:
        self._decay = part.decay.astype(np.float64)

    def rest(self) -> State:
        return np.zeros(len(self._decay))

    def advance(self, state: State, current: State, starts: NDArray[np.int64], source: NDArray[np.int32]) -> None:
        starts[: len(current) + 1] = 0
        _advance(self._decay, state, current)


@compiled
def _advance(decay: State, v: State, current: State) -> None:
    for k in range(len(current)):
        for j in range(len(v)):
            v[j] = decay[j] * v[j] + current[k, j]
            current[k, j] = v[j]
