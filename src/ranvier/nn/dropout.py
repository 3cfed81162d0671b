"""Dropout of whole neurons for whole clips."""

from __future__ import annotations

from torch import Tensor, nn


class ClipDropout(nn.Dropout):
    """Silence a neuron for a whole clip: one mask per clip and neuron, the same at every time step.

    Much stronger than a fresh mask per step, which mostly averages out (SpikingJelly's multi-step dropout does the
    same as this). Args as :class:`torch.nn.Dropout`.

    Attributes:
        rows: (start, stop, size): the clips are these rows of a batch of ``size`` clips, for all of which the mask is
            drawn, so that processes that share a batch silence what one alone would. None: they are the whole batch.
    """

    rows: tuple[int, int, int] | None = None

    def mask(self, x: Tensor) -> Tensor:
        """What each neuron of ``x [time, batch, neuron]`` is worth, ``[batch, neuron]``: 0 or 1 / (1 - p)."""
        start, stop, size = self.rows or (0, x.shape[1], x.shape[1])
        return super().forward(x.new_ones(size, x.shape[2]))[start:stop]

    def forward(self, x: Tensor) -> Tensor:
        """``x [time, batch, neuron]`` with silenced neurons 0 and the others scaled by 1 / (1 - p)."""
        return x * self.mask(x) if self.training and self.p > 0 else x
