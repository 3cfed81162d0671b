"""Convolutions: an event adds the kernel around its place; nothing is written down for each place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
from ranvier.engine.runner import Packet, State, runner
from ranvier.network import Conv


@runner.register(Conv)
class ConvRunner:
    """The rows are currents on their way, by arrival.

    Kernels are kept as ``[source channel, kernel row, kernel column, target channel]``. A target's place in a row is
    that of its channel and picture, less what the kernel's row and column take off it.
    """

    def __init__(self, part: Conv) -> None:
        self._shape = (part.max_delay, part.targets)
        self._weight = np.ascontiguousarray(part.weight.transpose(1, 2, 3, 0))
        out_height, out_width = part.out_size
        channel = np.arange(len(part.weight)) * out_height * out_width
        self._offset = part.delay_steps.transpose(1, 2, 3, 0).astype(np.int64) * part.targets + channel
        self._plane = np.array([*part.size, *part.out_size, *part.stride, *part.padding], np.int64)

    def rest(self) -> State:
        return np.zeros(self._shape)

    def receive(self, rows: State, at: int, packet: Packet, steps: int) -> None:
        _add_kernels(rows, at, steps, *packet, self._weight, self._offset, self._plane)

    def arriving(self, rows: State, at: int, current: State) -> None:
        current += rows[at : at + len(current)]


@compiled
def _add_kernels(
    rows: State, at: int, steps: int, starts: NDArray[np.int64], source: NDArray[np.int32], size: State,
    weight: NDArray[Any], offset: NDArray[np.int64], plane: NDArray[np.int64],
) -> None:  # fmt: skip
    """rows[at + k + delay, target] += weight * size, for the kernel around every event of step k."""
    height, width, out_height, out_width, down, right, above, beside = plane
    flat, row_length = rows.ravel(), rows.shape[1]
    for k in range(steps):
        here = flat[(at + k) * row_length :]
        for event in range(starts[k], starts[k + 1]):
            amount = size[event]
            c, place = source[event] // (height * width), source[event] % (height * width)
            y, x = place // width + above, place % width + beside
            for u in range(y % down, min(weight.shape[1], y + 1), down):
                out_y = (y - u) // down
                if out_y >= out_height:
                    continue
                for v in range(x % right, min(weight.shape[2], x + 1), right):
                    out_x = (x - v) // right
                    if out_x >= out_width:
                        continue
                    there = here[out_y * out_width + out_x :]
                    weights, offsets = weight[c, u, v], offset[c, u, v]
                    for o in range(len(weights)):
                        there[offsets[o]] += weights[o] * amount
