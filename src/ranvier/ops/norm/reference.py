"""Batch normalisation over the steps that belong to clips, as the equation says it."""

from __future__ import annotations

import torch
from torch import Tensor


def sequence_norm(x: Tensor, steps: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    belongs = (torch.arange(len(x), device=x.device).unsqueeze(-1) < steps).unsqueeze(-1)
    count = belongs.sum().clamp(min=1)
    mean = (x * belongs).sum((0, 1)) / count
    distance = (x - mean) * belongs
    variance = (distance**2).sum((0, 1)) / count
    y = (weight * distance / torch.sqrt(variance + eps) + bias) * belongs
    return y, mean.detach(), variance.detach()
