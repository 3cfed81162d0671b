"""What firing too often, or too rarely, costs in the loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ranvier.network import Decoding
from ranvier.recipes.config import Config


def rate_penalty(rasters: Sequence[Tensor], lengths: Tensor, decoding: Decoding, config: Config) -> Tensor:
    """Sum over clips of the mean over hidden neurons of the squared distance of a rate to its range, weighted.

        train.rate_penalty * sum_clip mean_neuron (max(0, rate - high)^2 + max(0, low - rate)^2)

    Args:
        rasters: spikes ``[time, batch, neuron]`` of every hidden layer.
        lengths: ``[batch]``, time steps of each clip.
        decoding: says what follows a clip, which counts with it.
        config: whose rates are in Hz; here they are spikes per time step.
    """
    train, seconds = config.train, config.data.dt_ms / 1000
    rates = []
    for layer, raster in enumerate(rasters):
        valid_steps = (lengths + decoding.steps(0, layer)).to(raster.device, non_blocking=True)
        time = torch.arange(len(raster), device=raster.device)[:, None, None]
        rates.append((raster * (time < valid_steps[:, None])).sum(0) / valid_steps[:, None])
    rate = torch.cat(rates, 1)
    distance = (train.rate_min_hz * seconds - rate).clamp(min=0) ** 2
    if train.rate_max_hz is not None:
        distance = distance + (rate - train.rate_max_hz * seconds).clamp(min=0) ** 2
    return train.rate_penalty * distance.mean(1).sum()
