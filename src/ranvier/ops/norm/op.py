"""The contract of sequence normalisation: checks, then the plan."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.ops.inputs import clip_lengths, over_time
from ranvier.ops.norm import reference
from ranvier.ops.norm.passes import normalise
from ranvier.ops.scans import has_kernels, widened


def sequence_norm(
    x: Tensor, steps: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation over clips and over each clip's own steps; the padding of a batch is left out and becomes 0.

        mean, variance: over all t < steps[clip], biased
        y[t] = weight * (x[t] - mean) / sqrt(variance + eps) + bias    where t < steps[clip], else 0

    With a weight in half precision it is computed in float32.

    Args:
        x: ``[time, batch, neuron]``.
        steps: whole numbers ``[batch]``, steps that belong to each clip, in [0, time].
        weight, bias: ``[neuron]``.
        eps: added to the variance, > 0.

    Returns:
        y, and the mean and the variance ``[neuron]`` (for running statistics: no gradient flows through these two).

    Raises:
        ValueError: a shape, a type or a number of steps does not fit.

    Source: Ioffe & Szegedy 2015 (arXiv 1502.03167), over sequences as the official DCLS-Delays code does, but for the
    padding, which that code counts.
    """
    dtype = weight.dtype
    x, weight, bias = widened(x, weight, bias)
    x = over_time("x", x, weight, "neuron")
    steps = clip_lengths("steps", steps, x)
    for name, value in (("weight", weight), ("bias", bias)):
        if value.shape != x.shape[2:]:
            raise ValueError(f"{name}: shape {tuple(value.shape)} is not [{x.shape[2]}]")
    real = x.dtype in (torch.float32, torch.float64) and x.dtype == weight.dtype == bias.dtype
    if has_kernels(x.device) and real and x.numel():
        y, mean, variance = normalise(x, steps, weight, bias, eps)
    else:
        y, mean, variance = reference.sequence_norm(x, steps, weight, bias, eps)
    return y.to(dtype), mean.to(dtype), variance.to(dtype)
