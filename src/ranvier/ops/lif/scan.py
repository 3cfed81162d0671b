"""The scans over time as operators of torch: compiled loops on a CPU (numba) and on a GPU (triton)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ranvier.ops.parallel import arrays, in_parallel, scalar


@torch.library.custom_op("ranvier::lif_scan", mutates_args=(), device_types="cpu")
def lif_scan(
    current: Tensor,
    decay: Tensor,
    threshold: Tensor,
    state: Tensor,
    surrogate: str,
    alpha: float,
    keep: bool,
    subtract: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`ranvier.ops.lif.lif` with decay and threshold ``[neuron]`` and state ``[batch, neuron]``.

    Returns:
        Spikes, the state after the last step, and the voltages before reset if they are to be ``kept`` for backward
        (else an empty tensor).
    """
    from ranvier.ops.lif import scan_cpu

    spikes = torch.empty(current.shape, dtype=current.dtype)
    end = torch.empty(state.shape, dtype=state.dtype)
    voltage = torch.empty(current.shape if keep else (0, 0, 0), dtype=current.dtype)
    inputs = arrays(current, decay, threshold, state)
    in_parallel(scan_cpu.lif, current.shape[1], *inputs, keep, subtract, *arrays(spikes, end, voltage))
    return spikes, end, voltage


@lif_scan.register_kernel("cuda")
def _(*inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    from ranvier.ops.lif import scan_cuda

    current, decay, threshold, state, _, _, keep, *subtract = inputs
    return scan_cuda.lif(current, decay, threshold, state, keep, *subtract)


@lif_scan.register_fake
def _(
    current: Tensor,
    decay: Tensor,
    threshold: Tensor,
    state: Tensor,
    surrogate: str,
    alpha: float,
    keep: bool,
    subtract: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    voltage = current.new_empty(current.shape if keep else (0, 0, 0))
    return current.new_empty(current.shape), state.new_empty(state.shape), voltage


def slopes(voltage: Tensor, threshold: Tensor, surrogate: str, alpha: float) -> Tensor:
    """The derivative of the step at ``voltage [time, batch, neuron]``, on a CPU and in one pass."""
    from ranvier.ops.lif import scan_cpu

    slope = torch.empty(voltage.shape, dtype=voltage.dtype)
    shape = (scan_cpu.SURROGATES.index(surrogate), scalar(voltage, alpha), scalar(voltage, math.pi / 2 * alpha))
    in_parallel(scan_cpu.slopes, voltage.shape[1], *arrays(voltage, threshold), *shape, *arrays(slope))
    return slope


@torch.library.custom_op("ranvier::lif_scan_backward", mutates_args=(), device_types="cpu")
def lif_scan_backward(
    grad_spikes: Tensor,
    grad_end: Tensor,
    voltage: Tensor,
    decay: Tensor,
    threshold: Tensor,
    state: Tensor,
    surrogate: str,
    alpha: float,
    parameters: bool,
    subtract: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients to current, decay, threshold and state; 0 for decay and threshold unless ``parameters``."""
    from ranvier.ops.lif import scan_cpu

    to_current = torch.empty(voltage.shape, dtype=voltage.dtype)
    to_state = torch.empty(state.shape, dtype=state.dtype)
    to_decay, to_threshold = (torch.zeros(state.shape, dtype=state.dtype) for _ in range(2))
    batch, grad, kind = voltage.shape[1], arrays(grad_spikes)[0], scan_cpu.SURROGATES.index(surrogate)
    shape = (kind, scalar(voltage, alpha), scalar(voltage, math.pi / 2 * alpha))
    voltages = arrays(voltage)[0]
    in_parallel(
        scan_cpu.lif_backward,
        batch,
        grad,
        *arrays(grad_end),
        voltages,
        *arrays(decay, threshold),
        *shape,
        subtract,
        *arrays(to_current, to_state),
    )
    if parameters:
        inputs = [grad, *arrays(to_current), voltages, *arrays(threshold, state)]
        in_parallel(scan_cpu.lif_parameters_backward, batch, *inputs, *shape, subtract, *arrays(to_decay, to_threshold))
    return to_current, to_decay.sum(0), to_threshold.sum(0), to_state


@lif_scan_backward.register_kernel("cuda")
def _(*inputs: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from ranvier.ops.lif import scan_cuda

    return scan_cuda.lif_backward(*inputs)


@lif_scan_backward.register_fake
def _(_grad_spikes: Tensor, _grad_end: Tensor, *inputs: Any) -> tuple[Tensor, ...]:
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs[:4])


def _setup_lif(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    _, decay, threshold, state, ctx.surrogate, ctx.alpha, _, ctx.subtract = inputs
    voltage = output[2]
    ctx.mark_non_differentiable(voltage)
    ctx.set_materialize_grads(False)  # else voltages of zeros would be made for every backward
    ctx.save_for_backward(voltage, decay, threshold, state)


def _lif_gradients(ctx: Any, grad_spikes: Tensor | None, grad_end: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
    parameters = any(ctx.needs_input_grad[1:3])
    voltage, _, _, state = ctx.saved_tensors
    if grad_spikes is None:
        grad_spikes = torch.zeros_like(voltage)
    if grad_end is None:
        grad_end = torch.zeros_like(state)
    options = (ctx.surrogate, ctx.alpha, parameters, ctx.subtract)
    gradients = lif_scan_backward(grad_spikes, grad_end, *ctx.saved_tensors, *options)
    return *gradients, None, None, None, None


lif_scan.register_autograd(_lif_gradients, setup_context=_setup_lif)
