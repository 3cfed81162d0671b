"""The dense convolution over space and time, with a weight for every delay: what learned delays are compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.ops.conv import events
from ranvier.ops.conv.op import conv3d, is_exact, unfold
from ranvier.ops.conv.places import Places
from ranvier.ops.inputs import of_type, over_time


def dense_convolution(
    x: Tensor, weight: Tensor, places: Places, *, bias: Tensor | None = None, history: Tensor | None = None
) -> Tensor:
    """Convolution over space and time.

        I[t, o, y, x] = bias[o] + sum_{c, u, v, m} weight[o, c, u, v, m] *
                        s[t - m, c, y * stride[0] + u - padding[0], x * stride[1] + v - padding[1]]

    Args:
        x: s as ``[time, batch, source]``, see :func:`ranvier.ops.conv.delayed_convolution`.
        weight: ``[target channel, source channel, kernel row, kernel column, delay]``, delays of 0, 1, ... steps.
        places: size of the picture, stride and padding.
        bias: ``[target channel]`` or None.
        history: the steps before ``x``, ``[longest delay, batch, source]``; None means silence.

    Returns:
        Current ``[time, batch, target]``. On a CPU and without gradients it is summed over events, in double precision.

    Raises:
        ValueError: a shape or a type does not fit.
    """
    if weight.ndim != 5:
        raise ValueError(f"weight: shape {tuple(weight.shape)} is not [target, source, row, column, delay]")
    kernel, max_delay = (weight.shape[2], weight.shape[3]), weight.shape[4] - 1
    places.check(kernel)
    x = over_time("x", x, weight, "source", weight.shape[1] * places.size[0] * places.size[1])
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias: shape {tuple(bias.shape)} is not [{weight.shape[0]}]")
    if history is not None and history.shape != (max_delay, *x.shape[1:]):
        raise ValueError(f"history: shape {tuple(history.shape)} is not {(max_delay, *x.shape[1:])}")
    history = None if history is None else of_type("history", history, weight)
    learned = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, history))
    if not x.numel():
        rows, columns = places.out_size(kernel)
        current = x.new_zeros(*x.shape[:2], len(weight), rows, columns) + 0 * (x.sum() + weight.sum())
    elif not is_exact(x.device):
        by_delay = weight.permute(4, 0, 1, 2, 3).flatten(2)
        delays = torch.arange(max_delay + 1.0, dtype=weight.dtype, device=weight.device).view(-1, 1, 1)
        return unfold(x, by_delay, delays, None, places, kernel, max_delay, "gaussian", bias, history)
    elif learned or x.dtype not in (torch.float32, torch.float64):
        current = conv3d(x, weight, places, history)
    else:
        current = _events(x, weight, places, history)
    return (current if bias is None else current + bias.view(-1, 1, 1)).flatten(2)


def _events(x: Tensor, weight: Tensor, places: Places, history: Tensor | None) -> Tensor:
    padded = (x if history is None else torch.cat([history, x])).double()
    current = torch.zeros((), dtype=torch.float64)
    for m, of_delay in enumerate(weight.double().unbind(4)):
        delay = torch.full_like(of_delay, m)
        current = current + events.frozen_convolution(padded, of_delay, delay, *places, m, len(padded) - len(x))
    return current.to(x.dtype)
