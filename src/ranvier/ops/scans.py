"""Which inputs a compiled scan over time takes, and in what form."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor


def is_scanned(current: Tensor, *others: Tensor | None) -> bool:
    """Whether a compiled scan takes these: real numbers of one type on one device, and something to compute."""
    compiled = current.device.type == "cpu" or (current.device.type == "cuda" and _has_triton())
    real = current.dtype in (torch.float32, torch.float64)
    alike = all(t is None or (t.device, t.dtype) == (current.device, current.dtype) for t in others)
    return compiled and real and alike and current.numel() > 0


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None  # comes with torch's CUDA builds for Linux


def per_neuron(current: Tensor, *values: Tensor) -> list[Tensor]:
    """Values, scalar or ``[neuron]``, as ``[neuron]``."""
    return [value.expand(current.shape[2]) for value in values]


def start(current: Tensor, state: Tensor | None) -> Tensor:
    """The state ``[batch, neuron]`` that a scan begins with."""
    return current.new_zeros(current.shape[1:]) if state is None else state
