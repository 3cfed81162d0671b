"""Leaky integrate-and-fire as the equation says it: one step after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.ops.surrogate import Surrogate, spike


def lif(
    current: Tensor,
    decay: Tensor,
    threshold: Tensor,
    state: Tensor | None,
    *,
    surrogate: Surrogate,
    alpha: float,
    reset: str = "zero",
) -> tuple[Tensor, Tensor]:
    v = current.new_zeros(current.shape[1:]) if state is None else state
    spikes = []
    for step in current.unbind(0):
        v = decay * v + step
        # v - v is 0, or NaN where v is not finite: a comparison alone would hide it
        s = spike(v - threshold, surrogate, alpha) + (v - v).detach()
        v = v - (threshold * s).detach() if reset == "subtract" else v * (1 - s.detach())
        spikes.append(s)
    return torch.stack(spikes) if spikes else torch.empty_like(current), v
