"""Normalisation and integrate-and-fire in one scan; backward in the memory of a single tensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

Array = NDArray[np.floating]
Steps = NDArray[np.int64]


@compiled
def spikes(
    current: Array, steps: Steps, mean: Array, scale: Array, bias: Array, decay: Array, threshold: Array, gain: Array,
    kept: Array, out: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """Spikes times gain; ``kept [batch, neuron]`` is room for the voltages after reset."""
    time, _, neurons = current.shape
    zero = current.dtype.type(0)
    kept[start:stop] = zero
    for t in range(time):
        for clip in range(start, stop):
            belongs = t < steps[clip]
            for j in range(neurons):
                y = scale[j] * (current[t, clip, j] - mean[j]) + bias[j] if belongs else zero
                v = decay[j] * kept[clip, j] + y
                fires = v >= threshold[j]
                nothing = v - v  # 0, or NaN where v is not finite
                out[t, clip, j] = (gain[clip, j] if fires else zero) + nothing
                kept[clip, j] = (zero if fires else v) + nothing


@compiled
def voltages(
    current: Array, steps: Steps, mean: Array, scale: Array, bias: Array, decay: Array, threshold: Array,
    kept: Array, voltage: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """The voltages before reset, once more, for backward."""
    time, _, neurons = current.shape
    zero = current.dtype.type(0)
    kept[start:stop] = zero
    for t in range(time):
        for clip in range(start, stop):
            belongs = t < steps[clip]
            for j in range(neurons):
                y = scale[j] * (current[t, clip, j] - mean[j]) + bias[j] if belongs else zero
                v = decay[j] * kept[clip, j] + y
                voltage[t, clip, j] = v
                kept[clip, j] = zero if v >= threshold[j] else v


@compiled
def norm_backward(
    grad: Array, x: Array, steps: Steps, mean: Array, of_grad: Array, of_x: Array, constant: Array,
    start: int, stop: int,
) -> None:  # fmt: skip
    """As ops/norm/passes_cpu.py's combine, but in the place of ``grad``."""
    time, _, neurons = x.shape
    zero = x.dtype.type(0)
    for t in range(time):
        for clip in range(start, stop):
            belongs = t < steps[clip]
            for j in range(neurons):
                along = of_x[j] * (x[t, clip, j] - mean[j])
                result = of_grad[j] * grad[t, clip, j] + along + constant[j]
                grad[t, clip, j] = result if belongs else zero
