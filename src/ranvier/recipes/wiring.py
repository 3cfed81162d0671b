"""Which synapses a network has while it is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from ranvier.corpora.splits import Splits
from ranvier.models import Stack
from ranvier.nn import density_after, draw_synapses, prune, rewire
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.sections import FeedforwardModel, TrainConfig

# RigL's, for its share of the training's iterations and of a layer's synapses at the first rewiring
_REWIRED_UP_TO = 0.75
_REWIRED_AT_FIRST = 0.3


def check_wiring(config: Config, splits: Splits) -> None:
    """Refuse what does not go with the data.

    Raises:
        ConfigError: a neuron would have more sources than there are, or no rewiring would come.
    """
    model, train = config.model, config.train
    if isinstance(model, FeedforwardModel) and model.fan_in is not None:
        fewest = min(splits.train.dataset.sources, *model.hidden)
        if model.fan_in > fewest:
            raise ConfigError(
                f"model.fan_in: {model.fan_in} is not allowed (1 ... {fewest}, the narrowest layer's neurons)"
            )
    iterations = train.epochs * -(-len(splits.train) // train.batch_size)
    if train.rewire == "rigl" and train.rewire_steps >= _REWIRED_UP_TO * iterations:
        raise ConfigError(
            f"train.rewire_steps: {train.rewire_steps} is not allowed in a training of {iterations} iterations (below "
            f"{_REWIRED_UP_TO * iterations:g}, {_REWIRED_UP_TO:.0%} of them)"
        )


def begin_wiring(model: Stack, train: TrainConfig, *, random: bool) -> None:
    """Give every layer a mask where the recipe changes its synapses, so that copies of the model have them too.

    Args:
        model: at the start of its training.
        train: the recipe's.
        random: rewiring starts with synapses drawn at random, as the weights are; else with those of the largest ones.
    """
    if train.prune != "none":
        prune(model, 1.0)
    elif train.rewire != "none" and random:
        draw_synapses(model, train.density, _generator(train, 0))
    elif train.rewire != "none":
        prune(model, train.density)


def has_pruned(train: TrainConfig, progress: float) -> bool:
    """Whether the network has no more synapses than the recipe asks for after a share ``progress`` of the training."""
    return train.prune == "none" or progress >= train.prune_end


def prune_after(model: Stack, optimisers: Sequence[Optimizer], train: TrainConfig, progress: float) -> None:
    """Take away the synapses that the recipe takes away up to a share ``progress`` of the training."""
    if train.prune == "none" or progress < train.prune_start:
        return
    prune(model, density_after(progress, train.density, train.prune_start, train.prune_end), train.prune)
    for layer in model.delay_layers:
        assert layer.weight_mask is not None
        _forget(layer.weight, layer.weight_mask, optimisers)


def rewires(model: Stack, train: TrainConfig, step: int, steps: int) -> bool:
    """Whether iteration ``step`` of ``steps``, counted from 0, rewires; readies the model for it."""
    now = train.rewire == "rigl" and step > 0 and step % train.rewire_steps == 0 and step < _REWIRED_UP_TO * steps
    for layer in model.delay_layers:
        layer.dense_gradient = now
    return now


def rewire_after(
    model: Stack, optimisers: Sequence[Optimizer], first_delays: Sequence[Tensor], train: TrainConfig, step: int,
    steps: int,
) -> None:  # fmt: skip
    """Rewire, after the backward of iteration ``step``; the share of the synapses goes down by a cosine to 0.

    In ``first_delays``, those where the training started, places without a synapse get the delays that they have now.
    """
    share = _REWIRED_AT_FIRST * (1 + math.cos(math.pi * step / (_REWIRED_UP_TO * steps))) / 2
    before = [layer.weight_mask.clone() for layer in model.delay_layers if layer.weight_mask is not None]
    rewire(model, share, _generator(train, step))
    for layer, old, first in zip(model.delay_layers, before, first_delays, strict=True):
        assert layer.weight_mask is not None
        layer.dense_gradient = False
        stay = old & layer.weight_mask
        _forget(layer.weight, stay, optimisers)
        if layer.delay.shape == layer.weight.shape:
            _forget(layer.delay, stay, optimisers)
            first.copy_(first.where(stay, layer.delay.detach()))


def _generator(train: TrainConfig, step: int) -> torch.Generator:
    """The randomness of a rewiring: it follows from seed and iteration, so that nothing has to be saved."""
    return torch.Generator().manual_seed((1_000_003 * (train.seed + 1) + step) % 2**63)


@torch.no_grad()
def _forget(parameter: Tensor, stay: Tensor, optimisers: Sequence[Optimizer]) -> None:
    """Set what optimisers remember of a parameter to 0, but where ``stay`` is True."""
    for optimiser in optimisers:
        for value in optimiser.state.get(parameter, {}).values():
            if value.shape == parameter.shape:
                value.mul_(stay)
