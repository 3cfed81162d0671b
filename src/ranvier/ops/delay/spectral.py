"""The delayed current as a product in frequency: its cost hardly grows with the longest delay.

The transform takes the odd frequencies w_k = 2 pi (k + 1/2) / N, k = 0 ... N/2 - 1, under which a cyclic convolution
changes sign where it wraps. N is long enough that no output wraps, so the sign is never seen; what is gained is that
all frequencies are alike: each has a real and an imaginary part, and no first or last one needs a rule of its own.

Time is the first axis, so the transform and its inverse are plain matrix products and nothing is ever permuted.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranvier.ops.product import product, uses_onednn

_BLOCK_BYTES = 96 * 2**20  # of one spectrum; more frequencies than that are taken in turns


def frequencies(time: int, taps: int, offset: int) -> int:
    """How many frequencies keep outputs offset ... time - 1 of the convolution free of what wraps around."""
    return -(-max(time, time + taps - 1 - offset) // 2)


@lru_cache(maxsize=64)
def _basis(count: int, columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``[frequency and part, column]``: cos and -sin, part by part for each frequency."""
    k = np.arange(count)[:, None] + 0.5
    angle = np.pi / count * k * np.arange(columns)  # N = 2 count
    rows = np.stack([np.cos(angle), -np.sin(angle)], axis=1).reshape(2 * count, columns)
    return torch.from_numpy(rows).to(dtype=dtype, device=device)


def _blocks(count: int, widest: int, itemsize: int) -> list[slice]:
    size = max(1, min(count, _BLOCK_BYTES // (2 * widest * itemsize)))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _spectrum(basis: Tensor, signal: Tensor) -> Tensor:
    """``[frequency, part, a, b]`` of ``[time, a, b]``."""
    return product(basis, signal.flatten(1).t()).view(-1, 2, *signal.shape[1:])


def _forward(x: Tensor, k: Tensor, out: Tensor) -> None:
    """out = x k, all spectra: x ``[frequency, 2, batch, source]``, k ``[.., target, source]``."""
    if not uses_onednn(x):
        torch.bmm(x[:, 0], k[:, 0].mT, out=out[:, 0]).baddbmm_(x[:, 1], k[:, 1].mT, alpha=-1)
        torch.bmm(x[:, 0], k[:, 1].mT, out=out[:, 1]).baddbmm_(x[:, 1], k[:, 0].mT)
        return
    targets = k.shape[2]
    for x_f, k_f, out_f in zip(x, k, out, strict=True):
        both = product(x_f.flatten(0, 1), k_f.flatten(0, 1)).view(2, -1, 2 * targets)
        torch.sub(both[0, :, :targets], both[1, :, targets:], out=out_f[0])
        torch.add(both[0, :, targets:], both[1, :, :targets], out=out_f[1])


def _to_source(grad: Tensor, k: Tensor, out: Tensor) -> None:
    """out = grad conj(k): the gradient to x's spectrum."""
    if not uses_onednn(grad):
        torch.bmm(grad[:, 0], k[:, 0], out=out[:, 0]).baddbmm_(grad[:, 1], k[:, 1])
        torch.bmm(grad[:, 1], k[:, 0], out=out[:, 1]).baddbmm_(grad[:, 0], k[:, 1], alpha=-1)
        return
    for grad_f, k_f, out_f in zip(grad, k, out, strict=True):
        both = grad_f.flatten(0, 1)
        real, imaginary = product(both, k_f[0].t()).view_as(out_f), product(both, k_f[1].t()).view_as(out_f)
        torch.add(real[0], imaginary[1], out=out_f[0])
        torch.sub(real[1], imaginary[0], out=out_f[1])


def _to_kernel(grad: Tensor, x: Tensor, out: Tensor) -> None:
    """out = sum over the batch of grad conj(x), ``[frequency, 2, target, source]``: the gradient to the kernel."""
    if not uses_onednn(grad):
        torch.bmm(grad[:, 0].mT, x[:, 0], out=out[:, 0]).baddbmm_(grad[:, 1].mT, x[:, 1])
        torch.bmm(grad[:, 1].mT, x[:, 0], out=out[:, 1]).baddbmm_(grad[:, 0].mT, x[:, 1], alpha=-1)
        return
    batch = x.shape[2]
    for grad_f, x_f, out_f in zip(grad, x, out, strict=True):
        # the sum runs over the outer axis of both, which the product does best with one of them turned in memory
        real = grad_f.flatten(0, 1).t().contiguous()
        imaginary = torch.cat([real[:, batch:], -real[:, :batch]], 1)
        out_f.copy_(product(torch.cat([real, imaginary]), x_f.flatten(0, 1).t()).view_as(out_f))


@torch.library.custom_op("ranvier::spectral_convolution", mutates_args=())
def convolution(x: Tensor, taps: Tensor, offset: int) -> Tensor:
    """sum_i sum_m taps[j, i, m] x[t - m, :, i] for t = offset ... time - 1.

    Args:
        x: ``[time, batch, source]``.
        taps: ``[target, source, tap]``, at most ``time`` taps.
        offset: steps at the start of which no output is wanted.

    Returns:
        ``[time - offset, batch, target]``.
    """
    time, batch, sources = x.shape
    targets, _, count_taps = taps.shape
    count = frequencies(time, count_taps, offset)
    x, taps = x.contiguous(), taps.contiguous()
    basis = _basis(count, max(time, count_taps), x.dtype, x.device)
    out = x.new_empty(2 * count, batch * targets)
    for block in _blocks(count, max(batch * sources, targets * sources), x.itemsize):
        rows = basis[2 * block.start : 2 * block.stop]
        k = product(rows[:, :count_taps].contiguous() / count, taps.view(-1, count_taps))
        x_spectrum = _spectrum(rows[:, :time].contiguous(), x)
        y = out[2 * block.start : 2 * block.stop].view(-1, 2, batch, targets)
        _forward(x_spectrum, k.view(-1, 2, targets, sources), y)
    back = basis[:, offset:time].t().contiguous()
    return product(back, out.t()).view(time - offset, batch, targets)


@convolution.register_fake
def _(x: Tensor, taps: Tensor, offset: int) -> Tensor:
    return x.new_empty(x.shape[0] - offset, x.shape[1], taps.shape[0])


@torch.library.custom_op("ranvier::spectral_convolution_backward", mutates_args=())
def convolution_backward(
    grad: Tensor, x: Tensor, taps: Tensor, offset: int, need_x: bool, need_taps: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`convolution` to x, and to the taps as ``[tap, target, source]``; empty if not needed."""
    time, batch, sources = x.shape
    targets, _, count_taps = taps.shape
    count = frequencies(time, count_taps, offset)
    grad, x, taps = grad.contiguous(), x.contiguous(), taps.contiguous()
    basis = _basis(count, max(time, count_taps), x.dtype, x.device)
    to_x = x.new_empty(2 * count if need_x else 0, batch * sources)
    grad_taps = x.new_zeros(count_taps if need_taps else 0, targets, sources)
    for block in _blocks(count, max(batch * sources, batch * targets, targets * sources), x.itemsize):
        rows = basis[2 * block.start : 2 * block.stop]
        kernel_rows = rows[:, :count_taps].contiguous() / count
        grad_spectrum = _spectrum(rows[:, offset:time].contiguous(), grad)
        if need_taps:
            to_k = x.new_empty(len(rows) // 2, 2, targets, sources)
            _to_kernel(grad_spectrum, _spectrum(rows[:, :time].contiguous(), x), to_k)
            grad_taps += product(kernel_rows.t().contiguous(), to_k.view(len(rows), -1).t()).view_as(grad_taps)
            del to_k  # before as much again is needed for x
        if need_x:
            k = product(kernel_rows, taps.view(-1, count_taps)).view(-1, 2, targets, sources)
            _to_source(grad_spectrum, k, to_x[2 * block.start : 2 * block.stop].view(-1, 2, batch, sources))
    del grad_spectrum
    grad_x = x.new_empty(0)
    if need_x:
        grad_x = product(basis[:, :time].t().contiguous(), to_x.t()).view_as(x)
    return grad_x, grad_taps


@convolution_backward.register_fake
def _(grad: Tensor, x: Tensor, taps: Tensor, offset: int, need_x: bool, need_taps: bool) -> tuple[Tensor, Tensor]:
    to_taps = x.new_empty(taps.shape[2] if need_taps else 0, *taps.shape[:2])
    return (torch.empty_like(x) if need_x else x.new_empty(0)), to_taps


def _setup_convolution(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, taps, ctx.offset = inputs
    ctx.save_for_backward(x, taps)


def _convolution_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    x, taps = ctx.saved_tensors
    need_x, need_taps = ctx.needs_input_grad[:2]
    to_x, to_taps = convolution_backward(grad, x, taps, ctx.offset, need_x, need_taps)
    return (to_x if need_x else None), (to_taps.permute(1, 2, 0) if need_taps else None), None


convolution.register_autograd(_convolution_gradients, setup_context=_setup_convolution)
