"""Progress on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ranvier.cli.text import print_line

if TYPE_CHECKING:
    from ranvier.runs import EpochRow


class ClipProgress:
    """A bar over clips, on the error stream, so that output can be piped."""

    def __init__(self, title: str) -> None:
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=8),
            TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.title = title
        self.clip_task: TaskID | None = None

    def __enter__(self) -> Any:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self.bar.disable:  # rich 13 and 14.0 print an empty line
            self.bar.stop()

    def clips(self, done: int, total: int) -> None:
        """So many clips of the data have been read or run."""
        if self.clip_task is None:
            self.clip_task = self.bar.add_task(self.title, total=total)
        self.bar.update(self.clip_task, completed=done, total=total)
        if done == total:
            self.bar.remove_task(self.clip_task)
            self.clip_task = None


class TrainingProgress(ClipProgress):
    """A bar over the epochs with loss, validation accuracy and sigma; a line per epoch where there is no terminal."""

    def __init__(self) -> None:
        super().__init__("clips")
        self.training: TaskID | None = None
        self.epochs = 0

    def begin(self, title: str, epochs: int) -> None:
        """A training of that many epochs begins, or continues."""
        if self.training is not None:
            self.bar.remove_task(self.training)
        self.epochs = epochs
        print_line(self.console, f"{title}: {epochs} epoch{'s' if epochs > 1 else ''}")
        self.training = self.bar.add_task("epoch 1", total=1.0)

    def step(self, share: float) -> None:
        """A share of the epochs is done, steps counted."""
        assert self.training is not None
        self.bar.update(self.training, completed=share)

    def epoch(self, row: EpochRow) -> None:
        """An epoch has ended, with these metrics."""
        facts = [f"{row.epoch}/{self.epochs}", f"loss {row.loss:.3f}"]
        for value, name in ((row.validation_accuracy, "validation"), (row.seen_accuracy, "seen")):
            if value is not None:
                facts.append(f"{name} {100 * value:.1f}%")
        if row.sigma_ms is not None:
            sigma = "σ" if self.console.encoding.startswith("utf") else "sigma"
            facts.append(f"{sigma} {row.sigma_ms:.2f} ms")
        assert self.training is not None
        self.bar.update(self.training, description=" ".join(facts))
        if not self.console.is_terminal:
            print_line(self.console, "  ".join(["epoch", *facts, f"{row.seconds:.0f} s"]))
