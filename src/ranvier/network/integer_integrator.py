"""Leaky integrators in integers: the readout."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as short
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ranvier.network.part import Neuron, array
from ranvier.network.rules import DECAY_ONE, is_whole, require

MIN_SCALE, MAX_SCALE = -31, 6


@dataclass(frozen=True, eq=False)
class IntegerIntegrator(Neuron):
    """:class:`Integrator` in integers of 32 bits: v[t] = trunc(decay * v[t-1] / 4096) + I[t].

    Its voltages stand for ``v * 2^scale_exponent``. Class scores are integers too: the softmax of every time step is
    taken in powers of two with 15 bits, the same to the bit wherever the network runs,

        y = ((max v - v) * 23637) >> (6 - scale_exponent)                  256 log2(e) of the distance below the largest
        p = floor(table[y & 255] / 2^(y >> 8))                             table[k] = round(2^15 * 2^(-k / 256))
        score += floor(2^15 * p / sum of p)

    where p is 0 from ``y >> 8 = 16`` on. A score of 2^15 is a share of 1 in one time step.

    Args:
        scale_exponent: in [-31, 6].
        decay: int16 ``[target]``, share of the voltage kept per time step in 1/4096, in [0, 4095].
    """

    kind: ClassVar[str] = "integer_integrator"
    spikes: ClassVar[bool] = False
    integer: ClassVar[bool] = True
    scale_exponent: int
    decay: NDArray[np.int16] = array("int16", "target", low=0, high=DECAY_ONE - 1)

    def check(self) -> None:
        require(
            is_whole(self.scale_exponent, MIN_SCALE, MAX_SCALE),
            f"scale_exponent: {short(self.scale_exponent)} is not allowed ({MIN_SCALE} ... {MAX_SCALE})",
        )

    @property
    def targets(self) -> int:
        return len(self.decay)
