"""Where is an agent after a long list of actions? A task of memory over hundreds of time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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

FORWARD, LEFT, RIGHT = 1, 2, 3
"""Actions; 0 is none."""
CLASSES = ("x at most 0", "x above 0")
_AT_ONCE = 4096  # clips


@dataclass(frozen=True)
class LocalisationTask:
    """An agent turns and walks on a grid, from (0, 0) and heading 0; the class says whether it ends at x > 0.

    In each step it does nothing, goes forward, turns left or turns right, with the probabilities 1/2 - turns/steps,
    1/2 - turns/steps, turns/steps and turns/steps. A turn changes the heading by -1 (left) or +1 (right) modulo 4;
    forward changes x by +1 at heading 1 and -1 at heading 3, and y at the other two, which the class does not depend
    on. The label is the last x clamped to {0, 1}. The input is one-hot of forward, left and right; a step without an
    action is silent. Each turn changes what all later steps forward mean, so the class depends on the order of all
    actions, over hundreds of time steps.

    With 400 steps and turns = 20, 50.7% of 200,000 clips are of class 0, to which those that end at x = 0 belong (seed
    0); of the recipe's training, validation and test clips 50.5%, 50.4% and 51.0%.

    Args:
        steps: time steps of a clip, >= 1.
        turns: turns to each side in a clip, on average, in [0, steps / 2].

    Raises:
        RuleError: an argument is out of range.

    Source: task "AL" of DelRec (arXiv 2509.24852), from the Neuromorphic Sequential Arena (neuroseqbench).
    """

    steps: int
    turns: float

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise RuleError("steps", self.steps, "1 or more")
        if not 0 <= self.turns <= self.steps / 2:
            raise RuleError("turns", self.turns, f"0 ... {self.steps / 2:g}, half of the time steps")

    def actions(self, clips: int, generator: np.random.Generator) -> NDArray[np.int8]:
        """Draw the actions of clips: int8 ``[clip, step]``, 0 none, 1 forward, 2 left, 3 right."""
        share = self.turns / self.steps
        bounds = np.cumsum([0.5 - share, 0.5 - share, share])
        actions = np.empty((clips, self.steps), np.int8)
        for start in range(0, clips, _AT_ONCE):  # in parts, for the sake of memory
            part = actions[start : start + _AT_ONCE]
            part[:] = np.searchsorted(bounds, generator.random(part.shape), side="right")
        return actions

    def draw(self, clips: int, generator: np.random.Generator, *, dt_ms: float) -> SpikeDataset:
        """Draw clips, each as long as all others, with its class.

        Args:
            clips: how many.
            generator: randomness of the actions.
            dt_ms: length of a time step in ms.
        """
        actions = self.actions(clips, generator)
        clip, step = np.nonzero(actions)
        action = actions[clip, step]
        return SpikeDataset(
            step=step.astype(np.min_scalar_type(self.steps)),
            source=(action - 1).astype(np.uint8),
            count=np.ones(len(step), np.uint8),
            offsets=np.concatenate([[0], np.cumsum(np.count_nonzero(actions, axis=1))]).astype(np.int64),
            lengths=np.full(clips, self.steps, np.int64),
            labels=labels(actions),
            speakers=np.full(clips, -1, np.int64),
            classes=CLASSES,
            sources=3,
            dt_ms=dt_ms,
        )


def labels(actions: NDArray[np.int8]) -> NDArray[np.int64]:
    """Classes ``[clip]`` of actions ``[clip, step]``: 1 where the agent ends at x > 0, else 0."""
    found = np.empty(len(actions), np.int64)
    for start in range(0, len(actions), _AT_ONCE):
        part = actions[start : start + _AT_ONCE]
        turn = (part == RIGHT).astype(np.int32) - (part == LEFT)
        heading = np.cumsum(turn, axis=1, dtype=np.int32) % 4  # a step forward is no turn, so before it or after it
        moved = ((heading == 1).astype(np.int32) - (heading == 3)) * (part == FORWARD)
        found[start : start + _AT_ONCE] = np.clip(moved.sum(axis=1), 0, 1)
    return found


class Localisation(Corpus):
    """A synthetic task made on the spot: where is an agent after 400 actions?"""

    kind: Literal["localisation"]
    dt_ms: float = Field(gt=0, le=1000, description="length of a step [ms]")
    clip_ms: float = Field(gt=0, description="length of a clip [ms]")
    turns: float = Field(ge=0, description="turns to the left in a clip, on average, and as many to the right")
    train_clips: int = Field(ge=1, le=10_000_000, description="clips to train on")
    validation_clips: int = Field(ge=1, le=10_000_000, description="clips to choose the epoch on")
    test_clips: int = Field(ge=1, le=10_000_000, description="clips read once, after training")
    seed: int = Field(ge=0, description="seed of the clips; each split has a stream of its own")

    def check(self) -> None:
        """Refuse a clip that is not a whole number of time steps, or more turns than it has room for."""
        check_length("data.clip_ms", self.clip_ms, self.dt_ms)
        self._task()

    def _task(self) -> LocalisationTask:
        try:
            return LocalisationTask(time_steps("data.clip_ms", self.clip_ms, self.dt_ms), self.turns)
        except ConfigError:
            raise
        except RuleError as error:  # the task speaks of time steps, the recipe of milliseconds
            field = {"steps": "clip_ms"}.get(error.place, error.place)
            raise ConfigError(f"data.{field}", error.value, error.allowed) from None

    def grid(self) -> Grid:
        """An input for each of forward, left and right."""
        return Grid(3, 1, self.dt_ms)

    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """Draw the clips of each split; how many one has does not change the others."""
        task = self._task()

        def drawn(split: int, clips: int) -> Subset:
            return Subset.every(task.draw(clips, np.random.default_rng([self.seed, split]), dt_ms=self.dt_ms))

        return Splits(
            drawn(0, self.train_clips),
            drawn(1, self.validation_clips),
            read_test=lambda: drawn(2, self.test_clips),
        )
