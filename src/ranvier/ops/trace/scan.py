"""The scan over time as an operator of torch: compiled loops on a CPU (numba) and on a GPU (triton)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ranvier.ops.parallel import arrays, in_parallel


@torch.library.custom_op("ranvier::trace_scan", mutates_args=(), device_types="cpu")
def trace_scan(spikes: Tensor, decay: Tensor, state: Tensor) -> Tensor:
    """The trace of :func:`ranvier.ops.trace.op.trace`; decay ``[neuron]``, state ``[batch, neuron]``."""
    from ranvier.ops.trace import scan_cpu

    y = torch.empty(spikes.shape, dtype=spikes.dtype)
    in_parallel(scan_cpu.trace, spikes.shape[1], *arrays(spikes, decay, state, y))
    return y


@trace_scan.register_kernel("cuda")
def _(spikes: Tensor, decay: Tensor, state: Tensor) -> Tensor:
    from ranvier.ops.trace import scan_cuda

    return scan_cuda.trace(spikes, decay, state)


@trace_scan.register_fake
def _(spikes: Tensor, decay: Tensor, state: Tensor) -> Tensor:
    return spikes.new_empty(spikes.shape)


@torch.library.custom_op("ranvier::trace_scan_backward", mutates_args=(), device_types="cpu")
def trace_scan_backward(
    grad: Tensor, spikes: Tensor, y: Tensor, decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to spikes, decay and state."""
    from ranvier.ops.trace import scan_cpu

    to_spikes = torch.empty(y.shape, dtype=y.dtype)
    to_state, to_decay = (torch.empty(state.shape, dtype=state.dtype) for _ in range(2))
    inputs = arrays(grad, spikes, y, decay, state)
    in_parallel(scan_cpu.trace_backward, y.shape[1], *inputs, *arrays(to_spikes, to_state, to_decay))
    return to_spikes, to_decay.sum(0), to_state


@trace_scan_backward.register_kernel("cuda")
def _(grad: Tensor, spikes: Tensor, y: Tensor, decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    from ranvier.ops.trace import scan_cuda

    return scan_cuda.trace_backward(grad, spikes, y, decay, state)


@trace_scan_backward.register_fake
def _(grad: Tensor, spikes: Tensor, y: Tensor, decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return y.new_empty(y.shape), decay.new_empty(decay.shape), state.new_empty(state.shape)


def _setup(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    spikes, decay, state = inputs
    ctx.save_for_backward(spikes, output, decay, state)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    to_spikes, to_decay, to_state = trace_scan_backward(grad, *ctx.saved_tensors)
    return to_spikes, to_decay, to_state


trace_scan.register_autograd(_gradients, setup_context=_setup)
