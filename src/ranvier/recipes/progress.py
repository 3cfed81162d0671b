"""How far a run is, read from its folder without touching it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ranvier.errors import RuleError
from ranvier.recipes.config import Config
from ranvier.recipes.run_config import read_config
from ranvier.runs import EpochRow, RunResult, read_metrics, read_result


@dataclass(frozen=True, eq=False)
class TrainingState:
    """One training of a run.

    Attributes:
        name: of the training within the run; empty for the run's own.
        epochs: passes over the clips that were asked for.
        rows: of the epochs that are done.
        result: None while the training is not finished.
        quiet_s: seconds since the last epoch, or since the run was made.
    """

    name: str
    epochs: int
    rows: Sequence[EpochRow]
    result: RunResult | None
    quiet_s: float

    @property
    def seconds_left(self) -> float | None:
        """At the mean pace so far; None before the first epoch."""
        if not self.rows:
            return None
        each = self.rows[-1].seconds / len(self.rows)
        return float(max(0.0, (self.epochs - len(self.rows)) * each))


@dataclass(frozen=True, eq=False)
class RunState:
    """A run with all of its trainings: several where it compares, or leaves each speaker out in turn.

    Attributes:
        recipe: name of the recipe.
        trainings: those that have begun, in order; at least one.
        finished: there is nothing more to come.
    """

    recipe: str
    trainings: Sequence[TrainingState]
    finished: bool

    @property
    def current(self) -> TrainingState:
        """The first that is not finished, else the last of all."""
        return next((training for training in self.trainings if training.result is None), self.trainings[-1])


def run_state(folder: Path) -> RunState:
    """Look at a run, whether it is being trained, was stopped, or is finished.

    Raises:
        RunError, ConfigError: the folder is not a run's, or a file in it is damaged.
    """
    config, result = read_config(folder), read_result(folder)
    own = [] if result is not None and result.folds else [_training(folder, config, "")]
    parts = []
    for file in sorted(folder.glob("*/config.toml"), key=lambda file: file.stat().st_mtime):
        try:
            parts.append(_training(file.parent, read_config(file.parent), file.parent.name))
        except RuleError:
            continue  # not a training's folder
    if parts and own and not config.compare and not own[0].rows and own[0].result is None:
        own = []  # leaving speakers out: the run itself trains nothing
    return RunState(config.name, [*parts, *own], result is not None)


def _training(folder: Path, config: Config, name: str) -> TrainingState:
    metrics = folder / "metrics.jsonl"
    last = (metrics if metrics.exists() else folder / "config.toml").stat().st_mtime
    return TrainingState(
        name, config.train.epochs, read_metrics(folder), read_result(folder), max(0.0, time.time() - last)
    )
