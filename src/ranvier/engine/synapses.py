"""Connections of any kind, synapse by synapse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
from ranvier.engine.runner import Packet, State, runner
from ranvier.network import Connection


@runner.register(Connection)
class SynapsesRunner:
    """A spike adds each of its synapses' weights once, at its delay; the rows are currents on their way, by arrival.

    A source's synapses stand together, ordered by the place to which they add, so that stores run upwards in memory.
    One without weight is not there.
    """

    def __init__(self, part: Connection) -> None:
        source, target, weight, delay_steps = part.synapses()
        self._shape = (part.max_delay, part.targets)
        offset = delay_steps.astype(np.int64) * part.targets + target
        order = np.lexsort((offset, source))
        # half the bytes where they are enough: the loop below is bound by memory
        small = (part.max_delay + 1) * part.targets <= 2**16
        self._offset = offset[order].astype(np.uint16 if small else np.uint32)
        self._weight = np.ascontiguousarray(weight[order])
        self._first = np.searchsorted(source[order], np.arange(part.sources + 1)).astype(np.uint32)
        self._dtype = np.int32 if part.integer else np.float64

    def rest(self) -> State:
        return np.zeros(self._shape, self._dtype)

    def receive(self, rows: State, at: int, packet: Packet, steps: int) -> None:
        _receive(rows, at, steps, *packet, self._first, self._offset, self._weight)

    def arriving(self, rows: State, at: int, current: State) -> None:
        current += rows[at : at + len(current)]


@compiled
def _receive(
    rows: State, at: int, steps: int, starts: NDArray[np.int64], source: NDArray[np.int32], size: State,
    first: NDArray[np.uint32], offset: NDArray[Any], weight: NDArray[Any],
) -> None:  # fmt: skip
    """rows[at + k + delay, target] += weight * size, for the synapses of every event of step k."""
    flat, width = rows.ravel(), rows.shape[1]
    for k in range(steps):
        # a view that starts at the step's row, and indices without a sign: no test for negative ones in the loop
        here = flat[(at + k) * width :]
        for event in range(starts[k], starts[k + 1]):
            low, high, amount = first[source[event]], first[source[event] + 1], size[event]
            offsets, weights = offset[low:high], weight[low:high]
            if amount == 1:
                for n in range(len(offsets)):
                    here[offsets[n]] += weights[n]
            else:
                for n in range(len(offsets)):
                    here[offsets[n]] += weights[n] * amount
