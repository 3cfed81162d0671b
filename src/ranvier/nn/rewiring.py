"""Synapses that are found by training while their number stays the same."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ranvier.nn.delays import DelayLayer
from ranvier.nn.pruning import check_density, layers_of, synapses_at


@torch.no_grad()
def draw_synapses(model: nn.Module, density: float, generator: torch.Generator | None = None) -> None:
    """Keep a share of the synapses of every layer with delays, drawn at random, with weights as Kaiming's rule has them
    for so many.

    Args:
        model: a layer, or whatever holds layers at any depth; with weights as they start.
        density: as :func:`ranvier.nn.prune`.
        generator: of a CPU; None takes torch's own.

    Raises:
        ValueError: as :func:`ranvier.nn.prune`.
    """
    check_density(density)
    for layer in layers_of(model):
        order = torch.rand(layer.weight.numel(), generator=generator).to(layer.weight.device)
        there = layer.synapse_mask()
        count = synapses_at(layer, density)
        if there is not None:
            order = order.where(there.flatten(), -1.0)
        before = layer.weight.numel() if there is None else int(there.sum())
        layer.set_weight_mask(_only(layer, order.argsort(descending=True, stable=True)[: min(count, before)]))
        layer.weight.mul_(math.sqrt(before / min(count, before)))


@torch.no_grad()
def rewire(model: nn.Module, share: float, generator: torch.Generator | None = None) -> None:
    """Replace a share of the synapses of every layer that has a mask, by the gradient of the loss (RigL, over synapses
    and delays).

    The synapses of the smallest |w| go. As many come, of weight 0, where there was none and the gradient to the weight
    is largest: the gradient of a synapse with the delay that ``delay`` has at that place. Then all places without a
    synapse draw a new delay, as delays start, so that each call compares other pairs of synapse and delay. Delays that
    synapses share (axonal, dendritic, ``dense_kernel``) stay as they are.

    It is to be called after a backward of a loss that was computed with ``dense_gradient`` True in these layers, in
    place of the optimiser's step:

        for layer in model.delay_layers:
            layer.dense_gradient = True
        loss(model).backward()
        for layer in model.delay_layers:
            layer.dense_gradient = False
        rewire(model, 0.3)

    The gradient to a weight is computed for all weights anyway; ``dense_gradient`` only leaves out the product with the
    mask, which changes no current, for weights without a synapse are 0.

    Args:
        model: a layer, or whatever holds layers at any depth.
        share: of a layer's synapses, in [0, 1]; not more than there are places for.
        generator: of a CPU, of the new delays; None takes torch's own.

    Raises:
        ValueError: the share is out of range, or a layer has no mask or no gradient.

    Source: Evci et al. 2020 (arXiv 1911.11134), for synapses without delays.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share: {share} is not allowed (0 ... 1)")
    layers = layers_of(model)
    for layer in layers:
        if layer.weight_mask is None or layer.weight.grad is None:
            lacking = "weight_mask (draw_synapses, prune)" if layer.weight_mask is None else "gradient"
            raise ValueError(f"model: a {type(layer).__name__} has no {lacking}")
    for layer in layers:
        _rewire(layer, share, generator)


def _rewire(layer: DelayLayer, share: float, generator: torch.Generator | None) -> None:
    assert layer.weight_mask is not None
    assert layer.weight.grad is not None
    before, possible = layer.weight_mask.flatten().clone(), layer.possible_mask()
    free = ~before if possible is None else ~before & possible.flatten()
    count = min(round(share * int(before.sum())), int(free.sum()))
    size = layer.weight.abs().flatten().masked_fill(~before, math.inf)
    gain = layer.weight.grad.abs().flatten().masked_fill(~free, -1.0)
    after = before.clone()
    after[size.argsort(stable=True)[:count]] = False
    after[gain.argsort(descending=True, stable=True)[:count]] = True
    layer.weight.masked_fill_(~(before & after).view_as(layer.weight), 0)
    layer.set_weight_mask(after.view_as(layer.weight))
    if layer.delay.shape == layer.weight.shape and not getattr(layer, "dense_kernel", False):
        drawn = layer.drawn_delays(generator, "cpu").to(layer.delay.device)
        layer.delay.copy_(layer.delay.where(layer.weight_mask, drawn))


def _only(layer: DelayLayer, places: Tensor) -> Tensor:
    """A mask of the weight's shape with these places of the flat weight."""
    mask = torch.zeros(layer.weight.numel(), dtype=torch.bool, device=layer.weight.device)
    mask[places] = True
    return mask.view_as(layer.weight)
