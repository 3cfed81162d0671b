"""The loops of integer neurons. Compiled code is kept on disk by its own file's content, so that what it calls must
stand in the same file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
from ranvier.engine.runner import State


@compiled
def advance_lif(
    decay: NDArray[np.int16], threshold: NDArray[np.int32], v: State, current: State,
    starts: NDArray[np.int64], source: NDArray[np.int32],
) -> None:  # fmt: skip
    spikes = 0
    starts[0] = 0
    for k in range(len(current)):
        for j in range(len(v)):
            v[j] = _kept(decay[j], v[j]) + current[k, j]
        for j in range(len(v)):
            if v[j] >= threshold[j]:
                v[j] = 0
                source[spikes] = j
                spikes += 1
        starts[k + 1] = spikes


@compiled
def _kept(decay: int, v: int) -> Any:
    """trunc(decay * v / 4096)."""
    product = np.int64(decay) * np.int64(v)
    return (product + (4095 if product < 0 else 0)) >> 12


@compiled
def advance_integrator(decay: NDArray[np.int16], v: State, current: State) -> None:
    for k in range(len(current)):
        for j in range(len(v)):
            v[j] = _kept(decay[j], v[j]) + current[k, j]
            current[k, j] = v[j]
