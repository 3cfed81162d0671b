"""Leaky integrate-and-fire neurons with soft reset, time step by time step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
from ranvier.engine.runner import NeuronRunner, State, runner
from ranvier.network import SoftResetLIF


@runner.register(SoftResetLIF)
class SoftResetLIFRunner(NeuronRunner):
    """v[t] = decay * (v[t-1] - threshold * s[t-1]) + I[t]; the state is the voltage after reset."""

    def __init__(self, part: SoftResetLIF) -> None:
        self._decay, self._threshold = part.decay.astype(np.float64), part.threshold.astype(np.float64)

    def rest(self) -> State:
        return np.zeros(len(self._decay))

    def advance(self, state: State, current: State, starts: NDArray[np.int64], source: NDArray[np.int32]) -> None:
        _advance(self._decay, self._threshold, state, current, starts, source)


@compiled
def _advance(
    decay: State, threshold: State, v: State, current: State, starts: NDArray[np.int64], source: NDArray[np.int32]
) -> None:
    spikes = 0
    starts[0] = 0
    for k in range(len(current)):
        for j in range(len(v)):
            v[j] = decay[j] * v[j] + current[k, j]
        for j in range(len(v)):
            if v[j] >= threshold[j]:
                v[j] -= threshold[j]
                source[spikes] = j
                spikes += 1
        starts[k + 1] = spikes
