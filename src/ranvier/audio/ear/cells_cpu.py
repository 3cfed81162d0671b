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
machine gives the same spikes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

LANES = 8  # channels that are stepped together: the processor's registers hold them
_Y, _G, _L, _R, _X, _A, _B, _H, _M = 5.05, 2000.0, 2500.0, 6580.0, 66.3, 5.0, 300.0, 50_000.0, 1.0
_REFRACTORY_S = 1e-3
_TAU_MEMBRANE_S, _TAU_SYNAPSE_S, _WEIGHT = 1e-3, 5e-4, 13e3
# rows of a channel's state
_FREE, _CLEFT, _TAKEN, _SYNAPSE, _VOLTAGE, _DEAF, _BUSY, _RING = range(8)


def silent(channels: int, steps_per_second: int) -> NDArray[np.float64]:
    """State ``[row, channel]`` of cells after long silence; channels are filled up to whole lanes."""
    ring = round(_REFRACTORY_S * steps_per_second)
    state = np.zeros((_RING + ring, -(-channels // LANES) * LANES))
    k = _G * _A / (_A + _B)
    state[_CLEFT] = _M * _Y * k / (_L * k + _Y * (_L + _R))
    state[_FREE] = state[_CLEFT] * (_L + _R) / k
    state[_TAKEN] = state[_CLEFT] * _R / _X
    return state


@compiled
def fired(ready: int, p: float, u: float) -> int:
    """How many of the ready fibres fire: the binomial count whose upper tail a uniform ``u`` in [0, 1) falls into."""
    if ready <= 0 or u >= ready * p:
        return 0
    if p >= 1.0:
        return ready
    odds = p / (1.0 - p)
    share = math.exp(ready * math.log1p(-p))
    tail = 1.0 - share
    count = 0
    while u < tail and count < ready:
        count += 1
        share *= (ready - count + 1) / count * odds
        tail -= share
    return count


@compiled
def spikes(
    velocity: NDArray[np.float64], uniform: NDArray[np.float64], fibres: int, steps_per_second: float, step: int,
    state: NDArray[np.float64], first: int, times: NDArray[np.int64], units: NDArray[np.int64],
) -> int:  # fmt: skip
    """Run some channels for some time steps.

    Args:
        velocity, uniform: ``[channel, step]``, whole lanes of channels.
        fibres: fibres per channel.
        step: number of the first of them.
        state: of these channels, changed in place.
        first: number of the first channel.
        times, units: where the spikes go, in order of channels and then time.

    Returns:
        How many spikes there were.
    """
    dt = 1.0 / steps_per_second
    ring = state.shape[0] - _RING
    fade_membrane, fade_synapse = math.exp(-dt / _TAU_MEMBRANE_S), math.exp(-dt / _TAU_SYNAPSE_S)
    jump = _WEIGHT / fibres * dt
    probability, fires = np.empty(LANES), np.empty(LANES, np.int64)
    found = 0
    for lane in range(0, velocity.shape[0], LANES):
        cells = state[:, lane : lane + LANES].copy()
        free, cleft, taken, synapse = cells[_FREE], cells[_CLEFT], cells[_TAKEN], cells[_SYNAPSE]
        voltage, deaf, ready = cells[_VOLTAGE], cells[_DEAF], fibres - cells[_BUSY]
        for t in range(velocity.shape[1]):
            slot = _RING + (step + t) % ring
            for i in range(LANES):
                driven = velocity[lane + i, t] + _A
                k = _G * dt * driven / (driven + _B) if driven > 0.0 else 0.0
                made = _Y * dt * (_M - free[i]) if free[i] < _M else 0.0
                out = k * free[i]
                lost, back, again = (_L + _R) * dt * cleft[i], _R * dt * cleft[i], _X * dt * taken[i]
                free[i] = max(free[i] + made - out + again, 0.0)
                cleft[i] = max(cleft[i] + out - lost, 0.0)
                taken[i] = max(taken[i] + back - again, 0.0)
                probability[i] = _H * dt * cleft[i]
                ready[i] += cells[slot, i]  # these fired a millisecond ago and have rested
            for i in range(LANES):
                fires[i] = fired(int(ready[i]), probability[i], uniform[lane + i, t])
            for i in range(LANES):
                cells[slot, i] = fires[i]
                ready[i] -= fires[i]
                synapse[i] = synapse[i] * fade_synapse + fires[i]
            for i in range(LANES):
                if voltage[i] >= 1.0:
                    voltage[i] = 0.0
                    deaf[i] = ring
                    if step + t > 0:
                        times[found] = step + t - 1
                        units[found] = first + lane + i
                        found += 1
                if deaf[i] <= 0.0:
                    voltage[i] = min(voltage[i] * fade_membrane + synapse[i] * jump, 1.0)
                deaf[i] -= 1.0
        cells[_BUSY] = fibres - ready
        state[:, lane : lane + LANES] = cells
    return found
