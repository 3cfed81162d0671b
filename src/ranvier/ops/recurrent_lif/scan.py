"""The scan with recurrent connections as an operator of torch: compiled loops on a CPU (numba) and on a GPU (triton).

``neuron`` is one of ``NEURONS``. Leaky integrate-and-fire (``zero``, ``subtract``: its reset) has decay and threshold
as ``values [2, neuron]`` and the voltage as ``state [batch, 1, neuron]``; adaptive neurons (``symplectic``,
``forward``: their Euler method) have ``values [5, neuron]`` and ``state [batch, 3, neuron]`` of ops/adaptive_lif.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ranvier.ops.adaptive_lif.scan import adaptive_lif_scan_backward
from ranvier.ops.lif.scan import lif_scan_backward, slopes
from ranvier.ops.parallel import arrays, in_parallel, one_blas_thread
from ranvier.ops.recurrent_lif import blocks
from ranvier.ops.surrogate import surrogate_slope

KINDS = ("synaptic", "axonal", "dendritic")
"""What a delay belongs to; by number in scan_cpu."""
NEURONS = ("zero", "subtract", "symplectic", "forward")
"""What receives; by number in scan_cpu."""


@torch.library.custom_op("ranvier::recurrent_lif_scan", mutates_args=(), device_types="cpu")
def recurrent_lif_scan(
    current: Tensor,
    weight: Tensor,
    taps: Tensor,
    gain: Tensor,
    values: Tensor,
    state: Tensor,
    kind: str,
    neuron: str,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`ranvier.ops.recurrent_lif.recurrent_lif` and :func:`ranvier.ops.recurrent_lif.recurrent_adaptive_lif`.

    Args:
        current: ``[time, batch, neuron]``.
        weight: ``[target, source]``; empty if delays are synaptic.
        taps: of lags 1, 2, ...: ``[lag, source, target]`` with the weight in them (synaptic), ``[source, lag]``
            (axonal) or ``[target, lag]`` (dendritic).
        gain: ``[batch, neuron]``, what a spike is worth to the recurrent connections.

    Returns:
        Spikes and the state after the last step; and for backward ``kept [1 or 2, time, batch, neuron]``, voltages
        before reset and of neurons that adapt the adaptation at the start of each step, and what synapses receive
        (axonal) or give (dendritic), of the current's shape, else empty.
    """
    from ranvier.ops.recurrent_lif import scan_cpu

    spikes, end = torch.empty(current.shape, dtype=current.dtype), torch.empty(state.shape, dtype=state.dtype)
    kept = torch.empty(_kept(current, state), dtype=current.dtype)
    kept[0] = current
    neurons = (*arrays(gain), NEURONS.index(neuron), *arrays(values, state))
    written = arrays(spikes, end, kept)
    if kind == "synaptic":
        with one_blas_thread():
            in_parallel(scan_cpu.synaptic, current.shape[1], *arrays(taps), *neurons, *written)
        return spikes, end, kept, current.new_empty(0)
    sent = torch.zeros(current.shape, dtype=current.dtype)
    scan = scan_cpu.axonal if kind == "axonal" else scan_cpu.dendritic
    with one_blas_thread():
        in_parallel(scan, current.shape[1], *arrays(weight.t(), taps.t()), *neurons, *written, *arrays(sent))
    return spikes, end, kept, sent


def _kept(current: Tensor, state: Tensor) -> tuple[int, ...]:
    return 1 if state.shape[1] == 1 else 2, *current.shape


@recurrent_lif_scan.register_kernel("cuda")
def _(*inputs: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from ranvier.ops.recurrent_lif import scan_cuda

    return scan_cuda.scan(*inputs[:8])


@recurrent_lif_scan.register_fake
def _(
    current: Tensor,
    weight: Tensor,
    taps: Tensor,
    gain: Tensor,
    values: Tensor,
    state: Tensor,
    kind: str,
    neuron: str,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    sent = current.new_empty(0 if kind == "synaptic" else current.shape)
    kept = current.new_empty(_kept(current, state))
    return current.new_empty(current.shape), state.new_empty(state.shape), kept, sent


@torch.library.custom_op("ranvier::recurrent_lif_scan_backward", mutates_args=(), device_types="cpu")
def recurrent_lif_scan_backward(
    grad_spikes: Tensor,
    grad_end: Tensor,
    weight: Tensor,
    taps: Tensor,
    gain: Tensor,
    spikes: Tensor,
    kept: Tensor,
    sent: Tensor,
    values: Tensor,
    state: Tensor,
    kind: str,
    neuron: str,
    surrogate: str,
    alpha: float,
    parameters: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients to current, weight, taps, values and state; 0 for the values unless ``parameters``."""
    from ranvier.ops.recurrent_lif import scan_cpu

    voltage, threshold = kept[0], values[-1]
    total = grad_spikes.clone(memory_format=torch.contiguous_format)  # and what comes through the recurrence
    to_current, to_state = torch.empty(voltage.shape, dtype=voltage.dtype), grad_end.contiguous().clone()
    grad_sent = torch.empty(sent.shape if kind != "synaptic" else (0, 0, 0), dtype=voltage.dtype)
    slope = slopes(voltage, threshold, surrogate, alpha)
    by_lag = taps if kind == "synaptic" else taps.t().unsqueeze(1)
    matrix = weight if kind != "synaptic" else voltage.new_empty(0, 0)
    inputs = (*arrays(matrix, by_lag, gain, total, slope, voltage), NEURONS.index(neuron), *arrays(values))
    outputs = arrays(to_current, grad_sent, to_state)

    def back(first: int, stop: int) -> None:
        in_parallel(scan_cpu.backward, len(state), first, stop, KINDS.index(kind), *inputs, *outputs)

    with one_blas_thread():
        if kind == "synaptic":
            blocks.back_by_blocks(back, taps, gain, to_current, total)
        else:
            back(0, len(voltage))
    to_weight, to_taps = _to_weight_and_taps(kind, taps, gain, spikes, sent, to_current, grad_sent)
    to_values = torch.zeros(values.shape, dtype=values.dtype)
    if parameters:
        to_values = _to_values(total, grad_end, kept, values, state, neuron, surrogate, alpha)
    return to_current, to_weight, to_taps, to_values, to_state


@recurrent_lif_scan_backward.register_kernel("cuda")
def _(grad_spikes: Tensor, grad_end: Tensor, *inputs: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    from ranvier.ops.recurrent_lif import scan_cuda

    weight, taps, gain, spikes, kept, sent, values, state, kind, neuron, surrogate, alpha, parameters = inputs
    slope = surrogate_slope(kept[0] - values[-1], surrogate, alpha)
    given = (grad_spikes, grad_end, slope, kept[0], weight, taps, gain, values)
    to_current, total, to_state, grad_sent = scan_cuda.scan_backward(*given, kind, neuron)
    of_connection = scan_cuda.to_weight_and_taps(kind, taps, spikes * gain, sent, to_current, grad_sent)
    to_values = torch.zeros_like(values)
    if parameters:
        to_values = _to_values(total, grad_end, kept, values, state, neuron, surrogate, alpha)
    return to_current, *of_connection, to_values, to_state


def _to_values(
    grad_spikes: Tensor,
    grad_end: Tensor,
    kept: Tensor,
    values: Tensor,
    state: Tensor,
    neuron: str,
    surrogate: str,
    alpha: float,
) -> Tensor:
    """Those of the neurons alone, when ``grad_spikes`` has what comes through the recurrence."""
    if neuron in ("zero", "subtract"):
        given = (grad_spikes, grad_end[:, 0], kept[0], *values, state[:, 0])
        _, *of_values, _ = lif_scan_backward(*given, surrogate, alpha, True, neuron == "subtract")
        return torch.stack(of_values)
    given = (grad_spikes, grad_end, *kept, values, state)
    to_values: Tensor = adaptive_lif_scan_backward(*given, neuron == "symplectic", surrogate, alpha)[1]
    return to_values


def _to_weight_and_taps(
    kind: str, taps: Tensor, gain: Tensor, spikes: Tensor, sent: Tensor, to_current: Tensor, grad_sent: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients to weight and taps, when those to the current are known: no order in time any more."""
    from ranvier.ops.recurrent_lif import scan_cpu

    by_lag = torch.empty(taps.shape[::-1], dtype=taps.dtype)
    if kind == "axonal":
        in_parallel(scan_cpu.taps_backward, len(by_lag), *arrays(spikes * gain, grad_sent, by_lag))
        return to_current.flatten(0, 1).t() @ sent.flatten(0, 1), by_lag.t().contiguous()
    if kind == "dendritic":
        in_parallel(scan_cpu.taps_backward, len(by_lag), *arrays(sent, to_current, by_lag))
        return grad_sent.flatten(0, 1).t() @ (spikes * gain).flatten(0, 1), by_lag.t().contiguous()
    return spikes.new_empty(0), blocks.to_taps(spikes * gain, to_current, len(taps)).mT


@recurrent_lif_scan_backward.register_fake
def _(
    _grad_spikes: Tensor, _grad_end: Tensor, weight: Tensor, taps: Tensor, _gain: Tensor, spikes: Tensor, *inputs: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    _, _, values, state, kind, *_ = inputs
    of_weight = weight.new_empty(0) if kind == "synaptic" else weight.new_empty(weight.shape)
    to_current, to_taps, to_values, to_state = (x.new_empty(x.shape) for x in (spikes, taps, values, state))
    if kind == "synaptic":
        to_taps = to_taps.mT.contiguous().mT  # as a product of spectra gives it
    return to_current, of_weight, to_taps, to_values, to_state


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _, weight, taps, gain, values, state, ctx.kind, ctx.neuron, ctx.surrogate, ctx.alpha = inputs
    spikes, _, kept, sent = output
    ctx.mark_non_differentiable(kept, sent)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(weight, taps, gain, spikes, kept, sent, values, state)


def _gradients(ctx: Any, grad_spikes: Tensor | None, grad_end: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    saved = ctx.saved_tensors
    spikes, state = saved[3], saved[7]
    grad_spikes = torch.zeros_like(spikes) if grad_spikes is None else grad_spikes
    grad_end = torch.zeros_like(state) if grad_end is None else grad_end
    options = (ctx.kind, ctx.neuron, ctx.surrogate, ctx.alpha, ctx.needs_input_grad[4])
    to_current, to_weight, to_taps, *of_neurons = recurrent_lif_scan_backward(grad_spikes, grad_end, *saved, *options)
    of_weight = None if ctx.kind == "synaptic" else to_weight
    return to_current, of_weight, to_taps, None, *of_neurons, None, None, None, None


recurrent_lif_scan.register_autograd(_gradients, setup_context=_setup)


@torch.library.custom_op("ranvier::recurrent_lif_frozen", mutates_args=(), device_types="cpu")
def recurrent_lif_frozen(
    current: Tensor, weight: Tensor, delay: Tensor, gain: Tensor, values: Tensor, state: Tensor, neuron: str
) -> tuple[Tensor, Tensor]:
    """Spikes and state with one tap a synapse, at delay ``[synapse, target, source]`` (whole steps, 1 or more), in
    double precision and without gradients."""
    from ranvier.ops.recurrent_lif import scan_cpu

    spikes, end = torch.empty(current.shape, dtype=current.dtype), torch.empty(state.shape, dtype=state.dtype)
    of_source = arrays(weight.mT, delay.to(torch.int64).expand_as(weight).mT)
    inputs = (*arrays(current, gain), NEURONS.index(neuron), *arrays(values, state))
    in_parallel(scan_cpu.frozen, current.shape[1], *of_source, *inputs, *arrays(spikes, end))
    return spikes, end


@recurrent_lif_frozen.register_fake
def _(
    current: Tensor, weight: Tensor, delay: Tensor, gain: Tensor, values: Tensor, state: Tensor, neuron: str
) -> tuple[Tensor, Tensor]:
    return current.new_empty(current.shape), state.new_empty(state.shape)
