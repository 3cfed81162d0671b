"""Weights and delays on the values that an integer network has, in training too.

Training then sees what :func:`ranvier.network.quantize` will make of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.network import WeightBits
from ranvier.network.quantize import LEVELS, SHARES


def quantized_weight(weight: Tensor, bits: WeightBits, *, shared: bool = False) -> Tensor:
    """``weight [synapse, target, source]`` in whole steps, as :func:`ranvier.network.quantize` chooses their size.

    The gradient goes straight through (Bengio et al. 2013, arXiv 1308.3432).

    Args:
        weight: of one connection.
        bits: 8 (-127 ... 127), 4 (-7 ... 7) or ``ternary`` (-1, 0, 1) steps.
        shared: one power of two for all targets, as a readout has it, in place of one size for each.
    """
    levels = LEVELS[bits]
    rows = weight.detach().transpose(0, 1).flatten(1)
    size = (_shared_size if shared else _own_sizes)(rows, levels).unsqueeze(1)
    rounded = _rounded(rows, size, levels).view(weight.shape[1], len(weight), -1).transpose(0, 1)
    return weight + (rounded - weight).detach()


def _rounded(rows: Tensor, size: Tensor, levels: int) -> Tensor:
    return (rows / size).round().clamp(-levels, levels) * size


def _own_sizes(rows: Tensor, levels: int) -> Tensor:
    """Size of a step for each row, of the smallest squared error."""
    largest = rows.abs().amax(1)
    largest = torch.where(largest == 0, 1, largest)
    return _best(rows, [largest / levels * share for share in SHARES[SHARES <= 1].tolist()], levels)


def _shared_size(rows: Tensor, levels: int) -> Tensor:
    """The same power of two for all rows."""
    top = (rows.abs().max().clamp(min=2.0**-20) / levels).log2().ceil()
    sizes = [(top + less).exp2().expand(len(rows)) for less in range(-4, 1)]
    return _best(rows, sizes, levels, together=True)


def _best(rows: Tensor, sizes: list[Tensor], levels: int, *, together: bool = False) -> Tensor:
    errors = torch.stack([(_rounded(rows, size.unsqueeze(1), levels) - rows).square().sum(1) for size in sizes])
    if together:
        errors = errors.sum(1, keepdim=True).expand_as(errors)
    best: Tensor = torch.stack(sizes).gather(0, errors.argmin(0, keepdim=True))[0]
    return best


def nearest_delay(delay: Tensor, shortest: int, longest: int, bits: int) -> Tensor:
    """The nearest of at most 2^bits whole steps, evenly spaced from ``shortest`` to ``longest``, of each delay.

    Args:
        delay: in steps, of any shape.
        shortest, longest: in steps.
        bits: in [1, 15].
    """
    count = min(2**bits, longest - shortest + 1)
    places = torch.arange(count, dtype=delay.dtype, device=delay.device) / max(count - 1, 1)
    values = (shortest + places * (longest - shortest)).round()
    nearest: Tensor = values[torch.bucketize(delay.contiguous(), (values[1:] + values[:-1]) / 2)]
    return nearest
