"""Batch normalisation in two passes forward and two backward, compiled; sums are in double precision.

Steps are the outer loop, so that memory is read and written in the order in which it lies; sums are kept per clip, so
that they do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

Array = NDArray[np.floating]
Steps = NDArray[np.int64]


@compiled
def sums(x: Array, steps: Steps, total: Array, squares: Array, start: int, stop: int) -> None:
    """Of x and of x^2 over each clip's steps, ``[batch, neuron]`` in double precision."""
    time, _, neurons = x.shape
    total[start:stop] = 0.0
    squares[start:stop] = 0.0
    for t in range(time):
        for clip in range(start, stop):
            if t < steps[clip]:
                for j in range(neurons):
                    value = np.float64(x[t, clip, j])
                    total[clip, j] += value
                    squares[clip, j] += value * value


@compiled
def scale_and_shift(
    x: Array, steps: Steps, mean: Array, scale: Array, bias: Array, y: Array, start: int, stop: int
) -> None:
    """y = scale (x - mean) + bias on each clip's steps, else 0."""
    time, _, neurons = x.shape
    zero = x.dtype.type(0)
    for t in range(time):
        for clip in range(start, stop):
            if t < steps[clip]:
                for j in range(neurons):
                    y[t, clip, j] = scale[j] * (x[t, clip, j] - mean[j]) + bias[j]
            else:
                for j in range(neurons):
                    y[t, clip, j] = zero


@compiled
def backward_sums(
    grad: Array, x: Array, steps: Steps, mean: Array, total: Array, along: Array, start: int, stop: int
) -> None:
    """Of grad and of grad (x - mean) over each clip's steps, ``[batch, neuron]`` in double precision."""
    time, _, neurons = x.shape
    total[start:stop] = 0.0
    along[start:stop] = 0.0
    for t in range(time):
        for clip in range(start, stop):
            if t < steps[clip]:
                for j in range(neurons):
                    value = np.float64(grad[t, clip, j])
                    total[clip, j] += value
                    along[clip, j] += value * (x[t, clip, j] - mean[j])


@compiled
def combine(
    grad: Array, x: Array, steps: Steps, mean: Array, of_grad: Array, of_x: Array, constant: Array, out: Array,
    start: int, stop: int,
) -> None:  # fmt: skip
    """out = of_grad grad + of_x (x - mean) + constant on each clip's steps, else 0."""
    time, _, neurons = x.shape
    zero = x.dtype.type(0)
    for t in range(time):
        for clip in range(start, stop):
            if t < steps[clip]:
                for j in range(neurons):
                    along = of_x[j] * (x[t, clip, j] - mean[j])
                    out[t, clip, j] = of_grad[j] * grad[t, clip, j] + along + constant[j]
            else:
                for j in range(neurons):
                    out[t, clip, j] = zero
