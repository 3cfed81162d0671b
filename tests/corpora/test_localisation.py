"""The agent's walk, against one taken step by step, and what its clips hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.corpora.localisation import Localisation, LocalisationTask, labels
from ranvier.data import SpikeDataset
from ranvier.errors import ConfigError


def walk(actions: list[int]) -> int:
    """The last x of an agent, step by step."""
    x, heading = 0, 0
    for action in actions:
        if action == 1 and heading == 1:
            x += 1
        elif action == 1 and heading == 3:
            x -= 1
        elif action == 2:
            heading = (heading - 1) % 4
        elif action == 3:
            heading = (heading + 1) % 4
    return x


def actions_of(dataset: SpikeDataset, clip: int) -> list[int]:
    """Actions of a clip, from its spikes."""
    step, source, count = dataset.clip(clip)
    actions = np.zeros(int(dataset.lengths[clip]), np.int64)
    actions[step] = source.astype(np.int64) + 1
    assert count.tolist() == [1] * len(step)
    assert len(set(step.tolist())) == len(step)
    return [int(action) for action in actions]


def corpus(**changes: Any) -> Localisation:
    fields: dict[str, Any] = {
        "dt_ms": 1.0, "clip_ms": 60.0, "turns": 5.0, "train_clips": 300, "validation_clips": 40, "test_clips": 50,
        "seed": 0,
    }  # fmt: skip
    made = Localisation(kind="localisation", **{**fields, **changes})
    made.check()
    return made


@pytest.mark.parametrize(
    ("actions", "label"),
    [
        ([1, 1, 1], 0),  # along y
        ([3, 1], 1),
        ([1, 3], 0),  # the step is taken at the heading before the turn
        ([2, 1], 0),
        ([2, 2, 2, 1], 1),  # three times left is right
        ([3, 1, 1, 3, 3, 1, 0], 1),
        ([3, 1, 3, 3, 1], 0),
        ([3, 3, 3, 3, 3, 0, 1], 1),
    ],
)
def test_short_walks(actions: list[int], label: int) -> None:
    assert int(np.clip(walk(actions), 0, 1)) == label
    assert labels(np.array([actions], np.int8)).tolist() == [label]


@pytest.mark.parametrize(("steps", "turns"), [(400, 20), (37, 9), (8, 4), (1, 0)])
def test_labels_and_clips_are_those_of_a_walk_step_by_step(steps: int, turns: float) -> None:
    dataset = LocalisationTask(steps, turns).draw(200, np.random.default_rng(3), dt_ms=2.0)
    walks = [walk(actions_of(dataset, clip)) for clip in range(200)]
    assert dataset.labels.tolist() == [min(max(x, 0), 1) for x in walks]
    assert set(dataset.lengths.tolist()) == {steps}  # whatever comes last
    assert (dataset.sources, dataset.dt_ms, len(dataset.classes)) == (3, 2.0, 2)
    x, lengths, _ = dataset.batch(np.arange(5))
    assert x.shape == (steps, 5, 3)
    assert lengths.tolist() == [steps] * 5


def test_actions_have_their_probabilities_and_classes_are_balanced() -> None:
    task = LocalisationTask(400, 20)
    actions = task.actions(6000, np.random.default_rng(0))  # more than are drawn at once
    share = np.bincount(actions.ravel(), minlength=4) / actions.size
    np.testing.assert_allclose(share, [0.45, 0.45, 0.05, 0.05], atol=1e-3)
    assert np.mean(labels(actions) == 0) == pytest.approx(0.507, abs=0.025)
    assert (actions == task.actions(6000, np.random.default_rng(0))).all()


def test_splits_have_streams_of_their_own() -> None:
    splits, larger, other = corpus().splits(), corpus(train_clips=310).splits(), corpus(seed=1).splits()
    test, validation = splits.read_test(), splits.validation
    assert test is not None
    assert validation is not None
    assert (len(splits.train), len(validation), len(test)) == (300, 40, 50)
    prints = {part.dataset.fingerprint for part in (splits.train, validation, test)}
    assert len(prints) == 3
    first = [actions_of(part.dataset, 0) for part in (splits.train, validation, test)]  # type: ignore[arg-type]
    assert first[0] != first[1] != first[2] != first[0]
    assert larger.validation is not None
    assert larger.validation.dataset.fingerprint == validation.dataset.fingerprint
    assert actions_of(larger.train.dataset, 7) == actions_of(splits.train.dataset, 7)  # type: ignore[arg-type]
    assert other.train.dataset.fingerprint != splits.train.dataset.fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_ms": 60.5}, r"^data\.clip_ms: 60\.5 ms is not a whole number of 1 ms steps$"),
        ({"turns": 30.5}, r"^data\.turns: 30\.5 is not allowed \(0 \.\.\. 30, half of the time steps\)$"),
        ({"clip_ms": 1e7}, r"^data\.clip_ms: 1e\+07 is not allowed"),
        ({"dt_ms": 1000.0, "clip_ms": 1e-9}, r"^data\.clip_ms: 0 is not allowed \(1 or more\)$"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        corpus(**changes)
