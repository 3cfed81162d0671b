"""Convolutions over space whose kernel elements have delays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from reprlib import repr as short
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ranvier.network.part import Connection, Synapses, array
from ranvier.network.rules import MAX_BUFFER, MAX_CHANNELS, is_whole, require

_MAX_SYNAPSES = 2**27  # that are ever written down one by one


@dataclass(frozen=True, eq=False)
class Conv(Connection):
    """A kernel slides over rows and columns; each of its elements has a weight and a delay.

        I[t, o, y, x] = sum over c, u, v of weight[o, c, u, v] * s[t - delay_steps[o, c, u, v], c, row, column]
        row = y * stride[0] + u - padding[0]        column = x * stride[1] + v - padding[1]

    Sources and targets are numbered channel by channel, row by row: source ``(c * height + y) * width + x``. Nothing
    arrives from outside of the picture. One dimension is a height of 1.

    Args:
        source: ``input`` or the name of a layer.
        max_delay: longest delay that may occur, in time steps, in [0, 32767].
        size: height and width of the picture that comes in, each 1 or more.
        stride: rows and columns from one place of the kernel to the next, each 1 or more.
        padding: rows and columns of silence on each side, each 0 or more and below the kernel's size.
        weight: float32 ``[target channel, source channel, kernel row, kernel column]``; 0 is no synapse.
        delay_steps: int16 of that shape, in [0, max_delay].
    """

    kind: ClassVar[str] = "conv"
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    weight: NDArray[np.float32] = array("float32", "target channel", "source channel", "row", "column")
    delay_steps: NDArray[np.int16] = array("int16", "target channel", "source channel", "row", "column", low=0)

    def check(self) -> None:
        kernel = self.weight.shape[2:]
        for name, low, high in (
            ("size", (1, 1), (MAX_CHANNELS, MAX_CHANNELS)),
            ("stride", (1, 1), (MAX_CHANNELS, MAX_CHANNELS)),
            ("padding", (0, 0), (kernel[0] - 1, kernel[1] - 1)),
        ):
            self._check_pair(name, low, high)
        for axis, (size, padding) in enumerate(zip(self.size, self.padding, strict=True)):
            most = size + 2 * padding
            require(kernel[axis] <= most, f"weight: a kernel of {kernel} (up to {most} along axis {axis} allowed)")
        phases = (
            self.stride[0] * self.stride[1] * self.weight.shape[1]
        )  # the engine has a list of kernel elements for each
        require(phases <= MAX_BUFFER, f"stride: {self.stride} is not allowed (a product up to {MAX_BUFFER})")
        require(is_whole(self.max_delay, 0, 32767), f"max_delay: {short(self.max_delay)} is not allowed (0 ... 32767)")
        longest = int(self.delay_steps.max())
        require(longest <= self.max_delay, f"delay_steps: up to {longest} (0 ... {self.max_delay} time steps allowed)")
        require(self.sources <= MAX_CHANNELS, f"size: {self.sources} sources (up to {MAX_CHANNELS} allowed)")
        # what a layer holds for each time step of delay: the picture that goes out and all that the kernel reaches
        reached = prod(size + side - 1 for size, side in zip(self.size, kernel, strict=True)) * len(self.weight)
        require(
            max(self.max_delay, 1) * reached <= MAX_BUFFER,
            f"max_delay: {self.max_delay} time steps for {reached} places that kernels reach (a product up to "
            f"{MAX_BUFFER} allowed)",
        )

    def _check_pair(self, name: str, low: tuple[int, int], high: tuple[int, int]) -> None:
        values: Any = getattr(self, name)
        pair = isinstance(values, list | tuple) and len(values) == 2
        fits = pair and all(is_whole(*each) for each in zip(values, low, high, strict=True))
        allowed = " and ".join(f"{a} ... {b}" for a, b in zip(low, high, strict=True))
        require(bool(fits), f"{name}: {short(values)} is not allowed (two whole numbers, {allowed})")
        object.__setattr__(self, name, tuple(values))

    @property
    def out_size(self) -> tuple[int, int]:
        """Rows and columns of the picture that goes out."""
        height, width = (
            (size + 2 * padding - kernel) // stride + 1
            for size, padding, kernel, stride in zip(
                self.size, self.padding, self.weight.shape[2:], self.stride, strict=True
            )
        )
        return height, width

    @property
    def sources(self) -> int:
        return int(self.weight.shape[1]) * prod(self.size)

    @property
    def targets(self) -> int:
        return int(self.weight.shape[0]) * prod(self.out_size)

    @property
    def synapse_count(self) -> int:
        (top, bottom), (left, right) = self._reached(0), self._reached(1)
        return int(
            (self.weight != 0).sum((0, 1), dtype=np.int64).ravel() @ np.outer(bottom - top, right - left).ravel()
        )

    def _reached(self, axis: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each row (axis 0) or column (1) of the kernel the first row or column that goes out to which it brings
        something, and the one after the last."""
        element = np.arange(self.weight.shape[axis + 2])
        size, stride, before = self.size[axis], self.stride[axis], self.padding[axis] - element
        first = np.maximum(0, -(-before // stride))
        end = np.minimum(self.out_size[axis], (size - 1 + before) // stride + 1)
        return first, np.maximum(first, end)

    def check_listed(self) -> int:
        count = self.synapse_count
        require(count <= _MAX_SYNAPSES, f"weight: {count} synapses (up to {_MAX_SYNAPSES} can be listed)")
        return count

    def synapses(self) -> Synapses:
        """Kernel element after kernel element, each at all of its places.

        Raises:
            NetworkError: there are more than 2^27.
        """
        count = self.check_listed()
        there = np.nonzero(self.weight)
        source, target = np.empty((2, count), np.int64)
        (top, bottom), (left, right) = self._reached(0), self._reached(1)
        (height, width), (out_height, out_width) = self.size, self.out_size
        lengths = (bottom - top)[there[2]] * (right - left)[there[3]]
        for end, length, o, c, u, v in zip(lengths.cumsum(), lengths, *there, strict=True):
            y, x = np.arange(top[u], bottom[u])[:, None], np.arange(left[v], right[v])
            row, column = y * self.stride[0] + u - self.padding[0], x * self.stride[1] + v - self.padding[1]
            source[end - length : end] = ((c * height + row) * width + column).ravel()
            target[end - length : end] = ((o * out_height + y) * out_width + x).ravel()
        return Synapses(
            source, target, np.repeat(self.weight[there], lengths), np.repeat(self.delay_steps[there], lengths)
        )

    def delays(self) -> NDArray[np.int16]:
        """One for each kernel element whose weight is not 0."""
        return self.delay_steps[np.nonzero(self.weight)]

    def with_delays(self, delay_steps: NDArray[np.int16]) -> Self:
        every = self.delay_steps.copy()
        every[np.nonzero(self.weight)] = delay_steps
        return replace(self, delay_steps=every)
