"""Synaptic traces: spikes that act on for some time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ranvier.network.part import Output, array


@dataclass(frozen=True, eq=False)
class Trace(Output):
    """What other layers receive is the trace y of the spikes s.

        y[t] = y[t-1] - (1 - s[t]) * (1 - decay) * y[t-1] + s[t]        y[-1] = 0

    Args:
        decay: float32 ``[target]``, share of the trace kept in a time step without a spike, in [0, 1].
    """

    kind: ClassVar[str] = "trace"
    decay: NDArray[np.float32] = array("float32", "target", low=0, high=1)

    @property
    def targets(self) -> int:
        return len(self.decay)
