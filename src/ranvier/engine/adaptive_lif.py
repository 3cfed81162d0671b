"""Adaptive leaky integrate-and-fire neurons, time step by time step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
from ranvier.engine.runner import NeuronRunner, State, runner
from ranvier.network import AdaptiveLIF


@runner.register(AdaptiveLIF)
class AdaptiveLIFRunner(NeuronRunner):
    """As :class:`ranvier.network.AdaptiveLIF` says; the state is voltage after reset, adaptation and spikes
    ``[3, target]``."""

    def __init__(self, part: AdaptiveLIF) -> None:
        names = ("decay", "adaptation_decay", "a", "b", "threshold")
        self._values = np.stack([part.arrays()[name].astype(np.float64) for name in names])
        self._symplectic = part.euler == "symplectic"

    def rest(self) -> State:
        return np.zeros((3, self._values.shape[1]))

    def advance(self, state: State, current: State, starts: NDArray[np.int64], source: NDArray[np.int32]) -> None:
        _advance(self._values, self._symplectic, state, current, starts, source)


@compiled
def _advance(
    values: State, symplectic: bool, state: State, current: State,
    starts: NDArray[np.int64], source: NDArray[np.int32],
) -> None:  # fmt: skip
    decay, adaptation_decay, a, b, threshold = values[0], values[1], values[2], values[3], values[4]
    u, w, s = state[0], state[1], state[2]
    spikes = 0
    starts[0] = 0
    for k in range(len(current)):
        for j in range(len(u)):
            v = decay[j] * u[j] + (1 - decay[j]) * (current[k, j] - w[j])
            fires = 1.0 if v >= threshold[j] else 0.0
            after = 0.0 if v >= threshold[j] else v
            drive = a[j] * after + b[j] * fires if symplectic else a[j] * u[j] + b[j] * s[j]
            w[j] = adaptation_decay[j] * w[j] + (1 - adaptation_decay[j]) * drive
            u[j] = after
            s[j] = fires
        for j in range(len(u)):
            if s[j] != 0:
                source[spikes] = j
                spikes += 1
        starts[k + 1] = spikes
