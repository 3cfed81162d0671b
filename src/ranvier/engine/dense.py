"""Dense connections: axonal and dendritic delays stay small, others run synapse by synapse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
from ranvier.engine.runner import ConnectionRunner, Packet, State, runner
from ranvier.engine.synapses import SynapsesRunner
from ranvier.network import Dense


@runner.register(Dense)
def _dense(part: Dense) -> ConnectionRunner:
    _, targets, sources = part.delay_steps.shape
    if targets == 1 and part.targets > 1:
        return AxonalRunner(part)
    if sources == 1 and part.sources > 1:
        return DendriticRunner(part)
    return SynapsesRunner(part)


class AxonalRunner:
    """A delay per source: a spike adds one row of weights to the row of its arrival."""

    def __init__(self, part: Dense) -> None:
        self._shape = (part.max_delay, part.targets)
        self._weight = np.ascontiguousarray(part.weight.transpose(2, 0, 1))  # [source, synapse, target]
        delay_steps = np.broadcast_to(part.delay_steps[:, 0], (part.synapses_per_pair, part.sources))
        self._delay_steps = np.ascontiguousarray(delay_steps.T)
        self._dtype = np.int32 if part.integer else np.float64

    def rest(self) -> State:
        return np.zeros(self._shape, self._dtype)

    def receive(self, rows: State, at: int, packet: Packet, steps: int) -> None:
        _add_rows(rows, at, steps, *packet, self._weight, self._delay_steps)

    def arriving(self, rows: State, at: int, current: State) -> None:
        current += rows[at : at + len(current)]


class DendriticRunner:
    """A delay per target: a spike adds its row of weights to the present row; targets look back from their own delay.

    The rows are currents of the past ``[synapse * target]``, so that the present one is ``max_delay`` rows on.
    """

    def __init__(self, part: Dense) -> None:
        synapses = part.synapses_per_pair
        self._max_delay = part.max_delay
        self._weight = np.ascontiguousarray(part.weight.transpose(2, 0, 1)).reshape(part.sources, 1, -1)
        self._none = np.full((part.sources, 1), part.max_delay, np.int16)
        delay_steps = np.broadcast_to(part.delay_steps[:, :, 0], (synapses, part.targets))
        self._delay_steps = np.ascontiguousarray(delay_steps)
        self._dtype = np.int32 if part.integer else np.float64

    def rest(self) -> State:
        return np.zeros((self._max_delay, self._weight.shape[2]), self._dtype)

    def receive(self, rows: State, at: int, packet: Packet, steps: int) -> None:
        _add_rows(rows, at, steps, *packet, self._weight, self._none)

    def arriving(self, rows: State, at: int, current: State) -> None:
        _look_back(rows, at + self._max_delay, current, self._delay_steps)


@compiled
def _add_rows(
    rows: State, at: int, steps: int, starts: NDArray[np.int64], source: NDArray[np.int32], size: State,
    weight: NDArray[Any], delay_steps: NDArray[np.int16],
) -> None:  # fmt: skip
    """rows[at + k + delay] += weight[source, synapse] * size, for every event of step k."""
    for k in range(steps):
        for event in range(starts[k], starts[k + 1]):
            i = source[event]
            for synapse in range(delay_steps.shape[1]):
                row, added, amount = rows[at + k + delay_steps[i, synapse]], weight[i, synapse], size[event]
                for j in range(len(added)):
                    row[j] += added[j] * amount


@compiled
def _look_back(rows: State, now: int, current: State, delay_steps: NDArray[np.int16]) -> None:
    """current[k, j] += rows[now + k - delay_steps[synapse, j], synapse, j]."""
    synapses, targets = delay_steps.shape
    for k in range(len(current)):
        for synapse in range(synapses):
            for j in range(targets):
                current[k, j] += rows[now + k - delay_steps[synapse, j], synapse * targets + j]
