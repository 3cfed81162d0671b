"""The scan over time with recurrent connections on a GPU, one kernel forward and one backward.

A program takes some clips through all steps, ``TILE`` neurons at a time. Back in time a step is what it is forward with
axonal and dendritic exchanged: ``x``, spikes times gain forward and gradients to the current backward, goes to other
neurons by a matrix product, and to other steps by taps,

    SYNAPTIC       received[t] = sum_lag x[t - lag] @ taps[lag]
    DELAY_FIRST    received[t] = sent[t] @ matrix                  sent[t] = sum_lag taps[lag] * x[t - lag]
    PRODUCT_FIRST  received[t] = sum_lag taps[lag] * sent[t - lag]    sent[t] = x[t] @ matrix

with t + lag in place of t - lag backward. What a program stores is read by its own threads alone, after a barrier.
Factors of products are not rounded, and products and sums outside them not fused.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ranvier.ops.launch_cuda import launch_clips
from ranvier.ops.product import without_autocast

TILE = {torch.float32: 64, torch.float64: 16}  # neurons at a time
_SOURCES = tl.constexpr(16)  # of a product at a time, as few as triton takes
_SIZES = ("variant", "lags", "time", "batch", "neurons")
_SYNAPTIC, _DELAY_FIRST, _PRODUCT_FIRST = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
_FORWARD = {"synaptic": 0, "axonal": 1, "dendritic": 2}
_BACKWARD = {"synaptic": 0, "axonal": 2, "dendritic": 1}
_NEURONS = {"zero": (False, 0), "subtract": (False, 1), "symplectic": (True, 0), "forward": (True, 1)}
"""Whether they adapt, and their variant: the reset, or the Euler method."""


@triton.jit
def _product(x, matrix, rows, clips, targets, size, neurons, total):
    """``total [clip, target]`` and ``x`` at ``rows [clip]`` times ``matrix [source, target]``."""
    for first in range(0, neurons, _SOURCES):
        sources = tl.arange(0, _SOURCES).to(tl.int64) + first
        inside = sources < neurons
        a = tl.load(x + rows[:, None] + sources[None, :], mask=clips[:, None] & inside[None, :], other=0.0)
        b = matrix + sources[:, None] * size + targets[None, :]
        b = tl.load(b, mask=inside[:, None] & (targets < neurons)[None, :], other=0.0)
        if total.dtype == tl.float64:  # tl.dot has no double precision in triton 3.2
            total += tl.sum(a[:, :, None] * b[None, :, :], axis=1)
        else:
            total = tl.dot(a, b, total, input_precision="ieee")
    return total


@triton.jit
def _delayed(x, taps, at, inside, targets, away, size, neurons, lags, total):
    """``total [clip, target]`` and the sum over lags of ``x``, as many times ``away`` from ``at``, times the tap."""
    for m in range(lags):
        tap = tl.load(taps + size * m + targets, mask=targets < neurons, other=0.0)
        total += tl.load(x + at + away * (m + 1), mask=inside, other=0.0) * tap[None, :]
    return total


@triton.jit
def _send(x, sent, taps, matrix, rows, clips, away, size, neurons, lags, like, ORDER: tl.constexpr, TILE: tl.constexpr):
    """Fill ``sent`` at ``rows [clip]``."""
    for first in range(0, neurons, TILE):
        targets = tl.arange(0, TILE).to(tl.int64) + first
        at = rows[:, None] + targets[None, :]
        inside = clips[:, None] & (targets < neurons)[None, :]
        if ORDER == _DELAY_FIRST:
            total = _delayed(x, taps, at, inside, targets, away, size, neurons, lags, like)
        else:
            total = _product(x, matrix, rows, clips, targets, size, neurons, like)
        tl.store(sent + at, total, mask=inside)


@triton.jit
def _received(
    x, sent, taps, matrix, rows, clips, at, inside, targets, away, size, neurons, lags, total, ORDER: tl.constexpr
):  # fmt: skip
    """``total [clip, target]`` and what these targets receive at ``rows [clip]``."""
    if ORDER == _SYNAPTIC:
        for m in range(lags):
            rows_then = rows + away * (m + 1)
            total = _product(x, taps + size * size * m, rows_then, clips, targets, size, neurons, total)
    elif ORDER == _DELAY_FIRST:
        total = _product(sent, matrix, rows, clips, targets, size, neurons, total)
    else:
        total = _delayed(sent, taps, at, inside, targets, away, size, neurons, lags, total)
    return total


@triton.jit
def _fire(now, values, voltage, adaptation, end, at, of_state, inside, known, size, variant, ADAPTIVE: tl.constexpr):
    """Spikes of a time step with the current ``now [clip, neuron]``; ``end`` holds the state before and gets the next.
    ``values`` points to the first of each neuron, ``of_state`` leads to the first row of each state."""
    d = tl.load(values, mask=known, other=0.0)[None, :]
    u = tl.load(end + of_state, mask=inside, other=0.0)
    if ADAPTIVE:
        kept = tl.load(values + size, mask=known, other=0.0)[None, :]
        a = tl.load(values + 2 * size, mask=known, other=0.0)[None, :]
        b = tl.load(values + 3 * size, mask=known, other=0.0)[None, :]
        limit = tl.load(values + 4 * size, mask=known, other=1.0)[None, :]
        w = tl.load(end + of_state + size, mask=inside, other=0.0)
        before = tl.load(end + of_state + 2 * size, mask=inside, other=0.0)
        v = d * u + (1 - d) * (now - w)
        s = (v >= limit).to(v.dtype) + (v - v)  # NaN where v is not finite
        after = v * (1 - s)
        drive = a * tl.where(variant == 0, after, u) + b * tl.where(variant == 0, s, before)
        tl.store(adaptation + at, w, mask=inside)
        tl.store(end + of_state, after, mask=inside)
        tl.store(end + of_state + size, kept * w + (1 - kept) * drive, mask=inside)
        tl.store(end + of_state + 2 * size, s, mask=inside)
    else:
        limit = tl.load(values + size, mask=known, other=1.0)[None, :]
        v = d * u + now
        s = (v >= limit).to(v.dtype) + (v - v)
        tl.store(end + of_state, tl.where(variant == 0, v * (1 - s), v - limit * s), mask=inside)
    tl.store(voltage + at, v, mask=inside)
    return s


@triton.jit
def _back(grad, slope, v, values, carry, of_state, inside, known, size, variant, ADAPTIVE: tl.constexpr):
    """The gradient to the current of a time step, from that to its spikes ``[clip, neuron]``; ``carry`` holds the
    gradient to the state after it and gets that to the one before. Pointers as :func:`_fire`."""
    d = tl.load(values, mask=known, other=0.0)[None, :]
    to_u = tl.load(carry + of_state, mask=inside, other=0.0)
    if ADAPTIVE:
        kept = tl.load(values + size, mask=known, other=0.0)[None, :]
        a = tl.load(values + 2 * size, mask=known, other=0.0)[None, :]
        b = tl.load(values + 3 * size, mask=known, other=0.0)[None, :]
        limit = tl.load(values + 4 * size, mask=known, other=1.0)[None, :]
        to_w = tl.load(carry + of_state + size, mask=inside, other=0.0)
        to_s = tl.load(carry + of_state + 2 * size, mask=inside, other=0.0)
        through_u = (1 - kept) * to_w * a  # of this step, or by forward Euler of the one before
        through_s = (1 - kept) * to_w * b
        grad_s = grad + to_s + tl.where(variant == 0, through_s, 0.0)
        grad_v = grad_s * slope + tl.where(v >= limit, 0.0, to_u + tl.where(variant == 0, through_u, 0.0))
        grad_i = (1 - d) * grad_v
        tl.store(carry + of_state, d * grad_v + tl.where(variant == 0, 0.0, through_u), mask=inside)
        tl.store(carry + of_state + size, kept * to_w - grad_i, mask=inside)
        tl.store(carry + of_state + 2 * size, tl.where(variant == 0, 0.0, through_s), mask=inside)
    else:
        limit = tl.load(values + size, mask=known, other=1.0)[None, :]
        grad_i = grad * slope + tl.where((v >= limit) & (variant == 0), 0.0, to_u)
        tl.store(carry + of_state, d * grad_i, mask=inside)
    return grad_i


@triton.jit(do_not_specialize=_SIZES)
def _scan(
    current, matrix, taps, gain, values, spikes, end, voltage, adaptation, sized, sent,
    variant, lags, time, batch, neurons,
    ORDER: tl.constexpr, ADAPTIVE: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """``sized [time, batch, neuron]`` gets spikes times gain, ``end`` holds the state at first."""
    clip = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    clips = clip < batch
    size = neurons.to(tl.int64)
    length = size * batch
    state_rows = 3 if ADAPTIVE else 1
    like = tl.zeros([BLOCK, TILE], current.dtype.element_ty)
    for t in range(time):
        rows = clip * size + length * t
        reach = tl.minimum(lags, t)
        if ORDER == _DELAY_FIRST:
            _send(sized, sent, taps, matrix, rows, clips, -length, size, neurons, reach, like, ORDER, TILE)
            tl.debug_barrier()
        for first in range(0, neurons, TILE):
            targets = tl.arange(0, TILE).to(tl.int64) + first
            known = targets < neurons
            at = rows[:, None] + targets[None, :]
            inside = clips[:, None] & known[None, :]
            of_state = clip[:, None] * (size * state_rows) + targets[None, :]
            received = _received(
                sized, sent, taps, matrix, rows, clips, at, inside, targets, -length, size, neurons, reach, like, ORDER
            )
            now = tl.load(current + at, mask=inside, other=0.0) + received
            s = _fire(
                now, values + targets, voltage, adaptation, end, at, of_state, inside, known, size, variant, ADAPTIVE
            )
            worth = tl.load(gain + clip[:, None] * size + targets[None, :], mask=inside, other=0.0)
            tl.store(spikes + at, s, mask=inside)
            tl.store(sized + at, s * worth, mask=inside)
        tl.debug_barrier()
        if ORDER == _PRODUCT_FIRST:
            _send(sized, sent, taps, matrix, rows, clips, -length, size, neurons, reach, like, ORDER, TILE)
            tl.debug_barrier()


@triton.jit(do_not_specialize=_SIZES)
def _scan_backward(
    total, slope, voltage, matrix, taps, gain, values, grad_current, carry, grad_sent,
    variant, lags, time, batch, neurons,
    ORDER: tl.constexpr, ADAPTIVE: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """``total [time, batch, neuron]`` holds the gradient to spikes from outside and gets what comes back through the
    recurrence, ``carry`` that to the state, at the end first; ``matrix`` and ``taps`` lead from targets to sources."""
    clip = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    clips = clip < batch
    size = neurons.to(tl.int64)
    length = size * batch
    state_rows = 3 if ADAPTIVE else 1
    like = tl.zeros([BLOCK, TILE], total.dtype.element_ty)
    for back in range(time):
        rows = clip * size + length * (time - 1 - back)
        reach = tl.minimum(lags, back)
        if ORDER == _DELAY_FIRST:
            _send(grad_current, grad_sent, taps, matrix, rows, clips, length, size, neurons, reach, like, ORDER, TILE)
            tl.debug_barrier()
        for first in range(0, neurons, TILE):
            sources = tl.arange(0, TILE).to(tl.int64) + first
            known = sources < neurons
            at = rows[:, None] + sources[None, :]
            inside = clips[:, None] & known[None, :]
            of_state = clip[:, None] * (size * state_rows) + sources[None, :]
            received = _received(
                grad_current, grad_sent, taps, matrix, rows, clips, at, inside, sources, length, size, neurons, reach,
                like, ORDER,
            )  # fmt: skip
            worth = tl.load(gain + clip[:, None] * size + sources[None, :], mask=inside, other=0.0)
            grad = tl.load(total + at, mask=inside, other=0.0) + worth * received
            tl.store(total + at, grad, mask=inside)
            phi = tl.load(slope + at, mask=inside, other=0.0)
            v = tl.load(voltage + at, mask=inside, other=0.0)
            grad_i = _back(grad, phi, v, values + sources, carry, of_state, inside, known, size, variant, ADAPTIVE)
            tl.store(grad_current + at, grad_i, mask=inside)
        tl.debug_barrier()
        if ORDER == _PRODUCT_FIRST:
            _send(grad_current, grad_sent, taps, matrix, rows, clips, length, size, neurons, reach, like, ORDER, TILE)
            tl.debug_barrier()


def scan(
    current: Tensor, weight: Tensor, taps: Tensor, gain: Tensor, values: Tensor, state: Tensor, kind: str, neuron: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As :func:`ranvier.ops.recurrent_lif.scan.recurrent_lif_scan`."""
    if kind != "synaptic":
        weight, taps = weight.t(), taps.t()
    inputs = [tensor.contiguous() for tensor in (current, weight, taps, gain, values)]
    spikes, sized = torch.empty_like(inputs[0]), torch.empty_like(inputs[0])
    end = state.clone(memory_format=torch.contiguous_format)
    kept = current.new_empty(1 if state.shape[1] == 1 else 2, *current.shape)
    sent = current.new_empty(0 if kind == "synaptic" else current.shape)
    adaptive, variant = _NEURONS[neuron]
    outputs = (spikes, end, kept[0], kept[-1], sized, sent)
    options = {"ORDER": _FORWARD[kind], "ADAPTIVE": adaptive, "TILE": TILE[current.dtype]}
    launch_clips(_scan, current, *inputs, *outputs, variant, len(taps), **options)
    return spikes, end, kept, sent


def scan_backward(
    grad_spikes: Tensor, grad_end: Tensor, slope: Tensor, voltage: Tensor, weight: Tensor, taps: Tensor, gain: Tensor,
    values: Tensor, kind: str, neuron: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients to the current, to spikes with what comes back through the recurrence, to the state, and to what was
    ``sent``, of :func:`ranvier.ops.recurrent_lif.scan.recurrent_lif_scan_backward`; ``slope`` is the surrogate's."""
    by_lag = taps.mT if kind == "synaptic" else taps.t()
    inputs = [tensor.contiguous() for tensor in (slope, voltage, weight, by_lag, gain, values)]
    total, to_state = (x.clone(memory_format=torch.contiguous_format) for x in (grad_spikes, grad_end))
    to_current = torch.empty_like(inputs[1])
    grad_sent = voltage.new_empty(0 if kind == "synaptic" else voltage.shape)
    adaptive, variant = _NEURONS[neuron]
    outputs = (to_current, to_state, grad_sent)
    options = {"ORDER": _BACKWARD[kind], "ADAPTIVE": adaptive, "TILE": TILE[voltage.dtype]}
    launch_clips(_scan_backward, voltage, total, *inputs, *outputs, variant, len(by_lag), **options)
    return to_current, total, to_state, grad_sent


def to_weight_and_taps(
    kind: str, taps: Tensor, sized: Tensor, sent: Tensor, to_current: Tensor, grad_sent: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients to weight and taps, when those to the current are known; ``sized`` is spikes times gain."""
    time = len(sized)
    with without_autocast(sized.device):
        if kind == "synaptic":
            of_lag = [_products(to_current[m:], sized[: time - m]) for m in range(1, 1 + len(taps))]
            return sized.new_empty(0), torch.stack(of_lag).mT
        given, got = (sized, grad_sent) if kind == "axonal" else (sent, to_current)
        of_lag = [(given[: time - m] * got[m:]).sum((0, 1)) for m in range(1, 1 + taps.shape[1])]
        to_weight = _products(to_current, sent) if kind == "axonal" else _products(grad_sent, sized)
        return to_weight, torch.stack(of_lag, 1)


def _products(a: Tensor, b: Tensor) -> Tensor:
    """``[target, source]``, summed over time and clips."""
    return a.flatten(0, 1).t() @ b.flatten(0, 1)
