"""Leaky integrate-and-fire neurons in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.integer_loops import advance_lif
from ranvier.engine.runner import NeuronRunner, State, runner
from ranvier.network import IntegerLIF


@runner.register(IntegerLIF)
class IntegerLIFRunner(NeuronRunner):
    """v[t] = trunc(decay * v[t-1] * (1 - s[t-1]) / 4096) + I[t]; the state is the voltage after reset."""

    def __init__(self, part: IntegerLIF) -> None:
        self._decay, self._threshold = part.decay, part.threshold

    def rest(self) -> State:
        return np.zeros(len(self._decay), np.int32)

    def advance(self, state: State, current: State, starts: NDArray[np.int64], source: NDArray[np.int32]) -> None:
        advance_lif(self._decay, self._threshold, state, current, starts, source)
