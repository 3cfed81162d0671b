"""The scan over time as an operator of torch: compiled loops on a CPU (numba) and on a GPU (triton)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ranvier.ops.parallel import arrays, in_parallel


@torch.library.custom_op("ranvier::integrator_scan", mutates_args=(), device_types="cpu")
def integrator_scan(current: Tensor, decay: Tensor, state: Tensor) -> Tensor:
    """Voltages of :func:`ranvier.ops.integrator.op.leaky_integrator`; decay ``[neuron]``, state ``[batch, neuron]``."""
    from ranvier.ops.integrator import scan_cpu

    voltage = torch.empty(current.shape, dtype=current.dtype)
    in_parallel(scan_cpu.integrate, current.shape[1], *arrays(current, decay, state, voltage))
    return voltage


@integrator_scan.register_kernel("cuda")
def _(current: Tensor, decay: Tensor, state: Tensor) -> Tensor:
    from ranvier.ops.integrator import scan_cuda

    return scan_cuda.integrate(current, decay, state)


@integrator_scan.register_fake
def _(current: Tensor, decay: Tensor, state: Tensor) -> Tensor:
    return current.new_empty(current.shape)


@torch.library.custom_op("ranvier::integrator_scan_backward", mutates_args=(), device_types="cpu")
def integrator_scan_backward(
    grad: Tensor, voltage: Tensor, decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to current, decay and state."""
    from ranvier.ops.integrator import scan_cpu

    to_current = torch.empty(voltage.shape, dtype=voltage.dtype)
    to_state, to_decay = (torch.empty(state.shape, dtype=state.dtype) for _ in range(2))
    in_parallel(
        scan_cpu.integrate_backward,
        voltage.shape[1],
        *arrays(grad, voltage, decay, state, to_current, to_state, to_decay),
    )
    return to_current, to_decay.sum(0), to_state


@integrator_scan_backward.register_kernel("cuda")
def _(grad: Tensor, voltage: Tensor, decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    from ranvier.ops.integrator import scan_cuda

    return scan_cuda.integrate_backward(grad, voltage, decay, state)


@integrator_scan_backward.register_fake
def _(grad: Tensor, voltage: Tensor, decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return voltage.new_empty(voltage.shape), decay.new_empty(decay.shape), state.new_empty(state.shape)


def _setup_integrator(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    _, decay, state = inputs
    ctx.save_for_backward(output, decay, state)


def _integrator_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    to_current, to_decay, to_state = integrator_scan_backward(grad, *ctx.saved_tensors)
    return to_current, to_decay, to_state


integrator_scan.register_autograd(_integrator_gradients, setup_context=_setup_integrator)
