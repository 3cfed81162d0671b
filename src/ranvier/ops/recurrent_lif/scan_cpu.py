"""The scan over time with recurrent connections, compiled; a thread takes some of the clips.

Where spikes are few, each adds its taps to the currents to come. Gradients are dense: they go back by a matrix product
for each step (axonal, dendritic), or for each step and lag (synaptic). ``kind`` says what a delay belongs to: a synapse
(``SYNAPTIC``), its source (``AXONAL``) or its target (``DENDRITIC``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

Array = NDArray[np.floating]
SYNAPTIC, AXONAL, DENDRITIC = 0, 1, 2
_MANY = 0.09  # share of neurons from which on a matrix product for each lag takes less time than adding spike by spike


@compiled
def _fire(voltage: Array, v: Array, decay: Array, threshold: Array, spikes: Array, start: int, stop: int) -> None:
    """One time step of clips start ... stop: ``voltage [batch, neuron]`` holds the current and gets the voltage."""
    one = voltage.dtype.type(1)
    for clip in range(start, stop):
        for j in range(voltage.shape[1]):
            u = decay[j] * v[clip, j] + voltage[clip, j]
            s = (one if u >= threshold[j] else voltage.dtype.type(0)) + (u - u)  # NaN where u is not finite
            spikes[clip, j] = s
            v[clip, j] = u * (one - s)
            voltage[clip, j] = u


@compiled
def synaptic(
    taps: Array, by_lag: Array, gain: Array, decay: Array, threshold: Array, state: Array,
    spikes: Array, end: Array, voltage: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """``taps [source, lag, target]`` and ``by_lag [lag, source, target]`` are the same; ``voltage`` holds the current
    at first."""
    time, _, neurons = voltage.shape
    own = slice(start, stop)
    end[own] = state[own]
    received = np.empty((stop - start, neurons), voltage.dtype)
    for t in range(time):
        _fire(voltage[t], end, decay, threshold, spikes[t], start, stop)
        lags = min(len(by_lag), time - 1 - t)
        if np.count_nonzero(spikes[t, own]) > _MANY * received.size:
            sent = spikes[t, own] * gain[own]
            for m in range(lags):
                np.dot(sent, by_lag[m], received)
                voltage[t + 1 + m, own] += received
            continue
        for clip in range(start, stop):
            for k in range(neurons):
                s = spikes[t, clip, k] * gain[clip, k]
                if s != 0:
                    for m in range(lags):
                        for j in range(neurons):
                            voltage[t + 1 + m, clip, j] += s * taps[k, m, j]


@compiled
def axonal(
    weight: Array, taps: Array, gain: Array, decay: Array, threshold: Array, state: Array,
    spikes: Array, end: Array, voltage: Array, sent: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """``weight [source, target]``, ``taps [lag, source]``; ``sent [time, batch, source]``, zeros, gets what arrives
    at the synapses."""
    time, _, neurons = voltage.shape
    end[start:stop] = state[start:stop]
    received = np.empty((stop - start, neurons), voltage.dtype)
    for t in range(time):
        if t > 0:
            np.dot(sent[t, start:stop], weight, received)
            voltage[t, start:stop] += received
        _fire(voltage[t], end, decay, threshold, spikes[t], start, stop)
        lags = min(len(taps), time - 1 - t)
        for clip in range(start, stop):
            for k in range(neurons):
                s = spikes[t, clip, k] * gain[clip, k]
                if s != 0:
                    for m in range(lags):
                        sent[t + 1 + m, clip, k] += s * taps[m, k]


@compiled
def dendritic(
    weight: Array, taps: Array, gain: Array, decay: Array, threshold: Array, state: Array,
    spikes: Array, end: Array, voltage: Array, sent: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """``weight [source, target]``, ``taps [lag, target]``; ``sent [time, batch, target]`` gets what synapses give."""
    time = len(voltage)
    end[start:stop] = state[start:stop]
    for t in range(time):
        _fire(voltage[t], end, decay, threshold, spikes[t], start, stop)
        np.dot(spikes[t, start:stop] * gain[start:stop], weight, sent[t, start:stop])
        for m in range(min(len(taps), time - 1 - t)):
            _add_scaled(voltage[t + 1 + m, start:stop], sent[t, start:stop], taps[m])


@compiled
def _add_scaled(total: Array, x: Array, scale: Array) -> None:
    """total ``[batch, neuron]`` += x * scale ``[neuron]``"""
    for clip in range(len(total)):
        for j in range(total.shape[1]):
            total[clip, j] += x[clip, j] * scale[j]


@compiled
def _back(
    grad_spikes: Array, carry: Array, slope: Array, voltage: Array, decay: Array, threshold: Array,
    grad_current: Array,
) -> None:  # fmt: skip
    """One time step of ops/lif backward, all ``[batch, neuron]``."""
    zero = voltage.dtype.type(0)
    for clip in range(len(voltage)):
        for j in range(voltage.shape[1]):
            through = grad_spikes[clip, j] * slope[clip, j]
            grad_v = through + (zero if voltage[clip, j] >= threshold[j] else carry[clip, j])
            grad_current[clip, j] = grad_v
            carry[clip, j] = decay[j] * grad_v


@compiled
def backward(
    kind: int, weight: Array, taps: Array, gain: Array, grad_spikes: Array, grad_end: Array, slope: Array,
    voltage: Array, decay: Array, threshold: Array, grad_current: Array, grad_sent: Array, grad_state: Array,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Gradients to current and state, and to what was ``sent``; ``grad_spikes`` gets what comes through the recurrence.

    synaptic: ``taps [lag, target, source]``, no weight, nothing sent
    axonal: ``weight [target, source]``, ``taps [lag, 1, source]``; dendritic: the same with ``taps [lag, 1, target]``
    """
    time, _, neurons = voltage.shape
    own = slice(start, stop)
    grad_state[own] = grad_end[own]
    back = np.empty((stop - start, neurons), voltage.dtype)
    for t in range(time - 1, -1, -1):
        later = min(len(taps), time - 1 - t)
        if kind == AXONAL:
            back[:] = 0
            for m in range(later):
                _add_scaled(back, grad_sent[t + 1 + m, own], taps[m, 0])
            grad_spikes[t, own] += gain[own] * back
        elif kind == DENDRITIC:
            grad_sent[t, own] = 0
            for m in range(later):
                _add_scaled(grad_sent[t, own], grad_current[t + 1 + m, own], taps[m, 0])
            np.dot(grad_sent[t, own], weight, back)
            grad_spikes[t, own] += gain[own] * back
        _back(
            grad_spikes[t, own], grad_state[own], slope[t, own], voltage[t, own], decay, threshold, grad_current[t, own]
        )  # fmt: skip
        if kind == AXONAL:
            np.dot(grad_current[t, own], weight, grad_sent[t, own])
        elif kind == SYNAPTIC:
            for m in range(min(len(taps), t)):
                np.dot(grad_current[t, own], taps[m], back)
                grad_spikes[t - 1 - m, own] += gain[own] * back


@compiled
def axonal_taps_backward(spikes: Array, gain: Array, grad_sent: Array, grad_taps: Array, start: int, stop: int) -> None:
    """``grad_taps [source, lag]``; a thread takes some of the sources."""
    time, batch, _ = spikes.shape
    grad_taps[start:stop] = 0
    for t in range(time):
        lags = min(grad_taps.shape[1], time - 1 - t)
        for clip in range(batch):
            for k in range(start, stop):
                s = spikes[t, clip, k] * gain[clip, k]
                if s != 0:
                    for m in range(lags):
                        grad_taps[k, m] += s * grad_sent[t + 1 + m, clip, k]


@compiled
def dendritic_taps_backward(sent: Array, grad_current: Array, grad_taps: Array, start: int, stop: int) -> None:
    """``grad_taps [lag, target]``; a thread takes some of the lags."""
    time, batch, neurons = sent.shape
    for m in range(start, stop):
        grad_taps[m] = 0
        for t in range(time - 1 - m):
            for clip in range(batch):
                for j in range(neurons):
                    grad_taps[m, j] += sent[t, clip, j] * grad_current[t + 1 + m, clip, j]


@compiled
def frozen(
    source_weight: Array, delay: NDArray[np.int64], current: Array, gain: Array, decay: Array, threshold: Array,
    state: Array, spikes: Array, end: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """One tap a synapse, ``source_weight`` and ``delay [synapse, source, target]``, summed in double precision."""
    time, _, neurons = current.shape
    ring = np.empty((int(delay.max()) + 1, neurons))
    one, zero = current.dtype.type(1), current.dtype.type(0)
    for clip in range(start, stop):
        ring[:] = 0
        end[clip] = state[clip]
        for t in range(time):
            now = ring[t % len(ring)]
            for j in range(neurons):
                v = decay[j] * end[clip, j] + current.dtype.type(current[t, clip, j] + now[j])
                s = (one if v >= threshold[j] else zero) + (v - v)
                spikes[t, clip, j] = s
                end[clip, j] = v * (one - s)
            now[:] = 0
            for k in range(neurons):
                s = spikes[t, clip, k] * gain[clip, k]
                if s != 0:
                    for n in range(len(delay)):
                        for j in range(neurons):
                            ring[(t + delay[n, k, j]) % len(ring), j] += s * source_weight[n, k, j]
