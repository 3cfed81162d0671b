"""Where does the time of an epoch go, as a user runs it?

    python benchmarks/epoch.py --data-root FOLDER [--epochs 3] [--out benchmarks/results/NAME.md]

Trains the recipe shd and times its parts from outside; the first epoch, with its compilation, is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ranvier.cli.threads import set_omp_spincount

set_omp_spincount()  # as the command does, before torch is loaded

import torch

from ranvier.data import SpikeDataset
from ranvier.models import Stack
from ranvier.recipes import fit
from ranvier.recipes.splits import build_splits
from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.runs import EpochRow
from ranvier.runs.provenance import git_commit, machine, versions

SPENT: dict[str, float] = defaultdict(float)


def timed(place: Any, name: str, part: str) -> None:
    """Add what ``place.name`` takes to ``part``."""
    function: Callable[..., Any] = getattr(place, name)

    def wrapper(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            SPENT[part] += time.perf_counter() - started

    setattr(place, name, wrapper)


class Epochs:
    """Keeps what each epoch has taken."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.began = time.perf_counter()

    def begin(self, title: str, epochs: int) -> None:
        self.began = time.perf_counter()
        SPENT.clear()

    def step(self, share: float) -> None:
        pass

    def clips(self, done: int, total: int) -> None:
        pass

    def epoch(self, row: EpochRow) -> None:
        now = time.perf_counter()
        self.rows.append({"epoch": now - self.began, **SPENT})
        self.began = now
        SPENT.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="folder that holds shd_train.h5[.gz]")
    parser.add_argument("--epochs", type=int, default=3, help="epochs to take medians of (default: 3)")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    config = build_config(
        load_values("shd"), {"data.root": str(Path(options.data_root).absolute()), "train.epochs": options.epochs + 1}
    )
    began = time.perf_counter()
    splits = build_splits(config)
    reading = time.perf_counter() - began
    # parts overlap as they nest: batches of the validation lie inside it, forward and backward inside the update
    timed(SpikeDataset, "batch", "batches")
    timed(fit.Training, "update", "update")
    timed(Stack, "scores", "forward")
    timed(torch.Tensor, "backward", "backward")
    timed(torch.optim.Adam, "step", "optimisers")
    timed(fit, "predict", "validation")
    timed(fit, "save_checkpoint", "checkpoint")
    progress = Epochs()
    with tempfile.TemporaryDirectory() as folder:
        fit.fit(config, splits, Path(folder), progress, "shd", lambda row: None)
    names = ["epoch", "update", "forward", "backward", "optimisers", "validation", "batches", "checkpoint"]
    medians = {name: statistics.median(row[name] for row in progress.rows[1:]) for name in names}
    lines = [
        "# An epoch of shd\n",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}, {machine()}, {torch.get_num_threads()} threads, "
        f"torch {versions()['torch']}. Made by `python benchmarks/epoch.py {' '.join(sys.argv[1:])}`: medians of "
        f"{options.epochs} epochs after a first of {progress.rows[0]['epoch']:.1f} s; {len(splits.train)} clips to "
        f"train on in {-(-len(splits.train) // config.train.batch_size)} steps. "
        f"Reading the recording: {reading:.1f} s.\n",
        "| part | seconds | share of the epoch |",
        "|---|---|---|",
    ]
    notes = {
        "update": "training steps",
        "forward": "forward, in training and validation",
        "validation": "validation, rounded delays, seen and unseen speakers",
        "batches": "making batches, in training and validation",
    }
    lines += [
        f"| {notes.get(name, name)} | {medians[name]:.2f} | {100 * medians[name] / medians['epoch']:.1f}% |"
        for name in names
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
