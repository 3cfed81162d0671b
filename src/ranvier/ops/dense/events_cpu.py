"""Frozen delays, event by event: every input that is not 0 adds its weights, each at its own later step.

Sums are in double precision and rounded once, so that they do not depend on their order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled


@compiled
def add_events(
    x: NDArray[np.floating], weight: NDArray[np.floating], delay: NDArray[np.int64], max_delay: int, offset: int,
    nothing: NDArray[np.floating], out: NDArray[np.floating], start: int, stop: int,
) -> None:  # fmt: skip
    """Clips start ... stop of ``out [time - offset, batch, target]``; weight and delay ``[synapse, source, target]``.

    ``nothing [target]`` is the current without events.
    """
    time, _, sources = x.shape
    synapses_per_pair, _, targets = weight.shape
    current = np.empty((time + max_delay, targets), np.float64)
    for clip in range(start, stop):
        current[:] = nothing
        for t in range(time):
            for i in range(sources):
                value = float(x[t, clip, i])
                if value != 0.0:
                    for synapse in range(synapses_per_pair):
                        w, d = weight[synapse, i], delay[synapse, i]
                        for j in range(targets):
                            current[t + d[j], j] += w[j] * value
        for t in range(offset, time):
            out[t - offset, clip] = current[t]
