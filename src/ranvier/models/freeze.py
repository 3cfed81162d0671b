"""From a trained model to a frozen network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ranvier import network
from ranvier.models.fused import computes_as
from ranvier.models.skip import SkipConnections, check_sources
from ranvier.models.stack import Stack
from ranvier.network import Decoding, Input, Layer, Network
from ranvier.nn import ClipDropout, Recurrent, SequenceBatchNorm
from ranvier.nn.freezing import can_freeze, has_role

_ORDER = "for each layer a connection, [SequenceBatchNorm], a neuron, [Trace], dropout anywhere after the neuron"


def freeze(
    model: nn.Module,
    *,
    dt_ms: float,
    classes: Sequence[str],
    input: Input,
    decoding: Decoding | None = None,
) -> Network:
    """Round the delays to whole time steps and fold batch normalisation into weights and biases.

    The model is only read; the network holds copies.

    Args:
        model: a :class:`Stack`, in any state of training: for each layer a connection (``DelayLinear``) or
            :class:`SkipConnections`, ``SequenceBatchNorm`` if wanted, a neuron (``LIF``, ``Recurrent``; in the last
            layer ``Integrator``, unless spikes are counted), ``Trace`` if wanted, any dropout. Modules of your own take
            part if they have ``freezes_to`` and ``freeze``, see :class:`ranvier.nn.Freezable`.
        dt_ms: length of a time step in ms.
        classes: names of the output neurons.
        input: how raw events become the model's input.
        decoding: what follows a clip; None means the model's own.

    Returns:
        A network that spikes as ``model.eval()`` does. Its layers are ``hidden_1``, ``hidden_2``, ... and ``readout``.

    Raises:
        TypeError: a module cannot be frozen; the message names it.
        ValueError: a weight or another number of the model is NaN or infinite; the message names it.
        NetworkError: the layers do not fit together.
    """
    if not (isinstance(model, Stack) and type(model).forward is Stack.forward):
        raise TypeError(f"model: {type(model).__name__} cannot be frozen (a Stack: {_ORDER})")
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, Tensor) and not tensor.isfinite().all():
            raise ValueError(f"{name}: NaN or infinite values (finite allowed in a model that is frozen)")
    chain = list(model.chain())
    check_sources(chain)
    names = ["the input", *(name for name, _ in chain)]
    layers: list[Layer] = []
    while chain and can_freeze(chain[0][1], network.Connection):
        layers.append(_take_layer(chain, ["input", *(layer.name for layer in layers)], names))
    if chain:
        raise _misplaced(chain, names, "a connection")
    decoding = decoding or model.decoding
    counts = decoding.scores == "count"
    if not layers or layers[-1].spikes != counts:
        wanted = "neurons that spike" if counts else "an Integrator"
        raise TypeError(f"{type(model).__name__}: ends without a readout ({wanted} in the last layer)")
    return Network(dt_ms, tuple(layers), tuple(classes), input, decoding)


def _misplaced(chain: list[tuple[str, nn.Module]], names: list[str], wanted: str) -> TypeError:
    """What the rest of the chain begins with stands where ``wanted`` must; ``names`` has the input and every module."""
    found = f"{chain[0][0]}: {type(chain[0][1]).__name__} cannot be frozen" if chain else "model: ends"
    return TypeError(f"{found} after {names[-len(chain) - 1]} ({wanted} allowed there; {_ORDER})")


def _take_layer(chain: list[tuple[str, nn.Module]], sources: list[str], names: list[str]) -> Layer:
    """The layer that the chain begins with, whose modules are taken off it; ``sources`` come before it."""
    connection = chain.pop(0)[1]
    norm = _take_norm(chain)
    inputs, bias = _frozen_inputs(connection, sources, norm)
    if not chain or not can_freeze(chain[0][1], network.Neuron):
        raise _misplaced(chain, names, "a neuron")
    place, module = chain.pop(0)
    neuron = module.freeze(len(bias))  # type: ignore[operator]
    last = not any(has_role(other, network.Connection) for _, other in chain)
    name = "readout" if last or not neuron.spikes else f"hidden_{len(sources)}"
    if isinstance(module, Recurrent):
        own, own_bias = module.freeze_connection(name)
        inputs, bias = (*inputs, own), bias + own_bias
    _skip_dropout(chain)
    output = None
    if chain and can_freeze(chain[0][1], network.Output):
        if isinstance(module, Recurrent):  # its connection would receive the traces
            raise TypeError(f"{chain[0][0]}: {type(chain[0][1]).__name__} cannot be frozen after {place} (Recurrent)")
        output = chain.pop(0)[1].freeze(len(bias))  # type: ignore[operator]
        _skip_dropout(chain)
    return Layer(name, inputs, bias, neuron, output)


def _frozen_inputs(
    connection: nn.Module, sources: list[str], norm: SequenceBatchNorm | None
) -> tuple[tuple[network.Connection, ...], NDArray[np.float32]]:
    """The frozen connections of a layer, and their bias."""
    if isinstance(connection, SkipConnections):
        return connection.freeze([sources[-1], *(sources[number] for number in connection.sources)], norm)
    part, bias = connection.freeze(sources[-1], norm)  # type: ignore[operator]
    return part if isinstance(part, tuple) else (part,), bias


def _take_norm(chain: list[tuple[str, nn.Module]]) -> SequenceBatchNorm | None:
    """The batch norm that the chain begins with, taken off it; None where it begins otherwise."""
    module = chain[0][1] if chain else None
    if isinstance(module, SequenceBatchNorm) and type(module).forward is SequenceBatchNorm.forward:
        del chain[0]
        return module
    return None


def _skip_dropout(chain: list[tuple[str, nn.Module]]) -> None:
    while chain and any(computes_as(chain[0][1], kind) for kind in (ClipDropout, nn.Dropout)):
        chain.pop(0)
