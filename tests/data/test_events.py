"""Counting events on a grid, against counts made by hand."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ranvier.data import Alignment, Grid
from ranvier.data.events import steps_to_times, time_to_steps

Cells = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def as_lists(cells: Cells) -> list[list[int]]:
    return [part.tolist() for part in cells]


def dtypes(cells: Cells) -> list[str]:
    return [str(part.dtype) for part in cells]


@pytest.mark.parametrize(("dtype", "dt_ms"), [("float16", 10.0), ("float32", 1.0), ("float64", 0.25)])
@pytest.mark.parametrize("pool", [1, 5, 7])
def test_counts_events_per_step_and_source(dtype: str, dt_ms: float, pool: int) -> None:
    generator = np.random.default_rng(0)
    step, unit = generator.integers(0, 200, 3000), generator.integers(0, 23, 3000)
    # the middle of a step is safe from rounding in every one of these types
    times = ((step + 0.5) * dt_ms / 1000).astype(dtype)

    expected = Counter(zip(step.tolist(), (unit // pool).tolist(), strict=True))
    found = Grid(23, pool, dt_ms).count(times, unit)

    cells = sorted(expected)
    assert as_lists(found) == [[s for s, _ in cells], [i for _, i in cells], [expected[cell] for cell in cells]]


@pytest.mark.parametrize(
    ("seconds", "dt_ms", "step"),
    [(1.0, 1.0, 1000), (2.5, 1.0, 2500), (20.25, 1.0, 20250), (65.0, 1.0, 65000), (70.0, 10.0, 7000)],
)
def test_half_precision_seconds_neither_overflow_nor_lose_steps(seconds: float, dt_ms: float, step: int) -> None:
    found, _, _ = Grid(1, 1, dt_ms).count(np.array([seconds], np.float16), np.array([0], np.uint16))
    assert found.tolist() == [step]


def on_grid(steps: NDArray[np.int64], dt_ms: float, dtype: str, computed: str) -> NDArray[Any]:
    """Seconds of whole steps, as simulators and encoders compute them."""
    kind = np.dtype(dtype).type
    times: NDArray[Any] = (steps * dt_ms / 1000).astype(dtype)
    if computed == "multiplied":
        times = steps.astype(dtype) * kind(dt_ms / 1000)
    if computed == "divided":
        times = steps.astype(dtype) * kind(dt_ms) / kind(1000)
    return times.astype(np.float64) if computed == "widened" else times


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("computed", ["rounded once", "multiplied", "divided", "widened"])
@pytest.mark.parametrize("dt_ms", [0.1, 0.5, 1.0, 2.5, 10 / 3, 5.6, 10.0])
@pytest.mark.parametrize("first", [0, 1, 99, 1003])
def test_times_on_the_grid_begin_their_steps(dtype: str, computed: str, dt_ms: float, first: int) -> None:
    steps = np.arange(first, 65535)
    times = on_grid(steps, dt_ms, dtype, computed)
    assert np.array_equal(time_to_steps(times, dt_ms / 1000), steps)
    assert np.array_equal(time_to_steps(times, dt_ms / 1000, start=times[0]), steps - first)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dt_ms", [1.0, 5.6, 10.0])
def test_times_just_before_a_step_stay_in_the_step_before(dtype: str, dt_ms: float) -> None:
    steps = np.arange(1, 200)
    times = ((steps - 1e-3 if dtype != "float16" else steps - 0.4) * dt_ms / 1000).astype(dtype)
    assert time_to_steps(times, dt_ms / 1000).tolist() == (steps - 1).tolist()


@pytest.mark.parametrize("alignment", ["zero", "first_event"])
@pytest.mark.parametrize("dt_ms", [1.0, 4.0, 5.0, 10.0])
def test_no_half_precision_time_has_another_step_than_its_exact_value(dt_ms: float, alignment: Alignment) -> None:
    times = np.arange(0x7C00, dtype=np.uint16).view(np.float16)
    times = times[times < 16]
    for first in times[[0, 1, 5000, 10_000, 11_111]] if alignment == "first_event" else times[:1]:
        later = times[times >= first]
        # whole multiples of 2^-24 s, so that nothing is rounded here
        exact = ((later.astype(np.float64) - float(first)) * 2**24).astype(np.int64) * 1000 // (int(dt_ms) * 2**24)
        assert np.array_equal(time_to_steps(later, dt_ms / 1000, start=first), exact)
        # and the wider types hold the same times
        assert np.array_equal(time_to_steps(later.astype(np.float64), dt_ms / 1000, start=first), exact)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize(("per_second", "dt_ms"), [(1000, 10.0), (1_000_000, 0.1), (1_000_000, 5.6)])
def test_whole_numbers_of_milli_and_microseconds_are_exact(dtype: str, per_second: int, dt_ms: float) -> None:
    steps = np.arange(30, 60_000, 7)
    begins = np.rint(steps * dt_ms * per_second / 1000).astype(dtype)
    for times, expected in ((begins, steps), (begins - begins.dtype.type(1), steps - 1)):
        step, _, _ = Grid(1, 1, dt_ms).count(times, np.zeros(len(times), int), per_second=per_second)
        assert np.array_equal(step, expected)
    aligned, _, _ = Grid(1, 1, dt_ms, "first_event").count(begins, np.zeros(len(begins), int), per_second=per_second)
    assert np.array_equal(aligned, steps - 30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_time_known_to_less_than_a_step_moves_by_half_a_step_at_most(dtype: str) -> None:
    # float32 is spaced by 128 s here, float64 by 2e-7 s
    times = np.array([1.7e9, 1.7e9, 1.7e9 + 256, 1.7e9 + 256.0021], dtype)
    steps = time_to_steps(times, 0.001, start=times[0])
    assert steps.tolist() == [0, 0, 256_000, 256_000 if dtype == "float32" else 256_002]


@pytest.mark.parametrize("dt_ms", [0.1, 5.6, 10.0])
def test_steps_become_times_that_lie_in_them(dt_ms: float) -> None:
    steps = np.arange(65535)
    times = steps_to_times(steps, dt_ms)
    assert times[0] == 0
    np.testing.assert_allclose(times[1:], (steps[1:] + 0.5) * dt_ms / 1000)
    for kind in (np.float32, np.float64):
        assert np.array_equal(time_to_steps(times.astype(kind), dt_ms / 1000), steps)


@pytest.mark.parametrize(("channels", "pool", "sources"), [(700, 5, 140), (701, 5, 141), (3, 7, 1), (4, 1, 4)])
def test_the_last_source_pools_what_is_left(channels: int, pool: int, sources: int) -> None:
    grid = Grid(channels, pool, 1.0)
    _, source, count = grid.count(np.zeros(channels), np.arange(channels))
    assert grid.sources == sources
    assert source.tolist() == list(range(sources))
    assert count.tolist() == [pool] * (channels // pool) + [channels % pool] * (channels % pool > 0)


@pytest.mark.parametrize(("alignment", "steps"), [("zero", [31, 35, 90]), ("first_event", [0, 3, 59])])
def test_alignment_sets_where_step_0_begins_and_keeps_silent_gaps(alignment: Alignment, steps: list[int]) -> None:
    # unsorted, so that the first event in time is not the first in the file
    times, units = np.array([0.3501, 0.3175, 0.9075]), np.array([1, 0, 2])
    step, source, _ = Grid(3, 1, 10.0, alignment).count(times, units)
    assert step.tolist() == steps
    assert source.tolist() == [0, 1, 2]


@pytest.mark.parametrize("alignment", ["zero", "first_event"])
def test_order_of_events_does_not_matter(alignment: Alignment) -> None:
    generator = np.random.default_rng(1)
    times, units = np.sort(generator.uniform(0.2, 1.0, 500)).astype(np.float16), generator.integers(0, 40, 500)
    shuffled = generator.permutation(500)
    grid = Grid(40, 3, 10.0, alignment)
    ordered, unordered = grid.count(times, units), grid.count(times[shuffled], units[shuffled])
    assert as_lists(unordered) == as_lists(ordered)
    assert dtypes(unordered) == dtypes(ordered)


def test_cells_are_sorted_by_step_then_source() -> None:
    step, source, _ = Grid(9, 1, 1.0).count(np.array([0.002, 0.0, 0.002, 0.0]), np.array([3, 8, 1, 2]))
    assert list(zip(step.tolist(), source.tolist(), strict=True)) == [(0, 2), (0, 8), (2, 1), (2, 3)]


def test_the_last_step_allowed_is_65534() -> None:
    step, _, _ = Grid(1, 1, 1.0).count(np.array([65.5345]), np.array([0]))
    assert step.tolist() == [65534]


@pytest.mark.parametrize("seconds", [65.5355, 1000.0, 1e300])
def test_a_clip_that_is_too_long_is_refused(seconds: float) -> None:
    message = f"last event at {seconds:.4g} s (up to 65.535 s allowed, 65535 steps of 1 ms)"
    with pytest.raises(ValueError, match=re.escape(message)):
        Grid(1, 1, 1.0).count(np.array([0.0, seconds]), np.array([0, 0]))


def test_a_late_clip_is_not_a_long_one_when_it_starts_with_its_first_event() -> None:
    step, _, _ = Grid(1, 1, 1.0, "first_event").count(np.array([1000.0, 1000.0205]), np.array([0, 0]))
    assert step.tolist() == [0, 20]


@pytest.mark.parametrize("alignment", ["zero", "first_event"])
def test_an_empty_clip_has_no_cells(alignment: Alignment) -> None:
    cells = Grid(700, 5, 10.0, alignment).count(np.array([], np.float16), np.array([], np.uint16))
    assert as_lists(cells) == [[], [], []]
    assert dtypes(cells) == ["uint8"] * 3


@pytest.mark.parametrize(("events", "dtype"), [(255, "uint8"), (256, "uint16"), (300, "uint16"), (65536, "uint32")])
def test_counts_do_not_wrap_around(events: int, dtype: str) -> None:
    _, _, count = Grid(2, 1, 1.0).count(np.zeros(events, np.float16), np.ones(events, np.uint16))
    assert count.tolist() == [events]
    assert count.dtype == dtype


def test_every_part_takes_the_smallest_type_that_holds_it() -> None:
    cells = Grid(700, 1, 1.0).count(np.array([0.0, 0.3]), np.array([2, 699]))
    assert as_lists(cells) == [[0, 300], [2, 699], [1, 1]]
    assert dtypes(cells) == ["uint16", "uint16", "uint8"]
