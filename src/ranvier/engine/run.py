"""What a network did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Run:
    """What a network did with a clip, or a part of one.

    Attributes:
        spikes: per hidden layer, int64 ``[spike, 2]``: time step and neuron, in order.
        voltage: of the readout, ``[time, class]``, in units of the threshold's scale; where spikes are counted
            (``Decoding(scores="count")``), its spikes: 1 or 0.
        scores: ``[class]``, as the network's decoding says, from the clip's beginning on.
        prediction: index of the highest score, the first of equal ones.
    """

    spikes: tuple[NDArray[np.int64], ...]
    voltage: NDArray[np.float64]
    scores: NDArray[np.float64]
    prediction: int
