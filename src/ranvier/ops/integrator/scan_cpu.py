"""The scan over time, compiled; its loops are in the order of ops/lif/scan_cpu.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

Array = NDArray[np.floating]


@compiled
def integrate(current: Array, decay: Array, state: Array, voltage: Array, start: int, stop: int) -> None:
    """v[t] = decay v[t-1] + current[t]."""
    time, _, neurons = current.shape
    for t in range(time):
        for clip in range(start, stop):
            for j in range(neurons):
                before = state[clip, j] if t == 0 else voltage[t - 1, clip, j]
                voltage[t, clip, j] = decay[j] * before + current[t, clip, j]


@compiled
def integrate_backward(
    grad: Array, voltage: Array, decay: Array, state: Array,
    grad_current: Array, grad_state: Array, grad_decay: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """grad v[t] = grad voltage[t] + decay grad v[t+1]; grad current[t] = grad v[t]."""
    time, _, neurons = voltage.shape
    zero = voltage.dtype.type(0)
    grad_state[start:stop] = zero
    grad_decay[start:stop] = zero
    for t in range(time - 1, -1, -1):
        for clip in range(start, stop):
            for j in range(neurons):
                grad_v = grad[t, clip, j] + grad_state[clip, j]
                before = state[clip, j] if t == 0 else voltage[t - 1, clip, j]
                grad_current[t, clip, j] = grad_v
                grad_decay[clip, j] += grad_v * before
                grad_state[clip, j] = decay[j] * grad_v
