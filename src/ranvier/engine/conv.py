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
    """The rows are currents on their way, by arrival: for each target channel the picture that goes out with as much
    around it as kernels reach, so that no place is tested.

    With strides, a source meets every so many of the kernel's rows and columns: one list of kernel elements for each
    source channel and remainder of row and column, ordered by the place to which they add, so that stores run upwards
    in memory.
    """

    def __init__(self, part: Conv) -> None:
        o, c, row, column = there = np.nonzero(part.weight)
        (u, first_row), (v, first_column) = np.divmod(row, part.stride[0]), np.divmod(column, part.stride[1])
        (top, height), (left, width) = _around(part, 0), _around(part, 1)
        self._shape = (part.max_delay, len(part.weight) * height * width)
        self._pictures = (len(part.weight), height, width)
        self._inside = (slice(top, top + part.out_size[0]), slice(left, left + part.out_size[1]))
        last = [(size - 1) // stride for size, stride in zip(part.weight.shape[2:], part.stride, strict=True)]
        offset = part.delay_steps[there].astype(np.int64) * self._shape[1]
        offset += (o * height + last[0] - u) * width + last[1] - v
        kind = (c * part.stride[0] + first_row) * part.stride[1] + first_column
        order = np.lexsort((offset, kind))
        self._offset = offset[order].astype(np.uint32)
        self._weight = np.ascontiguousarray(part.weight[there][order])
        kinds = part.weight.shape[1] * part.stride[0] * part.stride[1]
        self._first = np.searchsorted(kind[order], np.arange(kinds + 1)).astype(np.uint32)
        self._plane = np.array([*part.size, *part.stride, *part.padding, width], np.int64)

    def rest(self) -> State:
        return np.zeros(self._shape)

    def receive(self, rows: State, at: int, packet: Packet, steps: int) -> None:
        _add_kernels(rows, at, steps, *packet, self._first, self._offset, self._weight, self._plane)

    def arriving(self, rows: State, at: int, current: State) -> None:
        pictures = rows[at : at + len(current)].reshape(len(current), *self._pictures)
        current += pictures[:, :, self._inside[0], self._inside[1]].reshape(current.shape)


def _around(part: Conv, axis: int) -> tuple[int, int]:
    """Rows (axis 0) or columns (1) before those of the picture that goes out, and all that there are."""
    stride, padding = part.stride[axis], part.padding[axis]
    first, last = padding // stride, (part.size[axis] - 1 + padding) // stride
    reach = (part.weight.shape[axis + 2] - 1) // stride
    return reach - first, last - first + 1 + reach


@compiled
def _add_kernels(
    rows: State, at: int, steps: int, starts: NDArray[np.int64], source: NDArray[np.int32], size: State,
    first: NDArray[np.uint32], offset: NDArray[np.uint32], weight: NDArray[Any], plane: NDArray[np.int64],
) -> None:  # fmt: skip
    """rows[at + k + delay, target] += weight * size, for the kernel around every event of step k."""
    height, width, down, right, above, beside, row_length = plane
    flat, step_length = rows.ravel(), rows.shape[1]
    for k in range(steps):
        for event in range(starts[k], starts[k + 1]):
            c, place = source[event] // (height * width), source[event] % (height * width)
            y, x, amount = place // width + above, place % width + beside, size[event]
            kind = (c * down + y % down) * right + x % right
            low, high = first[kind], first[kind + 1]
            # a view that starts at the event's place, and indices without a sign: no test for negative ones in the loop
            start = (at + k) * step_length + (y // down - above // down) * row_length + x // right - beside // right
            here, offsets, weights = flat[start:], offset[low:high], weight[low:high]
            for n in range(len(offsets)):
                here[offsets[n]] += weights[n] * amount
