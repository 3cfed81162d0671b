"""The weighted taps of every pair of neurons, with a gradient written by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ranvier.ops.parallel import arrays, in_parallel


@torch.library.custom_op("ranvier::delay_taps", mutates_args=(), device_types="cpu")
def weighted_taps(
    weight: Tensor, delay: Tensor, sigma: Tensor | None, kernel: str, max_delay: int, kept: int
) -> Tensor:
    """sum_synapse weight g(m; delay, sigma) for m = 0 ... kept - 1, the sum in g going on to ``max_delay``.

    Args:
        weight, delay: ``[synapse, target, source]``.
        sigma: width in steps, a single number on the device of ``weight``; None takes one tap at the rounded delay.
        kernel: ``gaussian`` or ``triangle``; others have no compiled taps.
        max_delay: longest delay in steps.
        kept: taps wanted, <= max_delay + 1.

    Returns:
        ``[target, source, kept]``.
    """
    from ranvier.ops.dense import taps_cpu

    out = weight.new_empty(*weight.shape[1:], kept)
    in_parallel(
        taps_cpu.taps,
        weight[0].numel(),
        *arrays(weight.flatten(1), delay.flatten(1)),
        0.0 if sigma is None else float(sigma),
        kernel == "triangle",
        sigma is None,
        max_delay,
        *arrays(out.view(-1, kept)),
    )
    return out


@weighted_taps.register_kernel("cuda")
def _(*inputs: Any) -> Tensor:
    from ranvier.ops.dense import taps_cuda

    return taps_cuda.weighted_taps(*inputs)


@weighted_taps.register_fake
def _(weight: Tensor, delay: Tensor, sigma: Tensor | None, kernel: str, max_delay: int, kept: int) -> Tensor:
    return weight.new_empty(*weight.shape[1:], kept)


@torch.library.custom_op("ranvier::delay_taps_backward", mutates_args=(), device_types="cpu")
def weighted_taps_backward(
    grad: Tensor, weight: Tensor, delay: Tensor, sigma: Tensor | None, kernel: str, max_delay: int
) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`weighted_taps` to weight and delay from ``grad [target, source, kept]``."""
    from ranvier.ops.dense import taps_cpu

    to_weight, to_delay = (torch.empty(weight.shape, dtype=weight.dtype) for _ in range(2))
    taps_first = grad.permute(2, 0, 1).contiguous()  # as the convolution's backward makes it: no copy
    in_parallel(
        taps_cpu.taps_backward,
        weight[0].numel(),
        *arrays(weight.flatten(1), delay.flatten(1)),
        0.0 if sigma is None else float(sigma),
        kernel == "triangle",
        sigma is None,
        max_delay,
        *arrays(taps_first.flatten(1)),
        *arrays(to_weight.flatten(1), to_delay.flatten(1)),
    )
    return to_weight, to_delay


@weighted_taps_backward.register_kernel("cuda")
def _(*inputs: Any) -> tuple[Tensor, Tensor]:
    from ranvier.ops.dense import taps_cuda

    return taps_cuda.weighted_taps_backward(*inputs)


@weighted_taps_backward.register_fake
def _(_grad: Tensor, weight: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return weight.new_empty(weight.shape), weight.new_empty(weight.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    weight, delay, sigma, ctx.kernel, ctx.max_delay, _ = inputs
    ctx.save_for_backward(weight, delay, sigma)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    weight, delay, sigma = ctx.saved_tensors
    to_weight, to_delay = weighted_taps_backward(grad, weight, delay, sigma, ctx.kernel, ctx.max_delay)
    return to_weight, to_delay, None, None, None, None


weighted_taps.register_autograd(_gradients, setup_context=_setup)
