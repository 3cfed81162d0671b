"""Leaky integrators as the equation says it: one step after the other."""

from __future__ import annotations

import torch
from torch import Tensor


def leaky_integrator(current: Tensor, decay: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    v = current.new_zeros(current.shape[1:]) if state is None else state
    voltages = []
    for step in current.unbind(0):
        v = decay * v + step
        voltages.append(v)
    return torch.stack(voltages) if voltages else torch.empty_like(current), v
