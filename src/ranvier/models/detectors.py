"""Coincidence detectors: one spiking neuron per class, whose spikes are votes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ranvier.models.factories import make
from ranvier.models.feedforward import hidden_block, with_readout
from ranvier.models.stack import Stack
from ranvier.network import Decoding
from ranvier.nn import LIF, DelayLinear, Integrator


def detectors(
    sources: int,
    classes: int,
    max_delay: int,
    *,
    decay: float,
    readout_decay: float,
    vote: float,
    drive: float = 1.5,
    neuron: Callable[..., nn.Module] = LIF,
    learn_delay: bool = True,
    decoding: Decoding | None = None,
    generator: torch.Generator | None = None,
) -> Stack:
    """Build a layer of one detector per class and a readout that only counts its spikes.

    The readout is fixed, so the detectors' delays alone decide: what was learned can be held against what was planted.

    Args:
        sources: input lines.
        classes: classes, and detectors.
        max_delay: longest delay of the detectors in steps, >= 0.
        decay: share of the detectors' voltage kept per step, in [0, 1].
        readout_decay: share of a vote kept per step, in [0, 1].
        vote: voltage that a detector's spike adds to its class, > 0.
        drive: mean voltage of a detector when all sources arrive at once, at the start; above 1, the threshold.
        neuron: makes the detectors, called as ``neuron(decay, neurons=...)``: a class, or one with options by
            :func:`functools.partial`, for example ``partial(LIF, surrogate="triangle")``.
        learn_delay: False keeps the delays where they start.
        decoding: what follows a clip, and scores other than ``count``; None means a silence of ``max_delay`` steps.
        generator: randomness of the start; None takes torch's own.

    Returns:
        A :class:`Stack` in training mode.

    Raises:
        ValueError: an argument is out of range.
    """
    linear = DelayLinear(sources, classes, max_delay, learn_delay=learn_delay, bias=True, generator=generator)
    # all excitatory at the start: a detector waits for its sources to coincide
    torch.nn.init.uniform_(linear.weight, 0.5 * drive / sources, 1.5 * drive / sources, generator=generator)
    count = DelayLinear(classes, classes, 0, learn_delay=False, generator=generator)
    count.weight.requires_grad_(False)
    torch.nn.init.eye_(count.weight[0]).mul_(vote)
    block = hidden_block(linear, None, make("neuron", neuron, decay, neurons=classes), dropout=0.0)
    return with_readout([block], count, Integrator(readout_decay), decoding or Decoding(tail_steps=max_delay))
