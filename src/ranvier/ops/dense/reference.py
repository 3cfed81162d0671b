"""The delayed current as the equation says it: build every tap, convolve densely."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-7


def tap_kernel(delay: Tensor, sigma: Tensor | float | None, *, max_delay: int, kernel: str) -> Tensor:
    """g(m; delay, sigma) for m = 0 ... max_delay, as ``[*delay.shape, max_delay + 1]``; delays in [0, max_delay].

    ``sigma`` is a single number or of a shape that spreads to the delays'.
    """
    taps = torch.arange(max_delay + 1, device=delay.device, dtype=delay.dtype)
    if sigma is None:
        return (taps == delay.round().unsqueeze(-1)).to(delay.dtype)
    if isinstance(sigma, Tensor) and sigma.ndim:
        sigma = sigma.unsqueeze(-1)
    distance = taps - delay.unsqueeze(-1)
    gaussian = kernel == "gaussian"
    g = torch.exp(-0.5 * (distance / sigma) ** 2) if gaussian else (1 + sigma - distance.abs()).clamp(min=0)
    if kernel == "delrec":
        return g / (1 + sigma) ** 2
    return g / (EPSILON + g.sum(-1, keepdim=True))


def delayed_current(
    x: Tensor,
    weight: Tensor,
    delay: Tensor,
    sigma: Tensor | float | None,
    *,
    max_delay: int,
    kernel: str,
    bias: Tensor | None,
    history: Tensor | None,
) -> Tensor:
    g = tap_kernel(delay, sigma, max_delay=max_delay, kernel=kernel)
    dense = (weight.unsqueeze(-1) * g).sum(0)
    if not len(x):  # conv1d refuses what is shorter than its kernel
        return x @ dense.sum(-1).mT
    if history is None:
        history = x.new_zeros(max_delay, *x.shape[1:])
    padded = torch.cat([history, x])
    if x.device.type == "cuda":
        current = convolve_by_products(padded, dense)
        return current if bias is None else current + bias
    # conv1d correlates, so the longest delay comes first
    return F.conv1d(padded.permute(1, 2, 0), dense.flip(-1), bias).permute(2, 0, 1)


def convolve_by_products(padded: Tensor, dense: Tensor) -> Tensor:
    """The convolution as a matrix product for each tap: cuDNN's would round float32 to TF32 without being asked.

    Matrix products do as torch's settings say (``torch.backends.cuda.matmul``): exactly, unless they were changed.

    Args:
        padded: ``[max_delay + time, batch, source]``.
        dense: ``[target, source, max_delay + 1]``.
    """
    longest = dense.shape[2] - 1
    time = len(padded) - longest
    shifted = (padded[longest - m : longest - m + time] @ tap.mT for m, tap in enumerate(dense.unbind(2)))
    return sum(shifted, start=padded.new_zeros(()))
