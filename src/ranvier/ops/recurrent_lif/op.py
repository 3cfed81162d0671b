"""The contract of neurons with delayed recurrent connections: checks, then the plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ranvier.ops.adaptive_lif import EULERS, Euler, adaptive_lif
from ranvier.ops.dense.op import KERNELS, Kernel, check_sigma, delayed_current, dense_taps
from ranvier.ops.inputs import neuron_inputs, of_type
from ranvier.ops.lif import RESETS, Reset
from ranvier.ops.lif import reference as lif_reference
from ranvier.ops.recurrent_lif import loop
from ranvier.ops.recurrent_lif.scan import recurrent_lif_frozen, recurrent_lif_scan
from ranvier.ops.scans import is_scanned, per_neuron, start, widened
from ranvier.ops.surrogate import Surrogate, check_surrogate


def longest_lag(delay: Tensor, sigma: Tensor | float | None, *, max_delay: int, kernel: Kernel = "gaussian") -> int:
    """The longest lag in steps at which a tap is more than rounding: what recurrent connections need of the past.

    Arguments as :func:`recurrent_lif`. A GPU is waited for.
    """
    if delay.device.type == "meta" or not delay.numel() or not bool(delay.isfinite().all()):
        return max_delay
    longest = float(delay.detach().max())
    if sigma is None:
        return max(1, min(max_delay, round(longest)))
    width = float(sigma.detach().max() if isinstance(sigma, Tensor) else sigma)
    reach = 1 + width if kernel != "gaussian" else 1 + (6.0 if delay.dtype == torch.float32 else 8.6) * width
    return max(1, min(max_delay, math.ceil(longest + reach)))


def recurrent_lif(
    current: Tensor,
    weight: Tensor,
    delay: Tensor,
    sigma: Tensor | float | None,
    decay: Tensor,
    threshold: Tensor,
    state: Tensor | None = None,
    *,
    max_delay: int,
    kernel: Kernel = "gaussian",
    gain: Tensor | None = None,
    history: Tensor | None = None,
    surrogate: Surrogate = "arctan",
    alpha: float = 5.0,
    reset: Reset = "zero",
) -> tuple[Tensor, Tensor]:
    """Leaky integrate-and-fire neurons that receive their own spikes, each synapse with a delay of one step or more.

        I[t, j] = current[t, j] + sum_synapse sum_k weight[j, k] * sum_{m=1..max_delay} g(m; delay[j, k], sigma) *
                  gain[k] * s[t - m, k]
        v[t] = decay * v[t-1] * (1 - s[t-1]) + I[t]        s[t] = 1 if v[t] >= threshold else 0

    g as :func:`ranvier.ops.dense.delayed_current` has it, with its sum over m = 1 ... max_delay. What this costs
    follows the longest lag that a tap has (:func:`longest_lag`), not ``max_delay``.

    Args:
        current: ``[time, batch, neuron]``.
        weight: ``[synapse, target, source]``, as many targets as sources.
        delay: steps, fractions allowed, clamped to [1, max_delay]; shape of ``weight``, or 1 along target (axonal) or
            source (dendritic).
        sigma: width of the tap in steps, one or, in the shape of ``delay``, one for each delay; None rounds the delays
            and takes one tap.
        decay, threshold, state, surrogate, alpha, reset: see :func:`ranvier.ops.lif.lif`.
        max_delay: longest delay in steps, >= 1.
        kernel: ``gaussian``, ``triangle`` or ``delrec``.
        gain: ``[batch, neuron]``, what a spike is worth to the recurrent connections: a dropout mask. It has no
            gradient. None means 1.
        history: ``[steps, batch, neuron]``, spikes times gain of the steps before, the latest last; None, and what is
            before them, means silence.

    Returns:
        Spikes ``[time, batch, neuron]``, and the voltage after reset at the end.

    Raises:
        ValueError: a shape, a type or a name does not fit, or sigma is too narrow.

    Source: Queant et al., DelRec (arXiv 2509.24852), where ``delay`` is 1 + d and the kernel ``delrec``.
    """
    if reset not in RESETS:
        raise ValueError(f"reset: {reset!r} is not allowed ({', '.join(RESETS)})")
    neurons = _Neurons(reset, {"decay": decay, "threshold": threshold}, (), lif_reference.lif, {"reset": reset})
    connection = (weight, delay, sigma, max_delay, kernel, gain, history)
    return _recurrent(current, neurons, state, connection, surrogate, alpha)


def recurrent_adaptive_lif(
    current: Tensor,
    weight: Tensor,
    delay: Tensor,
    sigma: Tensor | float | None,
    decay: Tensor,
    adaptation_decay: Tensor,
    a: Tensor,
    b: Tensor,
    threshold: Tensor,
    state: Tensor | None = None,
    *,
    max_delay: int,
    kernel: Kernel = "gaussian",
    gain: Tensor | None = None,
    history: Tensor | None = None,
    euler: Euler = "symplectic",
    surrogate: Surrogate = "arctan",
    alpha: float = 5.0,
) -> tuple[Tensor, Tensor]:
    """Adaptive leaky integrate-and-fire neurons that receive their own spikes, as :func:`recurrent_lif` has it.

    Args:
        current, weight, delay, sigma, max_delay, kernel, gain, history: see :func:`recurrent_lif`.
        decay, adaptation_decay, a, b, threshold, state, euler, surrogate, alpha: see
            :func:`ranvier.ops.adaptive_lif.adaptive_lif`.

    Returns:
        Spikes ``[time, batch, neuron]``, and the state ``[batch, 3, neuron]`` after the last step.

    Raises:
        ValueError: a shape, a type or a name does not fit, or sigma is too narrow.
    """
    if euler not in EULERS:
        raise ValueError(f"euler: {euler!r} is not allowed ({', '.join(EULERS)})")
    values = {"decay": decay, "adaptation_decay": adaptation_decay, "a": a, "b": b, "threshold": threshold}
    neurons = _Neurons(euler, values, (3,), adaptive_lif, {"euler": euler})
    connection = (weight, delay, sigma, max_delay, kernel, gain, history)
    return _recurrent(current, neurons, state, connection, surrogate, alpha)


class _Neurons(NamedTuple):
    """Which the scan knows as ``kind``; ``step`` takes a current, the values, a state and options for the loop."""

    kind: str
    values: dict[str, Tensor]
    rows: tuple[int, ...]  # of the state
    step: Callable[..., tuple[Tensor, Tensor]]
    options: dict[str, Any]


def _recurrent(
    current: Tensor,
    neurons: _Neurons,
    state: Tensor | None,
    connection: tuple[Any, ...],
    surrogate: Surrogate,
    alpha: float,
) -> tuple[Tensor, Tensor]:
    weight, delay, sigma, max_delay, kernel, gain, history = connection
    dtype = neurons.values["decay"].dtype
    current, weight, delay, state, gain, history = widened(current, weight, delay, state, gain, history)
    values = dict(zip(neurons.values, widened(*neurons.values.values()), strict=True))
    current, state = neuron_inputs("current", current, state, neurons.rows, **values)
    _check_connection(current.shape[2], *connection[:5])
    check_surrogate(surrogate, alpha)
    weight = weight + (delay - delay).detach()  # a delay that is not finite must show
    delay = delay.clamp(1, max_delay)
    lags = longest_lag(delay, sigma, max_delay=max_delay, kernel=kernel)
    if history is not None and len(history) and len(current):
        past = of_type("history", history, current)
        if past.shape[1:] != current.shape[1:]:
            batch, of_clip = current.shape[1:]
            raise ValueError(f"history: shape {tuple(past.shape)} is not [steps, {batch}, {of_clip}]")
        current = current + _from_history(past, len(current), weight, delay, sigma, lags, kernel)
    gain = current.new_ones(current.shape[1:]) if gain is None else of_type("gain", gain, current)
    if gain.shape != current.shape[1:]:
        raise ValueError(f"gain: shape {tuple(gain.shape)} is not {tuple(current.shape[1:])}")
    begin = start(current, state, neurons.rows)
    if not is_scanned(current, weight, delay, *values.values(), begin):
        options = {**neurons.options, "surrogate": surrogate, "alpha": alpha}
        spikes, end = loop.recurrent(
            current,
            weight,
            delay,
            sigma,
            lambda now, before: neurons.step(now, *values.values(), before, **options),
            begin,
            max_delay=lags,
            kernel=kernel,
            gain=gain,
        )
        return spikes.to(dtype), end
    stacked, rows = torch.stack(per_neuron(current, *values.values())), begin.view(len(begin), -1, begin.shape[-1])
    learned = torch.is_grad_enabled() and any(t.requires_grad for t in (current, weight, stacked, rows))
    if sigma is None and not learned and current.device.type == "cpu":
        whole = delay.round().nan_to_num(1)
        spikes, end = recurrent_lif_frozen(current, weight, whole, gain, stacked, rows, neurons.kind)
    else:
        kept = min(lags, max(1, len(current) - 1))
        kind, matrix, taps = _taps(weight, delay, sigma, kernel, lags, kept)
        of_neurons = (stacked, rows, kind, neurons.kind, surrogate, alpha)
        spikes, end, *_ = recurrent_lif_scan(current, matrix, taps, gain, *of_neurons)
    return spikes.to(dtype), end.view(begin.shape)


def _check_connection(
    neurons: int, weight: Tensor, delay: Tensor, sigma: Tensor | float | None, max_delay: int, kernel: str
) -> None:
    if weight.ndim != 3 or weight.shape[1:] != (neurons, neurons):
        raise ValueError(f"weight: shape {tuple(weight.shape)} is not [synapse, {neurons}, {neurons}]")
    if delay.ndim != 3 or not all(d in (1, w) for d, w in zip(delay.shape, weight.shape, strict=True)):
        raise ValueError(f"delay: shape {tuple(delay.shape)} does not spread over the weight's {tuple(weight.shape)}")
    if max_delay < 1:
        raise ValueError(f"max_delay: {max_delay} is not allowed (1 step or more)")
    if kernel not in KERNELS:
        raise ValueError(f"kernel: {kernel!r} is not allowed ({', '.join(KERNELS)})")
    if isinstance(sigma, Tensor) and sigma.numel() != 1 and sigma.shape != delay.shape:
        raise ValueError(f"sigma: shape {tuple(sigma.shape)} is neither a single number nor {tuple(delay.shape)}")
    if sigma is not None:
        check_sigma(sigma, kernel)


def _taps(
    weight: Tensor, delay: Tensor, sigma: Tensor | float | None, kernel: Kernel, lags: int, kept: int
) -> tuple[str, Tensor, Tensor]:
    """Kind, weight and taps as the scan takes them, for lags 1 ... kept; ``lags`` is the longest with a tap."""
    lag = delay - 1
    if (kind := loop.delays_of(weight, delay)) != "synaptic":
        taps = dense_taps(torch.ones_like(delay), lag, sigma, kernel, lags - 1, kept)
        return kind, weight[0], taps.flatten(0, 1)
    taps = dense_taps(weight, lag.expand_as(weight), sigma, kernel, lags - 1, kept)
    return "synaptic", weight.new_empty(0), taps.permute(2, 1, 0).contiguous()


def _from_history(
    history: Tensor, time: int, weight: Tensor, delay: Tensor, sigma: Tensor | float | None, lags: int, kernel: Kernel
) -> Tensor:
    """Current ``[time, batch, target]`` of the spikes before."""
    needed = max(lags - 1, 0)
    padded = torch.cat([history.new_zeros(max(0, needed + 1 - len(history)), *history.shape[1:]), history])
    before = torch.cat([padded[-1:], history.new_zeros(time - 1, *history.shape[1:])])  # a step late: lag 1 is tap 0
    past = padded[len(padded) - 1 - needed : -1]
    return delayed_current(before, weight, delay - 1, sigma, max_delay=needed, kernel=kernel, history=past)
