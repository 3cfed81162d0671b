"""The step function forward; a named surrogate derivative backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Surrogate = Literal["arctan", "fast_sigmoid", "triangle"]
SURROGATES: tuple[str, ...] = get_args(Surrogate)


def _arctan(u: Tensor, alpha: float) -> Tensor:
    return alpha / 2 / (1 + (math.pi / 2 * alpha * u) ** 2)


def _fast_sigmoid(u: Tensor, alpha: float) -> Tensor:
    return 1 / (1 + alpha * u.abs()) ** 2


def _triangle(u: Tensor, alpha: float) -> Tensor:
    return alpha * (1 - alpha * u.abs()).clamp(min=0)


_DERIVATIVES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "arctan": _arctan,
    "fast_sigmoid": _fast_sigmoid,
    "triangle": _triangle,
}


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, surrogate: str, alpha: float) -> Tensor:
        ctx.save_for_backward(u)
        ctx.surrogate, ctx.alpha = surrogate, alpha
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        return grad * _DERIVATIVES[ctx.surrogate](u, ctx.alpha), None, None


def surrogate_slope(u: Tensor, surrogate: str, alpha: float) -> Tensor:
    """The derivative that :func:`spike` has backward; arguments as there."""
    return _DERIVATIVES[surrogate](u, alpha)


def check_surrogate(surrogate: str, alpha: float) -> None:
    """Raise ValueError unless the surrogate is known and alpha above 0."""
    if surrogate not in _DERIVATIVES:
        raise ValueError(f"surrogate: {surrogate!r} is not allowed ({', '.join(SURROGATES)})")
    if not alpha > 0:
        raise ValueError(f"alpha: {alpha} is not allowed (above 0)")


def spike(u: Tensor, surrogate: Surrogate = "arctan", alpha: float = 5.0) -> Tensor:
    """1 where u >= 0, else 0; backward the derivative named by ``surrogate``.

        arctan:        (alpha / 2) / (1 + (pi/2 * alpha * u)^2)   (Fang et al. 2021, arXiv 2007.05785)
        fast_sigmoid:  1 / (1 + alpha * |u|)^2                    (Zenke & Ganguli 2018, arXiv 1705.11146)
        triangle:      alpha * max(0, 1 - alpha * |u|)            (Bellec et al. 2018, arXiv 1803.09574)

    Args:
        u: distance of the voltage from its threshold, any shape.
        surrogate: name of the derivative.
        alpha: its steepness, > 0; the paper uses arctan with 5.

    Returns:
        Zeros and ones, shape and dtype of ``u``.

    Raises:
        ValueError: unknown surrogate, or alpha not above 0.
    """
    check_surrogate(surrogate, alpha)
    result: Tensor = _Spike.apply(u, surrogate, alpha)  # type: ignore[no-untyped-call]
    return result
