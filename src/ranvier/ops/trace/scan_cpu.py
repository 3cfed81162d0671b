"""The scan over time, compiled; its loops are in the order of ops/lif/scan_cpu.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

Array = NDArray[np.floating]


@compiled
def trace(spikes: Array, decay: Array, state: Array, y: Array, start: int, stop: int) -> None:
    """y[t] = y[t-1] - (1 - s[t]) (1 - decay) y[t-1] + s[t]."""
    time, _, neurons = spikes.shape
    one = spikes.dtype.type(1)
    for t in range(time):
        for clip in range(start, stop):
            for j in range(neurons):
                before = state[clip, j] if t == 0 else y[t - 1, clip, j]
                s = spikes[t, clip, j]
                y[t, clip, j] = before - (one - s) * (one - decay[j]) * before + s


@compiled
def trace_backward(
    grad: Array, spikes: Array, y: Array, decay: Array, state: Array,
    grad_spikes: Array, grad_state: Array, grad_decay: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """grad y[t] = grad trace[t] + (1 - (1 - s[t+1]) (1 - decay)) grad y[t+1]."""
    time, _, neurons = y.shape
    one, zero = y.dtype.type(1), y.dtype.type(0)
    grad_state[start:stop] = zero
    grad_decay[start:stop] = zero
    for t in range(time - 1, -1, -1):
        for clip in range(start, stop):
            for j in range(neurons):
                before = state[clip, j] if t == 0 else y[t - 1, clip, j]
                unspent, lost = one - spikes[t, clip, j], one - decay[j]
                grad_y = grad[t, clip, j] + grad_state[clip, j]
                grad_spikes[t, clip, j] = grad_y * (one + lost * before)
                grad_decay[clip, j] += grad_y * unspent * before
                grad_state[clip, j] = grad_y * (one - unspent * lost)
