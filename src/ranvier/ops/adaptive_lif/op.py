"""The contract of the adaptive leaky integrate-and-fire scan: checks, then the plan."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ranvier.ops.adaptive_lif import reference
from ranvier.ops.adaptive_lif.scan import adaptive_lif_scan
from ranvier.ops.inputs import neuron_inputs
from ranvier.ops.scans import is_scanned, per_neuron, start, widened
from ranvier.ops.surrogate import Surrogate, check_surrogate

Euler = Literal["symplectic", "forward"]
EULERS: tuple[str, ...] = get_args(Euler)
_ROWS = (3,)  # of a neuron's state: voltage after reset, adaptation, spike


def adaptive_lif(
    current: Tensor,
    decay: Tensor,
    adaptation_decay: Tensor,
    a: Tensor,
    b: Tensor,
    threshold: Tensor,
    state: Tensor | None = None,
    *,
    euler: Euler = "symplectic",
    surrogate: Surrogate = "arctan",
    alpha: float = 5.0,
) -> tuple[Tensor, Tensor]:
    """Leaky integrate-and-fire with an adaptation w that the voltage u and the spikes s drive, and that opposes them.

        u[t] = decay * u[t-1] + (1 - decay) * (current[t] - w[t-1])
        s[t] = 1 if u[t] >= threshold else 0;   then u[t] = u[t] * (1 - s[t])
        w[t] = adaptation_decay * w[t-1] + (1 - adaptation_decay) * (a * u[t] + b * s[t])

    That is the symplectic Euler method; ``euler="forward"`` has u[t-1] and s[t-1] in the last line. The reset is not
    differentiated through, the spikes that drive w are. A voltage that is NaN or infinite makes s and every later u
    NaN. With a decay in half precision the state is float32, and spikes have the decay's type.

    Args:
        current: ``[time, batch, neuron]``.
        decay: share of the voltage kept per step, in [0, 1), as the current is weighted by the rest; scalar or
            ``[neuron]``, as all that follow.
        adaptation_decay: share of the adaptation kept per step, in [0, 1].
        a: adaptation that a constant voltage of 1 leads to, >= 0; the paper's a q.
        b: adaptation that a spike in every step leads to, >= 0; the paper's b q.
        threshold: voltage at which a neuron spikes, > 0.
        state: at the end of the steps before, ``[batch, 3, neuron]``: u, w and s; None means 0.
        euler: ``symplectic`` or ``forward``.
        surrogate: derivative of the step function, see :func:`ranvier.ops.surrogate.spike`.
        alpha: steepness of the surrogate, > 0.

    Returns:
        Spikes ``[time, batch, neuron]`` (0 or 1), and the state after the last step.

    Raises:
        ValueError: a shape, a type or a name does not fit.

    Source: Baronig et al. 2024 (arXiv 2408.07517), SE-adLIF and EF-adLIF, with a and b scaled by q.
    """
    dtype = decay.dtype
    current, decay, adaptation_decay, a, b, threshold, state = widened(
        current, decay, adaptation_decay, a, b, threshold, state
    )
    values = {"decay": decay, "adaptation_decay": adaptation_decay, "a": a, "b": b, "threshold": threshold}
    current, state = neuron_inputs("current", current, state, _ROWS, **values)
    check_surrogate(surrogate, alpha)
    if euler not in EULERS:
        raise ValueError(f"euler: {euler!r} is not allowed ({', '.join(EULERS)})")
    if is_scanned(current, *values.values(), state):
        stacked = torch.stack(per_neuron(current, *values.values()))
        given = (current, stacked, state)
        keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
        begin = start(current, state, _ROWS)
        spikes, end, *_ = adaptive_lif_scan(current, stacked, begin, euler == "symplectic", surrogate, alpha, keep)
    else:
        spikes, end = reference.adaptive_lif(
            current, decay, adaptation_decay, a, b, threshold, state, euler=euler, surrogate=surrogate, alpha=alpha
        )
    return spikes.to(dtype), end
