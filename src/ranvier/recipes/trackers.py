"""Metrics of a training for a dashboard, beside ``metrics.jsonl``: tensorboard, trackio or wandb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import tomli_w

from ranvier.files import write_text
from ranvier.recipes.config import Config, ConfigError
from ranvier.runs import EpochRow, RunResult

Log = Callable[[EpochRow], None]
_Write = Callable[[int, Mapping[str, float]], None]
_PROJECT = "ranvier"


@dataclass(frozen=True)
class Tracker:
    """Where metrics go.

    Attributes:
        epoch: called with an epoch's metrics. A training that is resumed passes all of its epochs again, for what was
            on its way to the tracker when it was killed is lost.
        end: called with the result when the training has ended.
    """

    epoch: Log
    end: Callable[[RunResult], None]


@dataclass(frozen=True)
class _Writer:
    """The same for numbers by name, with their epoch."""

    epoch: _Write
    end: _Write

    def tracker(self) -> Tracker:
        return Tracker(lambda row: self.epoch(row.epoch, _numbers(row)), lambda r: self.end(r.epochs, _chosen(r)))


def check_tracker(config: Config) -> None:
    """Say at once that a tracker's package is missing.

    Raises:
        ConfigError: it is not installed.
    """
    if config.tracker != "none" and find_spec(config.tracker) is None:
        raise ConfigError(f"tracker: {config.tracker} is not installed (pip install {config.tracker})")


@contextmanager
def tracked(config: Config, folder: Path) -> Iterator[Tracker]:
    """The recipe's tracker.

    A training that is continued goes on in the same place: tensorboard in ``folder/tensorboard``, trackio and wandb in
    the run of the project ``ranvier`` whose name is kept in ``folder/tracker.txt``. Where their own settings say so
    (``WANDB_MODE``, ``TRACKIO_SPACE_ID`` ...) they are followed.

    Raises:
        ConfigError: the tracker will not start; the message is its own.
    """
    if config.tracker == "none":
        yield Tracker(lambda row: None, lambda result: None)
        return
    check_tracker(config)
    start = {"tensorboard": _tensorboard, "trackio": _trackio, "wandb": _wandb}[config.tracker]
    with start(config, folder) as writer:
        yield writer.tracker()


def _numbers(row: EpochRow) -> dict[str, float]:
    values = row.model_dump(exclude={"version", "epoch"})
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}


def _chosen(result: RunResult) -> dict[str, float]:
    return {f"chosen_{split}_accuracy": accuracy.value for split, accuracy in result.accuracy.items()}


@contextmanager
def _tensorboard(config: Config, folder: Path) -> Iterator[_Writer]:
    from torch.utils.tensorboard import SummaryWriter

    writers: list[Any] = []

    def write(step: int, numbers: Mapping[str, float], purge_step: int | None) -> None:
        if not writers:
            writers.append(SummaryWriter(str(folder / "tensorboard"), purge_step=purge_step))
            writers[0].add_text("config", f"```\n{tomli_w.dumps(_values(config))}\n```", step)
        for name, value in numbers.items():
            writers[0].add_scalar(name, value, step)
        writers[0].flush()

    try:
        # what a killed run wrote no longer counts from the first epoch that is passed again
        yield _Writer(lambda n, numbers: write(n, numbers, n), lambda n, numbers: write(n, numbers, None))
    finally:
        for writer in writers:
            writer.close()


@contextmanager
def _trackio(config: Config, folder: Path) -> Iterator[_Writer]:
    import trackio

    with _started("trackio", folder):
        run = trackio.init(
            _PROJECT,
            name=_name(folder),
            group=config.name,
            config=_values(config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    first = getattr(run, "_next_step", 0)  # it takes a step twice; there is no public way to ask what it has

    def log(epoch: int, numbers: Mapping[str, float]) -> None:
        run.log(dict(numbers), step=epoch)

    try:
        yield _Writer(lambda n, numbers: log(n, numbers) if n >= first else None, log)
    finally:
        trackio.finish()


@contextmanager
def _wandb(config: Config, folder: Path) -> Iterator[_Writer]:
    import wandb

    name = _name(folder)
    with _started("wandb", folder):
        run = wandb.init(
            project=_PROJECT,
            name=name,
            id=name,
            group=config.name,
            config=_values(config),
            dir=str(folder),
            resume="allow",
            settings=wandb.Settings(console="off"),
        )
    first, code = run.step, 1  # it takes no step twice
    try:
        # the end goes into the summary, for the last epoch's step may be there
        yield _Writer(
            lambda epoch, numbers: run.log(dict(numbers), step=epoch) if epoch >= first else None,
            lambda epochs, numbers: run.summary.update(dict(numbers)),
        )
        code = 0
    finally:
        run.finish(exit_code=code)


@contextmanager
def _started(tracker: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of any kind: it is the package's own
        said = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"tracker: {tracker}: {said} (ranvier train --resume {folder} goes on)") from None


def _values(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude_none=True)


def _name(folder: Path) -> str:
    """The run's name, the same whenever it is continued, and not that of a run that was in this folder before."""
    file = folder / "tracker.txt"
    if not file.exists():
        parts = [part for part in folder.absolute().parts[-2:] if part != "runs"]
        write_text(file, re.sub(r"[^\w.-]", "-", f"{'-'.join(parts)}-{uuid4().hex[:8]}") + "\n")
    return file.read_text(encoding="utf-8").strip()
