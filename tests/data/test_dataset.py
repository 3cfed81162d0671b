"""Packed clips and the dense batches made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.analysis.delays import found_delays
from ranvier.data import DataError, FrameDataset, SpikeDataset
from ranvier.data.disturb import drop_events, equalise_channels, jitter_events, reverse_time


def drawn(clips: int = 9, steps: int = 40, sources: int = 6, seed: int = 0) -> SpikeDataset:
    """Clips of different lengths, one of them empty."""
    generator = np.random.default_rng(seed)
    packed = []
    for clip in range(clips):
        dense = generator.poisson(0.2, (steps - 3 * clip, sources)) * (clip != 2)
        step, source = np.nonzero(dense)
        packed.append((step, source, dense[step, source]))
    return SpikeDataset.pack(
        packed,
        labels=generator.integers(0, 3, clips),
        speakers=generator.integers(0, 5, clips),
        classes=["a", "b", "c"],
        sources=sources,
        dt_ms=10.0,
    )


@pytest.mark.parametrize("clips", [[0], [2], [5, 0, 8], [3, 3], list(range(9))])
@pytest.mark.parametrize("steps", [None, 100])
def test_a_batch_is_its_clips_made_dense(clips: list[int], steps: int | None) -> None:
    dataset = drawn()
    x, lengths, labels = dataset.batch(np.array(clips), steps=steps)

    expected = np.zeros((steps or int(dataset.lengths[clips].max()), len(clips), dataset.sources))
    for place, clip in enumerate(clips):
        for step, source, count in zip(*(part.tolist() for part in dataset.clip(clip)), strict=True):
            expected[step, place, source] += count
    assert (x.dtype, lengths.dtype, labels.dtype) == (torch.float32, torch.int64, torch.int64)
    assert x.shape == expected.shape
    np.testing.assert_array_equal(x.numpy(), expected)
    assert lengths.tolist() == [int(dataset.lengths[clip]) for clip in clips]
    assert labels.tolist() == [int(dataset.labels[clip]) for clip in clips]


def test_a_batch_belongs_to_the_caller() -> None:
    dataset = drawn()
    for tensor in dataset.batch(np.arange(9)):
        tensor += 1
    untouched = drawn()
    assert dataset.labels.tolist() == untouched.labels.tolist()
    assert dataset.lengths.tolist() == untouched.lengths.tolist()
    assert dataset.count.tolist() == untouched.count.tolist()


def test_pack_joins_clips_in_their_order() -> None:
    empty = np.empty(0, np.int64)
    clips = [
        (np.array([0, 0, 7]), np.array([1, 3, 0]), np.array([1, 2, 1])),
        (empty, empty, empty),
        (np.array([4]), np.array([2]), np.array([9])),
    ]
    dataset = SpikeDataset.pack(
        clips, labels=np.array([1, 0, 1]), speakers=np.array([6, 6, 8]), classes=["x", "y"], sources=4, dt_ms=2.5
    )
    assert len(dataset) == 3
    for number, clip in enumerate(clips):
        assert [part.tolist() for part in dataset.clip(number)] == [part.tolist() for part in clip]
    assert dataset.offsets.tolist() == [0, 3, 3, 4]
    assert dataset.lengths.tolist() == [8, 1, 5]
    assert dataset.labels.tolist() == [1, 0, 1]
    assert dataset.speakers.tolist() == [6, 6, 8]
    assert (dataset.classes, dataset.sources, dataset.dt_ms) == (("x", "y"), 4, 2.5)


@pytest.mark.parametrize(
    ("step", "source", "count", "dtypes"),
    [
        (255, 255, 255, ["uint8", "uint8", "uint8"]),
        (256, 5, 1, ["uint16", "uint8", "uint8"]),
        (5, 256, 1, ["uint8", "uint16", "uint8"]),
        (65535, 699, 256, ["uint16", "uint16", "uint16"]),
        (3, 65536, 65536, ["uint8", "uint32", "uint32"]),
    ],
)
def test_packed_cells_take_the_smallest_types_of_all_clips(
    step: int, source: int, count: int, dtypes: list[str]
) -> None:
    small, large = ((np.array([a]), np.array([b]), np.array([c])) for a, b, c in ((0, 0, 1), (step, source, count)))
    dataset = SpikeDataset.pack(
        [small, large, small], labels=np.zeros(3), speakers=None, classes=["a"], sources=70000, dt_ms=1.0
    )
    assert [str(part.dtype) for part in (dataset.step, dataset.source, dataset.count)] == dtypes
    assert [part.tolist() for part in dataset.clip(1)] == [[step], [source], [count]]


def test_a_data_set_is_printed_in_a_line() -> None:
    assert repr(drawn(9, 40)) == "SpikeDataset(9 clips, 3 classes, 6 sources, 1 to 40 time steps of 10 ms)"
    none = np.zeros(2, np.int64)
    frames = FrameDataset(np.zeros((9, 3)), np.array([0, 4, 9]), none, none, ("a",), 2.5)
    assert repr(frames) == "FrameDataset(2 clips, 1 classes, 3 sources, 4 to 5 time steps of 2.5 ms)"
    empty = SpikeDataset.pack([], labels=np.empty(0, int), speakers=None, classes=["a"], sources=2, dt_ms=1.0)
    assert "(0 clips" in repr(empty)


def test_speakers_that_are_not_named_are_minus_1() -> None:
    empty = np.empty(0, np.int64)
    dataset = SpikeDataset.pack(
        [(empty, empty, empty)] * 2, labels=np.zeros(2), speakers=None, classes=["a"], sources=1, dt_ms=1.0
    )
    assert dataset.speakers.tolist() == [-1, -1]


@pytest.mark.parametrize("part", ["step", "source", "count", "labels", "speakers", "lengths"])
def test_the_fingerprint_covers_all_that_clips_hold(part: str) -> None:
    dataset = drawn()
    changed = getattr(dataset, part).copy()
    changed[-1] += 1
    assert replace(dataset, **{part: changed}).fingerprint != dataset.fingerprint
    assert (
        replace(
            dataset, **{part: changed - np.eye(1, len(changed), len(changed) - 1, dtype=changed.dtype)[0]}
        ).fingerprint
        == dataset.fingerprint
    )


def test_the_fingerprint_does_not_ask_which_types_hold_the_clips() -> None:
    dataset = drawn()
    wide = replace(dataset, step=dataset.step.astype(np.int64), count=dataset.count.astype(np.int32))
    assert wide.fingerprint == dataset.fingerprint


def test_the_fingerprint_of_frames_covers_their_values() -> None:
    generator = np.random.default_rng(0)
    none = np.zeros(2, np.int64)
    values = generator.random((9, 3)).astype(np.float16)
    frames = FrameDataset(values, np.array([0, 4, 9]), none, none, ("a",), 10.0)
    other = frames.frames.copy()
    other[5, 1] += 1
    assert replace(frames, frames=other).fingerprint != frames.fingerprint
    assert replace(frames, frames=frames.frames.copy()).fingerprint == frames.fingerprint
    assert replace(frames, labels=np.array([0, 1])).fingerprint != frames.fingerprint


HERE = np.array([0, 3])


@pytest.mark.parametrize(
    "clip",
    [
        (HERE, HERE),
        (HERE, HERE, HERE[:1]),
        (HERE / 2, HERE, HERE),
        (HERE, HERE / 2, HERE),
        (HERE, HERE, HERE / 2),
        (HERE - 1, HERE, HERE),
        (HERE[None], HERE[None], HERE[None]),
    ],
)
def test_what_is_no_clip_is_refused_by_packing_and_by_every_disturbance(clip: Any) -> None:
    generator = np.random.default_rng(0)
    one: dict[str, Any] = {"labels": np.array([0]), "speakers": None, "classes": ["a"], "sources": 4, "dt_ms": 1.0}
    assert len(SpikeDataset.pack([(HERE, HERE, HERE)], **one)) == 1
    for refused in (
        lambda: SpikeDataset.pack([clip], **one),
        lambda: reverse_time(clip, 9),
        lambda: jitter_events(clip, 9, generator, sigma_steps=1.0),
        lambda: drop_events(clip, generator, share=0.5),
        lambda: equalise_channels(clip, generator),
    ):
        with pytest.raises(DataError, match=r"^(clip 0|events): "):
            refused()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 0])}, "labels: shape"),
        ({"labels": np.array([1])}, "labels: 1"),
        ({"labels": np.array([-1])}, "labels: -1"),
        ({"speakers": np.array([])}, "speakers: shape"),
        ({"sources": 3}, "source 3"),
    ],
)
def test_labels_speakers_and_sources_have_to_fit_the_clips(change: dict[str, Any], message: str) -> None:
    one: dict[str, Any] = {"labels": np.array([0]), "speakers": None, "classes": ["a"], "sources": 4, "dt_ms": 1.0}
    with pytest.raises(DataError, match=message):
        SpikeDataset.pack([(HERE, HERE, HERE)], **(one | change))


@pytest.mark.parametrize("clips", [[9], [-1], [0.0], [True], [[0]], 0])
def test_clips_that_are_not_there_are_refused(clips: Any) -> None:
    frames = FrameDataset(
        frames=np.zeros((9, 2), np.float32),
        offsets=np.arange(10),
        labels=np.zeros(9, np.int64),
        speakers=np.zeros(9, np.int64),
        classes=("a",),
        dt_ms=1.0,
    )
    for dataset in (drawn(), frames):
        with pytest.raises(DataError, match="clips: "):
            dataset.batch(np.array(clips))


@pytest.mark.parametrize("offsets", [np.zeros((2, 3)), np.zeros((3, 2), np.int64), np.zeros(3, np.int64)])
def test_offsets_of_another_shape_or_type_are_refused(offsets: Any) -> None:
    with pytest.raises(ValueError, match=r"(offsets|delay_steps): "):
        found_delays(np.zeros((2, 3), np.int64), offsets)
