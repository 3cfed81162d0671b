"""The scans over time on a GPU, one kernel forward and one backward: a program takes some neurons through all steps.

Products and sums are not fused, so that a voltage is the same number here, in the reference and on a CPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ranvier.ops.launch_cuda import SIZES, launch

SURROGATES = ("arctan", "fast_sigmoid", "triangle")  # by number, as surrogate_slope takes them
_HALF_PI = tl.constexpr(1.5707963267948966)


@triton.jit(do_not_specialize=SIZES)
def _lif(
    current,
    decay,
    threshold,
    state,
    spikes,
    end,
    voltage,
    time,
    width,
    neurons,
    KEEP: tl.constexpr,
    SUBTRACT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    d = tl.load(decay + place % neurons, mask=inside, other=0.0)
    limit = tl.load(threshold + place % neurons, mask=inside, other=1.0)
    v = tl.load(state + place, mask=inside, other=0.0)
    for t in range(time):
        row = place + row_length * t
        v = d * v + tl.load(current + row, mask=inside, other=0.0)
        if KEEP:
            tl.store(voltage + row, v, mask=inside)
        s = (v >= limit).to(v.dtype) + (v - v)  # NaN where v is not finite
        tl.store(spikes + row, s, mask=inside)
        v = v - limit * s if SUBTRACT else v * (1 - s)
    tl.store(end + place, v, mask=inside)


@triton.jit
def surrogate_slope(u, ALPHA: tl.constexpr, KIND: tl.constexpr):
    """The derivative of the step at ``u``; a constant ALPHA has the precision of ``u``, an argument is float32."""
    if KIND == 0:
        a = _HALF_PI * ALPHA * u
        slope = 0.5 * ALPHA / (1 + a * a)
    elif KIND == 1:
        a = 1 + ALPHA * tl.abs(u)
        slope = 1 / (a * a)
    else:
        a = 1 - ALPHA * tl.abs(u)
        slope = ALPHA * tl.where(a < 0, 0.0, a)  # NaN stays NaN
    return slope


@triton.jit(do_not_specialize=SIZES)
def _lif_backward(
    grad_spikes, grad_end, voltage, decay, threshold, state,
    grad_current, grad_decay, grad_threshold, grad_state, time, width, neurons,
    ALPHA: tl.constexpr, KIND: tl.constexpr, PARAMETERS: tl.constexpr, SUBTRACT: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    d = tl.load(decay + place % neurons, mask=inside, other=0.0)
    limit = tl.load(threshold + place % neurons, mask=inside, other=1.0)
    first = tl.load(state + place, mask=inside, other=0.0)
    carry = tl.load(grad_end + place, mask=inside, other=0.0)
    to_decay = tl.zeros_like(carry)
    to_threshold = tl.zeros_like(carry)
    for back in range(time):
        t = time - 1 - back
        row = place + row_length * t
        v = tl.load(voltage + row, mask=inside, other=0.0)
        through = tl.load(grad_spikes + row, mask=inside, other=0.0) * surrogate_slope(v - limit, ALPHA, KIND)
        grad_v = through + (carry if SUBTRACT else tl.where(v >= limit, 0.0, carry))
        tl.store(grad_current + row, grad_v, mask=inside)
        if PARAMETERS:
            later = row >= width
            begin = tl.load(voltage + row - row_length, mask=inside & later, other=0.0)
            begin = tl.where(begin >= limit, begin - limit if SUBTRACT else 0.0, begin)
            begin = tl.where(later, begin, first)
            to_decay += grad_v * begin
            to_threshold -= through
        carry = d * grad_v
    tl.store(grad_decay + place, to_decay, mask=inside)
    tl.store(grad_threshold + place, to_threshold, mask=inside)
    tl.store(grad_state + place, carry, mask=inside)


def lif(
    current: Tensor, decay: Tensor, threshold: Tensor, state: Tensor, keep: bool, subtract: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, the state after the last step and the voltages, as :func:`ranvier.ops.lif.scan.lif_scan`."""
    inputs = [tensor.contiguous() for tensor in (current, decay, threshold, state)]
    spikes = torch.empty_like(inputs[0])
    end = torch.empty_like(inputs[3])
    voltage = torch.empty_like(inputs[0]) if keep else current.new_empty(0, 0, 0)
    launch(_lif, current, *inputs, spikes, end, voltage, KEEP=keep, SUBTRACT=subtract)
    return spikes, end, voltage


def lif_backward(
    grad_spikes: Tensor,
    grad_end: Tensor,
    voltage: Tensor,
    decay: Tensor,
    threshold: Tensor,
    state: Tensor,
    surrogate: str,
    alpha: float,
    parameters: bool,
    subtract: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients to current, decay, threshold and state, as :func:`ranvier.ops.lif.scan.lif_scan_backward`."""
    inputs = [tensor.contiguous() for tensor in (grad_spikes, grad_end, voltage, decay, threshold, state)]
    to_current = torch.empty_like(inputs[2])
    to_decay, to_threshold, to_state = (torch.empty_like(inputs[5]) for _ in range(3))
    outputs = (to_current, to_decay, to_threshold, to_state)
    kind = SURROGATES.index(surrogate)
    constants = {"ALPHA": alpha, "KIND": kind, "PARAMETERS": parameters, "SUBTRACT": subtract}
    launch(_lif_backward, voltage, *inputs, *outputs, **constants)
    return to_current, to_decay.sum(0), to_threshold.sum(0), to_state
