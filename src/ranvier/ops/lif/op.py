"""The contract of the leaky integrate-and-fire scan: checks, then the plan."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ranvier.ops.inputs import neuron_inputs
from ranvier.ops.lif import reference
from ranvier.ops.lif.scan import lif_scan
from ranvier.ops.scans import is_scanned, per_neuron, start, widened
from ranvier.ops.surrogate import Surrogate, check_surrogate

Reset = Literal["zero", "subtract"]
RESETS: tuple[str, ...] = get_args(Reset)


def lif(
    current: Tensor,
    decay: Tensor,
    threshold: Tensor,
    state: Tensor | None = None,
    *,
    surrogate: Surrogate = "arctan",
    alpha: float = 5.0,
    reset: Reset = "zero",
) -> tuple[Tensor, Tensor]:
    """Leaky integrate-and-fire; the reset is not differentiated through.

        v[t] = decay * v[t-1] * (1 - s[t-1]) + current[t]        s[t] = 1 if v[t] >= threshold else 0

    With ``reset="subtract"``, v[t] = decay * (v[t-1] - threshold * s[t-1]) + current[t]: a soft reset.

    A voltage that is NaN or infinite makes s and every later v NaN: comparisons alone would hide it. With a decay in
    half precision voltages and the state are float32, and spikes have the decay's type.

    Args:
        current: ``[time, batch, neuron]``.
        decay: share of the voltage kept per step, in [0, 1]; scalar or ``[neuron]``.
        threshold: voltage at which a neuron spikes, > 0; scalar or ``[neuron]``.
        state: voltage after reset at the end of the steps before, ``[batch, neuron]``; None means 0.
        surrogate: derivative of the step function, see :func:`ranvier.ops.surrogate.spike`.
        alpha: steepness of the surrogate, > 0.
        reset: ``zero`` or ``subtract``.

    Returns:
        Spikes ``[time, batch, neuron]`` (0 or 1), and the state after the last step.

    Raises:
        ValueError: a shape, a type or a name does not fit.

    Source: arXiv 2306.17670, equations 1 to 3; as SpikingJelly's LIFNode with decay_input=False, detach_reset=True.
    """
    dtype = decay.dtype
    current, decay, threshold, state = widened(current, decay, threshold, state)
    current, state = neuron_inputs("current", current, state, decay=decay, threshold=threshold)
    check_surrogate(surrogate, alpha)
    if reset not in RESETS:
        raise ValueError(f"reset: {reset!r} is not allowed ({', '.join(RESETS)})")
    if is_scanned(current, decay, threshold, state):
        given = (current, decay, threshold, state)
        keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
        values = per_neuron(current, decay, threshold)
        begin, subtract = start(current, state), reset == "subtract"
        spikes, end, _ = lif_scan(current, *values, begin, surrogate, alpha, keep, subtract)
    else:
        spikes, end = reference.lif(current, decay, threshold, state, surrogate=surrogate, alpha=alpha, reset=reset)
    return spikes.to(dtype), end
