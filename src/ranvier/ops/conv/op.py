"""The contract of the delayed convolution: checks, then the plan."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ranvier.ops.conv import events, reference
from ranvier.ops.conv.places import Places
from ranvier.ops.dense import KERNELS, Kernel, check_sigma, delayed_current
from ranvier.ops.dense.op import Plan, dense_taps
from ranvier.ops.dense.reference import tap_kernel
from ranvier.ops.inputs import of_type, over_time
from ranvier.ops.product import without_autocast


def delayed_convolution(
    x: Tensor,
    weight: Tensor,
    delay: Tensor,
    sigma: Tensor | float | None,
    places: Places,
    *,
    max_delay: int,
    kernel: Kernel = "gaussian",
    bias: Tensor | None = None,
    history: Tensor | None = None,
) -> Tensor:
    """Delayed current with a kernel over space, each of whose elements has one weight and one delay.

        I[t, o, y, x] = bias[o] + sum_{c, u, v} weight[o, c, u, v] sum_{m=0..max_delay} g(m; delay[o, c, u, v], sigma)
                        * s[t - m, c, y * stride[0] + u - padding[0], x * stride[1] + v - padding[1]]

    s is the input, silent outside of the picture; g as :func:`ranvier.ops.dense.delayed_current` has it.

    Args:
        x: s as ``[time, batch, source]``, source = (c * height + y) * width + x.
        weight: ``[target channel, source channel, kernel row, kernel column]``.
        delay: steps, fractions allowed, clamped to [0, max_delay]; shape of ``weight``.
        sigma: width of the tap in steps, as :func:`ranvier.ops.dense.delayed_current` allows it.
        places: size of the picture, stride and padding.
        max_delay: longest delay in steps, >= 0.
        kernel: shape of the tap when ``sigma`` is given.
        bias: ``[target channel]`` or None.
        history: the ``max_delay`` steps before ``x``, ``[max_delay, batch, source]``; None means silence.

    Returns:
        Current ``[time, batch, target]``, target = (o * out_height + y) * out_width + x, in the weight's type under
        autocast too.

    Raises:
        ValueError: a shape, a type or a name does not fit, or sigma is too narrow.

    Source: Grimaldi and Perrinet 2023 (arXiv 2307.14077) for kernels over space and delays; positions that are learned,
    Hammouamri, Khalfaoui-Hassani, Masquelier, ICLR 2024 (arXiv 2306.17670).
    """
    if weight.ndim != 4:
        raise ValueError(
            f"weight: shape {tuple(weight.shape)} is not [target channel, source channel, kernel row, kernel column]"
        )
    places.check((weight.shape[2], weight.shape[3]))
    x = over_time("x", x, weight, "source", weight.shape[1] * places.size[0] * places.size[1])
    if delay.shape != weight.shape:
        raise ValueError(f"delay: shape {tuple(delay.shape)} is not the weight's {tuple(weight.shape)}")
    if max_delay < 0:
        raise ValueError(f"max_delay: {max_delay} is not allowed (0 or more steps)")
    if kernel not in KERNELS:
        raise ValueError(f"kernel: {kernel!r} is not allowed ({', '.join(KERNELS)})")
    if isinstance(sigma, Tensor) and sigma.numel() != 1:
        raise ValueError(f"sigma: shape {tuple(sigma.shape)} is not allowed (a single number)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias: shape {tuple(bias.shape)} is not [{weight.shape[0]}]")
    if history is not None and history.shape != (max_delay, *x.shape[1:]):
        raise ValueError(f"history: shape {tuple(history.shape)} is not {(max_delay, *x.shape[1:])}")
    history = None if history is None else of_type("history", history, weight)
    if sigma is None:
        delay = delay.detach()  # rounded, it has no gradient
        weight = weight + (delay - delay)  # one that is not finite has no rounded tap, and must show
    else:
        check_sigma(sigma, kernel)
    delay = delay.clamp(0, max_delay)
    chosen = plan(x, weight, delay, sigma, history=history).name
    if chosen == "reference":
        return reference.delayed_convolution(
            x, weight, delay, sigma, places, max_delay=max_delay, kernel=kernel, bias=bias, history=history
        )
    if chosen == "unfold":
        elements = weight.flatten(1).unsqueeze(0), delay.flatten(1).unsqueeze(0)
        size = (weight.shape[2], weight.shape[3])
        return unfold(x, *elements, sigma, places, size, max_delay, kernel, bias, history)
    if chosen == "events":
        padded_input = x if history is None else torch.cat([history, x])
        offset = len(padded_input) - len(x)
        current: Tensor = events.frozen_convolution(padded_input, weight, delay, *places, max_delay, offset)
    else:
        current = conv3d(x, _taps(weight, delay, sigma, kernel, max_delay), places, history)
    return (current if bias is None else current + bias.view(-1, 1, 1)).flatten(2)


def plan(
    x: Tensor, weight: Tensor, delay: Tensor, sigma: Tensor | float | None, *, history: Tensor | None = None
) -> Plan:
    """The algorithm that :func:`delayed_convolution` takes for these arguments.

    - ``events``: on a CPU, where delays are frozen and no gradient is wanted. Direct sums in double precision, so that
      a frozen network's spikes do not depend on it.
    - ``conv3d``: on a CPU elsewhere. Every tap of the kernel, and torch's convolution over time and space.
    - ``unfold``: on other devices, whose convolutions would round float32 unasked. Each place of the kernel as a clip
      of its own, through :func:`ranvier.ops.dense.delayed_current`.
    - ``reference``: nothing to compute.
    """
    if 0 in (x.numel(), weight.numel()):
        return Plan("reference", "nothing to compute")
    if not is_exact(x.device):
        return Plan("unfold", f"convolutions of {x.device.type} may round")
    wants_gradient = torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in (x, weight, delay, history)
    )
    if sigma is None and not wants_gradient and x.dtype in (torch.float32, torch.float64):
        return Plan("events", "frozen delays without gradients are summed directly")
    return Plan("conv3d", "a CPU convolves over time and space")


def is_exact(device: torch.device) -> bool:
    """Whether torch's convolutions there are as exact as sums of their type."""
    return device.type == "cpu"


def _taps(weight: Tensor, delay: Tensor, sigma: Tensor | float | None, kernel: Kernel, max_delay: int) -> Tensor:
    """weight g(m; delay, sigma), ``[*weight.shape, max_delay + 1]``."""
    if weight.dtype not in (torch.float32, torch.float64):
        return weight.unsqueeze(-1) * tap_kernel(delay, sigma, max_delay=max_delay, kernel=kernel)
    flat_weight, flat_delay = (tensor.flatten(1).unsqueeze(0) for tensor in (weight, delay))
    return dense_taps(flat_weight, flat_delay, sigma, kernel, max_delay, max_delay + 1).view(
        *weight.shape, max_delay + 1
    )


def conv3d(x: Tensor, taps: Tensor, places: Places, history: Tensor | None) -> Tensor:
    """``[time, batch, target channel, row, column]``, by torch's convolution over time and space.

    ``taps [target channel, source channel, kernel row, kernel column, delay]``
    """
    max_delay = taps.shape[-1] - 1
    history = x.new_zeros(max_delay, *x.shape[1:]) if history is None else history
    by_clip = places.pictures(torch.cat([history, x])).permute(1, 2, 0, 3, 4)
    # conv3d correlates, so the longest delay comes first
    kernels = taps.flip(-1).permute(0, 1, 4, 2, 3)
    with without_autocast(x.device):
        current = F.conv3d(by_clip, kernels, stride=(1, *places.stride), padding=(0, *places.padding))
    return current.permute(2, 0, 1, 3, 4)


def unfold(
    x: Tensor, weight: Tensor, delay: Tensor, sigma: Tensor | float | None, places: Places, size: tuple[int, int],
    max_delay: int, kernel: Kernel, bias: Tensor | None, history: Tensor | None,
) -> Tensor:  # fmt: skip
    """``[time, batch, target]`` with ``weight [synapse, target channel, element]`` of kernels of a ``size``; takes as
    many copies of ``x`` as the kernel has rows times columns."""

    def clips(x: Tensor) -> Tensor:
        """``[time, batch * place, element]``."""
        found = F.unfold(places.pictures(x).flatten(0, 1), size, padding=places.padding, stride=places.stride)
        return found.view(*x.shape[:2], *found.shape[1:]).transpose(2, 3).flatten(1, 2)

    past = None if history is None or not max_delay else clips(history)
    current = delayed_current(
        clips(x), weight, delay, sigma, max_delay=max_delay, kernel=kernel, bias=bias, history=past
    )
    return current.view(*x.shape[:2], -1, weight.shape[1]).transpose(2, 3).flatten(2)
