"""The paper's feedforward network: delayed dense layer, batch norm, LIF, dropout; a delayed readout at the end."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn

from ranvier.models.recurrence import Recurrence
from ranvier.models.skip import SkipConnections
from ranvier.models.stack import Stack
from ranvier.network import Decoding
from ranvier.nn import LIF, ClipDropout, DelayLinear, DelayType, InitDelay, Integrator, SequenceBatchNorm, Trace
from ranvier.nn.decay import Learn
from ranvier.nn.delays import LearnSigma
from ranvier.ops.dense import Kernel
from ranvier.ops.lif import Reset
from ranvier.ops.surrogate import Surrogate

Skip = Literal["none", "input", "all"]


def feedforward(
    sources: int,
    hidden: Sequence[int],
    classes: int,
    max_delay: int,
    *,
    decay: float,
    synapses_per_pair: int = 1,
    threshold: float = 1.0,
    dropout: float = 0.0,
    batch_norm: bool = True,
    surrogate: Surrogate = "arctan",
    alpha: float = 5.0,
    kernel: Kernel = "gaussian",
    learn_delay: bool = True,
    delay_type: DelayType = "synaptic",
    fan_in: int | None = None,
    dense_kernel: bool = False,
    learn_decay: Learn = False,
    learn_threshold: Learn = False,
    reset: Reset = "zero",
    synapse_decay: float | None = None,
    learn_synapse_decay: bool = False,
    drop_spikes: bool = False,
    max_init_delay: float | None = None,
    init_delay: InitDelay = "uniform",
    round_delay: bool = False,
    learn_sigma: LearnSigma = False,
    neuron: Callable[..., nn.Module] = LIF,
    recurrence: Recurrence | None = None,
    skip: Skip = "none",
    decoding: Decoding | None = None,
    generator: torch.Generator | None = None,
) -> Stack:
    """Build the paper's network.

    SHD ``feedforward(140, [256, 256], 20, 24, decay=0.005, dropout=0.4)``;
    SSC ``feedforward(140, [512, 512], 35, 30, decay=1/3, dropout=0.25)``; GSC-35 the same.

    Args:
        sources: input lines.
        hidden: neurons of each hidden layer.
        classes: output neurons.
        max_delay: longest delay in steps, >= 0; 0 = no delays.
        decay: share of the voltage kept per step, in [0, 1]; within (0, 1) if learned.
        synapses_per_pair: synapses per pair (the paper's kernel count).
        threshold: of the hidden neurons, > 0.
        dropout: share of hidden neurons silenced for a clip in training, in [0, 1).
        batch_norm: normalise the hidden layers' currents; without it they have a learned bias.
        surrogate, alpha: see :func:`ranvier.ops.surrogate.spike`.
        kernel, learn_delay, learn_sigma, delay_type, fan_in, dense_kernel, max_init_delay, init_delay, round_delay: see
            :class:`ranvier.nn.DelayLinear`.
        learn_decay: learn the decay of every layer, the readout's too: True or ``layer`` one for each layer (PLIF),
            ``neuron`` one for each neuron.
        learn_threshold: the same for the hidden layers' thresholds.
        reset: of the hidden neurons, see :class:`ranvier.nn.LIF`.
        synapse_decay: share that the hidden layers' synapses keep of a spike's trace, in [0, 1]; within (0, 1) if
            learned; see :class:`ranvier.nn.Trace`. None means plain spikes.
        learn_synapse_decay: learn it, one number for each hidden layer.
        drop_spikes: dropout comes before the traces, not after them; see :func:`hidden_block`.
        neuron: makes the hidden neurons, called as :class:`ranvier.nn.LIF` is, with ``decay``, ``threshold``,
            ``surrogate``, ``alpha``, ``learn_decay`` and ``neurons``, how many they are, and ``learn_threshold`` and
            ``reset`` where they are not the usual ones.
        recurrence: recurrent connections of the hidden layers, not beside traces; None means none.
        skip: skip connections, with weights and delays as the others have: ``input``: every layer after the first, the
            readout too, receives the input; ``all``: the input and all layers before. See :class:`SkipConnections`.
        decoding: what follows a clip; None means one silence of ``max_delay // 2`` steps per layer, all at its end. If
            its scores are ``count``, the readout is :class:`ranvier.nn.LIF` with the hidden layers' threshold, reset
            and surrogate; the threshold is not learned, as its weights say the same.
        generator: randomness of the start; None takes torch's own.

    Returns:
        A :class:`Stack` in training mode, of ``blocks`` (a stack for each hidden layer), ``linear`` and ``readout``.

    Raises:
        ValueError: an argument is out of range.

    Source: arXiv 2306.17670, section 4.
    """
    if learn_sigma not in get_args(LearnSigma):
        raise ValueError(f"learn_sigma: {learn_sigma!r} is not allowed (False, layer, synapse)")
    if skip not in get_args(Skip):
        raise ValueError(f"skip: {skip!r} is not allowed ({', '.join(get_args(Skip))})")
    if learn_synapse_decay and synapse_decay is None:
        raise ValueError("learn_synapse_decay: True is not allowed without synapse_decay, where it starts")
    if recurrence is not None and synapse_decay is not None:
        raise ValueError("recurrence: is not allowed with synapse_decay (plain spikes come back)")
    if decoding is None:
        decoding = Decoding(tail_steps=(len(hidden) + 1) * (max_delay // 2))

    learned: dict[str, Any] = {"kernel": kernel, "init_delay": init_delay, "round_delay": round_delay}

    def linear(inputs: int, outputs: int, bias: bool) -> DelayLinear:
        return DelayLinear(
            inputs,
            outputs,
            max_delay,
            synapses_per_pair=synapses_per_pair,
            learn_delay=learn_delay,
            delay_type=delay_type,
            bias=bias,
            fan_in=fan_in,
            dense_kernel=dense_kernel,
            max_init_delay=max_init_delay,
            learn_sigma=learn_delay and learn_sigma,
            generator=generator,
            **learned,
        )

    widths = [sources, *hidden]

    def received(layer: int, outputs: int, bias: bool) -> nn.Module:
        """The connections of layer number ``layer``, counted from 0."""
        direct = linear(widths[layer], outputs, bias)
        skipped = {"none": 0, "input": min(layer, 1), "all": layer}[skip]
        if not skipped:
            return direct
        return _scaled(SkipConnections(direct, {n: linear(widths[n], outputs, False) for n in range(skipped)}), fan_in)

    given = {"learn_threshold": (learn_threshold, False), "reset": (reset, "zero")}
    others = {name: value for name, (value, usual) in given.items() if value != usual}

    def neurons(count: int) -> nn.Module:
        made = neuron(
            decay, threshold, surrogate=surrogate, alpha=alpha, learn_decay=learn_decay, neurons=count, **others
        )
        if recurrence is None:
            return made
        return recurrence.around(made, count, generator, learn_sigma=learn_sigma, **learned)

    blocks = []
    for layer, outputs in enumerate(hidden):
        blocks.append(
            hidden_block(
                received(layer, outputs, bias=not batch_norm),
                SequenceBatchNorm(outputs) if batch_norm else None,
                neurons(outputs),
                dropout,
                None if synapse_decay is None else Trace(synapse_decay, learn_decay=learn_synapse_decay),
                drop_spikes=drop_spikes,
            )
        )
    last = received(len(hidden), classes, bias=False)
    of_classes: dict[str, Any] = {"learn_decay": learn_decay, "neurons": classes}
    if decoding.scores == "count":
        counted = LIF(decay, threshold, surrogate=surrogate, alpha=alpha, reset=reset, **of_classes)
        return with_readout(blocks, last, counted, decoding)
    return with_readout(blocks, last, Integrator(decay, **of_classes), decoding)


@torch.no_grad()
def _scaled(made: SkipConnections, fan_in: int | None) -> SkipConnections:
    """With weights as Kaiming's rule has them for all sources together."""
    sources = [fan_in or each.in_features for each in made.connections]
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
    """Hidden layers one after the other, then delayed weights onto a readout."""
    parts = OrderedDict[str, nn.Module](blocks=Stack(*blocks), linear=linear, readout=readout)
    return Stack(parts, decoding=decoding)
