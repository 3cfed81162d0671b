"""Batch normalisation of sequences of unequal length."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SequenceBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the steps and clips of ``[time, batch, neuron]``.

    In training the statistics are those of the steps that belong to a clip, not of the padding that a batch adds,
    so that a clip's batch-mates do not change it by being longer. Args as :class:`torch.nn.BatchNorm1d`.
    """

    def forward(self, x: Tensor, steps: Tensor | None = None) -> Tensor:
        """Normalised ``x``; in training, steps from ``steps [batch]`` on are left out of the statistics and are 0."""
        if not self.training or steps is None:
            return super().forward(x.flatten(0, 1)).view_as(x)
        belongs = torch.arange(len(x), device=x.device).unsqueeze(-1) < steps
        return torch.zeros_like(x).masked_scatter(belongs.unsqueeze(-1), super().forward(x[belongs]))
