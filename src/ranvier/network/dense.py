"""Dense connections: a weight and a delay between every source and every target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from reprlib import repr as short
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ranvier.network.part import Connection, Synapses, array
from ranvier.network.rules import MAX_BUFFER, is_whole, require


@dataclass(frozen=True, eq=False)
class Dense(Connection):
    """Every target receives from every source, ``synapse`` times.

        I[t, j] = sum over synapse, i of weight[synapse, j, i] * x[t - delay_steps[synapse, j, i], i]

    Args:
        source: ``input`` or the name of a layer.
        max_delay: longest delay that may occur, in time steps, in [0, 32767].
        weight: float32 ``[synapse, target, source]``, finite, or int8 in [-127, 127]; 0 is no synapse.
        delay_steps: int16, broadcastable to ``weight``, in [0, max_delay]; 0 = the same time step. Axonal delays are
            ``[synapse, 1, source]``, dendritic ones ``[synapse, target, 1]``.
    """

    kind: ClassVar[str] = "dense"
    weight: NDArray[np.float32] | NDArray[np.int8] = array("float32 | int8", "synapse", "target", "source")
    delay_steps: NDArray[np.int16] = array("int16", "synapse", "target", "source", broadcast=True)

    def check(self) -> None:
        require(not self.integer or int(self.weight.min()) >= -127, "weight: values from -128 (-127 ... 127 allowed)")
        require(is_whole(self.max_delay, 0, 32767), f"max_delay: {short(self.max_delay)} is not allowed (0 ... 32767)")
        low, high = int(self.delay_steps.min()), int(self.delay_steps.max())
        require(
            low >= 0 and high <= self.max_delay,
            f"delay_steps: values from {low} to {high} (0 ... {self.max_delay} time steps allowed)",
        )
        require(
            self.max_delay * self.targets <= MAX_BUFFER,
            f"max_delay: {self.max_delay} time steps for {self.targets} targets (a product up to {MAX_BUFFER} allowed)",
        )

    @property
    def integer(self) -> bool:
        return self.weight.dtype == np.int8

    def largest_current(self, size: int) -> NDArray[np.int64]:
        total: NDArray[np.int64] = np.abs(self.weight.astype(np.int64)).sum((0, 2)) * size
        return total

    @property
    def synapses_per_pair(self) -> int:
        """Synapses between one source and one target."""
        return int(self.weight.shape[0])

    @property
    def synapse_count(self) -> int:
        return int(np.count_nonzero(self.weight))

    @property
    def targets(self) -> int:
        return int(self.weight.shape[1])

    @property
    def sources(self) -> int:
        return int(self.weight.shape[2])

    @property
    def full_delay_steps(self) -> NDArray[np.int16]:
        """``delay_steps`` in the shape of ``weight``."""
        return np.broadcast_to(self.delay_steps, self.weight.shape)

    def synapses(self) -> Synapses:
        _, target, source = there = np.nonzero(self.weight)
        delay_steps = self.full_delay_steps[there]
        return Synapses(source, target, self.weight[there], delay_steps)

    def with_delays(self, delay_steps: NDArray[np.int16]) -> Self:
        every = self.full_delay_steps.copy()
        every[np.nonzero(self.weight)] = delay_steps
        return replace(self, delay_steps=every)
