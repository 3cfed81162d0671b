"""Launching a kernel whose programs each take some neurons through all time steps."""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

_BLOCK = 128


def launch(kernel: Any, current: Tensor, *arguments: Any, **constants: Any) -> None:
    """Run ``kernel`` on ``arguments``, with programs for all neurons of ``current [time, batch, neuron]``."""
    time, batch, neurons = current.shape
    width = batch * neurons
    # triton launches on the current GPU, which need not be the tensors'
    with torch.cuda.device_of(current):
        kernel[(triton.cdiv(width, _BLOCK),)](
            *arguments, time, width, neurons, **constants, BLOCK=_BLOCK, enable_fp_fusion=False
        )
