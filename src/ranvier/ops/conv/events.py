"""The frozen delayed convolution as sums over events; without gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ranvier.ops.conv.places import Places
from ranvier.ops.parallel import arrays, in_parallel


@torch.library.custom_op("ranvier::frozen_convolution", mutates_args=(), device_types="cpu")
def frozen_convolution(
    x: Tensor,
    weight: Tensor,
    delay: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    max_delay: int,
    offset: int,
) -> Tensor:
    """The equation of :func:`ranvier.ops.conv.delayed_convolution` for t = offset ... time - 1, summed directly.

    Args:
        x: ``[time, batch, source]``.
        weight, delay: ``[target channel, source channel, kernel row, kernel column]``.
        size, stride, padding: of rows and columns.
        max_delay: longest delay in steps; no rounded delay lies outside 0 ... max_delay.
        offset: steps at the start of which no output is wanted.

    Returns:
        ``[time - offset, batch, target channel, row, column]``.
    """
    from ranvier.ops.conv import events_cpu

    out = _room(x, weight, size, stride, padding, offset)
    longest = min(max_delay, len(x))  # what a longer delay brings comes after the end
    steps = delay.round().to(torch.int64).clamp(0, longest)
    # 0, or NaN where a weight is not finite: its source may be silent, and the fault must show all the same
    nothing = (weight - weight).sum((1, 2, 3))
    by_source = (tensor.permute(1, 2, 3, 0) for tensor in (weight, steps))
    in_parallel(
        events_cpu.add_events,
        x.shape[1],
        *arrays(x, *by_source),
        size[1],
        tuple(stride),
        tuple(padding),
        longest,
        offset,
        *arrays(nothing, out),
    )
    return out


@frozen_convolution.register_fake
def _(
    x: Tensor, weight: Tensor, delay: Tensor, size: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    max_delay: int, offset: int,
) -> Tensor:  # fmt: skip
    return _room(x, weight, size, stride, padding, offset)


def _room(
    x: Tensor, weight: Tensor, size: Sequence[int], stride: Sequence[int], padding: Sequence[int], offset: int
) -> Tensor:
    places = Places((size[0], size[1]), (stride[0], stride[1]), (padding[0], padding[1]))
    out_size = places.out_size((weight.shape[2], weight.shape[3]))
    return x.new_empty(x.shape[0] - offset, x.shape[1], weight.shape[0], *out_size)
