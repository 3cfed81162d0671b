"""What the synthetic task promises: nothing but the order of the spikes tells its classes apart."""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ranvier.corpora.coincidence import CoincidenceTask
from ranvier.data import SpikeDataset


def task(**changes: Any) -> CoincidenceTask:
    settings: dict[str, Any] = {"classes": 8, "channels": 10, "gap": 3, "jitter": 0.05, "noise": 2, "steps": 80}
    return CoincidenceTask(**{**settings, **changes}, dt_ms=1.0)


def drawn(made: CoincidenceTask, clips: int, seed: int = 0) -> tuple[NDArray[np.int64], SpikeDataset]:
    generator = np.random.default_rng(seed)
    offsets = made.offsets(generator)
    return offsets, made.draw(offsets, clips, generator)


def channel_counts(dataset: SpikeDataset) -> NDArray[np.int64]:
    """``[clip, channel]`` spikes."""
    counts = np.zeros((len(dataset), dataset.sources), np.int64)
    for clip in range(len(dataset)):
        _, source, count = dataset.clip(clip)
        np.add.at(counts[clip], source, count)
    return counts


def pattern_steps(dataset: SpikeDataset) -> NDArray[np.int64]:
    """``[clip, channel]`` steps of the pattern's spikes; without noise there is one per channel."""
    steps = np.full((len(dataset), dataset.sources), -1)
    for clip in range(len(dataset)):
        step, source, count = dataset.clip(clip)
        assert count.tolist() == [1] * dataset.sources
        steps[clip, source] = step
    return steps


def least_squares_accuracy(features: NDArray[Any], labels: NDArray[np.int64], classes: int) -> float:
    """Accuracy of the linear least-squares classifier on the half of the clips that it was not fitted on."""
    half = len(labels) // 2
    x = np.column_stack([features, np.ones(len(labels))]).astype(np.float64)
    weights = np.linalg.lstsq(x[:half], np.eye(classes)[labels[:half]], rcond=None)[0]
    return float(np.mean((x[half:] @ weights).argmax(1) == labels[half:]))


@pytest.mark.parametrize("noise", [0, 2, 7])
@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_every_channel_spikes_equally_often_in_every_clip(noise: int, jitter: float) -> None:
    _, dataset = drawn(task(noise=noise, jitter=jitter), 200)
    np.testing.assert_array_equal(channel_counts(dataset), 1 + noise)


def test_counts_leave_a_linear_classifier_at_chance() -> None:
    _, dataset = drawn(task(), 1600)
    at_chance = least_squares_accuracy(channel_counts(dataset), dataset.labels, 8)
    assert at_chance == pytest.approx(1 / 8, abs=0.03)


def test_times_do_not() -> None:
    _, dataset = drawn(task(noise=0), 1600)
    steps = pattern_steps(dataset)
    assert least_squares_accuracy(steps - steps.min(1, keepdims=True), dataset.labels, 8) > 0.95


@pytest.mark.parametrize("gap", [3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_no_two_channels_of_a_pattern_share_a_step_whatever_the_jitter(gap: int, seed: int) -> None:
    _, dataset = drawn(task(noise=0, jitter=1.0, gap=gap), 400, seed)
    for steps in pattern_steps(dataset):
        assert len(set(steps.tolist())) == dataset.sources


@pytest.mark.parametrize("gap", [1, 2])
def test_a_gap_that_jitter_can_close_is_refused(gap: int) -> None:
    # one step late and one step early make two
    with pytest.raises(ValueError, match="gap"):
        drawn(task(gap=gap, jitter=0.05), 10)


@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
def test_jitter_is_the_share_of_spikes_that_come_one_step_off(jitter: float) -> None:
    # so many channels that the onset can be told from them
    offsets, dataset = drawn(task(noise=0, jitter=jitter, channels=50, steps=200), 400)
    away = pattern_steps(dataset) - offsets[dataset.labels]
    onset = (away.min(1, keepdims=True) + away.max(1, keepdims=True)) // 2
    assert set(np.unique(away - onset)) <= {-1, 0, 1}
    assert np.mean(away != onset) == pytest.approx(jitter, abs=0.02)


@pytest.mark.parametrize(("classes", "channels"), [(2, 2), (6, 3), (8, 10), (24, 4)])
def test_patterns_are_distinct_orders_of_all_channels(classes: int, channels: int) -> None:
    made = task(classes=classes, channels=channels)
    offsets = made.offsets(np.random.default_rng(0))
    assert offsets.shape == (classes, channels)
    assert len({tuple(pattern) for pattern in offsets.tolist()}) == classes
    for pattern in offsets:
        assert sorted(pattern.tolist()) == list(range(0, made.span + 1, made.gap))


class ShortOfPatience(np.random.Generator):
    """Ends a search that cannot end."""

    def __init__(self, bits: np.random.BitGenerator) -> None:
        super().__init__(bits)
        self.drawn = 0

    def permutation(self, *arguments: Any, **options: Any) -> Any:
        self.drawn += 1
        assert self.drawn < 10_000, "looks for patterns that do not exist"
        return super().permutation(*arguments, **options)


@pytest.mark.parametrize("channels", [2, 3])
def test_more_patterns_than_orders_of_the_channels_are_refused(channels: int) -> None:
    classes = factorial(channels) + 1
    with pytest.raises(ValueError, match=str(classes)):
        task(classes=classes, channels=channels).offsets(ShortOfPatience(np.random.PCG64(0)))


@pytest.mark.parametrize("spare", [3, 4, 40])
def test_patterns_lie_within_the_clip_and_use_all_its_room(spare: int) -> None:
    made = task(noise=0, jitter=0.0, steps=task().span + spare)
    _, dataset = drawn(made, 1000)
    steps = pattern_steps(dataset)
    # a step on either side stays free for the jitter
    assert set(steps.min(1).tolist()) == set(range(1, spare - 1))
    assert set(steps.max(1).tolist()) == set(range(made.span + 1, made.steps - 1))


@pytest.mark.parametrize("spare", [3, 40])
def test_jitter_and_noise_stay_within_the_clip(spare: int) -> None:
    made = task(jitter=1.0, noise=5, steps=task().span + spare)
    _, dataset = drawn(made, 500)
    assert int(dataset.step.max()) == made.steps - 1
    assert int(dataset.step.min()) == 0


def test_classes_come_in_turn_and_are_named() -> None:
    _, dataset = drawn(task(classes=3), 7)
    assert dataset.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert len(dataset.classes) == len(set(dataset.classes)) == 3
    assert (dataset.sources, dataset.dt_ms) == (10, 1.0)


def test_the_generator_decides_everything() -> None:
    (offsets, dataset), (same_offsets, same), (other_offsets, other) = (drawn(task(), 50, seed) for seed in (5, 5, 6))
    assert offsets.tolist() == same_offsets.tolist()
    assert dataset.step.tolist() == same.step.tolist()
    assert dataset.source.tolist() == same.source.tolist()
    assert offsets.tolist() != other_offsets.tolist()
    assert dataset.step.tolist() != other.step.tolist()
