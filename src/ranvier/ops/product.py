"""The matrix product that the spectral algorithm is made of, by the faster of the libraries that torch brings."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch import Tensor


@cache
def _onednn() -> bool:
    # what torch's own compiler calls for a linear layer; twice as fast as torch.mm where MKL does not use the
    # processor's widest registers (AMD EPYC: 399 against 181 billion operations a second); not in every build of torch
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (available and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    a, b = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3)
    try:
        return bool(torch.equal(_linear(a, b), a @ b.t()))
    except (RuntimeError, TypeError):
        return False


def _linear(a: Tensor, b: Tensor) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return result


def uses_onednn(a: Tensor) -> bool:
    """Whether :func:`product` of a matrix like ``a`` goes through oneDNN, one matrix at a time."""
    allowed = bool(torch.backends.mkldnn.enabled)
    return a.device.type == "cpu" and a.dtype == torch.float32 and allowed and _onednn()


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b.t()`` for ``a [rows, inner]`` and ``b [columns, inner]``, each dense, by rows or by columns.

    As exact as torch's settings for float32 products say, which is exact unless they were changed; under autocast too,
    which would round a transform to half precision.
    """
    if uses_onednn(a) and a.numel() and b.numel():
        return _linear(a, b)
    with without_autocast(a.device):
        return a @ b.t()


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Products within are as exact as outside autocast: taps in half precision would flip spikes."""
    kind = device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):  # torch 2.6 does not compile is_autocast_available
        return torch.autocast(kind, enabled=False)
    return nullcontext()
