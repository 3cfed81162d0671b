"""Which inputs a compiled scan over time takes, and in what form."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor


def is_scanned(current: Tensor, *others: Tensor | None) -> bool:
    """Whether a compiled scan takes these: real numbers of one type on one device, and something to compute."""
    real = current.dtype in (torch.float32, torch.float64)
    alike = all(t is None or (t.device, t.dtype) == (current.device, current.dtype) for t in others)
    return has_kernels(current.device) and real and alike and current.numel() > 0


def has_kernels(device: torch.device) -> bool:
    """Whether compiled loops or kernels run on a device; on "meta" they give shapes, types and devices alone."""
    return device.type in ("cpu", "meta") or (device.type == "cuda" and _has_triton())


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None  # comes with torch's CUDA builds for Linux


def widened(*inputs: Any) -> list[Any]:
    """Half precision (float16, bfloat16) as float32, in which scans and sums compute; all else as it is."""
    half = (torch.float16, torch.bfloat16)
    return [x.float() if isinstance(x, Tensor) and x.dtype in half else x for x in inputs]


def per_neuron(current: Tensor, *values: Tensor) -> list[Tensor]:
    """Values, scalar or ``[neuron]``, as ``[neuron]``."""
    return [value.expand(current.shape[2]) for value in values]


def start(current: Tensor, state: Tensor | None, rows: tuple[int, ...] = ()) -> Tensor:
    """The state ``[batch, *rows, neuron]`` that a scan begins with."""
    return current.new_zeros(current.shape[1], *rows, current.shape[2]) if state is None else state
