"""From plain values to models and data: everything that a recipe names is built here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ranvier import network
from ranvier.data import DataError, Grid, SpikeDataset, find_recording, read_recording
from ranvier.data.coincidence import CoincidenceTask
from ranvier.data.split import split_clips
from ranvier.models import Feedforward, detectors, feedforward
from ranvier.recipes.config import CoincidenceData, Config, ConfigError, DetectorModel, SHDData, decay, steps


@dataclass(frozen=True, eq=False)
class Part:
    """Some clips of a data set."""

    dataset: SpikeDataset
    clips: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.clips)


@dataclass(frozen=True, eq=False)
class Splits:
    """What a training may see, and when.

    Attributes:
        train: to learn from.
        validation: to choose the epoch on; None keeps the last epoch.
        seen: held-out clips of the training speakers, only reported; None if there are none.
        read_test: reads the test split, or None if it is not there; called after training has ended, and only then.
        offsets: ``[class, channel]`` steps of the planted patterns, where the task has them.
    """

    train: Part
    validation: Part | None
    seen: Part | None
    read_test: Callable[[], Part | None]
    offsets: NDArray[np.int64] | None = None


def build_model(config: Config, splits: Splits, generator: torch.Generator) -> Feedforward:
    """The recipe's network at the start of its training."""
    model, dataset = config.model, splits.train.dataset
    max_delay = 0 if model.delays == "none" else steps(config, "model.max_delay_ms")
    tail = steps(config, "model.tail_ms")
    if isinstance(model, DetectorModel):
        return detectors(
            dataset.sources,
            len(dataset.classes),
            max_delay,
            decay=decay(config),
            readout_decay=decay(config, "model.readout_tau_ms"),
            vote=model.vote,
            surrogate=model.surrogate,
            alpha=model.surrogate_alpha,
            learn_delay=model.delays == "learned",
            ending=network.Readout(tail_steps=tail),
            generator=generator,
        )
    return feedforward(
        dataset.sources,
        model.hidden,
        len(dataset.classes),
        max_delay,
        decay=decay(config),
        branches=model.branches,
        threshold=model.threshold,
        dropout=model.dropout,
        surrogate=model.surrogate,
        alpha=model.surrogate_alpha,
        kernel=model.kernel,
        learn_delay=model.delays == "learned",
        delay_type=model.delay_type,
        ending=network.Readout(tail_steps=tail, tail=model.tail),
        generator=generator,
    )


def build_input(config: Config) -> network.Input:
    """How raw events become the network's input."""
    data = config.data
    if isinstance(data, CoincidenceData):
        return network.Input(data.channels)
    return network.Input(data.channels, data.pool, data.alignment)


def build_splits(config: Config, *, progress: Callable[[int, int], None] | None = None) -> Splits:
    """Read or make the recipe's data and divide it.

    Raises:
        DataError: the data are not there or are damaged.
        ConfigError: the division asks for what the data do not hold.
    """
    if isinstance(config.data, CoincidenceData):
        return _coincidence(config, config.data)
    return _shd(config, config.data, progress)


def _coincidence(config: Config, data: CoincidenceData) -> Splits:
    try:
        task = CoincidenceTask(
            classes=data.classes,
            channels=data.channels,
            gap=steps(config, "data.gap_ms"),
            jitter=data.jitter,
            noise=data.noise,
            steps=steps(config, "data.clip_ms"),
            dt_ms=data.dt_ms,
        )
    except ConfigError:
        raise
    except ValueError as error:
        # the task speaks of steps, the recipe of milliseconds
        name, _, rule = str(error).partition(": ")
        raise ConfigError(f"data.{ {'gap': 'gap_ms', 'steps': 'clip_ms'}.get(name, name) }: {rule}") from None
    generator = np.random.default_rng(data.seed)
    offsets = task.offsets(generator)

    def draw(clips: int) -> Part:
        return Part(task.draw(offsets, clips, generator), np.arange(clips))

    train, validation, test = (draw(n) for n in (data.train_clips, data.validation_clips, data.test_clips))
    return Splits(train, validation, None, lambda: test, offsets)


def _shd(config: Config, data: SHDData, progress: Callable[[int, int], None] | None) -> Splits:
    if data.root is None:
        raise ConfigError("data.root: no folder given (name the folder that holds shd_train.h5 by --data-root FOLDER)")
    root, grid = Path(data.root), Grid(data.channels, data.pool, data.dt_ms, data.alignment)
    train_file, test_file = find_recording(root, "shd_train"), find_recording(root, "shd_test")
    if train_file is None:
        raise DataError(f"{root}: neither shd_train.h5 nor shd_train.h5.gz is there")
    if config.protocol == "paper" and test_file is None:
        raise DataError(f"{root}: neither shd_test.h5 nor shd_test.h5.gz is there (protocol = paper chooses on it)")
    dataset = read_recording(train_file, grid, progress=progress)

    def read_test() -> Part | None:
        if test_file is None:
            return None
        test = read_recording(test_file, grid, progress=progress)
        return Part(test, np.arange(len(test)))

    if config.protocol == "paper":
        test = read_test()
        return Splits(Part(dataset, np.arange(len(dataset))), test, None, lambda: test)
    if data.validation == "leave-one-speaker-out":
        raise ConfigError("data.validation: leave-one-speaker-out is a series of trainings, not one split")
    if data.validation == "speakers" and not data.validation_speakers:
        raise ConfigError("data.validation_speakers: names none (one or more, or --data.validation none)")
    train, validation, seen = split_clips(
        dataset,
        speakers=data.validation_speakers if data.validation == "speakers" else (),
        fraction=data.validation_fraction if data.validation == "fraction" else 0.0,
        seen_fraction=data.seen_fraction if data.validation == "speakers" else 0.0,
        generator=np.random.default_rng(data.split_seed),
    )

    if data.validation != "none" and not len(validation):
        raise ConfigError(f"data.validation_fraction: {data.validation_fraction:g} of the clips is less than one clip")

    def part(clips: NDArray[np.int64]) -> Part | None:
        return Part(dataset, clips) if len(clips) else None

    return Splits(Part(dataset, train), part(validation), part(seen), read_test)
