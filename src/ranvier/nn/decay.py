"""The share of a layer that a step keeps, fixed or learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class _Kept(nn.Module):
    """decay = 1 - sigmoid(w): between 0 and 1, whatever w an optimiser comes to."""

    def forward(self, w: Tensor) -> Tensor:
        return torch.sigmoid(-w)


def register_decay(module: nn.Module, decay: float, *, learn: bool, of: str = "voltage") -> None:
    """Give a module its ``decay``, one number for the whole layer: a buffer, or made of a learned parameter w.

        decay = 1 - sigmoid(w), so that 1 / tau = sigmoid(w) with tau in steps (Euler's rule)

    Args:
        module: gets the attribute ``decay``, a scalar tensor; if learned, w is ``parametrizations.decay.original``.
        decay: share kept per step at the start, in [0, 1]; within (0, 1) if learned.
        learn: whether training moves it.
        of: what is kept, for the message.

    Raises:
        ValueError: decay is out of range.

    Source: Fang et al. 2021 (arXiv 2007.05785), as SpikingJelly's ParametricLIFNode has it.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay: {decay} is not allowed (0 ... 1, the share of the {of} kept per step)")
    if not learn:
        module.register_buffer("decay", torch.tensor(float(decay)))
        return
    if not 0 < decay < 1:
        raise ValueError(f"decay: {decay} is not allowed where it is learned (above 0 and below 1)")
    module.register_parameter("decay", nn.Parameter(torch.tensor(math.log((1 - decay) / decay))))
    parametrize.register_parametrization(module, "decay", _Kept())
