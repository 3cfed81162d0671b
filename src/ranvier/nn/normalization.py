"""Batch normalisation of sequences of unequal length."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ranvier.nn.settings import Settings, WithSettings
from ranvier.ops.inputs import clip_lengths, over_time
from ranvier.ops.norm import sequence_norm
from ranvier.ops.norm.synchronised import synchronised_norm


class SequenceBatchNorm(WithSettings, nn.BatchNorm1d):
    """Batch normalisation over the steps and clips of ``[time, batch, neuron]``.

    In training the statistics are those of the steps that belong to a clip, not of the padding that a batch adds,
    so that a clip's batch-mates do not change it by being longer.

    Args:
        num_features, eps, momentum, affine, track_running_stats: as :class:`torch.nn.BatchNorm1d`.
        positions: neurons in a row that share a feature, as those of a channel after :class:`ranvier.nn.DelayConv2d`
            do: there are ``num_features * positions`` neurons.

    Attributes:
        synchronised: in training, statistics are those of all processes of torch's default group, as
            :class:`torch.nn.SyncBatchNorm` has it.
    """

    synchronised: bool = False
    defined_by: ClassVar[Settings] = {"eps": ()}

    def __init__(self, *arguments: Any, positions: int = 1, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if positions < 1:
            raise ValueError(f"positions: {positions} is not allowed (1 or more)")
        self.positions = positions

    def forward(self, x: Tensor, steps: Tensor | None = None) -> Tensor:
        """Normalised ``x``; in training, steps from ``steps [batch]`` on are left out of the statistics and are 0."""
        like = next((t for t in (self.weight, self.running_mean) if t is not None), x)
        x = over_time("x", x, like, "neuron", self.num_features * self.positions)
        steps = None if steps is None else clip_lengths("steps", steps, x)
        if self.positions == 1:
            return self._normalised(x, steps)
        # a position is as good as a clip of its own
        clips = x.reshape(*x.shape[:2], self.num_features, self.positions).transpose(2, 3).flatten(1, 2)
        y = self._normalised(clips, None if steps is None else steps.repeat_interleave(self.positions))
        return y.view(*x.shape[:2], self.positions, self.num_features).transpose(2, 3).flatten(2)

    def _normalised(self, x: Tensor, steps: Tensor | None) -> Tensor:
        if not self.training or steps is None:
            return super().forward(x.flatten(0, 1)).view_as(x)
        weight = self.weight if self.affine else x.new_ones(self.num_features)
        bias = self.bias if self.affine else x.new_zeros(self.num_features)
        if self.synchronised:
            y, mean, variance, count = synchronised_norm(x, steps, weight, bias, self.eps)
        else:
            (y, mean, variance), count = sequence_norm(x, steps, weight, bias, eps=self.eps), steps.sum()
        self.follow(mean, variance, count)
        return y

    def fold(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight ``[..., feature, source]`` and bias ``[feature]`` that give, alone, what this gives in ``eval()``.

        Raises:
            TypeError: there are no running statistics.
        """
        if self.running_var is None or self.running_mean is None:
            raise TypeError("SequenceBatchNorm: cannot be frozen without running statistics (track_running_stats=True)")
        scale = 1 / (self.running_var.double() + self.eps).sqrt()
        scale = self.weight.double() * scale if self.affine else scale
        shift = self.bias.double() if self.affine else 0
        return weight * scale.unsqueeze(-1), (bias - self.running_mean.double()) * scale + shift

    def extra_repr(self) -> str:
        own: str = super().extra_repr()  # type: ignore[no-untyped-call]
        return own + ("" if self.positions == 1 else f", positions={self.positions}")

    @torch.no_grad()
    def follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics towards these of ``count`` steps, as torch does: the variance unbiased."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        mean, variance = (
            torch.where(count > 0, *pair) for pair in ((mean, self.running_mean), (variance, self.running_var))
        )
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.add_((mean - self.running_mean) * share)
        self.running_var.add_((variance * count / (count - 1).clamp(min=1) - self.running_var) * share)
