"""Accuracies with the interval that their number of clips allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = correct / clips
    centre = (share + z * z / (2 * clips)) / (1 + z * z / clips)
    half = z * sqrt(share * (1 - share) / clips + z * z / (4 * clips * clips)) / (1 + z * z / clips)
    return max(0.0, centre - half), min(1.0, centre + half)


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

        count = len(values)
        if count == 1:
            return cls(float(values[0]), None, 1)
        spread = float(np.std(values, ddof=1)) / sqrt(count)
        return cls(float(np.mean(values)), float(stats.t.ppf((1 + level) / 2, count - 1)) * spread, count)

    @property
    def distinguishable(self) -> bool | None:
        """Whether the interval leaves out 0; None where there is no interval."""
        return None if self.half is None else abs(self.value) > self.half
