"""Accuracies with the interval that their number of clips allows, and means over speakers and seeds with theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranvier.runs import Accuracy, OverSpeakers, ProbeResult

_ROUNDING = 1e-9  # accuracies that differ at all do so by far more


def clip_accuracy(right: NDArray[np.bool_]) -> Accuracy:
    """From ``[clip]`` right or wrong; at least one clip."""
    correct, clips = int(np.sum(right)), len(right)
    low, high = wilson_interval(correct, clips)
    return Accuracy(value=correct / clips, low=low, high=high, correct=correct, clips=clips)


def wilson_interval(correct: int, clips: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a binomial share (Wilson 1927, doi 10.1080/01621459.1927.10502953).

    Args:
        correct: in [0, clips].
        clips: >= 1.
        level: of confidence, in (0, 1).
    """
    from scipy import stats

    interval = stats.binomtest(correct, clips).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Mean:
    """Mean of some values and its 95% t-interval; one value has none.

    Attributes:
        value: the mean.
        half: half of the interval's width; None for one value.
        count: how many values.
    """

    value: float
    half: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float], level: float = 0.95) -> Mean:
        """Of one value or more, taken as normal and independent (Student 1908)."""
        from scipy import stats

        count, value = len(values), float(np.mean(values))
        if count == 1:
            return cls(value, None, 1)
        # differences that are the same up to rounding have no spread
        spread = 0.0 if np.ptp(values) < _ROUNDING else float(stats.sem(values))
        return cls(value, float(stats.t.ppf((1 + level) / 2, count - 1)) * spread, count)

    @property
    def distinguishable(self) -> bool:
        """Whether the interval leaves out 0.

        Never without a spread: one value has none, and a few that happen to be the same say nothing of the next.
        """
        return bool(self.half) and abs(self.value) > (self.half or 0.0)


def speaker_interval(shares: Iterable[float]) -> OverSpeakers:
    """From the accuracy of each speaker, in [0, 1]; one at least."""
    mean = Mean.of(list(shares))
    low = high = None
    if mean.half:
        low, high = max(0.0, mean.value - mean.half), min(1.0, mean.value + mean.half)
    return OverSpeakers(value=mean.value, low=low, high=high, speakers=mean.count)


def describe_gain(probes: Iterable[ProbeResult]) -> str | None:
    """What learning the delays is worth, in a line; None where a probe had no control."""
    for one in probes:
        if one.gain is not None:
            gain = one.gain
            interval = "no clip in which they differ" if not gain.value else "no interval"
            if gain.low is not None and gain.high is not None:
                interval = f"95% interval {100 * gain.low:+.1f} ... {100 * gain.high:+.1f}, clip by clip"
            return f"learned over fixed delays: {100 * gain.value:+.1f} points ({interval})"
    return None
