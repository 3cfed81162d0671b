"""The contract of the delayed current: checks, then the way to compute it."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from ranvier.ops.delay import reference

Kernel = Literal["gaussian", "triangle"]
KERNELS: tuple[str, ...] = get_args(Kernel)


def delayed_current(
    x: Tensor,
    weight: Tensor,
    delay: Tensor,
    sigma: Tensor | float | None,
    *,
    max_delay: int,
    kernel: Kernel = "gaussian",
    bias: Tensor | None = None,
    history: Tensor | None = None,
) -> Tensor:
    """Sum of delayed, weighted inputs.

        I[t, j] = bias[j] + sum_branch sum_i weight[j, i] * sum_{m=0..max_delay} g(m; delay[j, i], sigma) * x[t - m, i]
        gaussian: g(m) = exp(-((m - d) / sigma)^2 / 2) / (1e-7 + sum_m' exp(-((m' - d) / sigma)^2 / 2))
        triangle: g(m) = max(0, 1 + sigma - |m - d|), normalised the same way
        sigma None (frozen): g(m) = 1 where m = round(d), else 0

    Args:
        x: ``[time, batch, source]``, any real numbers.
        weight: ``[branch, target, source]``.
        delay: steps in [0, max_delay], fractions allowed; shape of ``weight``, or 1 along target or source.
        sigma: width of the tap in steps; gaussian > 0, triangle >= 0; None rounds the delays and takes one tap.
        max_delay: longest delay in steps, >= 0.
        kernel: shape of the tap when ``sigma`` is given.
        bias: ``[target]`` or None.
        history: the ``max_delay`` steps before ``x``, ``[max_delay, batch, source]``; None means silence.

    Returns:
        Current ``[time, batch, target]``.

    Raises:
        ValueError: a shape or a name does not fit.

    Source: Hammouamri, Khalfaoui-Hassani, Masquelier, ICLR 2024 (arXiv 2306.17670), equations 7 to 9.
    """
    if x.ndim != 3:
        raise ValueError(f"x: shape {tuple(x.shape)} is not [time, batch, source]")
    if weight.ndim != 3 or weight.shape[2] != x.shape[2]:
        raise ValueError(f"weight: shape {tuple(weight.shape)} is not [branch, target, {x.shape[2]}]")
    fits = delay.ndim == 3 and all(d in (1, w) for d, w in zip(delay.shape, weight.shape, strict=True))
    if not fits:
        raise ValueError(f"delay: shape {tuple(delay.shape)} does not spread over the weight's {tuple(weight.shape)}")
    if max_delay < 0:
        raise ValueError(f"max_delay: {max_delay} is not allowed (0 or more steps)")
    if kernel not in KERNELS:
        raise ValueError(f"kernel: {kernel!r} is not allowed ({', '.join(KERNELS)})")
    if bias is not None and bias.shape != weight.shape[1:2]:
        raise ValueError(f"bias: shape {tuple(bias.shape)} is not [{weight.shape[1]}]")
    if history is not None and history.shape != (max_delay, *x.shape[1:]):
        raise ValueError(f"history: shape {tuple(history.shape)} is not {(max_delay, *x.shape[1:])}")
    return reference.delayed_current(
        x, weight, delay, sigma, max_delay=max_delay, kernel=kernel, bias=bias, history=history
    )
