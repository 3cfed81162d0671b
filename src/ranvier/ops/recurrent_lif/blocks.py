"""Backward through synapses with a delay each, by blocks of time: many lags at once, as products in frequency.

With g and k the spectra of gradients and of taps at one frequency, g conj(k), their correlation over time, is three
products of real numbers:

    p = Re k (Re g + Im g)    Re g conj(k) = p - Im g (Re k - Im k)    Im g conj(k) = p - Re g (Re k + Im k)

so that the transforms give these sums, and the inverse takes the three products.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import ceil

import numpy as np
import torch
from torch import Tensor

from ranvier.ops.product import without_autocast

LEAF = 4  # steps


def back_by_blocks(
    step_back: Callable[[int, int], None], taps: Tensor, gain: Tensor, grad_current: Tensor, grad_spikes: Tensor
) -> None:
    """Go back through time, the latest steps first.

    A block of time is divided in two. When the gradients to the currents of its later half are known, what they send
    back to the earlier half takes 3 matrix products a step, for as many lags as the half has steps. The halves are
    divided again, down to ``LEAF`` steps, which go back one by one.

    Args:
        step_back: (first, stop) fills these steps of ``grad_current`` from ``grad_spikes``, to which it adds what lags
            within these steps send back.
        taps: ``[lag, source, target]``, of lags 1, 2, ...
        gain: ``[batch, source]``.
        grad_current: ``[time, batch, target]``, filled.
        grad_spikes: ``[time, batch, source]``; what comes back through the recurrence is added.
    """
    spectra: dict[int, Tensor] = {}

    def back(first: int, stop: int) -> None:
        if stop - first <= LEAF:
            step_back(first, stop)
            return
        half = LEAF
        while 2 * half < stop - first:
            half *= 2
        middle, count = stop - half, min(half, len(taps))
        back(middle, stop)
        of_grad, of_taps, inverse = _transforms(count, taps.dtype)
        if count not in spectra:
            lags = min(len(taps), 2 * count - 1)
            spectra[count] = _transformed(of_taps[:, 1 : 1 + lags], taps[:lags])
        sent = _transformed(of_grad[:, count:], grad_current[middle : middle + count]) @ spectra[count].mT
        reached = min(count, middle - first)
        received = _transformed(inverse[count - reached : count], sent)
        grad_spikes[middle - reached : middle].addcmul_(received, gain)
        back(first, middle)

    with without_autocast(taps.device):
        back(0, len(grad_current))


def to_taps(sent: Tensor, grad_current: Tensor, lags: int) -> Tensor:
    """The gradient to taps of lags 1, 2, ..., ``[lag, target, source]``, when all gradients to currents are known.

    Args:
        sent: ``[time, batch, source]``, spikes times gain.
        grad_current: ``[time, batch, target]``.
        lags: how many.
    """
    # of gradients, which meet what was sent in those steps and before: of equal length, so that none is padded
    block = ceil(len(sent) / max(1, round(len(sent) / max(1.5 * lags, 4 * LEAF))))
    count = (lags + block + 1) // 2
    of_grad, of_sent, inverse = _transforms(count, sent.dtype)
    products = sent.new_zeros(3 * count, grad_current.shape[2], sent.shape[2])
    with without_autocast(sent.device):
        for first in range(0, len(sent), block):
            grad, begin = grad_current[first : first + block], max(0, first - lags)
            before = sent[begin : first + len(grad) - 1]  # lag 0 has no tap
            place = begin - first + lags
            grad = _transformed(of_grad[:, lags : lags + len(grad)], grad)
            products.baddbmm_(grad.mT, _transformed(of_sent[:, place : place + len(before)], before))
        return _transformed(inverse[1 : 1 + lags], products)


def _transformed(rows: Tensor, x: Tensor) -> Tensor:
    """``rows [out, in]`` times ``x [in, ..., ...]``."""
    return (rows @ x.flatten(1)).view(-1, *x.shape[1:])


@lru_cache(maxsize=32)
def _transforms(count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Of 2 ``count`` steps of gradients and as many of taps, each ``[frequency and sum, step]``, and to those,
    ``[step, frequency and product]``. Frequencies are odd as in ../dense/spectral.py: all have both parts."""
    angle = np.pi / count * (np.arange(count)[:, None] + 0.5) * np.arange(2 * count)
    cos, sin = np.cos(angle), np.sin(angle)
    rows = ([cos - sin, -sin, cos], [cos, cos + sin, cos - sin], [cos - sin, -cos, sin])
    of_grad, of_taps, inverse = (torch.from_numpy(np.concatenate(each)).to(dtype) for each in rows)
    return of_grad, of_taps, inverse.t() / count
