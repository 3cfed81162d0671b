"""The contract of normalised integrate-and-fire: checks, then the plan."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.ops.inputs import clip_lengths, over_time
from ranvier.ops.lif import lif
from ranvier.ops.norm import sequence_norm
from ranvier.ops.normed_lif.scan import normed_lif_scan
from ranvier.ops.scans import has_kernels, widened
from ranvier.ops.surrogate import Surrogate, check_surrogate


def normed_lif(
    current: Tensor,
    steps: Tensor,
    weight: Tensor,
    bias: Tensor,
    decay: Tensor,
    threshold: Tensor,
    gain: Tensor,
    *,
    eps: float = 1e-5,
    surrogate: Surrogate = "arctan",
    alpha: float = 5.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`ranvier.ops.norm.sequence_norm`, then :func:`ranvier.ops.lif.lif` from rest, then each neuron's gain.

    In one pass over memory after the statistics, and with nothing but ``current`` kept for backward. With a weight in
    half precision it is computed in float32.

    Args:
        current: ``[time, batch, neuron]``.
        steps: whole numbers ``[batch]``, steps that belong to each clip, in [0, time].
        weight, bias: ``[neuron]`` of the normalisation.
        decay: share of the voltage kept per step, in [0, 1]; scalar or ``[neuron]``.
        threshold: voltage at which a neuron spikes, > 0; scalar or ``[neuron]``.
        gain: ``[batch, neuron]``, what a spike of a neuron is worth: a dropout mask, or ones. It has no gradient.
        eps: added to the variance, > 0.
        surrogate, alpha: see :func:`ranvier.ops.surrogate.spike`.

    Returns:
        Spikes times gain ``[time, batch, neuron]``, and mean and variance as ``sequence_norm`` returns them.

    Raises:
        ValueError: a shape, a type, a number of steps or a name does not fit.
    """
    dtype = weight.dtype
    current, weight, bias, decay, threshold, gain = widened(current, weight, bias, decay, threshold, gain)
    current = over_time("current", current, weight, "neuron")
    batch, neurons = current.shape[1:]
    steps = clip_lengths("steps", steps, current)
    if gain.shape != (batch, neurons):
        raise ValueError(f"gain: shape {tuple(gain.shape)} is not [{batch}, {neurons}]")
    for name, value in (("weight", weight), ("bias", bias)):
        if value.shape != (neurons,):
            raise ValueError(f"{name}: shape {tuple(value.shape)} is not [{neurons}]")
    for name, value in (("decay", decay), ("threshold", threshold)):
        if value.shape not in ((), (neurons,)):
            raise ValueError(f"{name}: shape {tuple(value.shape)} is neither a scalar nor [{neurons}]")
    check_surrogate(surrogate, alpha)
    others = (weight, bias, decay, threshold, gain)
    real = current.dtype in (torch.float32, torch.float64) and all(t.dtype == current.dtype for t in others)
    learned = torch.is_grad_enabled() and any(t.requires_grad for t in (decay, threshold, gain))
    if has_kernels(current.device) and real and not learned and current.numel():
        per_neuron = (decay.expand(neurons), threshold.expand(neurons))
        spikes, mean, variance = normed_lif_scan(
            current,
            steps,
            weight,
            bias,
            *per_neuron,
            gain,
            eps,
            surrogate,
            alpha,
        )
    else:  # each part by its own rule
        y, mean, variance = sequence_norm(current, steps, weight, bias, eps=eps)
        spikes = lif(y, decay, threshold, surrogate=surrogate, alpha=alpha)[0] * gain
    return spikes.to(dtype), mean.to(dtype), variance.to(dtype)
