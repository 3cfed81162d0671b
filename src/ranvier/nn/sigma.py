"""The width of the taps over a training."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from torch import nn

from ranvier.nn.delays import DelayLayer

Shape = Literal["exponential", "linear", "cosine"]
SHAPES: tuple[str, ...] = get_args(Shape)


def width_after(progress: float, start: float, end: float, shape: str = "exponential") -> float:
    """Width after a share ``progress`` of the schedule from ``start`` to ``end``, all in one unit.

        exponential  start (end / start)^p
        linear       start + (end - start) p
        cosine       end + (start - end) (1 + cos(pi p)) / 2

    Args:
        progress: p, >= 0; from 1 on the width is ``end``.
        start, end: widths, > 0.
        shape: of the three.

    Raises:
        ValueError: the shape is none of these.
    """
    p = min(1.0, progress)
    if shape == "exponential":
        return float(start * (end / start) ** p)
    if shape == "linear":
        return float(start + (end - start) * p)
    if shape == "cosine":
        return float(end + (start - end) * (1 + math.cos(math.pi * p)) / 2)
    raise ValueError(f"shape: {shape!r} is not allowed ({', '.join(SHAPES)})")


def set_sigma(model: nn.Module, sigma: float) -> None:
    """Set the width of the tap of every :class:`DelayLayer` in a module, in steps.

    Args:
        model: holds the layers, at any depth.
        sigma: width in steps; see :meth:`DelayLayer.set_sigma`.

    Raises:
        ValueError: sigma is not allowed, or there is no such layer.
    """
    layers = [module for module in model.modules() if isinstance(module, DelayLayer)]
    if not layers:
        raise ValueError(f"model: {type(model).__name__} has no layer with delays")
    for layer in layers:
        layer.set_sigma(sigma)


class SigmaSchedule:
    """Narrow the taps of a model while it is trained; ``step()`` after every step of the optimiser.

    Layers that learn their widths start with ``start`` and are left alone from then on.

    Args:
        model: holds the layers with delays; they have the width ``start`` from now on.
        start: width in steps at the start, as :meth:`DelayLayer.set_sigma` allows.
        end: width in steps at the end, the same; 0.5 leaves little for rounding to change.
        total_steps: steps from start to end, >= 1; the width stays at its end after that.
        shape: of the schedule; see :func:`width_after`.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self, model: nn.Module, start: float, end: float, total_steps: int, *, shape: Shape = "exponential"
    ) -> None:
        if total_steps < 1:
            raise ValueError(f"total_steps: {total_steps} is not allowed (1 or more)")
        self.model, self.start, self.end, self.total_steps, self.shape = model, start, end, total_steps, shape
        self.last_step = 0
        set_sigma(model, end)  # refused now rather than when training has come to it
        set_sigma(model, self.sigma)

    @property
    def sigma(self) -> float:
        """The width now, in steps."""
        return width_after(self.last_step / self.total_steps, self.start, self.end, self.shape)

    def step(self) -> None:
        """Go on by a step."""
        self.last_step += 1
        self._narrow()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the model."""
        return {name: value for name, value in vars(self).items() if name != "model"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where :meth:`state_dict` was called, with its settings."""
        vars(self).update({name: state_dict[name] for name in self.state_dict()})
        self._narrow()

    def _narrow(self) -> None:
        for layer in self.model.modules():
            if isinstance(layer, DelayLayer) and not layer.learn_sigma:
                layer.set_sigma(self.sigma)
