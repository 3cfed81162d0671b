"""Every synapse's tap, weighted and summed over the synapses of a pair, and its gradient: one pass, nothing stored.

The Gaussian is built outward from its middle, each tap from its neighbour by two products,
g(m + 1) = g(m) r, r <- r exp(-1 / sigma^2), in double precision, and ends where it falls below what the result's
precision can tell from its middle: after 6 sigma in single precision, 8.6 in double. So a narrow tap costs a few taps,
whatever the longest delay.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled

Array = NDArray[np.floating]
_EPSILON = 1e-7
_REACH_SINGLE = 6.0  # in sigma: exp(-6^2 / 2) = 1.5e-8
_REACH_DOUBLE = 8.6  # exp(-8.6^2 / 2) = 9e-17


@compiled
def _middle_and_reach(
    delay: float, sigma: float, triangle: bool, max_delay: int, itemsize: int
) -> tuple[int, int, int]:
    if math.isnan(delay):  # every tap is NaN, so that it shows however short the clip is
        return 0, 0, max_delay
    middle = int(np.rint(delay))
    sigmas = _REACH_SINGLE if itemsize == 4 else _REACH_DOUBLE
    reach = int(sigma) + 2 if triangle else int(min(sigmas * sigma, 1e6)) + 1
    return middle, max(0, middle - reach), min(max_delay, middle + reach)


@compiled
def _gaussian(
    delay: float, narrow: float, shrink: float, middle: int, first: int, last: int, g: NDArray[np.float64]
) -> float:
    """g for taps first ... last, not normalised; returns their sum. narrow = 1 / sigma^2, shrink = exp(-narrow)."""
    distance = middle - delay
    peak = math.exp(-0.5 * distance * distance * narrow)
    g[middle] = total = peak
    value, ratio = peak, math.exp(-(distance + 0.5) * narrow)
    for m in range(middle + 1, last + 1):
        value *= ratio
        ratio *= shrink
        g[m] = value
        total += value
    value, ratio = peak, math.exp((distance - 0.5) * narrow)
    for m in range(middle - 1, first - 1, -1):
        value *= ratio
        ratio *= shrink
        g[m] = value
        total += value
    return total


@compiled
def _triangle(delay: float, sigma: float, first: int, last: int, g: NDArray[np.float64]) -> float:
    total = 0.0
    for m in range(first, last + 1):
        g[m] = max(0.0, 1.0 + sigma - abs(m - delay))
        total += g[m]
    return total


@compiled
def taps(
    weight: Array, delay: Array, sigma: float, triangle: bool, frozen: bool, max_delay: int, out: Array,
    start: int, stop: int,
) -> None:  # fmt: skip
    """out ``[pair, tap]`` = sum over synapses of weight g(m; delay, sigma), both ``[synapse, pair]``; delays in
    [0, max_delay]."""
    kept = out.shape[1]
    g = np.empty(max_delay + 1)
    narrow = 1.0 / (sigma * sigma)
    shrink = math.exp(-narrow)
    for pair in range(start, stop):
        out[pair] = 0.0
        for synapse in range(weight.shape[0]):
            w, d = float(weight[synapse, pair]), float(delay[synapse, pair])
            if frozen:
                m = 0 if math.isnan(d) else int(np.rint(d))  # its weight is NaN then
                if m < kept:
                    out[pair, m] += w
                else:
                    out[pair, 0] += w - w  # NaN where the weight is not finite: it must show in a short clip too
                continue
            middle, first, last = _middle_and_reach(d, sigma, triangle, max_delay, out.itemsize)
            if first >= kept:  # a tap beyond the clip
                out[pair, 0] += w - w
                continue
            if triangle:
                total = _triangle(d, sigma, first, last, g)
            else:
                total = _gaussian(d, narrow, shrink, middle, first, last, g)
            scale = w / (_EPSILON + total)
            for m in range(first, min(last + 1, kept)):
                out[pair, m] += scale * g[m]


@compiled
def taps_backward(
    weight: Array, delay: Array, sigma: float, triangle: bool, frozen: bool, max_delay: int, grad: Array,
    grad_weight: Array, grad_delay: Array, start: int, stop: int,
) -> None:  # fmt: skip
    """Gradients ``[synapse, pair]`` from ``grad [tap, pair]``, by n = g / (eps + sum g) and the slopes g' = dg/dd:

    dL/dw = sum_m n grad,  dL/dd = w (sum_m g' grad - sum_m n grad * sum_m g') / (eps + sum g)
    """
    kept = grad.shape[0]
    g = np.empty(max_delay + 1)
    narrow = 1.0 / (sigma * sigma)
    shrink = math.exp(-narrow)
    for pair in range(start, stop):
        for synapse in range(weight.shape[0]):
            w, d = float(weight[synapse, pair]), float(delay[synapse, pair])
            if frozen:
                m = 0 if math.isnan(d) else int(np.rint(d))
                grad_weight[synapse, pair] = grad[m, pair] if m < kept else 0.0
                grad_delay[synapse, pair] = 0.0
                continue
            middle, first, last = _middle_and_reach(d, sigma, triangle, max_delay, grad.itemsize)
            if first >= kept:
                grad_weight[synapse, pair] = grad_delay[synapse, pair] = 0.0
                continue
            slopes = along_g = along_slope = 0.0
            if triangle:
                total = _triangle(d, sigma, first, last, g)
                for m in range(first, last + 1):
                    # one-sided where the triangle ends, as torch's clamp has it
                    slope = float((m > d) - (m < d)) if 1.0 + sigma - abs(m - d) >= 0.0 else 0.0
                    slopes += slope
                    if m < kept:
                        along_g += g[m] * grad[m, pair]
                        along_slope += slope * grad[m, pair]
            else:
                total = _gaussian(d, narrow, shrink, middle, first, last, g)
                for m in range(first, last + 1):
                    slope = g[m] * (m - d)
                    slopes += slope
                    if m < kept:
                        along_g += g[m] * grad[m, pair]
                        along_slope += slope * grad[m, pair]
                slopes *= narrow
                along_slope *= narrow
            along_g /= _EPSILON + total
            grad_weight[synapse, pair] = along_g
            grad_delay[synapse, pair] = w * (along_slope - along_g * slopes) / (_EPSILON + total)
