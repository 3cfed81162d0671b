"""Pictures that move, against what moves them, and what a clip holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ranvier.corpora.motion import Motion, MotionTask
from ranvier.errors import ConfigError


def task(**changes: Any) -> MotionTask:
    return MotionTask(**{"directions": 4, "speed": 0.5, "size": 12, "steps": 21, **changes})


def corpus(**changes: Any) -> Motion:
    fields: dict[str, Any] = {
        "dt_ms": 1.0, "clip_ms": 20.0, "directions": 3, "speed": 0.5, "size": 8, "train_clips": 12,
        "validation_clips": 6, "test_clips": 6, "seed": 0,
    }  # fmt: skip
    made = Motion(kind="motion", **{**fields, **changes})
    made.check()
    return made


@pytest.mark.parametrize(("direction", "rows", "columns"), [(0, 0, 1), (1, -1, 0), (2, 0, -1), (3, 1, 0)])
def test_a_picture_moves_where_its_class_says(direction: int, rows: int, columns: int) -> None:
    """To the right, up, to the left, down: ten pixels in 20 steps of half a pixel."""
    made = task()
    film = made.film(made.image(np.random.default_rng(0)), direction)
    for t in (0, 3, 11):
        moved = np.roll(film[t], (rows, columns), (0, 1))
        inside = (slice(1, -1), slice(1, -1))
        np.testing.assert_allclose(film[t + 2][inside], moved[inside], atol=1e-12)
        assert np.abs(film[t + 2] - film[t])[inside].max() > 0.1


@pytest.mark.parametrize("speed", [0.01, 0.4, 3.0])
@pytest.mark.parametrize("direction", range(8))
def test_the_camera_never_leaves_the_image(speed: float, direction: int) -> None:
    made = task(directions=8, speed=speed)
    image = made.image(np.random.default_rng(1))
    film = made.film(image, direction)
    assert np.isfinite(film).all()
    assert film.min() >= image.min() > -10
    assert image.std() == pytest.approx(1, abs=0.3)


def test_opposite_sides_of_an_image_are_strangers() -> None:
    """A circular image would have neighbours there."""
    images = [task(size=40).image(np.random.default_rng(seed)) for seed in range(60)]
    neighbours, sides = (
        np.mean([np.mean(image[:, a] * image[:, b]) for image in images]) for a, b in ((0, 1), (0, -1))
    )
    assert neighbours > 0.5
    assert abs(sides) < 0.1


@pytest.mark.parametrize("threshold", [0.05, 0.7])
def test_events_are_the_change_of_intensity(threshold: float) -> None:
    made = task(threshold=threshold)
    film = made.film(made.image(np.random.default_rng(2)), 1)
    step, source, count = made.events(film)
    change = np.zeros((2, 12, 12))
    assert step.min() > 0
    for t in range(len(film)):
        now = step == t
        np.add.at(change.reshape(-1), source[now], count[now])
        told = film[0] + threshold * (change[1] - change[0])  # brighter after darker
        assert np.abs(film[t] - told).max() < threshold
    assert count.sum() > 100
    assert (np.diff(step) >= 0).all()


def test_splits_have_images_of_their_own() -> None:
    splits, larger = corpus().splits(), corpus(train_clips=15).splits()
    test, validation = splits.read_test(), splits.validation
    assert test is not None
    assert validation is not None
    assert larger.validation is not None
    assert (len(splits.train), len(validation), len(test)) == (12, 6, 6)
    assert len({part.dataset.fingerprint for part in (splits.train, validation, test)}) == 3
    assert larger.validation.dataset.fingerprint == validation.dataset.fingerprint
    dataset = splits.train.dataset
    assert dataset.sources == 128
    assert dataset.classes == ("0 degrees", "120 degrees", "240 degrees")
    assert dataset.labels.tolist() == [0, 1, 2] * 4
    assert corpus().picture == (8, 8)
    clips = [dataset.clip(number)[0].tolist() for number in range(12)]
    assert all(one != other for at, one in enumerate(clips) for other in clips[:at])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_ms": 20.5}, r"^data\.clip_ms: 20\.5 ms is not a whole number of 1 ms steps$"),
        ({"clip_ms": 1e-9}, r"^data\.clip_ms: 0 is not allowed \(1 or more\)$"),
        ({"speed": 10.0, "clip_ms": 500.0}, r"^data\.speed: 10\.0 is not allowed \(an image of up to 4,096 pixels"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        corpus(**changes)
