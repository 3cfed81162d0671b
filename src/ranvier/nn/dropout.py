"""Dropout of whole neurons for whole clips."""

from __future__ import annotations

from torch import Tensor, nn


class ClipDropout(nn.Dropout1d):
    """Silence a neuron for a whole clip: one mask per clip and neuron, the same at every time step.

    Much stronger than a fresh mask per step, which mostly averages out (SpikingJelly's multi-step dropout does the
    same as this). Args as :class:`torch.nn.Dropout1d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``x [time, batch, neuron]`` with silenced neurons 0 and the others scaled by 1 / (1 - p)."""
        return super().forward(x.permute(1, 2, 0)).permute(2, 0, 1)
