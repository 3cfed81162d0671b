"""Dense connections, run spike by spike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.runner import State, runner
from ranvier.network import Dense


@runner.register(Dense)
class DenseRunner:
    """A spike reaches every target once, at its delay: the state is a ring of currents on their way, by arrival."""

    def __init__(self, part: Dense) -> None:
        self._shape = (part.max_delay + 1, part.targets)
        # one row per source, so that a spike reads its whole fan-out at once
        self._delay = part.full_delay_steps.transpose(2, 0, 1).reshape(part.sources, -1).astype(np.int64)
        self._weight = part.weight.transpose(2, 0, 1).reshape(part.sources, -1).astype(np.float64)
        self._target = np.tile(np.arange(part.targets), part.synapses_per_pair)

    def rest(self) -> State:
        return np.zeros(self._shape)

    def receive(self, state: State, t: int, source: NDArray[np.int64], size: NDArray[np.float64]) -> None:
        slots, targets = self._shape
        place = (t + self._delay[source]) % slots * targets + self._target
        amount = self._weight[source] * size[:, None]
        state += np.bincount(place.ravel(), amount.ravel(), minlength=state.size).reshape(state.shape)

    def arriving(self, state: State, t: int) -> NDArray[np.float64]:
        slot = t % len(state)
        current: NDArray[np.float64] = state[slot].copy()
        state[slot] = 0
        return current
