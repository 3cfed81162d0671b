"""Which synapses a network has while it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim import Optimizer

from ranvier.models import Stack
from ranvier.nn import DelayLayer, density_after, prune
from ranvier.recipes.sections import TrainConfig


def begin_wiring(model: Stack, train: TrainConfig) -> None:
    """Give every layer a mask where the recipe will take synapses away, so that copies of the model have them too."""
    if train.prune != "none":
        prune(model, 1.0)


def has_pruned(train: TrainConfig, progress: float) -> bool:
    """Whether the network has no more synapses than the recipe asks for after a share ``progress`` of the training."""
    return train.prune == "none" or progress >= train.prune_end


def prune_after(model: Stack, optimisers: Sequence[Optimizer], train: TrainConfig, progress: float) -> None:
    """Take away the synapses that the recipe takes away up to a share ``progress`` of the training."""
    if train.prune == "none" or progress < train.prune_start:
        return
    prune(model, density_after(progress, train.density, train.prune_start, train.prune_end), train.prune)
    for layer in model.delay_layers:
        _forget(layer, optimisers)


@torch.no_grad()
def _forget(layer: DelayLayer, optimisers: Sequence[Optimizer]) -> None:
    """Set what optimisers remember of the weights of synapses that are not there to 0."""
    assert layer.weight_mask is not None
    for optimiser in optimisers:
        for value in optimiser.state.get(layer.weight, {}).values():
            if value.shape == layer.weight.shape:
                value.mul_(layer.weight_mask)
