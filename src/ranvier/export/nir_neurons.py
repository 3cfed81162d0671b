"""NIR's continuous neurons as neurons of one time step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ranvier.export.nir_graph import Node
from ranvier.export.target import ExportError

F64 = NDArray[np.float64]
DecayRule = Literal["euler", "exp"]

NEURONS = ("LIF", "IF", "CubaLIF", "LI", "I")
_SPIKES = ("LIF", "IF", "CubaLIF")
_CLOSE = 2.0**-22  # tau and r are float32 in most files: what lies nearer to 1 or 0 is that


@dataclass(frozen=True, eq=False)
class NeuronValues:
    """Of a neuron node, each ``[target]`` or of one value for all targets.

    Attributes:
        decay: float32, share of the voltage kept per time step.
        gain: what a current is multiplied with.
        threshold: float32, voltage from which on the neuron spikes; None where it never does.
    """

    decay: NDArray[np.float32]
    gain: F64
    threshold: NDArray[np.float32] | None

    @property
    def size(self) -> int:
        return len(self.decay)


def euler_tau(decay: NDArray[np.float32], dt: float) -> F64:
    """Time constants in s for which ``1 - dt / tau`` is the decay, in float32 to the bit from 1e-8 on.

    A neuron that keeps everything gets ``2^30 dt``.
    """
    kept = decay.astype(np.float64)
    tau: F64 = dt / np.maximum(1 - kept, 2.0**-30)
    return tau


def neuron_values(node: Node, dt: float, rule: DecayRule) -> NeuronValues:
    """A neuron of NIR, simulated in steps of ``dt`` seconds by a rule.

        euler: decay = 1 - dt / tau,    gain = r dt / tau
        exp:   decay = exp(-dt / tau),  gain = r (1 - exp(-dt / tau))
        IF, I: decay = 1,               gain = r dt

    Raises:
        ExportError: it rests or resets elsewhere than at 0, filters its current, or a value is out of range.
    """
    names = [name for name in ("tau", "tau_mem", "r", "v_threshold", "w_in") if name in node.fields]
    values = _same_size(node, {name: node.array(name).ravel() for name in names})
    for name in ("v_leak", "v_reset"):
        if name in node.fields and node.array(name).any():
            raise ExportError(f"{node.name}.{name}", fault="values other than 0 are not allowed (0: hard reset to 0)")
    for name in ("r", *(["v_threshold"] if node.kind in _SPIKES else [])):
        if name not in values:
            raise ExportError(f"{node.name}.{name}", fault="is missing")
    decay, gain = _decay_and_gain(node, values, dt, rule)
    if node.kind == "CubaLIF":
        gain = gain * _input_gain(node, values, dt)
    gain = np.where(np.abs(gain - 1) <= _CLOSE, 1.0, gain)
    if not np.isfinite(gain).all():
        raise ExportError(f"{node.name}.r", fault="a current would be multiplied with NaN or infinity")
    threshold = _threshold(node, values["v_threshold"]) if node.kind in _SPIKES else None
    size = max(len(decay), len(gain), 1 if threshold is None else len(threshold))
    return NeuronValues(
        np.broadcast_to(decay, size), np.broadcast_to(gain, size), None if threshold is None
        else np.broadcast_to(threshold, size),
    )  # fmt: skip


def _same_size(node: Node, values: dict[str, F64]) -> dict[str, F64]:
    size = max((len(value) for value in values.values()), default=0)
    for name, value in values.items():
        if len(value) not in (1, size):
            raise ExportError(f"{node.name}.{name}", fault=f"{len(value)} values (1 or {size} allowed)")
    return values


def _decay_and_gain(node: Node, values: dict[str, F64], dt: float, rule: DecayRule) -> tuple[NDArray[np.float32], F64]:
    if node.kind in ("IF", "I"):
        return np.ones(1, np.float32), values["r"] * dt
    name = "tau_mem" if node.kind == "CubaLIF" else "tau"
    if name not in values or not (values[name] > 0).all():
        raise ExportError(f"{node.name}.{name}", fault="is missing, or not above 0 everywhere")
    share = dt / values[name]
    share = -np.expm1(-share) if rule == "exp" else share
    gain = values["r"] * share
    if (share > 1 + _CLOSE).any():
        shortest = float(values[name].min())
        raise ExportError(f"{node.name}.{name}", f"{shortest:g} s", f"{dt:g} s, the time step, or more")
    decay = np.maximum(1 - share, 0).astype(np.float32)
    return _exact_decay(node, decay), gain


def _exact_decay(node: Node, decay: NDArray[np.float32]) -> NDArray[np.float32]:
    """The decay that our own graphs hold beside tau, if it is the same but for rounding."""
    if "decay" not in node.metadata:
        return decay
    exact = Node(f"{node.name}.metadata", node.kind, {"decay": node.metadata["decay"]}, {}).array("decay").ravel()
    if len(exact) not in (1, len(decay)) or (np.abs(exact - decay) > _CLOSE).any() or (exact < 0).any():
        raise ExportError(f"{node.name}.metadata.decay", fault="is not what tau says")
    return np.broadcast_to(exact.astype(np.float32), decay.shape)


def _input_gain(node: Node, values: dict[str, F64], dt: float) -> F64:
    """Of a CubaLIF whose synapse keeps nothing from one time step to the next."""
    tau = node.array("tau_syn") if "tau_syn" in node.fields else np.zeros(1)
    if (np.abs(tau / dt - 1) > _CLOSE).any():
        allowed = f"{dt:g} s, the time step: no current is kept; a synaptic filter is no part of ours"
        raise ExportError(f"{node.name}.tau_syn", f"{float(tau.ravel()[0]):g} s", allowed)
    return values.get("w_in", np.ones(1))


def _threshold(node: Node, values: F64) -> NDArray[np.float32]:
    """The smallest float32 above NIR's threshold, as NIR spikes above it and we from it on."""
    rounded = values.astype(np.float32)
    threshold = np.where(rounded > values, rounded, np.nextafter(rounded, np.float32(np.inf)))
    if not (threshold > 0).all() or not np.isfinite(threshold).all():
        raise ExportError(f"{node.name}.v_threshold", f"{float(values.min()):g}", "0 or more, finite")
    return threshold.astype(np.float32)
