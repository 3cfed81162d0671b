"""Leaky integrate-and-fire neurons from whose voltage a spike takes the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ranvier.network.part import Neuron, array


@dataclass(frozen=True, eq=False)
class SoftResetLIF(Neuron):
    """Leaky integrate-and-fire with soft reset.

        v[t] = decay * (v[t-1] - threshold * s[t-1]) + I[t]        s[t] = 1 if v[t] >= threshold else 0

    Args:
        decay: float32 ``[target]``, share of the voltage kept per time step, in [0, 1].
        threshold: float32 ``[target]``, voltage at which a neuron spikes, > 0.
    """

    kind: ClassVar[str] = "soft_reset_lif"
    decay: NDArray[np.float32] = array("float32", "target", low=0, high=1)
    threshold: NDArray[np.float32] = array("float32", "target", positive=True)

    @property
    def targets(self) -> int:
        return len(self.decay)
