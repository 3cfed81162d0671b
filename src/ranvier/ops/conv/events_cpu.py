"""Frozen delays, event by event: every input that is not 0 adds the kernel around its place, each element at its own
later step.

Sums are in double precision and rounded once, so that they do not depend on their order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled


@compiled
def add_events(
    x: NDArray[np.floating], weight: NDArray[np.floating], delay: NDArray[np.int64], width: int,
    stride: tuple[int, int], padding: tuple[int, int], max_delay: int, offset: int,
    nothing: NDArray[np.floating], out: NDArray[np.floating], start: int, stop: int,
) -> None:  # fmt: skip
    """Clips start ... stop of ``out [time - offset, batch, target channel, row, column]``; weight and delay ``[source
    channel, kernel row, kernel column, target channel]``.

    ``nothing [target channel]`` is the current without events.
    """
    time, _, sources = x.shape
    channels, rows, columns, _ = weight.shape
    plane = sources // channels
    current = np.empty((time + max_delay, *out.shape[2:]), np.float64)
    for clip in range(start, stop):
        for o in range(len(nothing)):
            current[:, o] = nothing[o]
        for t in range(time):
            for i in range(sources):
                value = float(x[t, clip, i])
                if value == 0.0:
                    continue
                c, place = i // plane, i % plane
                row, column = place // width + padding[0], place % width + padding[1]
                for u in range(row % stride[0], min(rows, row + 1), stride[0]):
                    y = (row - u) // stride[0]
                    if y >= current.shape[2]:
                        continue
                    for v in range(column % stride[1], min(columns, column + 1), stride[1]):
                        at = (column - v) // stride[1]
                        if at < current.shape[3]:
                            w, d = weight[c, u, v], delay[c, u, v]
                            for o in range(len(w)):
                                current[t + d[o], o, y, at] += w[o] * value
        for t in range(offset, time):
            out[t - offset, clip] = current[t]
