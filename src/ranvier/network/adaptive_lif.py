"""Adaptive leaky integrate-and-fire neurons."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as short
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ranvier.network.part import Neuron, array
from ranvier.network.rules import require

_EULERS = ("symplectic", "forward")


@dataclass(frozen=True, eq=False)
class AdaptiveLIF(Neuron):
    """Leaky integrate-and-fire with hard reset and an adaptation w that opposes the current.

        u[t] = decay * u[t-1] + (1 - decay) * (I[t] - w[t-1])
        s[t] = 1 if u[t] >= threshold else 0;   then u[t] = u[t] * (1 - s[t])
        w[t] = adaptation_decay * w[t-1] + (1 - adaptation_decay) * (a * u[t] + b * s[t])

    Args:
        euler: ``symplectic``, as above, or ``forward``: u[t-1] and s[t-1] in the last line.
        decay: float32 ``[target]``, share of the voltage kept per time step, in [0, 1].
        adaptation_decay: float32 ``[target]``, share of the adaptation kept per time step, in [0, 1].
        a: float32 ``[target]``, adaptation that a constant voltage of 1 leads to, >= 0.
        b: float32 ``[target]``, adaptation that a spike in every time step leads to, >= 0.
        threshold: float32 ``[target]``, voltage at which a neuron spikes, > 0.

    Source: Baronig et al. 2024 (arXiv 2408.07517), with a and b scaled by q.
    """

    kind: ClassVar[str] = "adaptive_lif"
    euler: Literal["symplectic", "forward"]
    decay: NDArray[np.float32] = array("float32", "target", low=0, high=1)
    adaptation_decay: NDArray[np.float32] = array("float32", "target", low=0, high=1)
    a: NDArray[np.float32] = array("float32", "target", low=0)
    b: NDArray[np.float32] = array("float32", "target", low=0)
    threshold: NDArray[np.float32] = array("float32", "target", positive=True)

    def check(self) -> None:
        require(self.euler in _EULERS, f"euler: {short(self.euler)} is not allowed ({', '.join(_EULERS)})")

    @property
    def targets(self) -> int:
        return len(self.decay)
