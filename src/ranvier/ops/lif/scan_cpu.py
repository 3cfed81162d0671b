"""The scans over time, compiled: a thread takes clip after clip and keeps a clip's voltages in its cache.

Backward runs a clip forward once more, so that autograd keeps nothing but the current.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.floating]
SURROGATES = ("arctan", "fast_sigmoid", "triangle")  # by number, as _surrogate takes them


@njit(nogil=True, cache=True, error_model="numpy")
def lif(
    current: Array, decay: Array, threshold: Array, state: Array, spikes: Array, end: Array, start: int, stop: int
) -> None:
    """Spikes and the state after the last step; decay and threshold ``[neuron]``, state and end ``[batch, neuron]``."""
    time, _, neurons = current.shape
    one, zero = current.dtype.type(1), current.dtype.type(0)
    for clip in range(start, stop):
        v = end[clip]
        v[:] = state[clip]
        for t in range(time):
            i_t, s_t = current[t, clip], spikes[t, clip]
            for j in range(neurons):
                v_j = decay[j] * v[j] + i_t[j]
                s = one if v_j >= threshold[j] else zero
                s_t[j] = s
                v[j] = v_j * (one - s)


@njit(nogil=True, cache=True, error_model="numpy")
def _surrogate(u: Array, threshold: Array, kind: int, alpha: np.floating, slope: Array) -> None:
    """The derivative of the step at ``u - threshold``, as ops/surrogate.py says it."""
    one, zero, half = u.dtype.type(1), u.dtype.type(0), u.dtype.type(0.5)
    steep = u.dtype.type(np.pi / 2) * alpha
    if kind == 0:
        for j in range(len(u)):
            a = steep * (u[j] - threshold[j])
            slope[j] = half * alpha / (one + a * a)
    elif kind == 1:
        for j in range(len(u)):
            a = one + alpha * abs(u[j] - threshold[j])
            slope[j] = one / (a * a)
    else:
        for j in range(len(u)):
            a = one - alpha * abs(u[j] - threshold[j])
            slope[j] = alpha * a if a > zero else zero


@njit(nogil=True, cache=True, error_model="numpy")
def lif_backward(
    grad_spikes: Array, grad_end: Array, current: Array, decay: Array, threshold: Array, state: Array,
    kind: int, alpha: np.floating, parameters: bool, grad_current: Array, grad_state: Array, grad_decay: Array, grad_threshold: Array,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Gradients to current and state, and ``[batch, neuron]`` those to decay and threshold, not yet summed.

    grad v[t] = grad s[t] surrogate(v[t] - threshold) + decay (1 - s[t]) grad v[t+1]; grad current[t] = grad v[t].
    """
    time, _, neurons = current.shape
    one, zero = current.dtype.type(1), current.dtype.type(0)
    slope = np.empty((time, neurons), current.dtype)
    kept = np.empty((time, neurons), current.dtype)  # 0 where a spike resets the voltage, else 1
    before = np.empty((time if parameters else 0, neurons), current.dtype)  # voltage that a step begins with
    v, at = np.empty(neurons, current.dtype), np.empty(neurons, current.dtype)
    for clip in range(start, stop):
        v[:] = state[clip]
        for t in range(time):
            i_t, kept_t = current[t, clip], kept[t]
            if parameters:
                before[t] = v
            for j in range(neurons):
                at[j] = decay[j] * v[j] + i_t[j]
                kept_t[j] = zero if at[j] >= threshold[j] else one
                v[j] = at[j] * kept_t[j]
            _surrogate(at, threshold, kind, alpha, slope[t])
        carry, to_decay, to_threshold = grad_state[clip], grad_decay[clip], grad_threshold[clip]
        carry[:] = grad_end[clip]
        to_decay[:] = zero
        to_threshold[:] = zero
        for t in range(time - 1, -1, -1):
            gs_t, gi_t, slope_t, kept_t = grad_spikes[t, clip], grad_current[t, clip], slope[t], kept[t]
            # short loops: one that reads and writes more arrays is not vectorised
            for j in range(neurons):
                slope_t[j] *= gs_t[j]
            for j in range(neurons):
                gi_t[j] = slope_t[j] + kept_t[j] * carry[j]
            for j in range(neurons):
                carry[j] = decay[j] * gi_t[j]
            if parameters:
                before_t = before[t]
                for j in range(neurons):
                    to_threshold[j] -= slope_t[j]
                for j in range(neurons):
                    to_decay[j] += gi_t[j] * before_t[j]


@njit(nogil=True, cache=True, error_model="numpy")
def integrate(current: Array, decay: Array, state: Array, voltage: Array, start: int, stop: int) -> None:
    """v[t] = decay v[t-1] + current[t]."""
    time, _, neurons = current.shape
    for clip in range(start, stop):
        v = state[clip]
        for t in range(time):
            v_t, i_t = voltage[t, clip], current[t, clip]
            for j in range(neurons):
                v_t[j] = decay[j] * v[j] + i_t[j]
            v = v_t


@njit(nogil=True, cache=True, error_model="numpy")
def integrate_backward(
    grad: Array, voltage: Array, decay: Array, state: Array,
    grad_current: Array, grad_state: Array, grad_decay: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """grad v[t] = grad voltage[t] + decay grad v[t+1]; grad current[t] = grad v[t]."""
    time, _, neurons = voltage.shape
    for clip in range(start, stop):
        carry, to_decay = grad_state[clip], grad_decay[clip]
        carry[:] = 0
        to_decay[:] = 0
        for t in range(time - 1, -1, -1):
            before = voltage[t - 1, clip] if t > 0 else state[clip]
            g_t, gi_t = grad[t, clip], grad_current[t, clip]
            for j in range(neurons):
                grad_v = g_t[j] + carry[j]
                gi_t[j] = grad_v
                to_decay[j] += grad_v * before[j]
                carry[j] = decay[j] * grad_v
