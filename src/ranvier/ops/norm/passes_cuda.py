"""Batch normalisation on a GPU, in two passes forward and two backward; sums are in double precision.

A program takes some neurons of clips through all steps, as the scans do, and sums are kept per clip, so that they do
not depend on the order of programs.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ranvier.ops.launch_cuda import SIZES, launch


@triton.jit(do_not_specialize=SIZES)
def _sums(x, steps, total, squares, time, width, neurons, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    own = tl.load(steps + place // neurons, mask=inside, other=0)
    to_total = tl.zeros([BLOCK], tl.float64)
    to_squares = tl.zeros([BLOCK], tl.float64)
    for t in range(time):
        value = tl.load(x + place + row_length * t, mask=inside & (t < own), other=0.0).to(tl.float64)
        to_total += value
        to_squares += value * value
    tl.store(total + place, to_total, mask=inside)
    tl.store(squares + place, to_squares, mask=inside)


@triton.jit(do_not_specialize=SIZES)
def _scale_and_shift(x, steps, mean, scale, bias, y, time, width, neurons, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    own = tl.load(steps + place // neurons, mask=inside, other=0)
    middle = tl.load(mean + place % neurons, mask=inside, other=0.0)
    factor = tl.load(scale + place % neurons, mask=inside, other=0.0)
    shift = tl.load(bias + place % neurons, mask=inside, other=0.0)
    for t in range(time):
        row = place + row_length * t
        value = tl.load(x + row, mask=inside & (t < own), other=0.0)
        tl.store(y + row, tl.where(t < own, factor * (value - middle) + shift, 0.0), mask=inside)


@triton.jit(do_not_specialize=SIZES)
def _backward_sums(grad, x, steps, mean, total, along, time, width, neurons, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    own = tl.load(steps + place // neurons, mask=inside, other=0)
    middle = tl.load(mean + place % neurons, mask=inside, other=0.0)
    to_total = tl.zeros([BLOCK], tl.float64)
    to_along = tl.zeros([BLOCK], tl.float64)
    for t in range(time):
        row = place + row_length * t
        value = tl.load(grad + row, mask=inside & (t < own), other=0.0).to(tl.float64)
        distance = tl.load(x + row, mask=inside & (t < own), other=0.0) - middle
        to_total += value
        to_along += tl.where(t < own, value * distance, 0.0)
    tl.store(total + place, to_total, mask=inside)
    tl.store(along + place, to_along, mask=inside)


@triton.jit(do_not_specialize=SIZES)
def _combine(grad, x, steps, mean, of_grad, of_x, constant, out, time, width, neurons, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    own = tl.load(steps + place // neurons, mask=inside, other=0)
    middle = tl.load(mean + place % neurons, mask=inside, other=0.0)
    by_grad = tl.load(of_grad + place % neurons, mask=inside, other=0.0)
    by_x = tl.load(of_x + place % neurons, mask=inside, other=0.0)
    beside = tl.load(constant + place % neurons, mask=inside, other=0.0)
    for t in range(time):
        row = place + row_length * t
        value = tl.load(grad + row, mask=inside & (t < own), other=0.0)
        distance = tl.load(x + row, mask=inside & (t < own), other=0.0) - middle
        result = by_grad * value + by_x * distance + beside
        tl.store(out + row, tl.where(t < own, result, 0.0), mask=inside)


def sums(x: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Of x and of x^2 over each clip's steps, ``[batch, neuron]`` in double precision."""
    total, squares = (torch.empty(x.shape[1:], dtype=torch.float64, device=x.device) for _ in range(2))
    launch(_sums, x, x.contiguous(), steps.contiguous(), total, squares)
    return total, squares


def scale_and_shift(x: Tensor, steps: Tensor, mean: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """scale (x - mean) + bias on each clip's steps, else 0."""
    inputs = [tensor.contiguous() for tensor in (x, steps, mean, scale, bias)]
    y = torch.empty_like(inputs[0])
    launch(_scale_and_shift, x, *inputs, y)
    return y


def backward_sums(grad: Tensor, x: Tensor, steps: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Of grad and of grad (x - mean) over each clip's steps, ``[batch, neuron]`` in double precision."""
    inputs = [tensor.contiguous() for tensor in (grad, x, steps, mean)]
    total, along = (torch.empty(x.shape[1:], dtype=torch.float64, device=x.device) for _ in range(2))
    launch(_backward_sums, x, *inputs, total, along)
    return total, along


def combine(
    grad: Tensor, x: Tensor, steps: Tensor, mean: Tensor, parts: tuple[Tensor, Tensor, Tensor], *, in_place: bool
) -> Tensor:
    """of_grad grad + of_x (x - mean) + constant on each clip's steps, else 0, with those three as ``parts``.

    ``in_place`` writes it over ``grad``, which is contiguous then.
    """
    inputs = [tensor.contiguous() for tensor in (grad, x, steps, mean, *parts)]
    out = grad if in_place else torch.empty_like(inputs[1])
    launch(_combine, x, *inputs, out)
    return out
