"""The share of a layer that a step keeps, fixed or learned."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Learn = bool | Literal["layer", "neuron"]
"""What training moves: nothing (False), one value for the layer (True or ``layer``), or one for each neuron."""


class _Kept(nn.Module):
    """decay = 1 - sigmoid(w): between 0 and 1, whatever w an optimiser comes to."""

    def extra_repr(self) -> str:
        return "1 - sigmoid(w)"

    def forward(self, w: Tensor) -> Tensor:
        return torch.sigmoid(-w)


def start_value(name: str, value: float, learn: Learn, neurons: int | None) -> Tensor:
    """Where a learned value starts: a scalar, or ``[neuron]`` where each neuron learns its own.

    Raises:
        ValueError: ``learn`` is not known; or each neuron learns its own and it is not said how many there are.
    """
    if learn not in (True, "layer", "neuron"):
        raise ValueError(f"learn_{name}: {learn!r} is not allowed (False, True, layer, neuron)")
    if learn != "neuron":
        return torch.tensor(float(value))
    if neurons is None or neurons < 1:
        raise ValueError(f"neurons: {neurons} is not allowed where each learns its {name} (1 or more)")
    return torch.full((neurons,), float(value))


def shown(value: Tensor) -> str:
    """A number, or the range of several; where that would wait for a device or there are none, what torch prints.

    A whole number is one, with all its digits.
    """
    if value.device.type == "cpu" and value.numel():
        with suppress(RuntimeError):  # a fake tensor, or one of a batch, has no numbers
            if not value.is_floating_point():
                return f"{int(value)}"
            low, high = (float(end) for end in value.detach().aminmax())
            return f"{low:.4g}" if value.ndim == 0 else f"{low:.4g} ... {high:.4g}"
    return f"tensor(..., device='{value.device}', size={tuple(value.shape)})"


def learned(module: nn.Module, *names: str) -> str:
    """Which of these values a module learns, as it prints that after others: ``, learn_decay=layer``."""
    text = ""
    for name in names:
        own = parametrize.is_parametrized(module, name)
        value = module.parametrizations[name].original if own else getattr(module, name)  # type: ignore[index,union-attr]
        if isinstance(value, nn.Parameter):
            text += f", learn_{name}={'neuron' if value.ndim else 'layer'}"
    return text


def register_decay(
    module: nn.Module, decay: float, *, learn: Learn, of: str = "voltage", neurons: int | None = None
) -> None:
    """Give a module its ``decay``, a buffer, or made of a learned parameter w.

        decay = 1 - sigmoid(w), so that 1 / tau = sigmoid(w) with tau in steps (Euler's rule)

    Args:
        module: gets the attribute ``decay``, a scalar tensor, or ``[neuron]`` where each neuron learns its own; w is
            ``parametrizations.decay.original``.
        decay: share kept per step at the start, in [0, 1]; within (0, 1) if learned.
        learn: see :data:`Learn`.
        of: what is kept, for the message.
        neurons: of the layer, needed where each learns its own.

    Raises:
        ValueError: decay is out of range, or as :func:`start_value`.

    Source: Fang et al. 2021 (arXiv 2007.05785), as SpikingJelly's ParametricLIFNode has it.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay: {decay} is not allowed (0 ... 1, the share of the {of} kept per step)")
    if not learn:
        module.register_buffer("decay", torch.tensor(float(decay)))
        return
    if not 0 < decay < 1:
        raise ValueError(f"decay: {decay} is not allowed where it is learned (above 0 and below 1)")
    w = math.log((1 - decay) / decay)
    module.register_parameter("decay", nn.Parameter(start_value("decay", w, learn, neurons)))
    own = type(module).__name__
    parametrize.register_parametrization(module, "decay", _Kept())
    type(module).__name__ = own  # a class that torch made for this module alone; it would print as ParametrizedLIF
