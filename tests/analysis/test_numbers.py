"""Intervals, and delays found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp

from ranvier.analysis.delays import found_delays
from ranvier.analysis.intervals import clip_accuracy, speaker_interval, wilson_interval


@pytest.mark.parametrize(("correct", "clips"), [(0, 1), (1, 1), (7, 10), (870, 1787), (2129, 2264), (0, 50), (50, 50)])
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_wilson_interval_ends_where_the_score_test_does(correct: int, clips: int, level: float) -> None:
    z, share = norm.ppf((1 + level) / 2), correct / clips
    for end in wilson_interval(correct, clips, level):
        if abs(end - share) > 1e-12:  # all right, or all wrong
            assert abs(share - end) / np.sqrt(end * (1 - end) / clips) == pytest.approx(z)
    low, high = wilson_interval(correct, clips, level)
    assert 0 <= low <= share <= high <= 1


FSDD = {"george": 0.734, "jackson": 0.886, "lucas": 0.848, "nicolas": 0.772, "theo": 0.802, "yweweler": 0.866}


def test_the_interval_over_speakers_is_students() -> None:
    over = speaker_interval(FSDD.values())
    expected = ttest_1samp(list(FSDD.values()), 0).confidence_interval()
    assert (over.low, over.high) == pytest.approx((expected.low, expected.high))
    assert over.value == pytest.approx(0.818)
    assert over.speakers == 6
    assert (over.high - over.low) / 2 == pytest.approx(0.062, abs=5e-4)  # type: ignore[operator]


@pytest.mark.parametrize(("shares", "ends"), [([0.5], None), ([0.7, 0.7, 0.7], None), ([0.5, 0.9], (0.0, 1.0))])
def test_few_speakers_say_little(shares: list[float], ends: tuple[float, float] | None) -> None:
    over = speaker_interval(shares)
    assert (over.low, over.high) == (ends or (None, None))
    assert over.speakers == len(shares)


def test_accuracy_counts() -> None:
    accuracy = clip_accuracy(np.array([True, False, True, True]))
    assert (accuracy.value, accuracy.correct, accuracy.clips) == (0.75, 3, 4)
    assert accuracy.low < 0.75 < accuracy.high


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
