"""Leaky integrators in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.integer_loops import advance_integrator
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
        advance_integrator(self._decay, state, current)
