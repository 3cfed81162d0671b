"""A data set from arrays of events, and its batches in a DataLoader of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from ranvier.data import DataError, SpikeDataset, Subset, collate, events_dataset, torch_dataset

CLIPS: list[tuple[Any, Any]] = [
    ([0.030, 0.000, 0.0301], [2, 0, 2]),
    ([], []),
    (np.array([0.055]), np.array([1], np.uint8)),
]


def dataset(**more: Any) -> SpikeDataset:
    return events_dataset(CLIPS, [1, 0, 1], **{"dt_ms": 10.0, "sources": 3} | more)


def test_events_are_counted_in_their_time_steps() -> None:
    made = dataset(speakers=[4, -1, 5])
    x, lengths, labels = made.batch(np.arange(3))
    expected = torch.zeros(6, 3, 3)
    expected[0, 0, 0], expected[3, 0, 2], expected[5, 2, 1] = 1, 2, 1
    assert torch.equal(x, expected)
    assert (lengths.tolist(), labels.tolist(), made.speakers.tolist()) == ([4, 1, 6], [1, 0, 1], [4, -1, 5])
    assert (made.classes, made.sources, made.dt_ms) == (("0", "1"), 3, 10.0)


@pytest.mark.parametrize(("time_unit", "scale", "kind"), [("ms", 1e3, np.float32), ("us", 1e6, np.int64)])
def test_times_of_any_unit_are_the_same_clip(time_unit: Any, scale: float, kind: Any) -> None:
    clips = [((np.array(times) * scale).round(1).astype(kind), units) for times, units in CLIPS]
    made = events_dataset(clips, [1, 0, 1], dt_ms=10.0, sources=3, time_unit=time_unit)
    assert made.fingerprint == dataset().fingerprint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dt_ms": 0}, "^dt_ms: 0 .*above 0"),
        ({"sources": 2}, r"^clip 0: units: int64 from 0 to 2 \(integers 0 ... 1 "),
        ({"sources": 0}, "^sources: 0 "),
        ({"time_unit": "m"}, r"^time_unit: 'm' .*\(s, ms, us\)"),
        ({"clips": []}, "^clips: none"),
        ({"clips": [([0.1], [0]), ([-0.1], [0])]}, r"^clip 1: times: .* from -0.1 "),
        ({"clips": [([0.1, np.nan], [0, 0])]}, "^clip 0: times: "),
        ({"clips": [([0.1], [0.0])]}, "^clip 0: units: float64"),
        ({"clips": [([0.1], [0, 1])]}, r"^clip 0: times \(1,\) and units \(2,\)"),
        ({"clips": [([700.0], [0])]}, "^clip 0: last event at 700 s"),
        ({"labels": [1, 0]}, r"^labels: shape \(2,\)"),
        ({"labels": [1, 0, 0.5]}, "^labels: float64"),
        ({"labels": ["a", "b", "a"]}, "^labels: <U1"),
        ({"labels": []}, "^labels: float64"),
        ({"labels": [1, 0, -1]}, "^labels: -1 "),
        ({"classes": ["one"]}, r"^labels: 0 ... 1 \(0 ... 0 "),
        ({"speakers": [0, 1, -2]}, "^speakers: -2 "),
    ],
)
def test_what_is_not_allowed_is_named(change: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {"clips": CLIPS, "labels": [1, 0, 1], "dt_ms": 10.0, "sources": 3} | change
    with pytest.raises(DataError, match=said):
        events_dataset(arguments.pop("clips"), arguments.pop("labels"), **arguments)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_a_data_loader_are_those_of_the_data_set(workers: int) -> None:
    made = dataset()
    for view, clips in ((torch_dataset(made), [0, 1, 2]), (torch_dataset(Subset(made, np.array([2, 0]))), [2, 0])):
        loader = DataLoader(view, batch_size=2, collate_fn=collate, num_workers=workers)
        batches = list(loader)
        assert len(batches) == -(-len(clips) // 2)
        for batch, place in zip(batches, range(0, len(clips), 2), strict=True):
            for ours, theirs in zip(batch, made.batch(np.array(clips[place : place + 2])), strict=True):
                assert ours.dtype == theirs.dtype
                assert torch.equal(ours, theirs)
