"""Adaptive neurons of a recipe: milliseconds here, steps in the module."""

from __future__ import annotations

import math
from typing import Any

from ranvier.errors import ConfigError
from ranvier.recipes.sections import FeedforwardModel

NEURON = "adlif"
_PREFIX = "adlif_"
_SCALE = {"symplectic": 120.0, "forward": 60.0}  # of the official configurations for SHD
_LONGEST = 1e6  # steps


def adaptation(model: FeedforwardModel, dt_ms: float) -> dict[str, Any]:
    """What :class:`ranvier.nn.AdaptiveLIF` takes of a recipe: its time constants in steps, scale and method.

    Raises:
        ConfigError: a range falls, a time constant is beyond what is allowed, or the scale is above the stable one.
    """
    options: dict[str, Any] = {}
    for name in ("tau", "adaptation_tau"):
        low, high = (getattr(model, f"{_PREFIX}{name}_{end}_ms") for end in ("min", "max"))
        if not low <= high < _LONGEST * dt_ms:
            field, longest_ms = f"model.{_PREFIX}{name}_max_ms", _LONGEST * dt_ms
            raise ConfigError(f"{field}: {high:g} is not allowed ({low:g}, the shortest, ... below {longest_ms:g} ms)")
        options[f"{name}_steps"] = (low / dt_ms, high / dt_ms)
    euler, scale = model.adlif_euler, model.adlif_scale
    stable = stable_scale(options["tau_steps"][0], options["adaptation_tau_steps"][0], euler)
    if scale is not None and scale > stable:
        raise ConfigError(
            f"model.adlif_scale: {scale:g} is not allowed with time steps of {dt_ms:g} ms (up to {stable:.4g}, or "
            "longer time constants; voltages would oscillate without bound)"
        )
    return {**options, "scale": min(_SCALE[euler], stable) if scale is None else scale, "euler": euler}


def stable_scale(tau_steps: float, adaptation_tau_steps: float, euler: str) -> float:
    """Largest scale with which a silent neuron of these time constants and a = 1 comes to rest.

        symplectic: (1 + decay) (1 + adaptation_decay) / ((1 - decay) (1 - adaptation_decay))
        forward:    (1 - decay adaptation_decay) / ((1 - decay) (1 - adaptation_decay))

    Those of a neuron with longer time constants are larger. Where the eigenvalues of the equation's matrix leave the
    unit circle.
    """
    decay, adaptation_decay = math.exp(-1 / tau_steps), math.exp(-1 / adaptation_tau_steps)
    lost = (1 - decay) * (1 - adaptation_decay)
    if euler == "symplectic":
        return (1 + decay) * (1 + adaptation_decay) / lost
    return (1 - decay * adaptation_decay) / lost


def check_adaptation(model: FeedforwardModel, dt_ms: float) -> None:
    """Refuse settings of adaptive neurons that are out of range, or set where there are none.

    Raises:
        ConfigError: see :func:`adaptation`; or ``model.neuron`` is another.
    """
    if model.neuron == NEURON:
        adaptation(model, dt_ms)
        return
    for name, field in FeedforwardModel.model_fields.items():
        if name.startswith(_PREFIX) and getattr(model, name) != field.default:
            raise ConfigError(f"model.{name}: is not allowed with model.neuron = {model.neuron} ({NEURON} has it)")
