"""Dropout of whole neurons for whole clips."""

from __future__ import annotations

from torch import Tensor, nn


class ClipDropout(nn.Dropout):
    """Silence a neuron for a whole clip: one mask per clip and neuron, the same at every time step.

    Much stronger than a fresh mask per step, which mostly averages out (SpikingJelly's multi-step dropout does the
    same as this). Args as :class:`torch.nn.Dropout`.
    """

    def mask(self, x: Tensor) -> Tensor:
        """What each neuron of ``x [time, batch, neuron]`` is worth, ``[batch, neuron]``: 0 or 1 / (1 - p)."""
        return super().forward(x.new_ones(x.shape[1:]))

    def forward(self, x: Tensor) -> Tensor:
        """``x [time, batch, neuron]`` with silenced neurons 0 and the others scaled by 1 / (1 - p)."""
        return x * self.mask(x) if self.training and self.p > 0 else x
