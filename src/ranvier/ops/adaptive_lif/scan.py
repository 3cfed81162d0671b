"""The scan over time as an operator of torch: compiled loops on a CPU (numba) and on a GPU (triton).

``values [5, neuron]`` are decay, adaptation_decay, a, b and threshold; ``state [batch, 3, neuron]`` is voltage after
reset, adaptation and spikes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ranvier.ops.parallel import arrays, in_parallel, scalar

Scanned = tuple[Tensor, Tensor, Tensor, Tensor]


@torch.library.custom_op("ranvier::adaptive_lif_scan", mutates_args=(), device_types="cpu")
def adaptive_lif_scan(
    current: Tensor, values: Tensor, state: Tensor, symplectic: bool, surrogate: str, alpha: float, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`ranvier.ops.adaptive_lif.adaptive_lif` with its parameters in one tensor.

    Returns:
        Spikes, the state after the last step, and, if they are to be kept for backward (else empty), of every step the
        voltage before reset and the adaptation that it began with.
    """
    from ranvier.ops.adaptive_lif import scan_cpu

    spikes = torch.empty(current.shape, dtype=current.dtype)
    end = torch.empty(state.shape, dtype=state.dtype)
    kept = [torch.empty(current.shape if keep else (0, 0, 0), dtype=current.dtype) for _ in range(2)]
    inputs = arrays(current, values, state)
    in_parallel(scan_cpu.adaptive_lif, current.shape[1], *inputs, symplectic, keep, *arrays(spikes, end, *kept))
    return spikes, end, kept[0], kept[1]


@adaptive_lif_scan.register_kernel("cuda")
def _(
    current: Tensor, values: Tensor, state: Tensor, symplectic: bool, surrogate: str, alpha: float, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from ranvier.ops.adaptive_lif import scan_cuda

    return scan_cuda.adaptive_lif(current, values, state, symplectic, keep)


@adaptive_lif_scan.register_fake
def _(
    current: Tensor, values: Tensor, state: Tensor, symplectic: bool, surrogate: str, alpha: float, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    voltage, adaptation = (current.new_empty(current.shape if keep else (0, 0, 0)) for _ in range(2))
    return current.new_empty(current.shape), state.new_empty(state.shape), voltage, adaptation


@torch.library.custom_op("ranvier::adaptive_lif_scan_backward", mutates_args=(), device_types="cpu")
def adaptive_lif_scan_backward(
    grad_spikes: Tensor,
    grad_end: Tensor,
    voltage: Tensor,
    adaptation: Tensor,
    values: Tensor,
    state: Tensor,
    symplectic: bool,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to current, values and state."""
    from ranvier.ops.adaptive_lif import scan_cpu

    to_current = torch.empty(voltage.shape, dtype=voltage.dtype)
    to_state = torch.empty(state.shape, dtype=state.dtype)
    to_values = torch.zeros(len(state), *values.shape, dtype=values.dtype)
    shape = (scan_cpu.SURROGATES.index(surrogate), scalar(voltage, alpha), scalar(voltage, math.pi / 2 * alpha))
    inputs = arrays(grad_spikes, grad_end, voltage, adaptation, values, state)
    outputs = arrays(to_current, to_values, to_state)
    in_parallel(scan_cpu.adaptive_lif_backward, voltage.shape[1], *inputs, symplectic, *shape, *outputs)
    return to_current, to_values.sum(0), to_state


@adaptive_lif_scan_backward.register_kernel("cuda")
def _(
    grad_spikes: Tensor,
    grad_end: Tensor,
    voltage: Tensor,
    adaptation: Tensor,
    values: Tensor,
    state: Tensor,
    symplectic: bool,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    from ranvier.ops.adaptive_lif import scan_cuda

    inputs = (grad_spikes, grad_end, voltage, adaptation, values, state)
    return scan_cuda.adaptive_lif_backward(inputs, symplectic, surrogate, alpha)


@adaptive_lif_scan_backward.register_fake
def _(
    grad_spikes: Tensor,
    grad_end: Tensor,
    voltage: Tensor,
    adaptation: Tensor,
    values: Tensor,
    state: Tensor,
    symplectic: bool,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    to_current, to_values, to_state = (tensor.new_empty(tensor.shape) for tensor in (voltage, values, state))
    return to_current, to_values, to_state


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Scanned) -> None:
    _, values, state, ctx.symplectic, ctx.surrogate, ctx.alpha, _ = inputs
    voltage, adaptation = output[2:]
    ctx.mark_non_differentiable(voltage, adaptation)
    ctx.set_materialize_grads(False)  # else zeros of their size would be made for every backward
    ctx.save_for_backward(voltage, adaptation, values, state)


def _gradients(ctx: Any, grad_spikes: Tensor | None, grad_end: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    voltage, _, _, state = ctx.saved_tensors
    if grad_spikes is None:
        grad_spikes = torch.zeros_like(voltage)
    if grad_end is None:
        grad_end = torch.zeros_like(state)
    options = (ctx.symplectic, ctx.surrogate, ctx.alpha)
    gradients = adaptive_lif_scan_backward(grad_spikes, grad_end, *ctx.saved_tensors, *options)
    return *gradients, None, None, None, None


adaptive_lif_scan.register_autograd(_gradients, setup_context=_setup)
