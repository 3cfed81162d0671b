"""The scan over time on a GPU, one kernel forward and one backward; products and sums are not fused."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ranvier.ops.launch_cuda import SIZES, launch


@triton.jit(do_not_specialize=SIZES)
def _trace(spikes, decay, state, y, time, width, neurons, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    lost = 1 - tl.load(decay + place % neurons, mask=inside, other=0.0)
    trace = tl.load(state + place, mask=inside, other=0.0)
    for t in range(time):
        row = place + row_length * t
        s = tl.load(spikes + row, mask=inside, other=0.0)
        trace = trace - (1 - s) * lost * trace + s
        tl.store(y + row, trace, mask=inside)


@triton.jit(do_not_specialize=SIZES)
def _trace_backward(
    grad, spikes, y, decay, state, grad_spikes, grad_decay, grad_state, time, width, neurons, BLOCK: tl.constexpr
):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    lost = 1 - tl.load(decay + place % neurons, mask=inside, other=0.0)
    first = tl.load(state + place, mask=inside, other=0.0)
    carry = tl.zeros_like(lost)
    to_decay = tl.zeros_like(lost)
    for back in range(time):
        t = time - 1 - back
        row = place + row_length * t
        later = row >= width
        before = tl.load(y + row - row_length, mask=inside & later, other=0.0)
        before = tl.where(later, before, first)
        unspent = 1 - tl.load(spikes + row, mask=inside, other=0.0)
        grad_y = tl.load(grad + row, mask=inside, other=0.0) + carry
        tl.store(grad_spikes + row, grad_y * (1 + lost * before), mask=inside)
        to_decay += grad_y * unspent * before
        carry = grad_y * (1 - unspent * lost)
    tl.store(grad_decay + place, to_decay, mask=inside)
    tl.store(grad_state + place, carry, mask=inside)


def trace(spikes: Tensor, decay: Tensor, state: Tensor) -> Tensor:
    """The trace, as :func:`ranvier.ops.trace.scan.trace_scan`."""
    inputs = [tensor.contiguous() for tensor in (spikes, decay, state)]
    y = torch.empty_like(inputs[0])
    launch(_trace, spikes, *inputs, y)
    return y


def trace_backward(
    grad: Tensor, spikes: Tensor, y: Tensor, decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to spikes, decay and state, as :func:`ranvier.ops.trace.scan.trace_scan_backward`."""
    inputs = [tensor.contiguous() for tensor in (grad, spikes, y, decay, state)]
    to_spikes = torch.empty_like(inputs[2])
    to_decay, to_state = torch.empty_like(inputs[4]), torch.empty_like(inputs[4])
    launch(_trace_backward, y, *inputs, to_spikes, to_decay, to_state)
    return to_spikes, to_decay.sum(0), to_state
