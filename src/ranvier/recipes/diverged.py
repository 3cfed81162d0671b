"""A training that came to numbers that are not finite."""

from __future__ import annotations

import json
from pathlib import Path

from ranvier.recipes.config import ConfigError


class DivergedError(ConfigError):
    """A training came to a loss or to weights that are NaN or infinite.

    Attributes:
        epoch, iteration: where, from 1 on; the iteration is that of the epoch.
        last_epoch: the last epoch that ended with finite weights, 0 if there is none.
    """

    def __init__(self, what: str, epoch: int, iteration: int, last_epoch: int, remedy: str) -> None:
        super().__init__(f"training diverged in epoch {epoch}, iteration {iteration}: {what} ({remedy})")
        self.facts = (what, epoch, iteration, last_epoch, remedy)
        _, self.epoch, self.iteration, self.last_epoch, _ = self.facts


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
