"""The scan over time on a GPU, one kernel forward and one backward; products and sums are not fused."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ranvier.ops.launch_cuda import SIZES, launch


@triton.jit(do_not_specialize=SIZES)
def _integrate(current, decay, state, voltage, time, width, neurons, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    d = tl.load(decay + place % neurons, mask=inside, other=0.0)
    v = tl.load(state + place, mask=inside, other=0.0)
    for t in range(time):
        row = place + row_length * t
        v = d * v + tl.load(current + row, mask=inside, other=0.0)
        tl.store(voltage + row, v, mask=inside)


@triton.jit(do_not_specialize=SIZES)
def _integrate_backward(
    grad, voltage, decay, state, grad_current, grad_decay, grad_state, time, width, neurons, BLOCK: tl.constexpr
):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    d = tl.load(decay + place % neurons, mask=inside, other=0.0)
    first = tl.load(state + place, mask=inside, other=0.0)
    carry = tl.zeros_like(d)
    to_decay = tl.zeros_like(d)
    for back in range(time):
        t = time - 1 - back
        row = place + row_length * t
        grad_v = tl.load(grad + row, mask=inside, other=0.0) + carry
        tl.store(grad_current + row, grad_v, mask=inside)
        later = row >= width
        begin = tl.load(voltage + row - row_length, mask=inside & later, other=0.0)
        begin = tl.where(later, begin, first)
        to_decay += grad_v * begin
        carry = d * grad_v
    tl.store(grad_decay + place, to_decay, mask=inside)
    tl.store(grad_state + place, carry, mask=inside)


def integrate(current: Tensor, decay: Tensor, state: Tensor) -> Tensor:
    """Voltages, as :func:`ranvier.ops.integrator.scan.integrator_scan`."""
    inputs = [tensor.contiguous() for tensor in (current, decay, state)]
    voltage = torch.empty_like(inputs[0])
    launch(_integrate, current, *inputs, voltage)
    return voltage


def integrate_backward(grad: Tensor, voltage: Tensor, decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to current, decay and state, as :func:`ranvier.ops.integrator.scan.integrator_scan_backward`."""
    inputs = [tensor.contiguous() for tensor in (grad, voltage, decay, state)]
    to_current = torch.empty_like(inputs[1])
    to_decay, to_state = torch.empty_like(inputs[3]), torch.empty_like(inputs[3])
    launch(_integrate_backward, voltage, *inputs, to_current, to_decay, to_state)
    return to_current, to_decay.sum(0), to_state
