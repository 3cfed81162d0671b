"""A small recording in SHD's format, and a recipe small enough to train on it in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ranvier.data import write_recording
from ranvier.recipes import train_run
from ranvier.recipes.config import Config, build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.runs import EpochRow

SMALL = {
    "data.channels": "20",
    "data.pool": "2",
    "data.validation_speakers": "2",
    "data.seen_fraction": "0.2",
    "model.hidden": "12,10",
    "model.max_delay_ms": "60",
    "model.tail_ms": "60",
    "train.epochs": "3",
    "train.batch_size": "16",
}


class Quiet:
    """Only counts."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.rows: list[EpochRow] = []

    def begin(self, title: str, epochs: int) -> None:
        self.titles.append(title)

    def step(self, share: float) -> None:
        assert 0 < share <= 1

    def epoch(self, row: EpochRow) -> None:
        self.rows.append(row)

    def clips(self, done: int, total: int) -> None:
        assert done <= total


class StopsAfterAnEpoch(Quiet):
    """Ends a training as Ctrl-C does."""

    def epoch(self, row: EpochRow) -> None:
        raise KeyboardInterrupt


def stop_after_an_epoch(config: Config, folder: Path) -> None:
    """A run that was stopped after its first epoch."""
    with pytest.raises(KeyboardInterrupt):
        train_run.train(config, folder, StopsAfterAnEpoch())


def write_small_recording(path: Path, clips: int, seed: int) -> None:
    """Three classes told apart by which channels fire most; speakers 0, 1, 2 in turn."""
    generator = np.random.default_rng(seed)
    labels = np.arange(clips) % 3
    times, units = [], []
    for label in labels:
        own, others = generator.integers(0, 7, 40) + 6 * label, generator.integers(0, 20, 20)
        units.append(generator.permutation(np.concatenate([own, others])))
        times.append(np.sort(generator.uniform(0, 0.15, 60)))
    write_recording(path, times, units, labels, classes=("a", "b", "c"), speakers=(np.arange(clips) // 3) % 3)


@pytest.fixture(autouse=True)
def _without_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings in this process draw nothing but for tests that are marked ``pictures``."""
    if request.node.get_closest_marker("pictures") is None:
        monkeypatch.setattr(train_run, "draw_figures", lambda *_: None)


@pytest.fixture
def small_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with a small shd_train.h5."""
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "data"
    root.mkdir()
    write_small_recording(root / "shd_train.h5", 90, 0)
    return root


@pytest.fixture
def small(small_root: Path) -> Callable[..., Config]:
    """The SHD recipe on the small recording, with more fields replaced by keyword (dots as __)."""

    def make(**changes: str) -> Config:
        dotted = {name.replace("__", "."): value for name, value in changes.items()}
        return build_config(load_values("shd"), {**SMALL, "data.root": str(small_root), **dotted})

    return make
