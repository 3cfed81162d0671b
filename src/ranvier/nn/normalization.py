"""Batch normalisation of sequences of unequal length."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ranvier.ops.norm import sequence_norm


class SequenceBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the steps and clips of ``[time, batch, neuron]``.

    In training the statistics are those of the steps that belong to a clip, not of the padding that a batch adds,
    so that a clip's batch-mates do not change it by being longer. Args as :class:`torch.nn.BatchNorm1d`.
    """

    def forward(self, x: Tensor, steps: Tensor | None = None) -> Tensor:
        """Normalised ``x``; in training, steps from ``steps [batch]`` on are left out of the statistics and are 0."""
        if not self.training or steps is None:
            return super().forward(x.flatten(0, 1)).view_as(x)
        y, mean, variance = sequence_norm(x, steps, self.weight, self.bias, eps=self.eps)
        self._follow(mean, variance, steps.sum())
        return y

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics towards these, as torch does: the variance unbiased."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
