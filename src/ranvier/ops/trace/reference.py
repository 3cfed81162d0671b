"""The trace of a stateful synapse as the equation says it: one step after the other."""

from __future__ import annotations

import torch
from torch import Tensor


def trace(spikes: Tensor, decay: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    y = spikes.new_zeros(spikes.shape[1:]) if state is None else state
    lost = 1 - decay
    trace = []
    for s in spikes.unbind(0):
        y = y - (1 - s) * lost * y + s
        trace.append(y)
    return torch.stack(trace) if trace else torch.empty_like(spikes), y
