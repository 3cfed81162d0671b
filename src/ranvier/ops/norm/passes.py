"""Batch normalisation of sequences as operators of torch: compiled passes forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ranvier.ops.parallel import arrays, in_parallel


def sums(x: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Of x and of x^2 over each clip's steps, ``[batch, neuron]`` in double precision."""
    from ranvier.ops.norm import passes_cpu

    total, squares = (torch.empty(x.shape[1:], dtype=torch.float64) for _ in range(2))
    in_parallel(passes_cpu.sums, x.shape[1], *arrays(x, steps, total, squares))
    return total, squares


def statistics(total: Tensor, squares: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance ``[neuron]``, in double precision, from the :func:`sums` of all clips."""
    count = steps.sum().clamp(min=1)
    mean = total.sum(0) / count
    return mean, (squares.sum(0) / count - mean**2).clamp(min=0)


def backward_sums(grad: Tensor, x: Tensor, steps: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Of grad and of grad (x - mean) over each clip's steps, ``[batch, neuron]`` in double precision."""
    from ranvier.ops.norm import passes_cpu

    total, along = (torch.empty(x.shape[1:], dtype=torch.float64) for _ in range(2))
    in_parallel(passes_cpu.backward_sums, x.shape[1], *arrays(grad, x, steps, mean, total, along))
    return total, along


def gradient_parts(
    total: Tensor, along: Tensor, steps: Tensor, weight: Tensor, variance: Tensor, eps: float
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Tensor]:
    """What the gradient to x is of grad, of x - mean, and beside them; and the gradients to weight and bias.

    With n = (x - mean) / s, s = sqrt(variance + eps), means over the steps that belong to clips:
    grad x = weight / s (grad - mean(grad) - n mean(grad n)); to weight sum(grad n), to bias sum(grad).
    ``total`` and ``along`` are the :func:`backward_sums`.
    """
    count = steps.sum().clamp(min=1)
    inverse = 1 / torch.sqrt(variance.double() + eps)
    to_bias = total.sum(0)
    to_weight = along.sum(0) * inverse
    of_grad = weight.detach() * inverse
    parts = (of_grad, -of_grad * inverse * to_weight / count, -of_grad * to_bias / count)
    of_grad, of_x, constant = (part.to(weight.dtype) for part in parts)
    return (of_grad, of_x, constant), to_weight.to(weight.dtype), to_bias.to(weight.dtype)


def scale_of(weight: Tensor, variance: Tensor, eps: float) -> Tensor:
    """weight / sqrt(variance + eps)."""
    return (weight.detach() / torch.sqrt(variance.double() + eps)).to(weight.dtype)


@torch.library.custom_op("ranvier::sequence_norm", mutates_args=(), device_types="cpu")
def normalise(x: Tensor, steps: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`ranvier.ops.norm.sequence_norm`."""
    from ranvier.ops.norm import passes_cpu

    mean, variance = (part.to(x.dtype) for part in statistics(*sums(x, steps), steps))
    y = torch.empty(x.shape, dtype=x.dtype)
    in_parallel(
        passes_cpu.scale_and_shift, x.shape[1], *arrays(x, steps, mean, scale_of(weight, variance, eps), bias, y)
    )
    return y, mean, variance


@normalise.register_kernel("cuda")
def _(x: Tensor, steps: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    from ranvier.ops.norm import passes_cuda

    mean, variance = (part.to(x.dtype) for part in statistics(*passes_cuda.sums(x, steps), steps))
    y = passes_cuda.scale_and_shift(x, steps, mean, scale_of(weight, variance, eps), bias)
    return y, mean, variance


@normalise.register_fake
def _(x: Tensor, _steps: Tensor, weight: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape), weight.new_empty(weight.shape)


@torch.library.custom_op("ranvier::sequence_norm_backward", mutates_args=(), device_types="cpu")
def normalise_backward(
    grad: Tensor, x: Tensor, steps: Tensor, weight: Tensor, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to x, weight and bias."""
    from ranvier.ops.norm import passes_cpu

    parts, to_weight, to_bias = gradient_parts(*backward_sums(grad, x, steps, mean), steps, weight, variance, eps)
    to_x = torch.empty(x.shape, dtype=x.dtype)
    in_parallel(passes_cpu.combine, x.shape[1], *arrays(grad, x, steps, mean, *parts, to_x))
    return to_x, to_weight, to_bias


@normalise_backward.register_kernel("cuda")
def _(
    grad: Tensor, x: Tensor, steps: Tensor, weight: Tensor, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    from ranvier.ops.norm import passes_cuda

    along = passes_cuda.backward_sums(grad, x, steps, mean)
    parts, to_weight, to_bias = gradient_parts(*along, steps, weight, variance, eps)
    return passes_cuda.combine(grad, x, steps, mean, parts, in_place=False), to_weight, to_bias


@normalise_backward.register_fake
def _(_grad: Tensor, x: Tensor, _steps: Tensor, weight: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape), weight.new_empty(weight.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, steps, weight, _, ctx.eps = inputs
    _, mean, variance = output
    ctx.mark_non_differentiable(mean, variance)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, steps, weight, mean, variance)


def _gradients(ctx: Any, grad: Tensor | None, _mean: Any, _variance: Any) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 5
    to_x, to_weight, to_bias = normalise_backward(grad, *ctx.saved_tensors, ctx.eps)
    return to_x, None, to_weight, to_bias, None


normalise.register_autograd(_gradients, setup_context=_setup)
