"""Disturbed clips: what each disturbance takes, and what it leaves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.data import DataError
from ranvier.data.disturb import Events, drop_events, equalise_channels, jitter_events, reverse_time

LENGTH, SOURCES = 40, 12


def clip(seed: int, rate: float = 0.3) -> Events:
    counts = np.random.default_rng(seed).poisson(rate, (LENGTH, SOURCES))
    step, source = np.nonzero(counts)
    return step, source, counts[step, source]


def dense(events: Events) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    step, source, count = events
    assert (np.diff(step) >= 0).all()
    assert len(set(zip(step.tolist(), source.tolist(), strict=True))) == len(step)
    assert (count > 0).all()
    x = np.zeros((LENGTH, SOURCES), np.int64)
    np.add.at(x, (step, source), count)
    return x


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


@given(st.integers(0, 50))
def test_backwards_is_the_mirror(seed: int) -> None:
    np.testing.assert_array_equal(dense(reverse_time(clip(seed), LENGTH)), dense(clip(seed))[::-1])


@given(st.integers(0, 50), st.floats(0, 30))
def test_moved_events_stay_in_their_channels_and_clips(seed: int, sigma: float) -> None:
    moved = dense(jitter_events(clip(seed), LENGTH, generator(), sigma_steps=sigma))
    np.testing.assert_array_equal(moved.sum(0), dense(clip(seed)).sum(0))
    if sigma == 0:
        np.testing.assert_array_equal(moved, dense(clip(seed)))


def test_events_move_as_far_as_is_said() -> None:
    many = (np.full(1, 20), np.zeros(1, np.int64), np.full(1, 100_000))
    moved = dense(jitter_events(many, LENGTH, generator(), sigma_steps=3.0))[:, 0]
    spread = np.sqrt((moved * (np.arange(LENGTH) - 20.0) ** 2).sum() / moved.sum())
    assert spread == pytest.approx(np.sqrt(9 + 1 / 12), rel=0.02)  # rounding adds a twelfth


def test_a_share_of_the_events_is_deleted() -> None:
    before = dense(clip(0, rate=20))
    after = dense(drop_events(clip(0, rate=20), generator(), share=0.3))
    assert (after <= before).all()
    assert after.sum() / before.sum() == pytest.approx(0.7, abs=0.02)
    np.testing.assert_array_equal(dense(drop_events(clip(0), generator(), share=0.0)), dense(clip(0)))
    assert dense(drop_events(clip(0), generator(), share=1.0)).sum() == 0


@given(st.integers(0, 50))
def test_equal_channels_have_equal_counts_at_times_of_their_own(seed: int) -> None:
    before = dense(clip(seed))
    after = dense(equalise_channels(clip(seed), generator()))
    fires = before.sum(0) > 0
    each = round(before.sum() / fires.sum())
    np.testing.assert_array_equal(after.sum(0), np.where(fires, each, 0))
    assert (before[after > 0] > 0).all()


def test_equal_channels_keep_the_shape_in_time() -> None:
    step, source = np.array([3, 9, 9]), np.array([0, 0, 1])
    after = dense(equalise_channels((step, source, np.array([10_000, 30_000, 60_000])), generator()))
    assert after[3, 0] / after[:, 0].sum() == pytest.approx(0.25, abs=0.02)


def test_silence_stays_silence() -> None:
    empty = (np.empty(0, np.int64),) * 3
    for after in (
        reverse_time(empty, LENGTH),
        jitter_events(empty, LENGTH, generator(), sigma_steps=2.0),
        drop_events(empty, generator(), share=0.5),
        equalise_channels(empty, generator()),
    ):
        assert dense(after).sum() == 0


def test_amounts_out_of_range_are_told() -> None:
    with pytest.raises(DataError, match="sigma_steps: -1 is not allowed"):
        jitter_events(clip(0), LENGTH, generator(), sigma_steps=-1)
    with pytest.raises(DataError, match=r"share: 1\.5 is not allowed"):
        drop_events(clip(0), generator(), share=1.5)
