"""A recipe's milliseconds as steps and shares, converted once, here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ranvier.corpora.section import time_steps
from ranvier.errors import ConfigError
from ranvier.recipes.sections import FeedforwardModel

if TYPE_CHECKING:
    from ranvier.recipes.config import Config

DCLS_FLOOR = 0.27  # steps that the dcls package adds to the width of a Gaussian tap


def steps(config: Config, field: str) -> int:
    """A field in ms as whole steps, for example ``steps(config, "model.max_delay_ms")``.

    Raises:
        ConfigError: it is not a whole number of steps.
    """
    section, _, name = field.partition(".")
    return time_steps(field, getattr(getattr(config, section), name), config.data.dt_ms)


def recurrent_init_steps(config: Config, model: FeedforwardModel) -> float:
    """Longest recurrent delay at the start, in steps."""
    given_ms = model.recurrent_max_init_delay_ms
    return (model.max_delay_ms if given_ms is None else given_ms) / config.data.dt_ms


def decay(config: Config, field: str = "model.tau_ms") -> float:
    """Share of the voltage, or of a synapse's trace, kept per step, by the recipe's rule.

    Raises:
        ConfigError: the Euler rule with tau below a step would turn its sign.
    """
    dt_ms, tau_ms = config.data.dt_ms, getattr(config.model, field.partition(".")[2])
    if config.model.leak_rule == "exp":
        return float(math.exp(-dt_ms / tau_ms))
    if tau_ms < dt_ms:
        raise ConfigError(f"{field}: {tau_ms:g} is not allowed with the euler rule ({dt_ms:g} ms or more, one step)")
    return float(1 - dt_ms / tau_ms)


def sigma_steps(config: Config, progress: float) -> float:
    """Width of a tap after a share ``progress`` in [0, 1] of the training, by :func:`ranvier.nn.sigma.width_after`.

    With the schedule ``dcls`` the part above 0.27 steps, which the dcls package adds to the width that it holds, goes
    exponentially. Where schedules go by epochs, the share over which the width shrinks is cut to whole epochs; none
    keeps the start.
    """
    from ranvier.nn.sigma import width_after  # loads torch, which a recipe's values do without

    train = config.train
    start, end, fraction = train.sigma_start_ms, train.sigma_end_ms, train.sigma_fraction
    if train.schedule_per == "epoch":
        fraction = math.floor(train.epochs * fraction) / train.epochs
    share = progress / fraction if fraction > 0 else 0.0
    if train.sigma_schedule == "dcls":
        floor = DCLS_FLOOR * config.data.dt_ms
        width_ms = floor + width_after(share, start - floor, end - floor, "exponential")
    else:
        width_ms = width_after(share, start, end, train.sigma_schedule)
    return width_ms / config.data.dt_ms
