"""Batch normalisation in two passes forward and two backward, compiled; sums are in double precision."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating]
Steps = NDArray[np.int64]


@njit(nogil=True, cache=True, error_model="numpy")
def sums(x: Array, steps: Steps, total: Array, squares: Array, start: int, stop: int) -> None:
    """Of x and of x^2 over each clip's steps, ``[batch, neuron]`` in double precision."""
    for clip in range(start, stop):
        total_c, squares_c = total[clip], squares[clip]
        total_c[:] = 0.0
        squares_c[:] = 0.0
        for t in range(steps[clip]):
            x_t = x[t, clip]
            for j in range(len(x_t)):
                value = np.float64(x_t[j])
                total_c[j] += value
                squares_c[j] += value * value


@njit(nogil=True, cache=True, error_model="numpy")
def scale_and_shift(x: Array, steps: Steps, scale: Array, shift: Array, y: Array, start: int, stop: int) -> None:
    """y = scale x + shift on each clip's steps, else 0."""
    time = x.shape[0]
    for clip in range(start, stop):
        for t in range(time):
            x_t, y_t = x[t, clip], y[t, clip]
            if t < steps[clip]:
                for j in range(len(x_t)):
                    y_t[j] = scale[j] * x_t[j] + shift[j]
            else:
                y_t[:] = 0


@njit(nogil=True, cache=True, error_model="numpy")
def backward_sums(grad: Array, x: Array, steps: Steps, total: Array, along: Array, start: int, stop: int) -> None:
    """Of grad and of grad x over each clip's steps, ``[batch, neuron]`` in double precision."""
    for clip in range(start, stop):
        total_c, along_c = total[clip], along[clip]
        total_c[:] = 0.0
        along_c[:] = 0.0
        for t in range(steps[clip]):
            g_t, x_t = grad[t, clip], x[t, clip]
            for j in range(len(x_t)):
                value = np.float64(g_t[j])
                total_c[j] += value
                along_c[j] += value * x_t[j]


@njit(nogil=True, cache=True, error_model="numpy")
def combine(
    grad: Array, x: Array, steps: Steps, of_grad: Array, of_x: Array, constant: Array, out: Array, start: int, stop: int
) -> None:
    """out = of_grad grad + of_x x + constant on each clip's steps, else 0."""
    time = x.shape[0]
    for clip in range(start, stop):
        for t in range(time):
            g_t, x_t, out_t = grad[t, clip], x[t, clip], out[t, clip]
            if t < steps[clip]:
                for j in range(len(x_t)):
                    out_t[j] = of_grad[j] * g_t[j] + of_x[j] * x_t[j] + constant[j]
            else:
                out_t[:] = 0
