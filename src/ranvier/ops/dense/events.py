"""The frozen delayed current as sums over events; without gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.ops.parallel import arrays, in_parallel


@torch.library.custom_op("ranvier::frozen_current", mutates_args=(), device_types="cpu")
def frozen_current(x: Tensor, weight: Tensor, delay: Tensor, max_delay: int, offset: int) -> Tensor:
    """sum_synapse sum_i weight[j, i] x[t - round(delay[j, i]), i] for t = offset ... time - 1, summed directly.
    Args:
        x: ``[time, batch, source]``.
        weight, delay: ``[synapse, target, source]``.
        max_delay: longest delay in steps; no rounded delay lies outside 0 ... max_delay.
        offset: steps at the start of which no output is wanted.

    Returns:
        ``[time - offset, batch, target]``.
    """
    from ranvier.ops.dense import events_cpu

    steps = delay.round().to(torch.int64)
    # 0, or NaN where a weight is not finite: its source may be silent, and the fault must show all the same
    nothing = (weight - weight).sum((0, 2))
    out = torch.empty(len(x) - offset, x.shape[1], weight.shape[1], dtype=x.dtype)
    longest = min(max_delay, len(x))  # what a longer delay brings comes after the end
    by_source = (weight, steps.clamp(0, longest))
    in_parallel(
        events_cpu.add_events,
        x.shape[1],
        *arrays(x, *(tensor.mT for tensor in by_source)),
        longest,
        offset,
        *arrays(nothing, out),
    )
    return out


@frozen_current.register_fake
def _(x: Tensor, weight: Tensor, delay: Tensor, max_delay: int, offset: int) -> Tensor:
    return x.new_empty(x.shape[0] - offset, x.shape[1], weight.shape[1])
