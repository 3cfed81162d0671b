"""From a trained model to a frozen network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ranvier import network
from ranvier.models.feedforward import Block, Feedforward
from ranvier.models.stack import Stack
from ranvier.network import Input, Layer, Network
from ranvier.nn import LIF, ClipDropout, DelayLinear, Readout, SequenceBatchNorm, SynapseFilter

_Module = TypeVar("_Module", bound=nn.Module)
_CAN = (
    "a Feedforward, or a Stack of DelayLinear, [SequenceBatchNorm], LIF, [SynapseFilter], [dropout] for each hidden "
    "layer, then DelayLinear, Readout"
)


def freeze(
    model: nn.Module,
    *,
    dt_ms: float,
    classes: Sequence[str],
    input: Input,
    ending: network.Readout | None = None,
) -> Network:
    """Round the delays to whole steps and fold batch normalisation into weights and biases.

    The model is only read; the network holds copies.

    Args:
        model: a :class:`Feedforward`, or a :class:`Stack` of its parts: for each hidden layer ``DelayLinear``,
            ``SequenceBatchNorm`` if wanted, ``LIF``, ``SynapseFilter`` if wanted, any dropout; at the end
            ``DelayLinear``, ``Readout``. In any state of training.
        dt_ms: length of a step in ms.
        classes: names of the output neurons.
        input: how raw events become the model's input.
        ending: what follows a clip; None means the model's own, of a stack no silence.

    Returns:
        A network that spikes as ``model.eval()`` does.

    Raises:
        TypeError: a module cannot be frozen; the message names it.
        ValueError: a weight or another number of the model is NaN or infinite; the message names it.
    """
    parts = _parts(model)
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, Tensor) and not tensor.isfinite().all():
            raise ValueError(f"{name}: NaN or infinite values (finite allowed in a model that is frozen)")
    layers, ended = [], False
    while (linear := _take(parts, DelayLinear)) is not None:
        linear.warn_of_wide_sigma()
        if (readout := _take(parts, Readout)) is not None:
            layers.append(_freeze_layer(linear, None, decay=readout.decay, threshold=torch.tensor(torch.inf)))
            ended = True
            break
        norm, neuron, synapse = _take(parts, SequenceBatchNorm), _take(parts, LIF), _take(parts, SynapseFilter)
        if neuron is None:
            break
        synapse_decay = None if synapse is None else synapse.decay
        layers.append(
            _freeze_layer(linear, norm, decay=neuron.decay, threshold=neuron.threshold, synapse_decay=synapse_decay)
        )
        while _take(parts, ClipDropout) or _take(parts, nn.Dropout):
            pass
    if parts:
        raise TypeError(f"{parts[0][0]}: {type(parts[0][1]).__name__} cannot be frozen in this place ({_CAN})")
    if not ended:
        raise TypeError(f"{type(model).__name__}: ends without a DelayLinear and a Readout ({_CAN})")
    own = model.ending if isinstance(model, Feedforward) else network.Readout()
    return Network(dt_ms=dt_ms, layers=tuple(layers), classes=tuple(classes), input=input, readout=ending or own)


def _parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules of a model by name, in the order in which a clip goes through them."""
    if _computes_as(model, Feedforward) and isinstance(model, Feedforward):
        blocks = [(f"blocks.{number}", block) for number, block in enumerate(model.hidden)]
        for place, block in blocks:
            if type(block).clips is not Block.clips or not _computes_as(block, Block):
                raise TypeError(f"{place}: {type(block).__name__} cannot be frozen ({_CAN})")
        names = ("linear", "norm", "neuron", "synapse", "dropout")
        parts = [(f"{place}.{name}", getattr(block, name)) for place, block in blocks for name in names]
        parts = [part for part in parts if part[1] is not None]
        return [*parts, ("linear", model.linear), ("readout", model.readout)]
    if _computes_as(model, Stack) and isinstance(model, Stack):
        return list(_flattened(model))
    raise TypeError(f"model: {type(model).__name__} cannot be frozen ({_CAN})")


def _flattened(stack: Stack, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, module in stack.named_children():
        if _computes_as(module, Stack) and isinstance(module, Stack):
            yield from _flattened(module, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", module


def _computes_as(module: nn.Module, kind: type[nn.Module]) -> bool:
    return isinstance(module, kind) and type(module).forward is kind.forward


def _take(parts: list[tuple[str, nn.Module]], kind: type[_Module]) -> _Module | None:
    """The next part, where it computes what ``kind`` does, taken off the list."""
    if parts and _computes_as(parts[0][1], kind):
        module = parts.pop(0)[1]
        assert isinstance(module, kind)
        return module
    return None


@torch.no_grad()
def _freeze_layer(
    linear: DelayLinear,
    norm: SequenceBatchNorm | None,
    *,
    decay: Tensor,
    threshold: Tensor,
    synapse_decay: Tensor | None = None,
) -> Layer:
    targets = linear.out_features
    # folded in double precision, so that the only rounding is the last one
    weight = linear.weight.double()
    bias = weight.new_zeros(targets) if linear.bias is None else linear.bias.double()
    if norm is not None:
        if norm.running_var is None or norm.running_mean is None:
            raise TypeError("SequenceBatchNorm: cannot be frozen without running statistics (track_running_stats=True)")
        scale = 1 / (norm.running_var.double() + norm.eps).sqrt()
        scale = norm.weight.double() * scale if norm.affine else scale
        weight = weight * scale.unsqueeze(-1)
        bias = (bias - norm.running_mean.double()) * scale + (norm.bias.double() if norm.affine else 0)

    def array(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return tensor.float().cpu().numpy().copy()

    return Layer(
        weight=array(weight),
        delay_steps=linear.delay_steps().cpu().numpy().copy(),
        bias=array(bias),
        decay=array(decay.expand(targets)),
        threshold=array(threshold.expand(targets)),
        max_delay=linear.max_delay,
        synapse_decay=None if synapse_decay is None else array(synapse_decay.expand(targets)),
    )
