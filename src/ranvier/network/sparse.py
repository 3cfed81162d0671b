"""Sparse connections: the synapses that there are, one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from reprlib import repr as short
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ranvier.network.dense import Dense
from ranvier.network.part import Connection, Synapses, array
from ranvier.network.rules import MAX_BUFFER, MAX_CHANNELS, is_whole, require

_MAX_DENSE = 2**27  # weights that a dense form may have


@dataclass(frozen=True, eq=False)
class Sparse(Connection):
    """A list of synapses, in the order of their targets (compressed sparse rows).

        I[t, j] = sum over k = first[j] ... first[j + 1] - 1 of weight[k] * x[t - delay_steps[k], source_index[k]]

    Args:
        source: ``input`` or the name of a layer.
        max_delay: longest delay that may occur, in time steps, in [0, 32767].
        source_count: sources, in [1, 2^24].
        first: int32 ``[target + 1]``, rising from 0 to the number of synapses.
        source_index: int16 or int32 ``[synapse]``, in [0, source_count).
        weight: float32 ``[synapse]``, finite and not 0, or int8 in [-127, 127].
        delay_steps: int16 ``[synapse]``, in [0, max_delay]; 0 = the same time step.
    """

    kind: ClassVar[str] = "sparse"
    source_count: int
    first: NDArray[np.int32] = array("int32", "target + 1", low=0)
    source_index: NDArray[np.int16] | NDArray[np.int32] = array("int16 | int32", "synapse", low=0)
    weight: NDArray[np.float32] | NDArray[np.int8] = array("float32 | int8", "synapse")
    delay_steps: NDArray[np.int16] = array("int16", "synapse", low=0)

    def check(self) -> None:
        require(not self.integer or int(self.weight.min()) >= -127, "weight: values from -128 (-127 ... 127 allowed)")
        require(bool((self.weight != 0).all()), "weight: 0 is not allowed (a synapse that is not there is left out)")
        require(is_whole(self.max_delay, 0, 32767), f"max_delay: {short(self.max_delay)} is not allowed (0 ... 32767)")
        longest = int(self.delay_steps.max())
        require(longest <= self.max_delay, f"delay_steps: up to {longest} (0 ... {self.max_delay} time steps allowed)")
        require(
            is_whole(self.source_count, 1, MAX_CHANNELS),
            f"source_count: {short(self.source_count)} is not allowed (1 ... {MAX_CHANNELS})",
        )
        last = int(self.source_index.max())
        require(last < self.source_count, f"source_index: up to {last} (0 ... {self.source_count - 1} allowed)")
        rising = len(self.first) > 1 and bool((self.first[1:] >= self.first[:-1]).all())
        ends = (int(self.first[0]), int(self.first[-1]))
        require(
            rising and ends == (0, len(self.weight)),
            f"first: does not rise from 0 to {len(self.weight)}, the number of synapses, over 1 target or more",
        )
        require(
            self.max_delay * self.targets <= MAX_BUFFER,
            f"max_delay: {self.max_delay} time steps for {self.targets} targets (a product up to {MAX_BUFFER} allowed)",
        )

    @classmethod
    def of(cls, dense: Dense) -> Self:
        """The same synapses. Two of one pair stay in their order, so that their sums are the same to the bit.

        Raises:
            NetworkError: there is no synapse.
        """
        source, target, weight, delay_steps = dense.synapses()
        order = np.argsort(target, kind="stable")
        first = np.searchsorted(target[order], np.arange(dense.targets + 1)).astype(np.int32)
        narrow = dense.sources <= 2**15
        index = source[order].astype(np.int16) if narrow else source[order].astype(np.int32)
        return cls(dense.source, dense.max_delay, dense.sources, first, index, weight[order], delay_steps[order])

    def dense(self) -> Dense:
        """The same synapses among weights of 0, as many for each pair as the pair with most of them has.

        Raises:
            NetworkError: there would be more than 2^27 weights.
        """
        source, target, weight, delay_steps = self.synapses()
        pair = target * self.sources + source
        order = np.argsort(pair, kind="stable")
        begins = np.flatnonzero(np.diff(pair[order], prepend=-1))
        counts = np.diff(begins, append=len(pair))
        number = np.empty(len(pair), np.int64)  # of each synapse within its pair
        number[order] = np.arange(len(pair)) - np.repeat(begins, counts)
        shape = (int(counts.max()), self.targets, self.sources)
        size = shape[0] * shape[1] * shape[2]
        require(size <= _MAX_DENSE, f"weight: {size} weights in a dense form (up to {_MAX_DENSE} allowed)")
        weights, delays = np.zeros(shape, weight.dtype), np.zeros(shape, np.int16)
        weights[number, target, source], delays[number, target, source] = weight, delay_steps
        return Dense(self.source, self.max_delay, weights, delays)

    @property
    def integer(self) -> bool:
        return self.weight.dtype == np.int8

    def largest_current(self, size: int) -> NDArray[np.int64]:
        total = np.zeros(self.targets, np.int64)
        np.add.at(total, self._target(), np.abs(self.weight.astype(np.int64)))
        return total * size

    @property
    def synapse_count(self) -> int:
        return len(self.weight)

    @property
    def targets(self) -> int:
        return len(self.first) - 1

    @property
    def sources(self) -> int:
        return self.source_count

    def _target(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(self.targets), np.diff(self.first))

    def synapses(self) -> Synapses:
        return Synapses(self.source_index.astype(np.int64), self._target(), self.weight, self.delay_steps)

    def with_delays(self, delay_steps: NDArray[np.int16]) -> Self:
        return replace(self, delay_steps=delay_steps)


def smallest(dense: Dense) -> Dense | Sparse:
    """The connection in the form that takes fewer bytes.

    With one delay for a source or target it stays dense, as it does without any synapse.
    """
    if dense.delay_steps.shape != dense.weight.shape or not dense.synapse_count:
        return dense
    sparse = Sparse.of(dense)
    size, other = (sum(values.nbytes for values in part.arrays().values()) for part in (sparse, dense))
    return sparse if size < other else dense
