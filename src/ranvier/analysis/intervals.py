"""Accuracies with the interval that their number of clips allows."""

from __future__ import annotations

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
