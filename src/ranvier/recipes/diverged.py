"""A training that came to numbers that are not finite."""

from __future__ import annotations

import json
import math
from pathlib import Path

from torch import nn

from ranvier.recipes.config import Config, ConfigError


class DivergedError(ConfigError):
    """A training came to a loss, a gradient or a weight that is NaN or infinite.

    Attributes:
        epoch, iteration: where, from 1 on; the iteration is that of the epoch.
        last_epoch: the last epoch that ended with finite weights, 0 if there is none.
    """

    def __init__(self, what: str, epoch: int, iteration: int, last_epoch: int, remedy: str) -> None:
        super().__init__(f"training diverged in epoch {epoch}, iteration {iteration}: {what} ({remedy})")
        self.facts = (what, epoch, iteration, last_epoch, remedy)
        _, self.epoch, self.iteration, self.last_epoch, _ = self.facts


def lower_rates(config: Config, learns_delays: bool) -> str:
    """What to change where weights or delays went too far."""
    train = config.train
    delays = f", or train.delay_lr_ms, now {train.delay_lr_ms:g}" if learns_delays else ""
    return f"lower train.weight_lr, now {train.weight_lr:g}{delays}"


def other_surrogate(config: Config) -> str:
    """What to change where gradients grow with every time step back: the weights did not move, or hardly."""
    model = config.model
    return f"change model.surrogate, now {model.surrogate}, or model.surrogate_alpha, now {model.surrogate_alpha:g}"


def gradients_are_finite(model: nn.Module) -> bool:
    """Whether they are; a GPU is waited for."""
    given = [p.grad for p in model.parameters() if p.grad is not None]
    # a sum takes a tenth of the time, but may overflow where all are finite
    return all(math.isfinite(float(grad.sum())) or bool(grad.isfinite().all()) for grad in given)


def diverged_file(folder: Path) -> Path:
    """Where a run keeps that its training diverged: its settings would take it there again."""
    return folder / "diverged.json"


def read_diverged(folder: Path) -> DivergedError | None:
    """How a run's training diverged, or None.

    Raises:
        ConfigError: the file is damaged.
    """
    file = diverged_file(folder)
    if not file.exists():
        return None
    try:
        place = json.loads(file.read_text(encoding="utf-8"))
        return DivergedError(*(place[name] for name in ("what", "epoch", "iteration", "last_epoch", "remedy")))
    except (ValueError, TypeError, KeyError):
        raise ConfigError(f"{file}: is damaged; without the file --resume trains again") from None
