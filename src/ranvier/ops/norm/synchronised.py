"""Batch normalisation over the steps that belong to clips, of all processes that share a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def synchronised_norm(
    x: Tensor, steps: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`ranvier.ops.norm.sequence_norm` with sums over all processes of torch's default group.

    Returns:
        y; mean and variance ``[neuron]``; and how many steps they are of, in all processes.
    """
    belongs = (torch.arange(len(x), device=x.device).unsqueeze(-1) < steps).unsqueeze(-1)
    total = _sum(steps.sum())
    count = total.clamp(min=1)
    mean = _sum((x * belongs).sum((0, 1))) / count
    distance = (x - mean) * belongs
    variance = _sum((distance**2).sum((0, 1))) / count
    y = (weight * distance / torch.sqrt(variance + eps) + bias) * belongs
    return y, mean.detach(), variance.detach(), total


def _sum(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    """The sum over all processes; backward adds the gradients of all of them, for each has used the sum."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total
