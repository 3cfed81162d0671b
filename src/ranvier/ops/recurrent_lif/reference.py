"""Neurons with delayed recurrent connections as the equation says it: step by step, every tap of the past."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ranvier.ops.dense.reference import tap_kernel


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
    """Arguments as :func:`ranvier.ops.recurrent_lif.recurrent_lif`, with delays in [1, max_delay], for any neuron.

    ``neuron`` takes a current ``[1, batch, neuron]`` and its state, and returns spikes and state.
    """
    g = tap_kernel(delay - 1, sigma, max_delay=max_delay - 1, kernel=kernel)  # of lags 1 ... max_delay
    taps = (weight.unsqueeze(-1) * g).sum(0)
    past = current.new_zeros(max_delay, *current.shape[1:])  # what was sent, the latest step first
    if history is not None:
        past = torch.cat([history.flip(0), past])[:max_delay]
    spikes = []
    for step in current.unbind(0):
        received = torch.einsum("mbk,jkm->bj", past, taps)
        s, state = neuron((step + received).unsqueeze(0), state)
        past = torch.cat([s if gain is None else s * gain, past[:-1]])
        spikes.append(s)
    return torch.cat(spikes) if spikes else torch.empty_like(current), state
