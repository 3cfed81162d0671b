"""Division of clips into training, validation and seen clips."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ranvier.data import DataError, SpikeDataset
from ranvier.data.split import apportion, missing_classes, split_clips

SPEAKERS = np.repeat([4, 0, 11, 7], [10, 30, 20, 40])


def spoken(speakers: Sequence[int] | np.ndarray[Any, Any] | None = SPEAKERS, clips: int = 100) -> SpikeDataset:
    empty = np.empty(0, np.int64)
    return SpikeDataset.pack(
        [(empty, empty, empty)] * clips,
        labels=np.zeros(clips),
        speakers=None if speakers is None else np.asarray(speakers),
        classes=["zero"],
        sources=1,
        dt_ms=10.0,
    )


@pytest.mark.parametrize(
    ("asked", "sizes"),
    [
        ({}, (100, 0, 0)),
        ({"speakers": [11]}, (80, 20, 0)),
        ({"speakers": (0, 4)}, (60, 40, 0)),
        ({"fraction": 0.25}, (75, 25, 0)),
        ({"seen_fraction": 0.1}, (90, 0, 10)),
        ({"speakers": [7], "seen_fraction": 0.1}, (54, 40, 6)),
        ({"speakers": [7], "fraction": 0.5, "seen_fraction": 0.1}, (27, 70, 3)),
    ],
)
def test_every_clip_goes_to_one_part(asked: dict[str, Any], sizes: tuple[int, int, int]) -> None:
    parts = split_clips(spoken(), **asked, generator=np.random.default_rng(0))
    assert tuple(len(part) for part in parts) == sizes
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    for part in parts:
        assert part.tolist() == sorted(part.tolist())


@pytest.mark.parametrize("seed", range(5))
def test_a_held_out_speaker_is_heard_in_validation_only(seed: int) -> None:
    generator = np.random.default_rng(seed)
    train, validation, seen = split_clips(
        spoken(), speakers=[11, 4], fraction=0.1, seen_fraction=0.2, generator=generator
    )
    held_out = np.flatnonzero(np.isin(SPEAKERS, [11, 4]))
    assert set(held_out) <= set(validation)
    assert not set(SPEAKERS[np.concatenate([train, seen])]) & {11, 4}


@pytest.mark.parametrize("asked", [{"fraction": 0.3}, {"speakers": [0], "seen_fraction": 0.3}])
def test_the_generator_decides_the_shares(asked: dict[str, Any]) -> None:
    def drawn(seed: int) -> list[list[int]]:
        return [part.tolist() for part in split_clips(spoken(), **asked, generator=np.random.default_rng(seed))]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_whole_speakers_need_no_randomness() -> None:
    one, other = (split_clips(spoken(), speakers=[7], generator=np.random.default_rng(seed)) for seed in (0, 1))
    for part, same in zip(one, other, strict=True):
        assert part.tolist() == same.tolist()


def test_the_data_set_is_left_as_it_was() -> None:
    dataset = spoken()
    split_clips(dataset, speakers=[7], fraction=0.5, seen_fraction=0.1, generator=np.random.default_rng(0))
    assert dataset.speakers.tolist() == SPEAKERS.tolist()
    assert dataset.labels.tolist() == [0] * 100


def test_an_unknown_speaker_is_named_with_those_that_there_are() -> None:
    with pytest.raises(DataError, match=re.escape("speaker 5 is not in the recording (there are 0, 4, 7, 11)")):
        split_clips(spoken(), speakers=[7, 5], generator=np.random.default_rng(0))


def test_speakers_cannot_be_held_out_where_none_are_named() -> None:
    with pytest.raises(DataError, match=r"does not name its speakers \(extra/speaker\)"):
        split_clips(spoken(None), speakers=[0], generator=np.random.default_rng(0))


def test_random_shares_need_no_speakers() -> None:
    train, validation, _ = split_clips(spoken(None), fraction=0.2, generator=np.random.default_rng(0))
    assert (len(train), len(validation)) == (80, 20)


@pytest.mark.parametrize(
    ("speakers", "asked"),
    [
        (SPEAKERS, {"speakers": [0, 4, 7, 11]}),
        ([3] * 100, {"speakers": [3]}),
        (SPEAKERS, {"fraction": 0.999}),
        (SPEAKERS, {"speakers": [0, 7, 11], "seen_fraction": 0.99}),
    ],
)
def test_something_must_be_left_to_train_on(speakers: Any, asked: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no clip is left to train on"):
        split_clips(spoken(speakers), **asked, generator=np.random.default_rng(0))


def labelled(sizes: Sequence[int], speakers: int = 1) -> SpikeDataset:
    empty, labels = np.empty(0, np.int64), np.repeat(np.arange(len(sizes)), sizes)
    return SpikeDataset.pack(
        [(empty, empty, empty)] * len(labels),
        labels=labels,
        speakers=np.arange(len(labels)) % speakers,
        classes=[f"class {number}" for number in range(len(sizes))],
        sources=1,
        dt_ms=10.0,
    )


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize(("test", "validation"), [(0.3, 0.2), (0.1, 0.1), (0.02, 0.9)])
def test_every_class_of_three_clips_or_more_is_in_all_shares(seed: int, test: float, validation: float) -> None:
    dataset, generator = labelled([60, 57, 3, 4]), np.random.default_rng(seed)
    rest, tested, _ = split_clips(dataset, fraction=test, further=1, generator=generator)
    train, validated, _ = split_clips(dataset, among=rest, fraction=validation, generator=generator)
    for part in (train, validated, tested):
        assert set(dataset.labels[part]) == {0, 1, 2, 3}
    assert missing_classes(dataset, {"training": train, "validation": validated, "test": tested}) is None


def test_rarer_classes_are_trained_on_first_and_named() -> None:
    dataset, generator = labelled([50, 2, 1, 0]), np.random.default_rng(0)
    rest, tested, _ = split_clips(dataset, fraction=0.2, further=1, generator=generator)
    train, validated, _ = split_clips(dataset, among=rest, fraction=0.2, generator=generator)
    counts = [np.bincount(dataset.labels[part], minlength=4)[1:3].tolist() for part in (train, validated, tested)]
    assert counts == [[1, 1], [1, 0], [0, 0]]
    note = missing_classes(dataset, {"training": train, "validation": validated, "test": tested})
    assert note is not None
    assert "\n" not in note
    assert re.findall(r"class \d \([^)]*\)", note) == [
        "class 1 (training 1, validation 1, test 0)",
        "class 2 (training 1, validation 0, test 0)",
    ]


@pytest.mark.parametrize("seed", range(10))
def test_a_share_has_of_every_class_and_speaker_what_is_due(seed: int) -> None:
    dataset = labelled([40, 80, 200], speakers=4)
    rare = np.where(np.arange(320) % 20 == 0, 0, 1 + np.arange(320) % 3)
    dataset = replace(dataset, speakers=rare)
    train, _, seen = split_clips(dataset, seen_fraction=0.25, generator=np.random.default_rng(seed))
    assert np.bincount(dataset.labels[seen]).tolist() == [10, 20, 50]
    assert len(train) == 240
    due = np.bincount(rare) / 4
    assert due[0] == 4
    assert np.abs(np.bincount(rare[seen]) - due).max() <= 3


@pytest.mark.parametrize("seed", range(20))
def test_remainders_are_rounded_so_that_the_sum_is_right(seed: int) -> None:
    generator = np.random.default_rng(seed)
    weights = generator.integers(0, 50, 9)
    total = int(generator.integers(1, 40))
    counts = apportion(weights, total, np.random.default_rng(seed))
    assert counts.sum() == total
    assert (np.abs(counts - total * weights / weights.sum()) < 1).all()
    assert counts.tolist() == apportion(weights, total, np.random.default_rng(seed)).tolist()
