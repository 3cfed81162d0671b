"""The paper's feedforward network: delayed dense layer, batch norm, LIF, dropout; a delayed readout at the end."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import nn

from ranvier import network
from ranvier.models.factories import make
from ranvier.models.recurrence import Recurrence
from ranvier.models.skip import SkipConnections
from ranvier.models.stack import Stack
from ranvier.network import Decoding
from ranvier.nn import LIF, ClipDropout, DelayLayer, DelayLinear, Integrator, SequenceBatchNorm
from ranvier.nn.freezing import has_role

Skip = Literal["none", "input", "all"]


def feedforward(
    sources: int,
    hidden: Sequence[int],
    classes: int,
    max_delay: int,
    *,
    decay: float,
    dropout: float = 0.0,
    batch_norm: bool = True,
    connection: Callable[..., DelayLayer] = DelayLinear,
    neuron: Callable[..., nn.Module] = LIF,
    recurrence: Recurrence | None = None,
    trace: Callable[[], nn.Module] | None = None,
    drop_spikes: bool = False,
    skip: Skip = "none",
    readout: Callable[..., nn.Module] | None = None,
    decoding: Decoding | None = None,
    generator: torch.Generator | None = None,
) -> Stack:
    """Build the paper's network.

    SHD ``feedforward(140, [256, 256], 20, 24, decay=0.005, dropout=0.4)``;
    SSC ``feedforward(140, [512, 512], 35, 30, decay=1/3, dropout=0.25)``; GSC-35 the same.

    What a layer is made of comes as a class, or with options by :func:`functools.partial`, for example
    ``connection=partial(DelayLinear, synapses_per_pair=2)`` or ``neuron=partial(LIF, threshold=0.5)``.

    Args:
        sources: input lines.
        hidden: neurons of each hidden layer.
        classes: output neurons.
        max_delay: longest delay in steps, >= 0; 0 = no delays.
        decay: share of the voltage kept per step, in [0, 1]; within (0, 1) if learned.
        dropout: share of hidden neurons silenced for a clip in training, in [0, 1).
        batch_norm: normalise the hidden layers' currents; without it they have a learned bias.
        connection: makes the connections, called as
            ``connection(sources, targets, max_delay, bias=..., generator=...)``.
        neuron: makes a hidden layer's neurons, called as ``neuron(decay, neurons=...)``, with how many they are.
        recurrence: recurrent connections of the hidden layers, not beside traces; None means none.
        trace: makes a hidden layer's synaptic traces, for example ``partial(Trace, 0.8)``; None means plain spikes.
        drop_spikes: dropout comes before the traces, not after them; see :func:`hidden_block`.
        skip: skip connections, made as the others are: ``input``: every layer after the first, the readout too,
            receives the input; ``all``: the input and all layers before. See :class:`SkipConnections`.
        readout: makes the output neurons, called as ``neuron`` is; None means :class:`ranvier.nn.Integrator`, or
            :class:`ranvier.nn.LIF` where the decoding's scores are ``count``, of threshold 1 if
            ``partial(LIF, threshold=...)`` says no other.
        decoding: what follows a clip; None means one silence of ``max_delay // 2`` steps per layer, all at its end; one
            that is given has the tail that it says, by default none.
        generator: randomness of the start; None takes torch's own.

    Returns:
        A :class:`Stack` in training mode, of ``blocks`` (a stack for each hidden layer), ``linear`` and ``readout``.

    Raises:
        ValueError: an argument is out of range.

    Source: arXiv 2306.17670, section 4.
    """
    if skip not in get_args(Skip):
        raise ValueError(f"skip: {skip!r} is not allowed ({', '.join(get_args(Skip))})")
    if recurrence is not None and trace is not None:
        raise ValueError("recurrence: is not allowed with trace (recurrent connections receive plain spikes)")
    for name, value, kind in (("recurrence", recurrence, Recurrence), ("decoding", decoding, Decoding)):
        if not isinstance(value, kind | None):
            raise ValueError(f"{name}: {value!r} is not allowed (a {kind.__name__}, or None)")
    if decoding is None:
        decoding = Decoding(tail_steps=(len(hidden) + 1) * (max_delay // 2))
    if readout is None:
        readout = LIF if decoding.scores == "count" else Integrator
    widths = [sources, *hidden]

    def received(layer: int, outputs: int, bias: bool = False) -> nn.Module:
        """The connections of layer number ``layer``, counted from 0."""

        def from_layer(size: int, bias: bool = False) -> DelayLayer:
            return make("connection", connection, size, outputs, max_delay, bias=bias, generator=generator)

        direct = from_layer(widths[layer], bias)
        skipped = {"none": 0, "input": min(layer, 1), "all": layer}[skip]
        if not skipped:
            return direct
        return _scaled(SkipConnections(direct, {n: from_layer(size) for n, size in enumerate(widths[:skipped])}))

    blocks = []
    for layer, outputs in enumerate(hidden):
        linear = received(layer, outputs, bias=not batch_norm)
        norm = SequenceBatchNorm(outputs) if batch_norm else None
        neurons = make("neuron", neuron, decay, neurons=outputs)
        if recurrence is not None:
            neurons = recurrence.around(neurons, outputs, generator)
        synapse = None if trace is None else make("trace", trace)
        blocks.append(hidden_block(linear, norm, neurons, dropout, synapse, drop_spikes=drop_spikes))
    last = received(len(hidden), classes)
    return with_readout(blocks, last, make("readout", readout, decay, neurons=classes), decoding)


@torch.no_grad()
def _scaled(made: SkipConnections) -> SkipConnections:
    """With weights as Kaiming's rule has them for all sources together."""
    sources = []
    for each in made.connections:
        mask = getattr(each, "connection_mask", None)  # of DelayLinear with fan_in
        sources.append(each.in_features if mask is None else int(mask[0].sum()))
    for each, own in zip(made.connections, sources, strict=True):
        each.weight.mul_(math.sqrt(own / sum(sources)))
    return made


def hidden_block(
    linear: nn.Module,
    norm: nn.Module | None,
    neuron: nn.Module,
    dropout: float,
    synapse: nn.Module | None = None,
    *,
    drop_spikes: bool = False,
) -> Stack:
    """A hidden layer: delayed weights, batch norm, neurons, a synaptic trace if any, dropout.

    Dropout silences what the layer gives: spikes, or traces. With ``drop_spikes`` it silences the spikes before they
    leave traces, where those that are left count 1 / (1 - p) (the official DCLS-Delays code).
    """
    dropped, trace = ("dropout", ClipDropout(dropout)), ("synapse", synapse)
    after = (dropped, trace) if drop_spikes else (trace, dropped)
    parts = [("linear", linear), ("norm", norm), ("neuron", neuron), *after]
    return Stack(OrderedDict((name, module) for name, module in parts if module is not None))


def with_readout(blocks: Sequence[Stack], linear: nn.Module, readout: nn.Module, decoding: Decoding) -> Stack:
    """Hidden layers one after the other, then delayed weights onto a readout.

    Raises:
        ValueError: the readout spikes and its spikes are not counted, or the other way round.
    """
    if has_role(readout, network.Neuron) and bool(readout.freezes_to.spikes) != (decoding.scores == "count"):  # type: ignore[union-attr]
        raise ValueError(
            f"readout: {type(readout).__name__} is not allowed with the scores {decoding.scores} (neurons that spike "
            "with count, which do not with the others: decoding=Decoding(scores=...))"
        )
    parts = OrderedDict[str, nn.Module](blocks=Stack(*blocks), linear=linear, readout=readout)
    return Stack(parts, decoding=decoding)
