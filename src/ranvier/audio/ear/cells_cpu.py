"""From the membrane's velocity to spikes: hair cells, their nerve fibres and the bushy cells these meet on.

Hair cell (Meddis 1986, 1988), three pools of transmitter, free q, in the cleft c, taken back w, in Euler steps of dt:

    k = g max(0, v + A) / (v + A + B)
    q += dt (y max(0, M - q) - k q + x w)      c += dt (k q - (l + r) c)      w += dt (r c - x w)
    p = h dt c                                 probability that a fibre fires in this step

Each of 40 fibres of a channel fires with p, unless it did so less than 1 ms ago. They differ in nothing, so only their
number is kept: how many fire is one binomial draw from those that are ready, and a ring remembers when the others will
be. A draw starts with a comparison, as 1 - (1 - p)^n <= n p decides most of them.

Bushy cell: a leaky membrane with an exponential synapse that sums the fibres,

    s = s e^(-dt / 0.5 ms) + fired      v = v e^(-dt / 1 ms) + s W dt / fibres, at most 1

It spikes at the end of a step with v = 1, is set to 0 and takes no input for 1 ms (refractory).

Source: Cramer et al. 2020 (doi 10.1109/TNNLS.2020.3044364). Double precision and no reordering of sums, so that every
machine gives the same spikes. The loops run over channels, which the processor's registers hold several of, and each
has few arrays: with more, the compiler would not prove that they do not overlap.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

Row = NDArray[np.float64]  # [channel]
Velocity = NDArray[np.float64] | NDArray[np.float32]

_Y, _G, _L, _R, _X, _A, _B, _H, _M = 5.05, 2000.0, 2500.0, 6580.0, 66.3, 5.0, 300.0, 50_000.0, 1.0
_REFRACTORY_S = 1e-3
_TAU_MEMBRANE_S, _TAU_SYNAPSE_S, _WEIGHT = 1e-3, 5e-4, 13e3
# rows of a channel's state
_FREE, _CLEFT, _TAKEN, _SYNAPSE, _VOLTAGE, _DEAF, _BUSY, _RING = range(8)


def silent(channels: int, steps_per_second: int) -> NDArray[np.float64]:
    """State ``[row, channel]`` of cells after long silence."""
    ring = round(_REFRACTORY_S * steps_per_second)
    state = np.zeros((_RING + ring, channels))
    k = _G * _A / (_A + _B)
    state[_CLEFT] = _M * _Y * k / (_L * k + _Y * (_L + _R))
    state[_FREE] = state[_CLEFT] * (_L + _R) / k
    state[_TAKEN] = state[_CLEFT] * _R / _X
    return state


def most_spikes(channels: int, steps: int, steps_per_second: int) -> int:
    """That some channels can have in so many steps: a bushy cell spikes once a millisecond at most."""
    return channels * (steps // round(_REFRACTORY_S * steps_per_second) + 2)


@compiled
def fired(ready: int, p: float, u: float) -> int:
    """How many of the ready fibres fire: the binomial count whose upper tail a uniform ``u`` in [0, 1) falls into."""
    if ready <= 0 or u >= ready * p:
        return 0
    if p >= 1.0:
        return ready
    share, power, left = 1.0, 1.0 - p, ready  # share becomes (1 - p)^ready
    while left > 0:
        if left & 1:
            share *= power
        power *= power
        left >>= 1
    odds = p / (1.0 - p)
    tail = 1.0 - share
    count = 0
    while u < tail and count < ready:
        count += 1
        share *= (ready - count + 1) / count * odds
        tail -= share
    return count


@compiled
def _release(velocity: Velocity, dt: float, free: Row, cleft: Row, taken: Row) -> None:
    """A step of the hair cells."""
    for i in range(len(free)):
        driven = velocity[i] + _A
        k = _G * dt * driven / (driven + _B) if driven > 0.0 else 0.0
        q, c, w = free[i], cleft[i], taken[i]
        made = _Y * dt * (_M - q) if q < _M else 0.0
        out = k * q
        lost, back, again = (_L + _R) * dt * c, _R * dt * c, _X * dt * w
        free[i] = max(q + made - out + again, 0.0)
        cleft[i] = max(c + out - lost, 0.0)
        taken[i] = max(w + back - again, 0.0)


@compiled
def _fire(uniform: Row, cleft: Row, per_cleft: float, rested: Row, ready: Row, fires: Row) -> None:
    """A step of the fibres; those that fired a millisecond ago have rested."""
    for i in range(len(ready)):
        ready[i] += rested[i]
    for i in range(len(ready)):
        p = per_cleft * cleft[i]
        fires[i] = fired(int(ready[i]), p, uniform[i]) if uniform[i] < ready[i] * p else 0.0


@compiled
def _sum(fires: Row, fade: float, rested: Row, ready: Row, synapse: Row) -> None:
    """What fired goes to the bushy cells' synapses, and to rest."""
    for i in range(len(ready)):
        rested[i] = fires[i]
        ready[i] -= fires[i]
        synapse[i] = synapse[i] * fade + fires[i]


@compiled
def _integrate(synapse: Row, fade: float, jump: float, rest: float, voltage: Row, deaf: Row, spiked: Row) -> float:
    """A step of the bushy cells; returns how many spiked at the end of the last."""
    count = 0.0
    for i in range(len(voltage)):
        spike = voltage[i] >= 1.0
        left = rest if spike else deaf[i]
        before = 0.0 if spike else voltage[i]
        moved = min(before * fade + synapse[i] * jump, 1.0)
        voltage[i] = moved if left <= 0.0 else before
        deaf[i] = left - 1.0
        spiked[i] = 1.0 if spike else 0.0
        count += spiked[i]
    return count


@compiled
def spikes(
    velocity: Velocity, uniform: NDArray[np.float64], fibres: int, steps_per_second: float, step: int,
    state: NDArray[np.float64], first: int, times: NDArray[np.int64], units: NDArray[np.int64],
) -> int:  # fmt: skip
    """Run some channels for some time steps.

    Args:
        velocity, uniform: ``[step, channel]``, C-contiguous.
        fibres: fibres per channel.
        step: number of the first of them.
        state: of these channels, changed in place.
        first: number of the first channel.
        times, units: where the spikes go, in order of times and then channels; :func:`most_spikes` is room enough. A
            spike at the end of a step is found in the next one, and not before step 1.

    Returns:
        How many spikes there were.
    """
    dt = 1.0 / steps_per_second
    ring = state.shape[0] - _RING
    fade_membrane, fade_synapse = math.exp(-dt / _TAU_MEMBRANE_S), math.exp(-dt / _TAU_SYNAPSE_S)
    jump = _WEIGHT / fibres * dt
    cells = state.copy()
    cleft, synapse = cells[_CLEFT], cells[_SYNAPSE]
    ready = fibres - cells[_BUSY]
    fires, spiked = np.empty(len(ready)), np.empty(len(ready))
    found = 0
    for t in range(velocity.shape[0]):
        rested = cells[_RING + (step + t) % ring]
        _release(velocity[t], dt, cells[_FREE], cleft, cells[_TAKEN])
        _fire(uniform[t], cleft, _H * dt, rested, ready, fires)
        _sum(fires, fade_synapse, rested, ready, synapse)
        count = _integrate(synapse, fade_membrane, jump, float(ring), cells[_VOLTAGE], cells[_DEAF], spiked)
        if count > 0.0 and step + t > 0:
            for i in range(len(spiked)):
                if spiked[i] > 0.0:
                    times[found] = step + t - 1
                    units[found] = first + i
                    found += 1
    cells[_BUSY] = fibres - ready
    state[:] = cells
    return found
