"""Division of clips into training, validation and seen clips."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ranvier.data import DataError, SpikeDataset
from ranvier.data.split import split_clips

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
