"""Normalised integrate-and-fire as an operator of torch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ranvier.ops.norm.passes import backward_sums, gradient_parts, scale_of, statistics, sums
from ranvier.ops.parallel import arrays, in_parallel, scalar


@torch.library.custom_op("ranvier::normed_lif_scan", mutates_args=(), device_types="cpu")
def normed_lif_scan(
    current: Tensor,
    steps: Tensor,
    weight: Tensor,
    bias: Tensor,
    decay: Tensor,
    threshold: Tensor,
    gain: Tensor,
    eps: float,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`ranvier.ops.normed_lif.normed_lif` with decay and threshold ``[neuron]``."""
    from ranvier.ops.normed_lif import scan_cpu

    # rounded before the scale is taken from them: backward has only these, and must find the same voltages
    mean, variance = (part.to(current.dtype) for part in statistics(*sums(current, steps), steps))
    scale = scale_of(weight, variance, eps)
    kept, out = torch.empty(gain.shape, dtype=gain.dtype), torch.empty(current.shape, dtype=current.dtype)
    inputs = arrays(current, steps, mean, scale, bias, decay, threshold, gain)
    in_parallel(scan_cpu.spikes, current.shape[1], *inputs, *arrays(kept, out))
    return out, mean, variance


@normed_lif_scan.register_kernel("cuda")
def _(*inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    from ranvier.ops.norm import passes_cuda
    from ranvier.ops.normed_lif import scan_cuda

    current, steps, weight, bias, decay, threshold, gain, eps, _, _ = inputs
    mean, variance = (part.to(current.dtype) for part in statistics(*passes_cuda.sums(current, steps), steps))
    scale = scale_of(weight, variance, eps)
    return scan_cuda.spikes(current, steps, mean, scale, bias, decay, threshold, gain), mean, variance


@normed_lif_scan.register_fake
def _(current: Tensor, _steps: Tensor, weight: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return current.new_empty(current.shape), weight.new_empty(weight.shape), weight.new_empty(weight.shape)


@torch.library.custom_op("ranvier::normed_lif_scan_backward", mutates_args=(), device_types="cpu")
def normed_lif_scan_backward(
    grad: Tensor,
    current: Tensor,
    steps: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    decay: Tensor,
    threshold: Tensor,
    gain: Tensor,
    eps: float,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to current, weight and bias."""
    from ranvier.ops.lif.scan_cpu import SURROGATES, normed_lif_backward
    from ranvier.ops.normed_lif import scan_cpu

    batch = current.shape[1]
    kept, buffer = torch.empty(gain.shape, dtype=gain.dtype), torch.empty(current.shape, dtype=current.dtype)
    x, own, middle, buffer_, kept_ = arrays(current, steps, mean, buffer, kept)
    scale_bias = arrays(scale_of(weight, variance, eps), bias)
    leak = arrays(decay, threshold)
    in_parallel(scan_cpu.voltages, batch, x, own, middle, *scale_bias, *leak, kept_, buffer_)
    shape = (SURROGATES.index(surrogate), scalar(current, alpha), scalar(current, math.pi / 2 * alpha))
    in_parallel(normed_lif_backward, batch, *arrays(grad, gain), buffer_, *leak, *shape, kept_)
    total, along = backward_sums(buffer, current, steps, mean)
    parts, to_weight, to_bias = gradient_parts(total, along, steps, weight, variance, eps)
    in_parallel(scan_cpu.norm_backward, batch, buffer_, x, own, middle, *arrays(*parts))
    return buffer, to_weight, to_bias


@normed_lif_scan_backward.register_kernel("cuda")
def _(*inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    from ranvier.ops.norm import passes_cuda
    from ranvier.ops.normed_lif import scan_cuda

    grad, current, steps, weight, bias, mean, variance, decay, threshold, gain, eps, surrogate, alpha = inputs
    scale = scale_of(weight, variance, eps)
    inputs = (current, steps, mean, scale, bias, decay, threshold, gain)
    buffer, total, along = scan_cuda.backward(grad, *inputs, surrogate, alpha)
    parts, to_weight, to_bias = gradient_parts(total, along, steps, weight, variance, eps)
    return passes_cuda.combine(buffer, current, steps, mean, parts, in_place=True), to_weight, to_bias


@normed_lif_scan_backward.register_fake
def _(_grad: Tensor, current: Tensor, _steps: Tensor, weight: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return current.new_empty(current.shape), weight.new_empty(weight.shape), weight.new_empty(weight.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    current, steps, weight, bias, decay, threshold, gain, ctx.eps, ctx.surrogate, ctx.alpha = inputs
    _, mean, variance = output
    ctx.mark_non_differentiable(mean, variance)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(current, steps, weight, bias, mean, variance, decay, threshold, gain)


def _gradients(ctx: Any, grad: Tensor | None, _mean: Any, _variance: Any) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 10
    to_current, to_weight, to_bias = normed_lif_scan_backward(
        grad, *ctx.saved_tensors, ctx.eps, ctx.surrogate, ctx.alpha
    )
    return to_current, None, to_weight, to_bias, *(None,) * 6


normed_lif_scan.register_autograd(_gradients, setup_context=_setup)
