"""Accuracies with the interval that their number of clips allows, and means over speakers and seeds with theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9  # accuracies that differ at all do so by far more


@dataclass(frozen=True)
class Accuracy:
    """Share of clips that were right, and its 95% Wilson score interval.

    Attributes:
        value, low, high: in [0, 1].
        correct: clips that were right.
        clips: clips in all.
    """

    value: float
    low: float
    high: float
    correct: int
    clips: int

    @classmethod
    def of(cls, right: NDArray[np.bool_]) -> Accuracy:
        """From ``[clip]`` right or wrong; at least one clip."""
        correct, clips = int(np.sum(right)), len(right)
        low, high = wilson_interval(correct, clips)
        return cls(correct / clips, low, high, correct, clips)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{100 * self.value:.2f}% [{100 * self.low:.2f}, {100 * self.high:.2f}]"


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


@dataclass(frozen=True)
class OverSpeakers:
    """Mean of speakers' accuracies, and its 95% t-interval: what other speakers may be expected to give.

    Attributes:
        value: the mean, every speaker counted once, in [0, 1].
        low, high: of the interval, cut to [0, 1]; None where there is none: one speaker, or all the same.
        speakers: how many.
    """

    value: float
    low: float | None
    high: float | None
    speakers: int

    @classmethod
    def of(cls, shares: Iterable[float]) -> OverSpeakers:
        """From the accuracy of each speaker, in [0, 1]; one at least."""
        mean = Mean.of(list(shares))
        if not mean.half:
            return cls(mean.value, None, None, mean.count)
        return cls(mean.value, max(0.0, mean.value - mean.half), min(1.0, mean.value + mean.half), mean.count)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
