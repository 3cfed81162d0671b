"""The scan over time on a GPU, one kernel forward and one backward: a program takes some neurons through all steps.

Products and sums are not fused, so that a voltage is the same number here, in the reference and on a CPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ranvier.ops.launch_cuda import SIZES, launch
from ranvier.ops.lif.scan_cuda import SURROGATES, surrogate_slope


@triton.jit(do_not_specialize=SIZES)
def _adaptive_lif(
    current, values, state, spikes, end, voltage, adaptation, time, width, neurons,
    SYMPLECTIC: tl.constexpr, KEEP: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    size = tl.zeros_like(place) + neurons
    of_values = values + place % size
    of_state = place // size * 3 * size + place % size
    d = tl.load(of_values, mask=inside, other=0.0)
    kept = tl.load(of_values + size, mask=inside, other=0.0)
    a = tl.load(of_values + 2 * size, mask=inside, other=0.0)
    b = tl.load(of_values + 3 * size, mask=inside, other=0.0)
    limit = tl.load(of_values + 4 * size, mask=inside, other=1.0)
    u = tl.load(state + of_state, mask=inside, other=0.0)
    w = tl.load(state + of_state + size, mask=inside, other=0.0)
    s = tl.load(state + of_state + 2 * size, mask=inside, other=0.0)
    for t in range(time):
        row = place + row_length * t
        v = d * u + (1 - d) * (tl.load(current + row, mask=inside, other=0.0) - w)
        if KEEP:
            tl.store(voltage + row, v, mask=inside)
            tl.store(adaptation + row, w, mask=inside)
        fires = (v >= limit).to(v.dtype) + (v - v)  # NaN where v is not finite
        tl.store(spikes + row, fires, mask=inside)
        after = v * (1 - fires)
        drive = a * after + b * fires if SYMPLECTIC else a * u + b * s
        w = kept * w + (1 - kept) * drive
        u = after
        s = fires
    tl.store(end + of_state, u, mask=inside)
    tl.store(end + of_state + size, w, mask=inside)
    tl.store(end + of_state + 2 * size, s, mask=inside)


@triton.jit(do_not_specialize=SIZES)
def _adaptive_lif_backward(
    grad_spikes, grad_end, voltage, adaptation, values, state, grad_current, grad_values, grad_state,
    time, width, neurons,
    ALPHA: tl.constexpr, KIND: tl.constexpr, SYMPLECTIC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row_length = tl.zeros_like(place) + width  # 64 bits wide, as place
    size = tl.zeros_like(place) + neurons
    of_values = values + place % size
    of_state = place // size * 3 * size + place % size
    d = tl.load(of_values, mask=inside, other=0.0)
    kept = tl.load(of_values + size, mask=inside, other=0.0)
    a = tl.load(of_values + 2 * size, mask=inside, other=0.0)
    b = tl.load(of_values + 3 * size, mask=inside, other=0.0)
    limit = tl.load(of_values + 4 * size, mask=inside, other=1.0)
    first_u = tl.load(state + of_state, mask=inside, other=0.0)
    first_s = tl.load(state + of_state + 2 * size, mask=inside, other=0.0)
    to_u = tl.load(grad_end + of_state, mask=inside, other=0.0)
    to_w = tl.load(grad_end + of_state + size, mask=inside, other=0.0)
    to_s = tl.load(grad_end + of_state + 2 * size, mask=inside, other=0.0)
    to_d, to_kept, to_a, to_b, to_limit = (
        tl.zeros_like(d), tl.zeros_like(d), tl.zeros_like(d), tl.zeros_like(d), tl.zeros_like(d),
    )  # fmt: skip
    for back in range(time):
        t = time - 1 - back
        row = place + row_length * t
        v = tl.load(voltage + row, mask=inside, other=0.0)
        w = tl.load(adaptation + row, mask=inside, other=0.0)
        later = row >= width
        u_before = tl.load(voltage + row - row_length, mask=inside & later, other=0.0)
        s_before = tl.where(later, (u_before >= limit).to(v.dtype), first_s)
        u_before = tl.where(later, tl.where(u_before >= limit, 0.0, u_before), first_u)
        if SYMPLECTIC:
            s = (v >= limit).to(v.dtype)
            u = tl.where(v >= limit, 0.0, v)
        else:
            s = s_before
            u = u_before
        grad_drive = (1 - kept) * to_w
        to_a += grad_drive * u
        to_b += grad_drive * s
        to_kept += to_w * (w - (a * u + b * s))
        grad_s = tl.load(grad_spikes + row, mask=inside, other=0.0) + to_s
        if SYMPLECTIC:
            to_u += grad_drive * a
            grad_s += grad_drive * b
        through = grad_s * surrogate_slope(v - limit, ALPHA, KIND)
        grad_v = through + tl.where(v >= limit, 0.0, to_u)
        grad_i = (1 - d) * grad_v
        tl.store(grad_current + row, grad_i, mask=inside)
        to_d += grad_v * (u_before - v) / (1 - d)  # u - (I - w)
        to_limit -= through
        to_u = d * grad_v
        to_s = tl.zeros_like(d)
        if not SYMPLECTIC:
            to_u += grad_drive * a
            to_s += grad_drive * b
        to_w = kept * to_w - grad_i
    tl.store(grad_state + of_state, to_u, mask=inside)
    tl.store(grad_state + of_state + size, to_w, mask=inside)
    tl.store(grad_state + of_state + 2 * size, to_s, mask=inside)
    of_grads = grad_values + (place // size * 5 * size + place % size)
    tl.store(of_grads, to_d, mask=inside)
    tl.store(of_grads + size, to_kept, mask=inside)
    tl.store(of_grads + 2 * size, to_a, mask=inside)
    tl.store(of_grads + 3 * size, to_b, mask=inside)
    tl.store(of_grads + 4 * size, to_limit, mask=inside)


def adaptive_lif(
    current: Tensor, values: Tensor, state: Tensor, symplectic: bool, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As :func:`ranvier.ops.adaptive_lif.scan.adaptive_lif_scan`."""
    inputs = [tensor.contiguous() for tensor in (current, values, state)]
    spikes, end = torch.empty_like(inputs[0]), torch.empty_like(inputs[2])
    voltage, adaptation = (torch.empty_like(inputs[0]) if keep else current.new_empty(0, 0, 0) for _ in range(2))
    outputs = (spikes, end, voltage, adaptation)
    launch(_adaptive_lif, current, *inputs, *outputs, SYMPLECTIC=symplectic, KEEP=keep)
    return outputs


def adaptive_lif_backward(
    inputs: tuple[Tensor, ...], symplectic: bool, surrogate: str, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to current, values and state, as :func:`ranvier.ops.adaptive_lif.scan.adaptive_lif_scan_backward`.

    ``inputs`` are its tensors, in its order.
    """
    given = [tensor.contiguous() for tensor in inputs]
    voltage, values, state = given[2], given[4], given[5]
    to_current, to_state = torch.empty_like(voltage), torch.empty_like(state)
    to_values = values.new_empty(len(state), *values.shape)
    options = {"ALPHA": alpha, "KIND": SURROGATES.index(surrogate), "SYMPLECTIC": symplectic}
    launch(_adaptive_lif_backward, voltage, *given, to_current, to_values, to_state, **options)
    return to_current, to_values.sum(0), to_state
