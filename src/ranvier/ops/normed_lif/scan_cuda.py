"""Normalisation and integrate-and-fire on a GPU, after the statistics: one kernel forward and two backward."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ranvier.ops.launch_cuda import SIZES, launch
from ranvier.ops.lif.scan_cuda import SURROGATES, surrogate_slope


@triton.jit(do_not_specialize=SIZES)
def _spikes(
    current, steps, mean, scale, bias, decay, threshold, gain, out, time, width, neurons, BLOCK: tl.constexpr
):  # fmt: skip
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    own = tl.load(steps + place // neurons, mask=inside, other=0)
    middle = tl.load(mean + place % neurons, mask=inside, other=0.0)
    factor = tl.load(scale + place % neurons, mask=inside, other=0.0)
    shift = tl.load(bias + place % neurons, mask=inside, other=0.0)
    d = tl.load(decay + place % neurons, mask=inside, other=0.0)
    limit = tl.load(threshold + place % neurons, mask=inside, other=1.0)
    worth = tl.load(gain + place, mask=inside, other=0.0)
    kept = tl.zeros_like(worth)
    for t in range(time):
        row = place + row_length * t
        x = tl.load(current + row, mask=inside & (t < own), other=0.0)
        v = d * kept + tl.where(t < own, factor * (x - middle) + shift, 0.0)
        nothing = v - v  # 0, or NaN where v is not finite
        tl.store(out + row, tl.where(v >= limit, worth, 0.0) + nothing, mask=inside)
        kept = tl.where(v >= limit, 0.0, v) + nothing


@triton.jit(do_not_specialize=SIZES)
def _backward(
    grad, current, steps, mean, scale, bias, decay, threshold, gain, buffer, total, along, time, width, neurons,
    ALPHA: tl.constexpr, KIND: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Voltages once more into ``buffer``; then, back in time, the gradient to the normalised current in their place,
    and its sums over each clip's steps, by themselves and times x - mean, ``[batch, neuron]`` in double precision."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    own = tl.load(steps + place // neurons, mask=inside, other=0)
    middle = tl.load(mean + place % neurons, mask=inside, other=0.0)
    factor = tl.load(scale + place % neurons, mask=inside, other=0.0)
    shift = tl.load(bias + place % neurons, mask=inside, other=0.0)
    d = tl.load(decay + place % neurons, mask=inside, other=0.0)
    limit = tl.load(threshold + place % neurons, mask=inside, other=1.0)
    worth = tl.load(gain + place, mask=inside, other=0.0)
    kept = tl.zeros_like(worth)
    for t in range(time):
        row = place + row_length * t
        x = tl.load(current + row, mask=inside & (t < own), other=0.0)
        v = d * kept + tl.where(t < own, factor * (x - middle) + shift, 0.0)
        tl.store(buffer + row, v, mask=inside)
        kept = tl.where(v >= limit, 0.0, v)
    tl.debug_barrier()  # what one thread of the program wrote, another may read
    carry = tl.zeros_like(worth)
    to_total = tl.zeros([BLOCK], tl.float64)
    to_along = tl.zeros([BLOCK], tl.float64)
    for back in range(time):
        t = time - 1 - back
        row = place + row_length * t
        v = tl.load(buffer + row, mask=inside, other=0.0)
        through = worth * tl.load(grad + row, mask=inside, other=0.0) * surrogate_slope(v - limit, ALPHA, KIND)
        grad_v = through + tl.where(v >= limit, 0.0, carry)
        tl.store(buffer + row, grad_v, mask=inside)
        distance = tl.load(current + row, mask=inside & (t < own), other=0.0) - middle
        value = grad_v.to(tl.float64)
        to_total += tl.where(t < own, value, 0.0)
        to_along += tl.where(t < own, value * distance, 0.0)
        carry = d * grad_v
    tl.store(total + place, to_total, mask=inside)
    tl.store(along + place, to_along, mask=inside)


def spikes(
    current: Tensor, steps: Tensor, mean: Tensor, scale: Tensor, bias: Tensor,
    decay: Tensor, threshold: Tensor, gain: Tensor,
) -> Tensor:  # fmt: skip
    """Spikes times gain."""
    inputs = [tensor.contiguous() for tensor in (current, steps, mean, scale, bias, decay, threshold, gain)]
    out = torch.empty_like(inputs[0])
    launch(_spikes, current, *inputs, out)
    return out


def backward(
    grad: Tensor, current: Tensor, steps: Tensor, mean: Tensor, scale: Tensor, bias: Tensor,
    decay: Tensor, threshold: Tensor, gain: Tensor, surrogate: str, alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradient to the normalised current, and its sums, by themselves and times current - mean."""
    inputs = [tensor.contiguous() for tensor in (grad, current, steps, mean, scale, bias, decay, threshold, gain)]
    buffer = torch.empty_like(inputs[1])
    total, along = (torch.empty(gain.shape, dtype=torch.float64, device=gain.device) for _ in range(2))
    kind = SURROGATES.index(surrogate)
    launch(_backward, current, *inputs, buffer, total, along, ALPHA=alpha, KIND=kind)
    return buffer, total, along
