"""Leaky integrate-and-fire neurons in integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ranvier.network.part import Neuron, array
from ranvier.network.rules import DECAY_ONE, MAX_INT32


@dataclass(frozen=True, eq=False)
class IntegerLIF(Neuron):
    """:class:`LIF` in integers of 32 bits, exact in any order of summation.

        v[t] = trunc(decay * v[t-1] * (1 - s[t-1]) / 4096) + I[t]        s[t] = 1 if v[t] >= threshold else 0

    ``trunc`` rounds towards zero, as C's division does. The product needs 64 bits.

    Args:
        decay: int16 ``[target]``, share of the voltage kept per time step in 1/4096, in [0, 4095].
        threshold: int32 ``[target]``, voltage at which a neuron spikes, in [1, 2^31 - 1].
    """

    kind: ClassVar[str] = "integer_lif"
    integer: ClassVar[bool] = True
    decay: NDArray[np.int16] = array("int16", "target", low=0, high=DECAY_ONE - 1)
    threshold: NDArray[np.int32] = array("int32", "target", low=1, high=MAX_INT32)

    @property
    def targets(self) -> int:
        return len(self.decay)
