"""The contract of leaky integrators: checks, then the plan."""

from __future__ import annotations

from torch import Tensor

from ranvier.ops.inputs import neuron_inputs
from ranvier.ops.integrator import reference
from ranvier.ops.integrator.scan import integrator_scan
from ranvier.ops.scans import is_scanned, per_neuron, start, widened


def leaky_integrator(current: Tensor, decay: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A leaky membrane that never spikes: v[t] = decay * v[t-1] + current[t].

    With a decay in half precision it is computed in float32, which the state keeps.

    Args:
        current: ``[time, batch, neuron]``.
        decay: share of the voltage kept per step, in [0, 1]; scalar or ``[neuron]``.
        state: voltage at the end of the steps before, ``[batch, neuron]``; None means 0.

    Returns:
        Voltages ``[time, batch, neuron]``, and the state after the last step.

    Raises:
        ValueError: a shape or a type does not fit.

    Source: arXiv 2306.17670, section 3.3.
    """
    dtype = decay.dtype
    current, decay, state = widened(current, decay, state)
    current, state = neuron_inputs("current", current, state, decay=decay)
    if is_scanned(current, decay, state):
        voltage = integrator_scan(current, *per_neuron(current, decay), start(current, state))
        end = voltage[-1].clone()
    else:
        voltage, end = reference.leaky_integrator(current, decay, state)
    return voltage.to(dtype), end
