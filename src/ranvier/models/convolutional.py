"""Delayed convolutions of pictures, batch norm by channel, LIF, dropout; a readout of everything at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from ranvier.models.factories import make
from ranvier.models.feedforward import hidden_block, with_readout
from ranvier.models.stack import Stack
from ranvier.network import Decoding
from ranvier.nn import LIF, DelayConv2d, DelayLinear, Integrator, SequenceBatchNorm


def convolutional(
    sources: int,
    size: tuple[int, int],
    channels: Sequence[int],
    classes: int,
    max_delay: int,
    *,
    kernel_size: int,
    stride: int,
    decay: float,
    readout_decay: float,
    dropout: float = 0.0,
    connection: Callable[..., DelayConv2d] = DelayConv2d,
    neuron: Callable[..., nn.Module] = LIF,
    readout: Callable[..., nn.Module] | None = None,
    decoding: Decoding | None = None,
    generator: torch.Generator | None = None,
) -> Stack:
    """Build convolutional hidden layers with learned delays, and a dense readout without.

    Args:
        sources: input lines, a multiple of the picture's pixels.
        size: rows and columns of the picture.
        channels: of each hidden layer.
        classes: output neurons.
        max_delay: longest delay in steps, >= 0.
        kernel_size, stride: of every hidden layer; its padding is half of the kernel.
        decay, readout_decay: share of the voltage that hidden neurons and the readout keep per step, in [0, 1].
        dropout: share of hidden neurons silenced for a clip in training, in [0, 1).
        connection: makes the convolutions: a class, or one with options by :func:`functools.partial`, as the next two.
        neuron, readout: make neurons, as for :func:`ranvier.models.feedforward`.
        decoding: what follows a clip; None means a silence of ``max_delay`` steps per hidden layer.
        generator: randomness of the start; None takes torch's own.

    Returns:
        A :class:`Stack` in training mode, of ``blocks`` (a stack for each hidden layer), ``linear`` and ``readout``.

    Raises:
        ValueError: an argument is out of range.
    """
    pixels = size[0] * size[1]
    if sources % pixels:
        raise ValueError(f"sources: {sources} is not allowed (a multiple of {pixels}, the pixels of {size})")
    blocks, before = [], sources // pixels
    for count in channels:
        options = {"stride": stride, "padding": kernel_size // 2, "generator": generator}
        conv = make("connection", connection, before, count, kernel_size, max_delay, size, **options)
        before, size = count, conv.out_size
        positions = size[0] * size[1]
        norm = SequenceBatchNorm(count, positions=positions)
        blocks.append(hidden_block(conv, norm, make("neuron", neuron, decay, neurons=count * positions), dropout))
    last = DelayLinear(before * size[0] * size[1], classes, 0, learn_delay=False, generator=generator)
    with torch.no_grad():
        last.weight.mul_(0.1)  # so many neurons add up that voltages would leave nothing to learn from
    decoding = decoding or Decoding(tail_steps=len(blocks) * max_delay)
    if readout is None:
        readout = LIF if decoding.scores == "count" else Integrator
    return with_readout(blocks, last, make("readout", readout, readout_decay, neurons=classes), decoding)
