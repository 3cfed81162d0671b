"""The scan over time with recurrent connections, compiled; a thread takes some of the clips.

Where spikes are few and delays synaptic, each adds its taps to the currents to come. Gradients are dense: they go back
by a matrix product for each step (axonal, dendritic), or for each step and lag (synaptic, within the few steps that
blocks.py asks for).
``kind`` says what a delay belongs to: a synapse (``SYNAPTIC``), its source (``AXONAL``) or its target (``DENDRITIC``).
``neuron`` says what receives: leaky integrate-and-fire whose reset sets to 0 (``ZERO``) or subtracts (``SUBTRACT``),
or adaptive by an Euler method (``SYMPLECTIC``, ``FORWARD``). ``values [value, neuron]``, ``state [batch, row, neuron]``
and what is ``kept`` are as in scan.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

Array = NDArray[np.floating]
SYNAPTIC, AXONAL, DENDRITIC = 0, 1, 2
ZERO, SUBTRACT, SYMPLECTIC, FORWARD = 0, 1, 2, 3
_MANY = 0.25  # share of neurons from which on a matrix product for each lag takes less time than adding spike by spike


@compiled
def _fire(
    neuron: int, values: Array, state: Array, voltage: Array, adaptation: Array, spikes: Array, start: int, stop: int
) -> None:
    """One time step of clips start ... stop: ``voltage [batch, neuron]`` holds the current and gets the voltage before
    reset, ``adaptation [batch, neuron]`` that at the step's start, of neurons that adapt."""
    for clip in range(start, stop):
        if neuron in (ZERO, SUBTRACT):
            _lif(neuron == SUBTRACT, values, state[clip, 0], voltage[clip], spikes[clip])
        else:
            _adaptive_lif(neuron == SYMPLECTIC, values, state[clip], voltage[clip], adaptation[clip], spikes[clip])


@compiled
def _lif(subtract: bool, values: Array, state: Array, voltage: Array, spikes: Array) -> None:
    """A time step of a clip as ops/lif has it, all ``[neuron]`` but ``values [2, neuron]``: decay and threshold."""
    decay, threshold = values[0], values[1]
    one, zero = voltage.dtype.type(1), voltage.dtype.type(0)
    for j in range(len(voltage)):
        v = decay[j] * state[j] + voltage[j]
        s = (one if v >= threshold[j] else zero) + (v - v)  # NaN where v is not finite
        spikes[j] = s
        state[j] = v - threshold[j] * s if subtract else v * (one - s)
        voltage[j] = v


@compiled
def _adaptive_lif(
    symplectic: bool, values: Array, state: Array, voltage: Array, adaptation: Array, spikes: Array
) -> None:
    """A time step of a clip as ops/adaptive_lif has it, ``values [5, neuron]`` and ``state [3, neuron]`` as there."""
    decay, adaptation_decay, a, b, threshold = values[0], values[1], values[2], values[3], values[4]
    of_u, of_w, of_s = state[0], state[1], state[2]
    one, zero = voltage.dtype.type(1), voltage.dtype.type(0)
    for j in range(len(voltage)):
        u, w = of_u[j], of_w[j]
        v = decay[j] * u + (one - decay[j]) * (voltage[j] - w)
        s = (one if v >= threshold[j] else zero) + (v - v)
        after = v * (one - s)
        drive = a[j] * after + b[j] * s if symplectic else a[j] * u + b[j] * of_s[j]
        voltage[j], adaptation[j], spikes[j] = v, w, s
        of_u[j], of_w[j], of_s[j] = after, adaptation_decay[j] * w + (one - adaptation_decay[j]) * drive, s


@compiled
def synaptic(
    taps: Array, gain: Array, neuron: int, values: Array, state: Array,
    spikes: Array, end: Array, kept: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """``taps [lag, source, target]``; the voltage in ``kept`` holds the current at first."""
    voltage, adaptation = kept[0], kept[-1]
    time, _, neurons = voltage.shape
    own = slice(start, stop)
    end[own] = state[own]
    received = np.empty((stop - start, neurons), voltage.dtype)
    senders, count = np.empty((stop - start, neurons), np.int64), np.empty(stop - start, np.int64)
    for t in range(time):
        _fire(neuron, values, end, voltage[t], adaptation[t], spikes[t], start, stop)
        sent = spikes[t, own] * gain[own]
        count[:] = 0
        for clip in range(stop - start):
            for k in range(neurons):
                if sent[clip, k] != 0:
                    senders[clip, count[clip]] = k
                    count[clip] += 1
        many = count.sum() > _MANY * received.size
        for m in range(min(len(taps), time - 1 - t)):  # a lag after the other, so that its taps stay in the cache
            if many:
                np.dot(sent, taps[m], received)
                voltage[t + 1 + m, own] += received
                continue
            for clip in range(stop - start):
                n, c = 0, start + clip
                while n + 4 <= count[clip]:  # four at a time are added to a current that is read and written once
                    k0, k1, k2, k3 = senders[clip, n], senders[clip, n + 1], senders[clip, n + 2], senders[clip, n + 3]
                    s0, s1, s2, s3 = sent[clip, k0], sent[clip, k1], sent[clip, k2], sent[clip, k3]
                    for j in range(neurons):
                        v = voltage[t + 1 + m, c, j] + s0 * taps[m, k0, j]
                        v = v + s1 * taps[m, k1, j] + s2 * taps[m, k2, j] + s3 * taps[m, k3, j]
                        voltage[t + 1 + m, c, j] = v
                    n += 4
                for k in senders[clip, n : count[clip]]:
                    for j in range(neurons):
                        voltage[t + 1 + m, c, j] += sent[clip, k] * taps[m, k, j]


@compiled
def axonal(
    weight: Array, taps: Array, gain: Array, neuron: int, values: Array, state: Array,
    spikes: Array, end: Array, kept: Array, sent: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """``weight [source, target]``, ``taps [lag, source]``; ``sent [time, batch, source]``, zeros, gets what arrives
    at the synapses."""
    voltage, adaptation = kept[0], kept[-1]
    time, _, neurons = voltage.shape
    end[start:stop] = state[start:stop]
    received = np.empty((stop - start, neurons), voltage.dtype)
    sized = np.empty((time, stop - start, neurons), voltage.dtype)
    for t in range(time):
        # every neuron, spike or not: along the neurons is fast, along the lags of those that spiked is not
        for m in range(min(len(taps), t) - 1, -1, -1):
            _add_scaled(sent[t, start:stop], sized[t - 1 - m], taps[m])
        if t > 0:
            np.dot(sent[t, start:stop], weight, received)
            voltage[t, start:stop] += received
        _fire(neuron, values, end, voltage[t], adaptation[t], spikes[t], start, stop)
        sized[t] = spikes[t, start:stop] * gain[start:stop]


@compiled
def dendritic(
    weight: Array, taps: Array, gain: Array, neuron: int, values: Array, state: Array,
    spikes: Array, end: Array, kept: Array, sent: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """``weight [source, target]``, ``taps [lag, target]``; ``sent [time, batch, target]`` gets what synapses give."""
    voltage, adaptation = kept[0], kept[-1]
    time = len(voltage)
    end[start:stop] = state[start:stop]
    for t in range(time):
        _fire(neuron, values, end, voltage[t], adaptation[t], spikes[t], start, stop)
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
    neuron: int, values: Array, grad_spikes: Array, slope: Array, voltage: Array, carry: Array, grad_current: Array
) -> None:
    """One time step back, all ``[batch, neuron]`` but ``carry [batch, row, neuron]``: the gradient to the state after
    the step, which becomes the one before."""
    for clip in range(len(voltage)):
        row = (grad_spikes[clip], slope[clip], voltage[clip])
        if neuron in (ZERO, SUBTRACT):
            _lif_back(neuron == SUBTRACT, values, *row, carry[clip, 0], grad_current[clip])
        else:
            _adaptive_lif_back(neuron == SYMPLECTIC, values, *row, carry[clip], grad_current[clip])


@compiled
def _lif_back(
    subtract: bool, values: Array, grad_spikes: Array, slope: Array, voltage: Array, carry: Array, grad_current: Array
) -> None:
    """As ops/lif has it."""
    decay, threshold, zero = values[0], values[1], voltage.dtype.type(0)
    for j in range(len(voltage)):
        through = grad_spikes[j] * slope[j]
        grad_v = through + (zero if voltage[j] >= threshold[j] and not subtract else carry[j])
        grad_current[j] = grad_v
        carry[j] = decay[j] * grad_v


@compiled
def _adaptive_lif_back(
    symplectic: bool, values: Array, grad_spikes: Array, slope: Array, voltage: Array, carry: Array, grad_current: Array
) -> None:
    """As ops/adaptive_lif has it, without gradients to the values."""
    decay, adaptation_decay, a, b, threshold = values[0], values[1], values[2], values[3], values[4]
    to_u, to_w, to_s = carry[0], carry[1], carry[2]
    one, zero = voltage.dtype.type(1), voltage.dtype.type(0)
    now, before = (one, zero) if symplectic else (zero, one)  # whose u and s drive the adaptation
    for j in range(len(voltage)):  # short loops: one with all of these arrays would not be vectorised
        grad_drive = (one - adaptation_decay[j]) * to_w[j] * b[j]
        grad_current[j] = slope[j] * (grad_spikes[j] + to_s[j] + now * grad_drive)
        to_s[j] = before * grad_drive
    for j in range(len(voltage)):
        grad_drive = (one - adaptation_decay[j]) * to_w[j] * a[j]
        grad_current[j] += zero if voltage[j] >= threshold[j] else to_u[j] + now * grad_drive
        to_u[j] = before * grad_drive + decay[j] * grad_current[j]
    for j in range(len(voltage)):
        grad_current[j] *= one - decay[j]
        to_w[j] = adaptation_decay[j] * to_w[j] - grad_current[j]


@compiled
def backward(
    first: int, last: int, kind: int, weight: Array, taps: Array, gain: Array, grad_spikes: Array, slope: Array,
    voltage: Array, neuron: int, values: Array, grad_current: Array, grad_sent: Array, grad_state: Array,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Gradients to the current of steps first ... last - 1 and to what was ``sent``; ``grad_state`` becomes that before
    them. ``grad_spikes`` gets what comes through the recurrence, of synaptic delays from these steps alone.

    synaptic: ``taps [lag, source, target]``, no weight, nothing sent
    axonal: ``weight [target, source]``, ``taps [lag, 1, source]``; dendritic: the same with ``taps [lag, 1, target]``
    """
    time, _, neurons = voltage.shape
    own = slice(start, stop)
    back = np.empty((stop - start, neurons), voltage.dtype)
    for t in range(last - 1, first - 1, -1):
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
        step = (grad_spikes[t, own], slope[t, own], voltage[t, own])
        _back(neuron, values, *step, grad_state[own], grad_current[t, own])
        if kind == AXONAL:
            np.dot(grad_current[t, own], weight, grad_sent[t, own])
        elif kind == SYNAPTIC:
            for m in range(min(len(taps), t - first)):
                np.dot(grad_current[t, own], taps[m].T, back)
                grad_spikes[t - 1 - m, own] += gain[own] * back


@compiled
def taps_backward(sent: Array, grad_received: Array, grad_taps: Array, start: int, stop: int) -> None:
    """``grad_taps [lag, neuron]`` from what goes into the taps and the gradient to what comes out of them, axonal and
    dendritic; a thread takes some of the lags."""
    time, batch, neurons = sent.shape
    for m in range(start, stop):
        grad_taps[m] = 0
        for t in range(time - 1 - m):
            for clip in range(batch):
                for j in range(neurons):
                    grad_taps[m, j] += sent[t, clip, j] * grad_received[t + 1 + m, clip, j]


@compiled
def frozen(
    source_weight: Array, delay: NDArray[np.int64], current: Array, gain: Array, neuron: int, values: Array,
    state: Array, spikes: Array, end: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """One tap a synapse, ``source_weight`` and ``delay [synapse, source, target]``, summed in double precision."""
    time, _, neurons = current.shape
    ring = np.empty((int(delay.max()) + 1, neurons))
    voltage, adaptation = np.empty(current.shape[1:], current.dtype), np.empty(current.shape[1:], current.dtype)
    for clip in range(start, stop):
        ring[:] = 0
        end[clip] = state[clip]
        for t in range(time):
            now = ring[t % len(ring)]
            for j in range(neurons):
                voltage[clip, j] = current[t, clip, j] + now[j]
            _fire(neuron, values, end, voltage, adaptation, spikes[t], clip, clip + 1)
            now[:] = 0
            for k in range(neurons):
                s = spikes[t, clip, k] * gain[clip, k]
                if s != 0:
                    for n in range(len(delay)):
                        for j in range(neurons):
                            ring[(t + delay[n, k, j]) % len(ring), j] += s * source_weight[n, k, j]
