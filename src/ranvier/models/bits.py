"""Training with the weights and delays of an integer network."""

from __future__ import annotations

from torch import nn

from ranvier import network
from ranvier.models.skip import SkipConnections
from ranvier.models.stack import Stack
from ranvier.network import WeightBits
from ranvier.nn import LIF, DelayLinear, Integrator, Recurrent
from ranvier.nn.freezing import has_role


def set_bits(model: Stack, weight_bits: WeightBits | None = None, delay_bits: int | None = None) -> None:
    """Train, run and freeze a model with weights and delays on the values that an integer network has.

    See :meth:`ranvier.nn.DelayLinear.set_bits`. Of the frozen network :func:`ranvier.network.quantize` with the same
    bits then rounds biases, thresholds and decays alone. Not part of a model's state: set it before a state is loaded.

    Args:
        model: whose connections are all :class:`ranvier.nn.DelayLinear`, one to a layer, with LIF neurons whose reset
            sets to 0, and no traces.
        weight_bits, delay_bits: as there; with :class:`SkipConnections` ``delay_bits`` alone.

    Raises:
        ValueError: a value is out of range, or a part has no integer form.
    """
    modules, found = list(model.chain()), []
    for name, module in modules:
        neuron, known = has_role(module, network.Neuron), isinstance(module, LIF | Integrator | Recurrent)
        subtracts = getattr(module, "reset", "zero") != "zero"
        if has_role(module, network.Output) or (neuron and not known) or subtracts:
            what = f"reset {module.reset}" if subtracts else type(module).__name__
            raise ValueError(f"{name}: {what} has no integer form (LIF of reset zero and Integrator have, no traces)")
    for place, (name, module) in enumerate(modules):
        if not has_role(module, network.Connection):
            continue
        if isinstance(module, SkipConnections) and weight_bits is not None:
            raise ValueError(f"{name}: SkipConnections have no common step of weights (weight_bits None)")
        for layer in module.connections if isinstance(module, SkipConnections) else [module]:
            if not isinstance(layer, DelayLinear):
                raise ValueError(f"{name}: {type(layer).__name__} has no integer form (DelayLinear has)")
            found.append((layer, _ends(modules[place + 1 :])))
    for layer, shared in found:  # all or none
        layer.set_bits(weight_bits, delay_bits, shared=shared)


def _ends(modules: list[tuple[str, nn.Module]]) -> bool:
    """Whether the first neurons among these are a readout."""
    for name, module in modules:
        if isinstance(module, Recurrent):
            raise ValueError(f"{name}: Recurrent has no integer form beside other connections")
        if has_role(module, network.Neuron):
            return isinstance(module, Integrator)
    return False
