"""Intervals, and delays found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from ranvier.analysis.delays import found_delays
from ranvier.analysis.intervals import Accuracy, wilson_interval


@pytest.mark.parametrize(("correct", "clips"), [(0, 1), (1, 1), (7, 10), (870, 1787), (2129, 2264), (0, 50), (50, 50)])
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_wilson_interval_is_scipys(correct: int, clips: int, level: float) -> None:
    expected = binomtest(correct, clips).proportion_ci(level, method="wilson")
    assert wilson_interval(correct, clips, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_accuracy_counts() -> None:
    accuracy = Accuracy.of(np.array([True, False, True, True]))
    assert (accuracy.value, accuracy.correct, accuracy.clips) == (0.75, 3, 4)
    assert accuracy.low < 0.75 < accuracy.high
    assert str(accuracy).startswith("75.00% [")


def test_delays_are_found_up_to_a_common_shift() -> None:
    offsets = np.array([[0, 3, 6, 9], [9, 6, 3, 0]])
    perfect = 12 - offsets
    assert found_delays(perfect, offsets).all()
    assert found_delays(perfect + np.array([[5], [0]]), offsets).all()
    one_off = perfect.copy()
    one_off[0, 1] += 1
    assert found_delays(one_off, offsets).all()
    assert found_delays(one_off, offsets, tolerance=0).sum() == 7
    one_off[0, 1] += 2
    assert found_delays(one_off, offsets).tolist() == [[True, False, True, True], [True] * 4]
