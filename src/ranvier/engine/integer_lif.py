"""Leaky integrate-and-fire neurons in integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
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
        _advance(self._decay, self._threshold, state, current, starts, source)


@compiled
def _advance(
    decay: NDArray[np.int16], threshold: NDArray[np.int32], v: State, current: State,
    starts: NDArray[np.int64], source: NDArray[np.int32],
) -> None:  # fmt: skip
    spikes = 0
    starts[0] = 0
    for k in range(len(current)):
        for j in range(len(v)):
            v[j] = kept(decay[j], v[j]) + current[k, j]
        for j in range(len(v)):
            if v[j] >= threshold[j]:
                v[j] = 0
                source[spikes] = j
                spikes += 1
        starts[k + 1] = spikes


@compiled
def kept(decay: int, v: int) -> Any:
    """trunc(decay * v / 4096)."""
    product = np.int64(decay) * np.int64(v)
    return (product + (4095 if product < 0 else 0)) >> 12
