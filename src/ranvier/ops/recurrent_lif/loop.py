"""A loop over time for any neurons and any device, with one matrix product a step where delays are axonal or dendritic.

axonal      I[t, j] += sum_k w[j, k] y[t, k]                y[t, k] = sum_m g(m; d[k], sigma) s[t - m, k]
dendritic   I[t, j] += sum_m g(m; d[j], sigma) u[t - m, j]  u[t, j] = sum_k w[j, k] s[t, k]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ranvier.ops.dense.reference import tap_kernel
from ranvier.ops.recurrent_lif import reference


def delays_of(weight: Tensor, delay: Tensor) -> str:
    """What a delay belongs to: ``synaptic``, ``axonal`` (``delay [1, 1, source]``) or ``dendritic``."""
    targets, sources = weight.shape[1:]
    if len(weight) > 1 or targets == 1 or delay.shape[1:] not in ((1, sources), (targets, 1)):
        return "synaptic"
    return "axonal" if delay.shape[1] == 1 else "dendritic"


def recurrent(
    current: Tensor,
    weight: Tensor,
    delay: Tensor,
    sigma: Tensor | float | None,
    neuron: Callable[[Tensor, Any], tuple[Tensor, Any]],
    state: Any,
    *,
    max_delay: int,
    kernel: str,
    gain: Tensor | None,
    history: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """As :func:`ranvier.ops.recurrent_lif.reference.recurrent`."""
    kind = delays_of(weight, delay)
    if kind == "synaptic" or not len(current):
        return reference.recurrent(
            current, weight, delay, sigma, neuron, state, max_delay=max_delay, kernel=kernel, gain=gain, history=history
        )
    matrix = weight[0].mT
    # [lag, 1, neuron]
    taps = tap_kernel(delay - 1, sigma, max_delay=max_delay - 1, kernel=kernel).flatten(0, 2).mT.unsqueeze(1)
    past = current.new_zeros(max_delay, *current.shape[1:])  # what the taps are for, the latest step first
    if history is not None:
        sent = history if kind == "axonal" else history @ matrix
        past = torch.cat([sent.flip(0), past])[:max_delay]
    spikes = []
    for step in current.unbind(0):
        received = (past * taps).sum(0)
        s, state = neuron((step + (received @ matrix if kind == "axonal" else received)).unsqueeze(0), state)
        sent = s if gain is None else s * gain
        past = torch.cat([sent if kind == "axonal" else sent @ matrix, past[:-1]])
        spikes.append(s)
    return torch.cat(spikes), state
