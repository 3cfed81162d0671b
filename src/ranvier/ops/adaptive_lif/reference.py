"""Adaptive leaky integrate-and-fire as the equation says it: one step after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.ops.surrogate import Surrogate, spike


def adaptive_lif(
    current: Tensor,
    decay: Tensor,
    adaptation_decay: Tensor,
    a: Tensor,
    b: Tensor,
    threshold: Tensor,
    state: Tensor | None,
    *,
    euler: str,
    surrogate: Surrogate,
    alpha: float,
) -> tuple[Tensor, Tensor]:
    def adapted(w: Tensor, u: Tensor, s: Tensor) -> Tensor:
        return adaptation_decay * w + (1 - adaptation_decay) * (a * u + b * s)

    u, w, s = [torch.zeros_like(current[0])] * 3 if state is None else state.unbind(1)
    spikes = []
    for step in current.unbind(0):
        v = decay * u + (1 - decay) * (step - w)
        if euler == "forward":
            w = adapted(w, u, s)
        # v - v is 0, or NaN where v is not finite: a comparison alone would hide it
        s = spike(v - threshold, surrogate, alpha) + (v - v).detach()
        u = v * (1 - s.detach())
        if euler == "symplectic":
            w = adapted(w, u, s)
        spikes.append(s)
    return torch.stack(spikes) if spikes else torch.empty_like(current), torch.stack([u, w, s], 1)
