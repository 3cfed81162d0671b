"""Launching kernels whose programs each take some elements of a range, or some neurons or clips through all steps."""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

_BLOCK = 128
_CLIPS = 16  # the fewest rows that triton's product takes
SIZES = ("time", "width", "neurons")
"""What :func:`launch` adds to a kernel's arguments; not compiled in, for they vary from batch to batch."""


def launch(kernel: Any, current: Tensor, *arguments: Any, **constants: Any) -> None:
    """Run ``kernel`` on ``arguments``, with programs for all neurons of ``current [time, batch, neuron]``."""
    time, batch, neurons = current.shape
    launch_range(kernel, current, batch * neurons, *arguments, time, batch * neurons, neurons, **constants)


def launch_clips(kernel: Any, current: Tensor, *arguments: Any, **constants: Any) -> None:
    """Run ``kernel`` on ``arguments`` and the sizes of ``current [time, batch, neuron]``, with programs of 16 clips."""
    launch_range(kernel, current, current.shape[1], *arguments, *current.shape, block=_CLIPS, **constants)


def launch_range(kernel: Any, like: Tensor, total: int, *arguments: Any, block: int = _BLOCK, **constants: Any) -> None:
    """Run ``kernel`` on ``arguments``, with programs for ``block`` each of 0 ... total, on the GPU of ``like``."""
    # triton launches on the current GPU, which need not be the tensors'
    with torch.cuda.device_of(like):
        # products and sums are not fused, so that numbers are those of the reference and of a CPU
        kernel[(triton.cdiv(total, block),)](*arguments, **constants, BLOCK=block, enable_fp_fusion=False)
