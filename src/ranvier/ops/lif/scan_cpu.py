"""The scans over time, compiled: a thread takes some of the clips through all steps.

Steps are the outer loop, so that memory is read and written in the order in which it lies: going through time clip by
clip instead takes four times as long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

Array = NDArray[np.floating]
SURROGATES = ("arctan", "fast_sigmoid", "triangle")  # by number, as surrogate_slope takes them


@compiled
def lif(
    current: Array, decay: Array, threshold: Array, state: Array, keep: bool, subtract: bool,
    spikes: Array, end: Array, voltage: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """Spikes, the state after the last step and, if they are to be kept, the voltages before reset."""
    time, _, neurons = current.shape
    one, zero = current.dtype.type(1), current.dtype.type(0)
    end[start:stop] = state[start:stop]
    for t in range(time):
        for clip in range(start, stop):
            for j in range(neurons):
                v = decay[j] * end[clip, j] + current[t, clip, j]
                s = (one if v >= threshold[j] else zero) + (v - v)  # NaN where v is not finite
                spikes[t, clip, j] = s
                end[clip, j] = v - threshold[j] * s if subtract else v * (one - s)
                if keep:
                    voltage[t, clip, j] = v


@compiled
def surrogate_slope(u: np.floating, kind: int, alpha: np.floating, steep: np.floating) -> np.floating:
    """The derivative of the step at ``u``, as ops/surrogate.py says it; ``steep`` is pi/2 alpha."""
    one, zero = type(u)(1), type(u)(0)
    if kind == 0:
        return type(u)(0.5) * alpha / (one + steep * u * (steep * u))
    if kind == 1:
        return one / ((one + alpha * abs(u)) * (one + alpha * abs(u)))
    a = one - alpha * abs(u)
    return alpha * (zero if a < zero else a)  # NaN stays NaN, as a maximum would not


@compiled
def slopes(
    voltage: Array, threshold: Array, kind: int, alpha: np.floating, steep: np.floating, slope: Array,
    start: int, stop: int,
) -> None:  # fmt: skip
    """The derivative of the step at every voltage, for scans of other files."""
    time, _, neurons = voltage.shape
    for t in range(time):
        for clip in range(start, stop):
            for j in range(neurons):
                slope[t, clip, j] = surrogate_slope(voltage[t, clip, j] - threshold[j], kind, alpha, steep)


@compiled
def lif_backward(
    grad_spikes: Array, grad_end: Array, voltage: Array, decay: Array, threshold: Array,
    kind: int, alpha: np.floating, steep: np.floating, subtract: bool, grad_current: Array, grad_state: Array,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Gradients to current and state.

    grad v[t] = grad s[t] surrogate(v[t] - threshold) + decay (1 - s[t]) grad v[t+1]; grad current[t] = grad v[t].
    With ``subtract`` there is no (1 - s[t]).
    """
    time, _, neurons = voltage.shape
    zero = voltage.dtype.type(0)
    grad_state[start:stop] = grad_end[start:stop]
    for t in range(time - 1, -1, -1):
        for clip in range(start, stop):
            for j in range(neurons):
                v = voltage[t, clip, j]
                through = grad_spikes[t, clip, j] * surrogate_slope(v - threshold[j], kind, alpha, steep)
                grad_v = through + (zero if v >= threshold[j] and not subtract else grad_state[clip, j])
                grad_current[t, clip, j] = grad_v
                grad_state[clip, j] = decay[j] * grad_v


@compiled
def normed_lif_backward(
    grad: Array, gain: Array, voltage: Array, decay: Array, threshold: Array,
    kind: int, alpha: np.floating, steep: np.floating, carry: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """Of ops/normed_lif: the gradient to the normalised current takes the place of the voltage."""
    time, _, neurons = voltage.shape
    zero = voltage.dtype.type(0)
    carry[start:stop] = zero
    for t in range(time - 1, -1, -1):
        for clip in range(start, stop):
            for j in range(neurons):
                v = voltage[t, clip, j]
                slope = surrogate_slope(v - threshold[j], kind, alpha, steep)
                grad_v = gain[clip, j] * grad[t, clip, j] * slope + (zero if v >= threshold[j] else carry[clip, j])
                voltage[t, clip, j] = grad_v
                carry[clip, j] = decay[j] * grad_v


@compiled
def lif_parameters_backward(
    grad_spikes: Array, grad_current: Array, voltage: Array, threshold: Array, state: Array,
    kind: int, alpha: np.floating, steep: np.floating, subtract: bool, grad_decay: Array, grad_threshold: Array,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Gradients to decay and threshold, ``[batch, neuron]``, not yet summed over clips."""
    time, _, neurons = voltage.shape
    zero = voltage.dtype.type(0)
    grad_decay[start:stop] = zero
    grad_threshold[start:stop] = zero
    for t in range(time):
        for clip in range(start, stop):
            for j in range(neurons):
                v = voltage[t, clip, j]
                grad_threshold[clip, j] -= grad_spikes[t, clip, j] * surrogate_slope(
                    v - threshold[j], kind, alpha, steep
                )
                if t == 0:
                    before = state[clip, j]
                else:
                    before = voltage[t - 1, clip, j]
                    after = before - threshold[j] if subtract else zero
                    before = after if before >= threshold[j] else before
                grad_decay[clip, j] += grad_current[t, clip, j] * before
