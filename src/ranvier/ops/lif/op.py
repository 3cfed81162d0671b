"""The contract of the leaky integrate-and-fire scan: checks, then the way to compute it."""

from __future__ import annotations

from torch import Tensor

from ranvier.ops.lif import reference
from ranvier.ops.surrogate import Surrogate


def _check(current: Tensor, state: Tensor | None, **per_neuron: Tensor) -> None:
    if current.ndim != 3:
        raise ValueError(f"current: shape {tuple(current.shape)} is not [time, batch, neuron]")
    for name, value in per_neuron.items():
        if value.shape not in ((), current.shape[2:]):
            raise ValueError(f"{name}: shape {tuple(value.shape)} is neither a scalar nor [{current.shape[2]}]")
    if state is not None and state.shape != current.shape[1:]:
        raise ValueError(f"state: shape {tuple(state.shape)} is not {tuple(current.shape[1:])}")


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
        ValueError: a shape or a name does not fit.

    Source: arXiv 2306.17670, equations 1 to 3; as SpikingJelly's LIFNode with decay_input=False, detach_reset=True.
    """
    _check(current, state, decay=decay, threshold=threshold)
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
    _check(current, state, decay=decay)
    return reference.leaky_integrator(current, decay, state)
