"""The scan over time, compiled: a thread takes some of the clips through all steps.

:func:`step` and :func:`step_backward` are the work of a time step of one clip. ``values`` and ``state`` are as in
scan.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

Array = NDArray[np.floating]
SURROGATES = ("arctan", "fast_sigmoid", "triangle")  # by number, as surrogate_slope takes them


@compiled
def step(
    current: Array, values: Array, symplectic: bool, keep: bool,
    state: Array, spikes: Array, voltage: Array, adaptation: Array,
) -> None:  # fmt: skip
    """A time step forward: ``current [neuron]``, ``values [5, neuron]``; changes ``state [3, neuron]``, writes
    ``spikes [neuron]`` and, if they are kept, ``voltage`` before reset and ``adaptation`` at the start ``[neuron]``."""
    decay, adaptation_decay, a, b, threshold = values[0], values[1], values[2], values[3], values[4]
    of_u, of_w, of_s = state[0], state[1], state[2]
    one, zero = current.dtype.type(1), current.dtype.type(0)
    for j in range(len(current)):
        u, w, s = of_u[j], of_w[j], of_s[j]
        v = decay[j] * u + (one - decay[j]) * (current[j] - w)
        fires = (one if v >= threshold[j] else zero) + (v - v)  # NaN where v is not finite
        after = v * (one - fires)
        drive = a[j] * after + b[j] * fires if symplectic else a[j] * u + b[j] * s
        if keep:
            voltage[j] = v
            adaptation[j] = w
        spikes[j] = fires
        of_u[j] = after
        of_w[j] = adaptation_decay[j] * w + (one - adaptation_decay[j]) * drive
        of_s[j] = fires


@compiled
def adaptive_lif(
    current: Array, values: Array, state: Array, symplectic: bool, keep: bool,
    spikes: Array, end: Array, voltage: Array, adaptation: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """Spikes, the state after the last step and, if they are to be kept, what backward needs."""
    end[start:stop] = state[start:stop]
    for t in range(len(current)):
        for clip in range(start, stop):
            now = spikes[t, clip]
            kept = (voltage[t, clip], adaptation[t, clip]) if keep else (now, now)
            step(current[t, clip], values, symplectic, keep, end[clip], now, kept[0], kept[1])


@compiled
def surrogate_slope(u: np.floating, kind: int, alpha: np.floating, steep: np.floating) -> np.floating:
    """As in ops/lif/scan_cpu.py, whose compiled code no other file may call."""
    one, zero = type(u)(1), type(u)(0)
    if kind == 0:
        return type(u)(0.5) * alpha / (one + steep * u * (steep * u))
    if kind == 1:
        return one / ((one + alpha * abs(u)) * (one + alpha * abs(u)))
    a = one - alpha * abs(u)
    return alpha * (zero if a < zero else a)  # NaN stays NaN, as a maximum would not


@compiled
def step_backward(
    grad_spikes: Array, voltage: Array, adaptation: Array, u_before: Array, u: Array, s: Array, values: Array,
    symplectic: bool, kind: int, alpha: np.floating, steep: np.floating,
    grad_current: Array, grad_values: Array, carry: Array,
) -> None:  # fmt: skip
    """A time step back: all ``[neuron]`` but ``values`` and ``grad_values [5, neuron]``, which is added to, and
    ``carry [3, neuron]``, the gradient to the state after the step, which becomes the one before.

    ``voltage`` is that before reset, ``adaptation`` and ``u_before`` those at the step's start; ``u`` and ``s`` are
    what drove the adaptation in it, see :func:`spiked`.
    """
    decay, adaptation_decay, a, b, threshold = values[0], values[1], values[2], values[3], values[4]
    to_decay, to_adaptation_decay, to_a, to_b = grad_values[0], grad_values[1], grad_values[2], grad_values[3]
    to_u, to_w, to_s, to_threshold = carry[0], carry[1], carry[2], grad_values[4]
    one, zero = voltage.dtype.type(1), voltage.dtype.type(0)
    now, before = (one, zero) if symplectic else (zero, one)  # whose u and s drive the adaptation
    # many short loops: one with all of these arrays would not be vectorised
    for j in range(len(voltage)):
        grad_current[j] = surrogate_slope(voltage[j] - threshold[j], kind, alpha, steep)
    for j in range(len(voltage)):
        grad_drive = (one - adaptation_decay[j]) * to_w[j]
        grad_current[j] *= grad_spikes[j] + to_s[j] + now * (grad_drive * b[j])
        to_s[j] = before * (grad_drive * b[j])
    for j in range(len(voltage)):
        to_threshold[j] -= grad_current[j]
    for j in range(len(voltage)):
        grad_drive = (one - adaptation_decay[j]) * to_w[j] * a[j]
        grad_current[j] += zero if voltage[j] >= threshold[j] else to_u[j] + now * grad_drive
        to_u[j] = before * grad_drive
    for j in range(len(voltage)):  # grad_current is the gradient to the voltage until the last of the loops
        to_u[j] += decay[j] * grad_current[j]
        to_decay[j] += grad_current[j] * (u_before[j] - voltage[j]) / (one - decay[j])  # u - (I - w)
    for j in range(len(voltage)):
        to_adaptation_decay[j] += to_w[j] * (adaptation[j] - (a[j] * u[j] + b[j] * s[j]))
    for j in range(len(voltage)):
        grad_drive = (one - adaptation_decay[j]) * to_w[j]
        to_a[j] += grad_drive * u[j]
        to_b[j] += grad_drive * s[j]
    for j in range(len(voltage)):
        grad_current[j] *= one - decay[j]
        to_w[j] = adaptation_decay[j] * to_w[j] - grad_current[j]


@compiled
def spiked(voltage: Array, threshold: Array, u: Array, s: Array) -> None:
    """Of ``voltage [neuron]`` before reset: the voltage after it, and the spikes."""
    one, zero = voltage.dtype.type(1), voltage.dtype.type(0)
    for j in range(len(voltage)):
        fires = voltage[j] >= threshold[j]
        u[j] = zero if fires else voltage[j]
        s[j] = one if fires else zero


@compiled
def adaptive_lif_backward(
    grad_spikes: Array, grad_end: Array, voltage: Array, adaptation: Array, values: Array, state: Array,
    symplectic: bool, kind: int, alpha: np.floating, steep: np.floating,
    grad_current: Array, grad_values: Array, grad_state: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """Gradients to current and state, and ``grad_values [batch, 5, neuron]``, not yet summed over clips."""
    time, _, neurons = voltage.shape
    now, before = np.empty((2, neurons), voltage.dtype), np.empty((2, neurons), voltage.dtype)
    grad_state[start:stop] = grad_end[start:stop]
    for t in range(time - 1, -1, -1):
        for clip in range(start, stop):
            spiked(voltage[t, clip], values[4], now[0], now[1])
            if t > 0:
                spiked(voltage[t - 1, clip], values[4], before[0], before[1])
            else:
                before[0], before[1] = state[clip, 0], state[clip, 2]
            drove = now if symplectic else before
            step_backward(
                grad_spikes[t, clip], voltage[t, clip], adaptation[t, clip], before[0], drove[0], drove[1], values,
                symplectic, kind, alpha, steep, grad_current[t, clip], grad_values[clip], grad_state[clip],
            )  # fmt: skip
