"""Leaky integrators: the readout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ranvier.network.part import Neuron, array


@dataclass(frozen=True, eq=False)
class Integrator(Neuron):
    """A membrane that never spikes: v[t] = decay * v[t-1] + I[t].

    Args:
        decay: float32 ``[target]``, share of the voltage kept per time step, in [0, 1].
    """

    kind: ClassVar[str] = "integrator"
    spikes: ClassVar[bool] = False
    decay: NDArray[np.float32] = array("float32", "target", low=0, high=1)

    @property
    def targets(self) -> int:
        return len(self.decay)
