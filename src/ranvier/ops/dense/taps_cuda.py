"""Every synapse's tap and its gradient on a GPU: a program takes some synapses through all taps."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ranvier.ops.launch_cuda import launch_range

KINDS = ("gaussian", "triangle", "frozen")  # by number, as the kernels take them
_EPSILON = tl.constexpr(1e-7)
_SIZES = ("taps", "kept", "pairs", "synapses")


@triton.jit
def _tap(distance, sigma, KIND: tl.constexpr):
    """g at ``distance`` = m - d, not normalised."""
    if KIND == 0:
        ratio = distance / sigma
        g = tl.exp(-0.5 * ratio * ratio)
    else:
        height = 1 + sigma - tl.abs(distance)
        g = tl.where(height < 0, 0.0, height)  # NaN stays NaN
    return g


@triton.jit(do_not_specialize=_SIZES)
def _taps(weight, delay, sigma, out, taps, kept, pairs, synapses, KIND: tl.constexpr, BLOCK: tl.constexpr):
    """out ``[synapse, tap, pair]``; weight and delay ``[synapse, pair]``, the latter whole numbers if frozen."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < synapses
    w = tl.load(weight + place, mask=inside, other=0.0)
    d = tl.load(delay + place, mask=inside, other=0.0)
    first = place // pairs * pairs * kept + place % pairs
    row_length = tl.zeros_like(place) + pairs  # 64 bits wide, as place
    if KIND == 2:
        for m in range(kept):
            tl.store(out + first + row_length * m, w * (d == m).to(w.dtype), mask=inside)
    else:
        width = tl.load(sigma)
        total = tl.zeros_like(w)
        for m in range(taps):
            total += _tap(m - d, width, KIND)
        scale = w / (_EPSILON + total)
        for m in range(kept):
            tl.store(out + first + row_length * m, scale * _tap(m - d, width, KIND), mask=inside)


@triton.jit(do_not_specialize=_SIZES)
def _taps_backward(
    weight, delay, sigma, grad, grad_weight, grad_delay, taps, kept, pairs, synapses,
    KIND: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients ``[synapse, pair]`` from ``grad [tap, pair]``, by the equation in taps_cpu.py."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < synapses
    w = tl.load(weight + place, mask=inside, other=0.0)
    d = tl.load(delay + place, mask=inside, other=0.0)
    pair = place % pairs
    row_length = tl.zeros_like(place) + pairs  # 64 bits wide, as place
    along_g = tl.zeros_like(w)
    along_slope = tl.zeros_like(w)
    slopes = tl.zeros_like(w)
    total = tl.zeros_like(w)
    if KIND == 2:
        for m in range(kept):
            along_g += tl.load(grad + pair + row_length * m, mask=inside, other=0.0) * (d == m).to(w.dtype)
    else:
        width = tl.load(sigma)
        for m in range(taps):
            distance = m - d
            g = _tap(distance, width, KIND)
            if KIND == 0:
                slope = g * distance / width / width
            else:  # one-sided where the triangle ends, as torch's clamp has it
                sign = (distance > 0).to(w.dtype) - (distance < 0).to(w.dtype)
                slope = tl.where(1 + width - tl.abs(distance) >= 0, sign, 0.0)
            total += g
            slopes += slope
            here = tl.load(grad + pair + row_length * m, mask=inside & (m < kept), other=0.0)
            along_g += g * here
            along_slope += slope * here
        along_g = along_g / (_EPSILON + total)
        along_slope = w * (along_slope - along_g * slopes) / (_EPSILON + total)
    tl.store(grad_weight + place, along_g, mask=inside)
    tl.store(grad_delay + place, along_slope, mask=inside)


def _inputs(weight: Tensor, delay: Tensor, sigma: Tensor | None, kernel: str) -> tuple[list[Tensor], int]:
    if sigma is None:
        return [weight.contiguous(), delay.round().contiguous(), weight], KINDS.index("frozen")
    return [weight.contiguous(), delay.contiguous(), sigma.to(weight.dtype)], KINDS.index(kernel)


def weighted_taps(
    weight: Tensor, delay: Tensor, sigma: Tensor | None, kernel: str, max_delay: int, kept: int
) -> Tensor:
    """As :func:`ranvier.ops.dense.taps.weighted_taps`; ``sigma`` is on the GPU, so that nothing waits for it."""
    synapses_per_pair, targets, sources = weight.shape
    inputs, kind = _inputs(weight, delay, sigma, kernel)
    out = weight.new_empty(synapses_per_pair, kept, targets, sources)
    sizes = (max_delay + 1, kept, targets * sources, weight.numel())
    launch_range(_taps, weight, weight.numel(), *inputs, out, *sizes, KIND=kind)
    summed = out.sum(0) if synapses_per_pair > 1 else out.squeeze(0)
    return summed.permute(1, 2, 0).contiguous()


def weighted_taps_backward(
    grad: Tensor, weight: Tensor, delay: Tensor, sigma: Tensor | None, kernel: str, max_delay: int
) -> tuple[Tensor, Tensor]:
    """As :func:`ranvier.ops.dense.taps.weighted_taps_backward`."""
    inputs, kind = _inputs(weight, delay, sigma, kernel)
    to_weight, to_delay = (torch.empty_like(inputs[0]) for _ in range(2))
    taps_first = grad.permute(2, 0, 1).contiguous()  # as the convolution's backward makes it: no copy
    sizes = (max_delay + 1, grad.shape[2], weight[0].numel(), weight.numel())
    launch_range(_taps_backward, weight, weight.numel(), *inputs, taps_first, to_weight, to_delay, *sizes, KIND=kind)
    return to_weight, to_delay
