"""The contract of the stateful synapse: checks, then the plan."""

from __future__ import annotations

from torch import Tensor

from ranvier.ops.inputs import neuron_inputs
from ranvier.ops.scans import is_scanned, per_neuron, start, widened
from ranvier.ops.trace import reference
from ranvier.ops.trace.scan import trace_scan


def trace(spikes: Tensor, decay: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What a synapse that remembers makes of spikes: each adds 1, and holds up the decay for its step.

        y[t] = y[t-1] - (1 - s[t]) * (1 - decay) * y[t-1] + s[t]

    With a decay in half precision it is computed in float32, which the state keeps.

    Args:
        spikes: s, 0 or 1 (with dropout before: 0 or 1 / (1 - p)), ``[time, batch, neuron]``.
        decay: share of the trace kept in a step without a spike, in [0, 1]; scalar or ``[neuron]``.
        state: the trace at the end of the steps before, ``[batch, neuron]``; None means 0.

    Returns:
        The trace y ``[time, batch, neuron]``, >= 0 and without an upper end, and the state after the last step.

    Raises:
        ValueError: a shape does not fit.

    Source: SpikingJelly's Trace with 1 / tau = 1 - decay, after Diehl & Cook 2015 (10.3389/fncom.2015.00099).
    """
    dtype = decay.dtype
    spikes, decay, state = widened(spikes, decay, state)
    spikes, state = neuron_inputs("spikes", spikes, state, decay=decay)
    if is_scanned(spikes, decay, state):
        y = trace_scan(spikes, *per_neuron(spikes, decay), start(spikes, state))
        end = y[-1].clone()
    else:
        y, end = reference.trace(spikes, decay, state)
    return y.to(dtype), end
