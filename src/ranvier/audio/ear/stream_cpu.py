"""Loops of the streaming ear that go on from sample to sample."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

# of `follow`'s state; the rest is the delayed sound
BEFORE, CENTRED, POWER, LEVEL, PLACE, DELAYED = range(6)


@compiled
def resample(
    samples: NDArray[np.float64], phases: NDArray[np.float64], up: int, down: int, start: int, first: int, count: int,
    out: NDArray[np.float64],
) -> None:  # fmt: skip
    """Samples at ``up / down`` times the rate: out[i] is sample number ``start + i``.

    Args:
        samples: sound; ``samples[0]`` has the number ``first``.
        phases: ``[up, tap]``, the filter for each place between two samples.
        count: how many.
    """
    taps = phases.shape[1]
    for i in range(count):
        place = (start + i) * down
        at = place // up - taps // 2 + 1 - first
        phase = place % up
        total = 0.0
        for tap in range(taps):
            total += samples[at + tap] * phases[phase, tap]
        out[i] = total


@compiled
def follow(
    samples: NDArray[np.float64], keep: float, power_share: float, level_keep: float, target: float, floor: float,
    state: NDArray[np.float64], out: NDArray[np.float64],
) -> None:  # fmt: skip
    """The sound without its offset, delayed, brought to a level by a running gain.

    y = x - x[-1] + keep y[-1]      P += share (y^2 - P)      L = max(P, L keep_L)
    out = y[-delay] target / max(sqrt(L), floor)
    """
    delay = len(state) - DELAYED
    before, centred, power, level, place = state[BEFORE], state[CENTRED], state[POWER], state[LEVEL], int(state[PLACE])
    for i in range(len(samples)):
        centred = samples[i] - before + keep * centred
        before = samples[i]
        power += power_share * (centred * centred - power)
        level = max(power, level * level_keep)
        out[i] = state[DELAYED + place] * (target / max(math.sqrt(level), floor))
        state[DELAYED + place] = centred
        place = place + 1 if place + 1 < delay else 0
    state[BEFORE], state[CENTRED], state[POWER], state[LEVEL], state[PLACE] = before, centred, power, level, place


@compiled
def interpolate(
    points: NDArray[np.float32], first: int, weights: NDArray[np.float32], out: NDArray[np.float32], channel: int
) -> None:
    """Between points: out[n phases + p, channel + i] is the sum over k of weights[k, p] points[first + n + k, i]."""
    taps, phases = weights.shape
    total = np.empty(points.shape[1], np.float32)
    for step in range(out.shape[0]):
        at, phase = first + step // phases, step % phases
        total[:] = 0.0
        for tap in range(taps):
            weight, row = weights[tap, phase], points[at + tap]
            for i in range(len(total)):
                total[i] += weight * row[i]
        out[step, channel : channel + len(total)] = total
