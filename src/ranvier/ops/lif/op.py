"""The contract of the leaky integrate-and-fire scan: checks, then the way to compute it."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from ranvier.ops.inputs import of_type, over_time
from ranvier.ops.lif import reference
from ranvier.ops.lif.scan import integrator_scan, lif_scan
from ranvier.ops.surrogate import Surrogate, check_surrogate


def _checked(current: Tensor, state: Tensor | None, **per_neuron: Tensor) -> tuple[Tensor, Tensor | None]:
    """Current and state in the type of the decay."""
    current = over_time("current", current, per_neuron["decay"], "neuron")
    for name, value in per_neuron.items():
        if value.shape not in ((), current.shape[2:]):
            raise ValueError(f"{name}: shape {tuple(value.shape)} is neither a scalar nor [{current.shape[2]}]")
    if state is not None and state.shape != current.shape[1:]:
        raise ValueError(f"state: shape {tuple(state.shape)} is not {tuple(current.shape[1:])}")
    return current, None if state is None else of_type("state", state, per_neuron["decay"])


def _is_scanned(current: Tensor, *others: Tensor | None) -> bool:
    """Whether a compiled scan takes these: real numbers of one type on one device, and something to compute."""
    compiled = current.device.type == "cpu" or (current.device.type == "cuda" and _has_triton())
    real = current.dtype in (torch.float32, torch.float64)
    alike = all(t is None or (t.device, t.dtype) == (current.device, current.dtype) for t in others)
    return compiled and real and alike and current.numel() > 0


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None  # comes with torch's CUDA builds for Linux


def _per_neuron(current: Tensor, *values: Tensor) -> list[Tensor]:
    return [value.expand(current.shape[2]) for value in values]


def _start(current: Tensor, state: Tensor | None) -> Tensor:
    return current.new_zeros(current.shape[1:]) if state is None else state


def lif(
    current: Tensor,
    decay: Tensor,
    threshold: Tensor,
    state: Tensor | None = None,
    *,
    surrogate: Surrogate = "arctan",
    alpha: float = 5.0,
) -> tuple[Tensor, Tensor]:
    """Leaky integrate-and-fire with hard reset; the reset is not differentiated through.

        v[t] = decay * v[t-1] * (1 - s[t-1]) + current[t]        s[t] = 1 if v[t] >= threshold else 0

    A voltage that is NaN or infinite makes s and every later v NaN: comparisons alone would hide it.

    Args:
        current: ``[time, batch, neuron]``.
        decay: share of the voltage kept per step, in [0, 1]; scalar or ``[neuron]``.
        threshold: voltage at which a neuron spikes, > 0; scalar or ``[neuron]``.
        state: voltage after reset at the end of the steps before, ``[batch, neuron]``; None means 0.
        surrogate: derivative of the step function, see :func:`ranvier.ops.surrogate.spike`.
        alpha: steepness of the surrogate, > 0.

    Returns:
        Spikes ``[time, batch, neuron]`` (0 or 1), and the state after the last step.

    Raises:
        ValueError: a shape, a type or a name does not fit.

    Source: arXiv 2306.17670, equations 1 to 3; as SpikingJelly's LIFNode with decay_input=False, detach_reset=True.
    """
    current, state = _checked(current, state, decay=decay, threshold=threshold)
    check_surrogate(surrogate, alpha)
    if _is_scanned(current, decay, threshold, state):
        per_neuron = _per_neuron(current, decay, threshold)
        given = (current, decay, threshold, state)
        keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
        spikes, end, _ = lif_scan(current, *per_neuron, _start(current, state), surrogate, alpha, keep)
        return spikes, end
    return reference.lif(current, decay, threshold, state, surrogate=surrogate, alpha=alpha)


def leaky_integrator(current: Tensor, decay: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The same membrane with an infinite threshold: v[t] = decay * v[t-1] + current[t].

    Args:
        current: ``[time, batch, neuron]``.
        decay: share of the voltage kept per step, in [0, 1]; scalar or ``[neuron]``.
        state: voltage at the end of the steps before, ``[batch, neuron]``; None means 0.

    Returns:
        Voltages ``[time, batch, neuron]``, and the state after the last step.

    Raises:
        ValueError: a shape does not fit.
    """
    current, state = _checked(current, state, decay=decay)
    if _is_scanned(current, decay, state):
        voltage = integrator_scan(current, *_per_neuron(current, decay), _start(current, state))
        return voltage, voltage[-1].clone()
    return reference.leaky_integrator(current, decay, state)
