"""What was learned about delays, in numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def found_delays(
    delay_steps: NDArray[np.integer], offsets: NDArray[np.integer], tolerance: int = 1
) -> NDArray[np.bool_]:
    """Which delays make a pattern's spikes meet.

    A detector may fire any time after the pattern, so its delays are right up to a common shift. The shift is the one
    that most of its delays agree with: ``delay_steps[c, i] + offsets[c, i]`` is constant in a perfect detector.

    Args:
        delay_steps: ``[class, channel]``, delays of each class's detector in steps.
        offsets: ``[class, channel]``, when each channel fires in the class's pattern, in steps.
        tolerance: steps by which a delay may miss.

    Returns:
        ``[class, channel]``, True where a delay is found. Even random delays agree by chance in a few: compare with
        the delays before training.
    """
    arrival = delay_steps.astype(np.int64) + offsets
    shifts = np.arange(arrival.min(), arrival.max() + 1)
    hits = np.abs(arrival[:, :, None] - shifts) <= tolerance
    best = hits.sum(1).argmax(1)
    return np.take_along_axis(hits, best[:, None, None], 2)[:, :, 0]
