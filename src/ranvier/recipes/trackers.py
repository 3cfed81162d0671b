"""Metrics of a training for a dashboard, beside ``metrics.jsonl``: tensorboard, trackio or wandb."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import tomli_w

from ranvier.recipes.config import Config, ConfigError

Log = Callable[[int, Mapping[str, Any]], None]
_PROJECT = "ranvier"


def check_tracker(config: Config) -> None:
    """Say at once that a tracker's package is missing.

    Raises:
        ConfigError: it is not installed.
    """
    if config.tracker != "none" and find_spec(config.tracker) is None:
        raise ConfigError(f"tracker: {config.tracker} is not installed (pip install {config.tracker})")


@contextmanager
def tracked(config: Config, folder: Path) -> Iterator[Log]:
    """A function that takes an epoch and its metrics, and passes the numbers among them to the recipe's tracker.

    A training that is continued goes on in the same place: tensorboard in ``folder/tensorboard``, trackio and wandb in
    the run of the project ``ranvier`` whose name is kept in ``folder/tracker.txt``. Where their own settings say so
    (``WANDB_MODE``, ``TRACKIO_SPACE_ID`` ...) they are followed.

    Raises:
        ConfigError: the tracker will not start; the message is its own.
    """
    if config.tracker == "none":
        yield lambda epoch, metrics: None
        return
    check_tracker(config)
    start = {"tensorboard": _tensorboard, "trackio": _trackio, "wandb": _wandb}[config.tracker]
    with start(config, folder) as log:
        yield lambda epoch, metrics: log(epoch, _numbers(metrics))


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(v) for name, v in metrics.items() if isinstance(v, int | float) and name != "epoch"}


@contextmanager
def _tensorboard(config: Config, folder: Path) -> Iterator[Log]:
    from torch.utils.tensorboard import SummaryWriter

    writers: list[Any] = []

    def log(epoch: int, numbers: Mapping[str, float]) -> None:
        if not writers:
            # what a killed run wrote after its last checkpoint no longer counts
            writers.append(SummaryWriter(str(folder / "tensorboard"), purge_step=epoch))
            writers[0].add_text("config", f"```\n{tomli_w.dumps(_values(config))}\n```", epoch)
        for name, value in numbers.items():
            writers[0].add_scalar(name, value, epoch)
        writers[0].flush()

    try:
        yield log
    finally:
        for writer in writers:
            writer.close()


@contextmanager
def _trackio(config: Config, folder: Path) -> Iterator[Log]:
    import trackio

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
    try:
        yield lambda epoch, numbers: run.log(dict(numbers), step=epoch)
    finally:
        trackio.finish()


@contextmanager
def _wandb(config: Config, folder: Path) -> Iterator[Log]:
    import wandb

    name = _name(folder)
    try:
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
    except wandb.Error as error:
        later = f"WANDB_MODE=offline needs no account; ranvier train --resume {folder} goes on"
        raise ConfigError(f"tracker: wandb: {error} ({later})") from None
    with run:
        yield lambda epoch, numbers: run.log(dict(numbers), step=epoch)


def _values(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude_none=True)


def _name(folder: Path) -> str:
    """The run's name, the same whenever it is continued, and of no other run: folders are replaced and copied."""
    file = folder / "tracker.txt"
    if not file.exists():
        parts = [part for part in folder.absolute().parts[-2:] if part != "runs"]
        file.write_text(f"{'-'.join(parts)}-{uuid4().hex[:8]}\n")
    return file.read_text().strip()
