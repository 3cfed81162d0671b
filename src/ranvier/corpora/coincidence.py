"""A task that only spike times can solve: which order did the channels fire in?"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ranvier.corpora.corpus import Corpus, Progress, Protocol
from ranvier.corpora.section import check_length, time_steps
from ranvier.corpora.splits import Splits
from ranvier.data.dataset import SpikeDataset
from ranvier.data.events import Grid
from ranvier.data.subset import Subset
from ranvier.errors import ConfigError, RuleError


@dataclass(frozen=True)
class CoincidenceTask:
    """Each class is an order in which all channels fire once, a fixed gap apart, from a random onset.

    Every channel carries the same number of spikes in every clip of every class: one of the pattern and ``noise``
    others at random times. Counts say nothing, and with a gap wider than the jitter no two channels of a pattern
    ever fire in the same step: a network without delays and without memory is at chance. A neuron that delays
    channel i by ``offset[last] - offset[i]`` sees the whole pattern in one step.

    Args:
        classes: patterns, >= 2.
        channels: channels, >= 2.
        gap: steps between two spikes of a pattern, >= 3: one may come late and the next early.
        jitter: probability that a spike of the pattern comes one step early or late, in [0, 1].
        noise: further spikes per channel and clip, >= 0.
        steps: steps of a clip, > span + 2.
        dt_ms: length of a step in ms.

    Raises:
        RuleError: an argument is out of range.
    """

    classes: int
    channels: int
    gap: int
    jitter: float
    noise: int
    steps: int
    dt_ms: float

    def __post_init__(self) -> None:
        if self.gap < 3:
            raise RuleError("gap", f"{self.gap} steps", "3 or more: one may come late and the next early")
        if self.classes > factorial(self.channels):
            orders = factorial(self.channels)
            raise RuleError("classes", self.classes, f"up to {orders}, the orders of {self.channels} channels")
        if self.steps <= self.span + 2:
            raise RuleError("steps", self.steps, f"above {self.span + 2}, a whole pattern with jitter")

    @property
    def span(self) -> int:
        """Steps from the first to the last spike of a pattern."""
        return (self.channels - 1) * self.gap

    def offsets(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """Draw the patterns: ``[class, channel]``, steps after the onset, no two classes alike."""
        patterns: set[tuple[int, ...]] = set()
        while len(patterns) < self.classes:
            patterns.add(tuple(int(place) for place in generator.permutation(self.channels)))
        return np.array(sorted(patterns)) * self.gap

    def draw(self, offsets: NDArray[np.int64], clips: int, generator: np.random.Generator) -> SpikeDataset:
        """Draw clips, the classes in turn.

        Args:
            offsets: what :meth:`offsets` gave.
            clips: how many.
            generator: randomness of onset, jitter and noise.
        """
        labels = np.arange(clips) % self.classes
        # one step of room on both sides for the jitter
        onset = generator.integers(1, self.steps - self.span - 1, size=(clips, 1))
        shift = generator.choice(
            [-1, 0, 1], size=(clips, self.channels), p=[self.jitter / 2, 1 - self.jitter, self.jitter / 2]
        )
        pattern = onset + offsets[labels] + shift
        noise = generator.integers(0, self.steps, size=(clips, self.channels, self.noise))
        step = np.concatenate([pattern[:, :, None], noise], axis=2).reshape(clips, -1)
        source = np.tile(np.repeat(np.arange(self.channels), 1 + self.noise), (clips, 1))
        return SpikeDataset.pack(
            [_cells(s, c, self.channels) for s, c in zip(step, source, strict=True)],
            labels=labels,
            speakers=None,
            classes=[f"pattern {number}" for number in range(self.classes)],
            sources=self.channels,
            dt_ms=self.dt_ms,
        )


def _cells(step: NDArray[Any], source: NDArray[Any], channels: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    cell, count = np.unique(step * channels + source, return_counts=True)
    return cell // channels, cell % channels, count


class Coincidence(Corpus):
    """A synthetic task made on the spot: which order did the channels fire in?"""

    kind: Literal["coincidence"]
    classes: int = Field(ge=2, le=100, description="patterns")
    channels: int = Field(ge=2, le=1000, description="input channels")
    dt_ms: float = Field(gt=0, le=1000, description="length of a step [ms]")
    gap_ms: float = Field(gt=0, description="time between two spikes of a pattern [ms]")
    jitter: float = Field(ge=0, le=1, description="probability that a pattern's spike comes one step early or late")
    noise: int = Field(ge=0, le=100, description="further spikes per channel and clip")
    clip_ms: float = Field(gt=0, description="length of a clip [ms]")
    train_clips: int = Field(ge=1, le=10_000_000, description="clips to train on")
    validation_clips: int = Field(ge=1, le=10_000_000, description="clips to choose the epoch on")
    test_clips: int = Field(ge=1, le=10_000_000, description="clips read once, after training")
    seed: int = Field(ge=0, description="seed of patterns and clips")

    @property
    def gap_steps(self) -> int:
        """Time steps between two spikes of a pattern."""
        return time_steps("data.gap_ms", self.gap_ms, self.dt_ms)

    @property
    def clip_steps(self) -> int:
        """Time steps of a clip."""
        return time_steps("data.clip_ms", self.clip_ms, self.dt_ms)

    def check(self) -> None:
        """Refuse times that are not whole numbers of time steps, or longer than a clip may be."""
        for field in ("clip_ms", "gap_ms"):
            check_length(f"data.{field}", getattr(self, field), self.dt_ms)

    def grid(self) -> Grid:
        """Every channel is an input."""
        return Grid(self.channels, 1, self.dt_ms)

    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """Draw the patterns, then the clips of each split."""
        try:
            task = CoincidenceTask(
                classes=self.classes,
                channels=self.channels,
                gap=self.gap_steps,
                jitter=self.jitter,
                noise=self.noise,
                steps=self.clip_steps,
                dt_ms=self.dt_ms,
            )
        except ConfigError:
            raise
        except RuleError as error:  # the task speaks of time steps, the recipe of milliseconds
            field = {"gap": "gap_ms", "steps": "clip_ms"}.get(error.place, error.place)
            raise ConfigError(f"data.{field}", error.value, error.allowed) from None
        generator = np.random.default_rng(self.seed)
        offsets = task.offsets(generator)
        train, validation, test = (
            Subset.every(task.draw(offsets, clips, generator))
            for clips in (self.train_clips, self.validation_clips, self.test_clips)
        )
        return Splits(train, validation, read_test=lambda: test, offsets=offsets, example=True)
