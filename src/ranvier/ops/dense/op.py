"""The contract of the delayed current: checks, then the plan."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ranvier.ops.dense import events, reference, spectral
from ranvier.ops.dense.taps import weighted_taps
from ranvier.ops.inputs import of_type, over_time
from ranvier.ops.product import without_autocast
from ranvier.ops.scans import has_kernels

Kernel = Literal["gaussian", "triangle", "delrec"]
KERNELS: tuple[str, ...] = get_args(Kernel)
LOWEST_SIGMA: dict[str, float] = {"gaussian": 0.12, "triangle": 0.0, "delrec": 0.0}
"""Narrower, epsilon would take more than 1e-3 of a tap that lies halfway between two steps."""


def check_sigma(sigma: Tensor | float, kernel: str) -> None:
    """Refuse a width at which taps do not sum to 1 within 1e-3.

    Raises:
        ValueError: ``sigma`` (in steps) is below the lowest of its kernel, or not finite.
    """
    if isinstance(sigma, Tensor):
        # to look at what is on a GPU is to wait for it; a compiled graph cannot look
        if sigma.device.type != "cpu" or torch.compiler.is_compiling() or not sigma.numel():
            return
        low, high = (float(end) for end in sigma.detach().aminmax())
    else:
        low = high = float(sigma)
    # single precision may have rounded the lowest down
    if not (low >= LOWEST_SIGMA[kernel] * (1 - 1e-6) and high < math.inf):
        raise ValueError(f"sigma: {low:g} is not allowed ({LOWEST_SIGMA[kernel]:g} steps or more, {kernel})")


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

        I[t, j] = bias[j] + sum_synapse sum_i weight[j, i] * sum_{m=0..max_delay} g(m; delay[j, i], sigma) * x[t - m, i]
        gaussian: g(m) = exp(-((m - d) / sigma)^2 / 2) / (1e-7 + sum_m' exp(-((m' - d) / sigma)^2 / 2))
        triangle: g(m) = max(0, 1 + sigma - |m - d|), normalised in the same manner
        delrec: g(m) = max(0, 1 + sigma - |m - d|) / (1 + sigma)^2, not normalised
        sigma None (frozen): g(m) = 1 where m = round(d), else 0

    Args:
        x: ``[time, batch, source]``, any real numbers that the weight's type can hold.
        weight: ``[synapse, target, source]``.
        delay: steps, fractions allowed, clamped to [0, max_delay]; shape of ``weight``, or 1 along target or source.
        sigma: width of the tap in steps, one or, in the shape of ``delay``, one for each delay; gaussian >= 0.12, so
            that taps sum to 1 within 1e-3 wherever the delay lies; triangle >= 0; None rounds the delays and takes one
            tap.
        max_delay: longest delay in steps, >= 0.
        kernel: shape of the tap when ``sigma`` is given.
        bias: ``[target]`` or None.
        history: the ``max_delay`` steps before ``x``, ``[max_delay, batch, source]``; None means silence.

    Returns:
        Current ``[time, batch, target]``, in the weight's type under autocast too. NaN or infinite weights, delays and
        inputs make it NaN or infinite.

    Raises:
        ValueError: a shape, a type or a name does not fit, or sigma is too narrow.

    Source: Hammouamri, Khalfaoui-Hassani, Masquelier, ICLR 2024 (arXiv 2306.17670), equations 7 to 9.
    """
    if weight.ndim != 3:
        raise ValueError(f"weight: shape {tuple(weight.shape)} is not [synapse, target, source]")
    x = over_time("x", x, weight, "source", weight.shape[2])
    fits = delay.ndim == 3 and all(d in (1, w) for d, w in zip(delay.shape, weight.shape, strict=True))
    if not fits:
        raise ValueError(f"delay: shape {tuple(delay.shape)} does not spread over the weight's {tuple(weight.shape)}")
    if max_delay < 0:
        raise ValueError(f"max_delay: {max_delay} is not allowed (0 or more steps)")
    if kernel not in KERNELS:
        raise ValueError(f"kernel: {kernel!r} is not allowed ({', '.join(KERNELS)})")
    if isinstance(sigma, Tensor) and sigma.numel() != 1 and sigma.shape != delay.shape:
        raise ValueError(f"sigma: shape {tuple(sigma.shape)} is neither a single number nor {tuple(delay.shape)}")
    if bias is not None and bias.shape != weight.shape[1:2]:
        raise ValueError(f"bias: shape {tuple(bias.shape)} is not [{weight.shape[1]}]")
    if history is not None and history.shape != (max_delay, *x.shape[1:]):
        raise ValueError(f"history: shape {tuple(history.shape)} is not {(max_delay, *x.shape[1:])}")
    history = None if history is None else of_type("history", history, weight)
    if sigma is None:
        weight = weight + (delay - delay).detach()  # a delay that is not finite has no rounded tap, and must show
    else:
        check_sigma(sigma, kernel)
    delay = delay.clamp(0, max_delay)
    chosen = plan(x, weight, delay, sigma, max_delay=max_delay, history=history)
    if chosen.name == "dense":
        with without_autocast(x.device):
            return reference.delayed_current(
                x, weight, delay, sigma, max_delay=max_delay, kernel=kernel, bias=bias, history=history
            )
    delay = delay.expand_as(weight)
    if chosen.name == "events":
        padded_input = x if history is None else torch.cat([history, x])
        current: Tensor = events.frozen_current(padded_input, weight, delay, max_delay, len(padded_input) - len(x))
    else:
        current = _spectral(x, weight, delay, sigma, max_delay=max_delay, kernel=kernel, history=history)
    return current if bias is None else current + bias


def _spectral(
    x: Tensor,
    weight: Tensor,
    delay: Tensor,
    sigma: Tensor | float | None,
    *,
    max_delay: int,
    kernel: Kernel,
    history: Tensor | None,
) -> Tensor:
    """The spectral algorithm, in one piece or, where that is less work, in chunks of time beside one another."""
    (time, batch, sources), targets = x.shape, weight.shape[1]
    chunk = _chunk(time, batch, sources, targets, max_delay, history is not None, _beside(x.device))
    whole = chunk == time
    kept = max_delay + 1 if history is not None or not whole else min(max_delay + 1, time)
    taps = dense_taps(weight, delay, sigma, kernel, max_delay, kept)
    current: Tensor
    if whole and history is None:
        current, *_ = spectral.convolution(x, taps, 0)
        return current
    chunks = -(-time // chunk)
    past = x.new_zeros(max_delay, batch, sources) if history is None else history
    padded_input = torch.cat([past, x, x.new_zeros(chunks * chunk - time, batch, sources)])
    starts = range(0, chunks * chunk, chunk)
    beside = torch.cat([padded_input[start : start + max_delay + chunk] for start in starts], 1)
    current, *_ = spectral.convolution(beside, taps, max_delay)
    return current.view(chunk, chunks, batch, targets).transpose(0, 1).reshape(-1, batch, targets)[:time]


def dense_taps(
    weight: Tensor, delay: Tensor, sigma: Tensor | float | None, kernel: Kernel, max_delay: int, kept: int
) -> Tensor:
    """sum_synapse weight g(m; delay, sigma) for m = 0 ... kept - 1, ``[target, source, kept]``; ``delay`` has the shape
    of ``weight [synapse, target, source]`` and lies in [0, max_delay]."""
    if has_kernels(weight.device) and kernel != "delrec" and not _learned(sigma):
        taps: Tensor = weighted_taps(weight, delay, _width(sigma, weight.device), kernel, max_delay, kept)
        return taps
    g = reference.tap_kernel(delay, sigma, max_delay=max_delay, kernel=kernel)
    return (weight.unsqueeze(-1) * g[..., :kept]).sum(0)


def _learned(sigma: Tensor | float | None) -> bool:
    """Whether there are many widths or a gradient to them is wanted, for which there are no compiled taps."""
    return isinstance(sigma, Tensor) and (sigma.numel() != 1 or (torch.is_grad_enabled() and sigma.requires_grad))


def _width(sigma: Tensor | float | None, device: torch.device) -> Tensor | None:
    """``sigma`` in double precision on a device, without waiting for it."""
    if isinstance(sigma, Tensor):
        return sigma.detach().to(device, torch.float64)
    return None if sigma is None else torch.full((), float(sigma), dtype=torch.float64, device=device)


def _chunk(time: int, batch: int, sources: int, targets: int, max_delay: int, with_history: bool, beside: float) -> int:
    """Steps to convolve at a time: the transforms of a whole clip cost its length squared, of chunks less.

    Chunks are copied with the steps before them, so they must save a good part of the work.
    """
    best, lowest = time, math.inf
    for pieces in range(1, 33):
        chunk = -(-time // pieces)
        chunks = -(-time // chunk)
        whole = chunks == 1 and not with_history
        taps, offset = (min(max_delay + 1, time), 0) if whole else (max_delay + 1, max_delay)
        cost = _spectral_cost(chunk + offset, chunks * batch, sources, targets, taps, offset, beside)
        if whole:
            cost *= _WHOLE
        if cost < lowest:
            best, lowest = chunk, cost
    return best


def _spectral_cost(time: int, batch: int, sources: int, targets: int, taps: int, offset: int, beside: float) -> float:
    pairs = sources * targets
    each = 4 * batch * pairs + 2 * time * batch * (sources + targets) + 2 * taps * pairs + beside
    return spectral.frequencies(time, taps, offset) * each


def _beside(device: torch.device) -> float:
    return _PER_FREQUENCY if device.type == "cpu" else 0.0


class Plan(NamedTuple):
    """The algorithm that computes the delayed current, and why it was chosen."""

    name: str
    why: str


# What a frequency costs beside its multiply-adds (calls, copies), in multiply-adds of the same time; measured on CPUs.
_PER_FREQUENCY = 5e6
# What a whole clip counts against chunks of it, which take twice its memory.
_WHOLE = 0.7


def plan(
    x: Tensor,
    weight: Tensor,
    delay: Tensor,
    sigma: Tensor | float | None,
    *,
    max_delay: int,
    history: Tensor | None = None,
) -> Plan:
    """The algorithm that :func:`delayed_current` takes for these arguments.

    - ``events``: on a CPU, where delays are frozen and no gradient is wanted. Direct sums in double precision, so that
      a frozen network's spikes do not depend on it.
    - ``spectral``: where it takes fewer multiply-adds, counted with what each frequency costs beside them. Forward, for
      K taps and F = (time + K - 1) / 2 frequencies: F (4 batch source target + 2 time batch (source + target) +
      2 K source target), against batch source target K time of the dense convolution; a long clip counts as several
      chunks of time beside one another, as many as cost least.
    - ``dense``: elsewhere, and for types other than float32 and float64.

    On a GPU multiply-adds alone are counted, for what a frequency costs beside them was measured on CPUs. The plan
    follows from shapes and types, never from values.
    """
    (time, batch, sources), targets = x.shape, weight.shape[1]
    if x.dtype != weight.dtype or x.dtype not in (torch.float32, torch.float64):
        return Plan("dense", f"{x.dtype} is convolved directly")
    if 0 in (x.numel(), weight.numel()):
        return Plan("dense", "nothing to compute")
    wants_gradient = torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in (x, weight, delay, history)
    )
    if sigma is None and not wants_gradient and x.device.type == "cpu":
        return Plan("events", "frozen delays without gradients are summed directly")
    beside = _beside(x.device)
    chunk = _chunk(time, batch, sources, targets, max_delay, history is not None, beside)
    chunks = -(-time // chunk)
    whole = chunks == 1 and history is None
    taps, offset = (min(max_delay + 1, time), 0) if whole else (max_delay + 1, max_delay)
    dense = batch * sources * targets * (max_delay + 1) * time
    spectral_ = _spectral_cost(chunk + offset, chunks * batch, sources, targets, taps, offset, beside)
    counted = f"{spectral_ / 1e9:.3g} against {dense / 1e9:.3g} billion multiply-adds"
    return Plan("spectral", counted) if spectral_ < dense else Plan("dense", counted)
