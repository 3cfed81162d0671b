"""Which synapses of a layer stay.

torch.nn.utils.prune is not used: it makes of ``weight`` another parameter, which a hook computes before ``forward``.
States of before would not load, ``Recurrent`` and the fused operators, which call no hooks, would run with old weights,
and Adam's momentum and weight decay would go on with what was taken away.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ranvier.nn.delays import DelayLayer

Criterion = Literal["magnitude", "delay", "joint"]
CRITERIA: tuple[str, ...] = get_args(Criterion)


@torch.no_grad()
def prune(model: nn.Module, density: float, by: Criterion = "magnitude") -> None:
    """Take synapses away, in every layer with delays by itself, until a share of them is left.

    What stays are the synapses (of a convolution: kernel elements) with the highest score, d being the rounded delay in
    steps:

        magnitude  |w|
        delay      -d, of equal ones |w|: a layer is cut to its shortest delays
        joint      |w| / (1 + d)

    A synapse of delay d needs what its source sent for 1 + d time steps, so ``joint`` is the weight that a step of
    buffer buys. Synapses that were taken away before stay away. Where delays are axonal or dendritic, weights alone are
    taken away. It is for a model in training: weights that are left go on learning, the others are 0 and get no
    gradient, whichever of torch's optimisers runs. A mask, ``weight_mask``, is part of the layer's state.

    Args:
        model: a layer, or whatever holds layers at any depth.
        density: share of the synapses that the layer was made with (all of its weights, or those that ``fan_in``
            allows), in (0, 1]; at least one stays. A layer that has fewer is left as it is.
        by: the score.

    Raises:
        ValueError: an argument is out of range, or there is no layer with delays.

    Source: Zhu and Gupta 2017 (arXiv 1710.01878) for ``magnitude``; :func:`density_after` is their schedule.
    """
    check_density(density)
    if by not in CRITERIA:
        raise ValueError(f"by: {by!r} is not allowed ({', '.join(CRITERIA)})")
    for layer in layers_of(model):
        there = layer.synapse_mask()
        order = _ranked(layer, by)
        if there is not None:
            order = order[there.flatten()[order]]
        mask = torch.zeros(layer.weight.numel(), dtype=torch.bool, device=order.device)
        mask[order[: synapses_at(layer, density)]] = True
        layer.set_weight_mask(mask.view_as(layer.weight))


def check_density(density: float) -> None:
    """Refuse a share of synapses with ``ValueError`` unless it is in (0, 1]."""
    if not 0 < density <= 1:
        raise ValueError(f"density: {density} is not allowed (above 0, up to 1)")


def layers_of(model: nn.Module) -> list[DelayLayer]:
    """Every layer with delays, at any depth; ``ValueError`` where there is none."""
    layers = [module for module in model.modules() if isinstance(module, DelayLayer)]
    if not layers:
        raise ValueError(f"model: {type(model).__name__} has no layer with delays")
    return layers


def synapses_at(layer: DelayLayer, density: float) -> int:
    """How many synapses a layer has at a density, one or more."""
    possible = layer.possible_mask()
    return max(1, round(density * (layer.weight.numel() if possible is None else int(possible.sum()))))


def _ranked(layer: DelayLayer, by: str) -> Tensor:
    """Places of all weights in the flat weight, those that stay longest first."""
    size, steps = layer.weight.abs().flatten(), layer.delay_steps().flatten()
    if by == "joint":
        size = size / (1 + steps)
    order = size.argsort(descending=True, stable=True)
    return order[steps[order].argsort(stable=True)] if by == "delay" else order


def density_after(progress: float, density: float, start: float = 0.0, end: float = 1.0) -> float:
    """Share of the synapses that is left after a share ``progress`` of a training:

        density + (1 - density) (1 - (progress - start) / (end - start))^3    from start to end

    1 before and ``density`` after.

    Args:
        progress: in [0, 1].
        density: at the end, in (0, 1].
        start, end: of the pruning, shares of the training, start < end.

    Raises:
        ValueError: the density is out of range, or the pruning does not start before its end.

    Source: Zhu and Gupta 2017 (arXiv 1710.01878), equation 1, for the share that is left.
    """
    check_density(density)
    if not start < end:
        raise ValueError(f"start: {start} is not allowed (below end, {end})")
    left = 1 - min(1.0, max(0.0, (progress - start) / (end - start)))
    return density + (1 - density) * left**3
