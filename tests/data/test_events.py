"""Counting events on a grid, against counts made by hand."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ranvier.data import Alignment, Grid

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
    message = f"last event at {seconds:.4g} s (up to 65535 steps of 1 ms allowed)"
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
