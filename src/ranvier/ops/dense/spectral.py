"""The delayed current as a product in frequency: its cost hardly grows with the longest delay.

The transform takes the odd frequencies w_k = 2 pi (k + 1/2) / N, k = 0 ... N/2 - 1, under which a cyclic convolution
changes sign where it wraps. N is long enough that no output wraps, so the sign is never seen; what is gained is that
all frequencies are alike: each has a real and an imaginary part, and no first or last one needs a rule of its own.

Time is the first axis, so the transform and its inverse are plain matrix products and nothing is ever permuted.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranvier.ops.product import product, uses_onednn

_BLOCK_BYTES = 16 * 2**20


def frequencies(time: int, taps: int, offset: int) -> int:
    """How many frequencies keep outputs offset ... time - 1 of the convolution free of what wraps around."""
    return -(-max(time, time + taps - 1 - offset) // 2)


@lru_cache(maxsize=64)  # batches differ in length; one of 100 steps takes 0.4 ms to make
def _basis(count: int, columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``[frequency and part, column]``: cos and -sin, part by part for each frequency."""
    k = np.arange(count)[:, None] + 0.5
    angle = np.pi / count * k * np.arange(columns)  # N = 2 count
    rows = np.stack([np.cos(angle), -np.sin(angle)], axis=1).reshape(2 * count, columns)
    return torch.from_numpy(rows).to(dtype).to(device, non_blocking=True)


def _blocks(count: int, pairs_bytes: int, count_taps: int) -> list[slice]:
    """Frequencies to take together, their kernels' spectrum taking 16 MB, or twice what the taps take."""
    size = max(1, _BLOCK_BYTES // (2 * pairs_bytes), count_taps)
    number = -(-count // size)
    edges = [count * block // number for block in range(number + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _kernel_basis(basis: Tensor, count_taps: int, count: int, block: slice) -> Tensor:
    # the inverse transform's 2 / N stands here, for here it is least work
    return basis[2 * block.start : 2 * block.stop, :count_taps].contiguous() / count


def _kernel_spectrum(basis: Tensor, taps: Tensor, count: int, block: slice) -> Tensor:
    """``[frequency, part, target, source]`` of ``taps [target, source, tap]``."""
    targets, sources, count_taps = taps.shape
    rows = product(_kernel_basis(basis, count_taps, count, block), taps.view(-1, count_taps))
    return rows.view(-1, 2, targets, sources)


def _stacked(spectrum: Tensor) -> tuple[Tensor, ...]:
    """For each frequency both parts, one under the other."""
    return spectrum.flatten(1, 2).unbind()


def _parts(spectrum: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """For each frequency the real and the imaginary part."""
    return zip(spectrum[:, 0].unbind(), spectrum[:, 1].unbind(), strict=True)


def _forward(x: Tensor, k: Tensor, out: Tensor) -> None:
    """out = x k, all spectra: x ``[frequency, 2, batch, source]``, k ``[.., target, source]``."""
    if not uses_onednn(x):
        torch.bmm(x[:, 0], k[:, 0].mT, out=out[:, 0]).baddbmm_(x[:, 1], k[:, 1].mT, alpha=-1)
        torch.bmm(x[:, 0], k[:, 1].mT, out=out[:, 1]).baddbmm_(x[:, 1], k[:, 0].mT)
        return
    batch, targets = out.shape[2:]
    for x_f, k_f, (real, imaginary) in zip(_stacked(x), _stacked(k), _parts(out), strict=True):
        both = product(x_f, k_f)
        rr, ri, ir, ii = both[:batch, :targets], both[:batch, targets:], both[batch:, :targets], both[batch:, targets:]
        torch.sub(rr, ii, out=real)
        torch.add(ri, ir, out=imaginary)


def _to_source(grad: Tensor, k: Tensor, out: Tensor) -> None:
    """out = grad conj(k): the gradient to x's spectrum."""
    if not uses_onednn(grad):
        torch.bmm(grad[:, 0], k[:, 0], out=out[:, 0]).baddbmm_(grad[:, 1], k[:, 1])
        torch.bmm(grad[:, 1], k[:, 0], out=out[:, 1]).baddbmm_(grad[:, 0], k[:, 1], alpha=-1)
        return
    batch = out.shape[2]
    for grad_f, k_parts, (real, imaginary) in zip(_stacked(grad), _parts(k), _parts(out), strict=True):
        by_real, by_imaginary = (product(grad_f, k_part.t()) for k_part in k_parts)
        torch.add(by_real[:batch], by_imaginary[batch:], out=real)
        torch.sub(by_real[batch:], by_imaginary[:batch], out=imaginary)


def _to_kernel(grad: Tensor, x: Tensor, out: Tensor) -> None:
    """out = sum over the batch of grad conj(x), ``[frequency, 2, target, source]``: the gradient to the kernel."""
    if not uses_onednn(grad):
        torch.bmm(grad[:, 0].mT, x[:, 0], out=out[:, 0]).baddbmm_(grad[:, 1].mT, x[:, 1])
        torch.bmm(grad[:, 1].mT, x[:, 0], out=out[:, 1]).baddbmm_(grad[:, 0].mT, x[:, 1], alpha=-1)
        return
    # the sum runs over the outer axis of both, which the product does best with one of them turned in memory
    batch, targets = grad.shape[2:]
    turned = grad.new_empty(2, targets, batch)
    for grad_f, x_parts, (real, imaginary) in zip(grad.unbind(), _parts(x), _parts(out), strict=True):
        turned.copy_(grad_f.mT)
        by_real, by_imaginary = (product(turned.view(-1, batch), x_part.t()) for x_part in x_parts)
        torch.add(by_real[:targets], by_imaginary[targets:], out=real)
        torch.sub(by_real[targets:], by_imaginary[:targets], out=imaginary)


def _keeps_kernels(batch: int, targets: int) -> bool:
    """Whether backward finds the kernels' spectrum kept: where it is not larger than that of x, which always is.

    Without it, backward makes it again from the taps, in as many multiply-adds as x's transform has where batch and
    targets are as many and the taps as many as the steps.
    """
    return targets <= batch


def input_spectrum(x: Tensor, count_taps: int, offset: int) -> Tensor:
    """``[frequency, 2, batch, source]`` of ``x [time, batch, source]``, as :func:`convolution` takes it."""
    time, batch, sources = x.shape
    count = frequencies(time, count_taps, offset)
    basis = _basis(count, max(time, count_taps), x.dtype, x.device)
    return product(basis[:, :time].contiguous(), x.contiguous().flatten(1).t()).view(count, 2, batch, sources)


@torch.library.custom_op("ranvier::spectral_convolution", mutates_args=())
def convolution(x: Tensor, taps: Tensor, offset: int) -> tuple[Tensor, Tensor, Tensor]:
    """sum_i sum_m taps[j, i, m] x[t - m, :, i] for t = offset ... time - 1.

    Args:
        x: ``[time, batch, source]``.
        taps: ``[target, source, tap]``, at most ``time`` taps.
        offset: steps at the start of which no output is wanted.

    Returns:
        ``[time - offset, batch, target]``, and what backward takes in the place of x and the taps: their spectra
        ``[frequency, 2, batch, source]`` and ``[frequency, 2, target, source]``, the latter empty where it is not kept.
    """
    time, batch, _ = x.shape
    targets, sources, count_taps = taps.shape
    count = frequencies(time, count_taps, offset)
    taps = taps.contiguous()
    basis = _basis(count, max(time, count_taps), x.dtype, x.device)
    spectrum = input_spectrum(x, count_taps, offset)
    out = x.new_empty(count, 2, batch, targets)
    kernels = x.new_empty(0)
    if _keeps_kernels(batch, targets):
        kernels = _kernel_spectrum(basis, taps, count, slice(0, count))
        _forward(spectrum, kernels, out)
    else:
        for block in _blocks(count, targets * sources * x.itemsize, count_taps):
            _forward(spectrum[block], _kernel_spectrum(basis, taps, count, block), out[block])
    back = basis[:, offset:time].t().contiguous()
    return product(back, out.view(2 * count, -1).t()).view(time - offset, batch, targets), spectrum, kernels


@convolution.register_fake
def _(x: Tensor, taps: Tensor, offset: int) -> tuple[Tensor, Tensor, Tensor]:
    (time, batch, sources), (targets, _, count_taps) = x.shape, taps.shape
    count = frequencies(time, count_taps, offset)
    kernels = x.new_empty(count, 2, targets, sources) if _keeps_kernels(batch, targets) else x.new_empty(0)
    return x.new_empty(time - offset, batch, targets), x.new_empty(count, 2, batch, sources), kernels


@torch.library.custom_op("ranvier::spectral_convolution_backward", mutates_args=())
def convolution_backward(
    grad: Tensor,
    spectrum: Tensor,
    kernels: Tensor,
    count_taps: int,
    offset: int,
    need_x: bool,
    need_taps: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`convolution` to x, and to the taps as ``[tap, target, source]``; empty if not needed.

    ``kernels``: the taps ``[target, source, tap]``, or their spectrum ``[frequency, 2, target, source]``.
    """
    time, batch, targets = len(grad) + offset, *grad.shape[1:]
    count, _, _, sources = spectrum.shape
    grad = grad.contiguous()
    basis = _basis(count, max(time, count_taps), grad.dtype, grad.device)
    flat_grad, rows = grad.flatten(1).t(), basis[:, offset:time]
    to_x = grad.new_empty(spectrum.shape) if need_x else grad.new_empty(0)
    grad_taps = grad.new_zeros(0, targets, sources)
    for block in _blocks(count, targets * sources * grad.itemsize, count_taps):
        part = slice(2 * block.start, 2 * block.stop)
        grad_spectrum = product(rows[part].contiguous(), flat_grad).view(-1, 2, batch, targets)
        if need_taps:
            to_k = grad.new_empty(len(grad_spectrum), 2, targets, sources)
            _to_kernel(grad_spectrum, spectrum[block], to_k)
            back = _kernel_basis(basis, count_taps, count, block).t().contiguous()
            to_taps = product(back, to_k.view(back.shape[1], -1).t()).view(count_taps, targets, sources)
            grad_taps = grad_taps.add_(to_taps) if len(grad_taps) else to_taps
            del to_k, to_taps  # before the next part asks for as much
        if need_x:
            of_block = kernels[block] if kernels.ndim == 4 else _kernel_spectrum(basis, kernels, count, block)
            _to_source(grad_spectrum, of_block, to_x[block])
        del grad_spectrum
    grad_x = grad.new_empty(0)
    if need_x:
        back = basis[:, :time].t().contiguous()
        grad_x = product(back, to_x.view(2 * count, -1).t()).view(time, batch, sources)
    return grad_x, grad_taps


@convolution_backward.register_fake
def _(
    grad: Tensor, spectrum: Tensor, kernels: Tensor, count_taps: int, offset: int, need_x: bool, need_taps: bool
) -> tuple[Tensor, Tensor]:
    batch, sources = spectrum.shape[2:]
    to_x = grad.new_empty(len(grad) + offset, batch, sources) if need_x else grad.new_empty(0)
    return to_x, grad.new_empty(count_taps if need_taps else 0, grad.shape[2], sources)


def _setup_convolution(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    _, taps, ctx.offset = inputs
    _, spectrum, kernels = output
    ctx.count_taps = taps.shape[2]
    ctx.mark_non_differentiable(spectrum, kernels)
    ctx.set_materialize_grads(False)  # else a spectrum of zeros would be made for every backward
    ctx.save_for_backward(spectrum, kernels if kernels.ndim == 4 else taps)


def _convolution_gradients(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, Tensor | None, None]:
    if grad is None:
        return None, None, None
    spectrum, kernels = ctx.saved_tensors
    need_x, need_taps = ctx.needs_input_grad[:2]
    to_x, to_taps = convolution_backward(grad, spectrum, kernels, ctx.count_taps, ctx.offset, need_x, need_taps)
    return (to_x if need_x else None), (to_taps.permute(1, 2, 0) if need_taps else None), None


convolution.register_autograd(_convolution_gradients, setup_context=_setup_convolution)
