"""Leaky integrators in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
from ranvier.engine.integer_lif import kept
from ranvier.engine.runner import NeuronRunner, State, runner
from ranvier.network import IntegerIntegrator


@runner.register(IntegerIntegrator)
class IntegerIntegratorRunner(NeuronRunner):
    """v[t] = trunc(decay * v[t-1] / 4096) + I[t]; the state is the voltage."""

    def __init__(self, part: IntegerIntegrator) -> None:
        self._decay = part.decay

    def rest(self) -> State:
        return np.zeros(len(self._decay), np.int32)

    def advance(self, state: State, current: State, starts: NDArray[np.int64], source: NDArray[np.int32]) -> None:
        starts[: len(current) + 1] = 0
        _advance(self._decay, state, current)


@compiled
def _advance(decay: NDArray[np.int16], v: State, current: State) -> None:
    for k in range(len(current)):
        for j in range(len(v)):
            v[j] = kept(decay[j], v[j]) + current[k, j]
            current[k, j] = v[j]
