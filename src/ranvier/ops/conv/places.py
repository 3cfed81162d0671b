"""Where a kernel stands on the picture that comes in."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from torch import Tensor

Pair = tuple[int, int]


class Places(NamedTuple):
    """Pairs are of rows and columns.

    Attributes:
        size: of the picture that comes in, each 1 or more.
        stride: from one place of the kernel to the next, each 1 or more.
        padding: of silence on each side, each 0 or more and below the kernel's.
    """

    size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)

    def check(self, kernel: Pair) -> None:
        """Refuse what a kernel of that size does not fit.

        Raises:
            ValueError: a number is out of range; the message names it.
        """
        lowest = {"size": (1, 1), "stride": (1, 1), "padding": (0, 0)}
        for name, low in lowest.items():
            values = getattr(self, name)
            whole = isinstance(values, tuple) and len(values) == 2 and all(isinstance(value, int) for value in values)
            if not whole or any(value < least for value, least in zip(values, low, strict=True)):
                raise ValueError(f"{name}: {values} is not allowed (two whole numbers, {low[0]} or more)")
        if any(padding >= side for padding, side in zip(self.padding, kernel, strict=True)):
            raise ValueError(f"padding: {self.padding} is not allowed (below the kernel's {kernel})")
        whole_size = tuple(size + 2 * padding for size, padding in zip(self.size, self.padding, strict=True))
        if any(side > size for side, size in zip(kernel, whole_size, strict=True)):
            raise ValueError(f"kernel_size: {kernel} is not allowed (up to {whole_size}, the picture with its padding)")

    def out_size(self, kernel: Pair) -> Pair:
        """Rows and columns of the picture that goes out."""
        (height, width), (rows, columns), (down, right), (above, beside) = self.size, kernel, self.stride, self.padding
        return (height + 2 * above - rows) // down + 1, (width + 2 * beside - columns) // right + 1

    def pictures(self, x: Tensor) -> Tensor:
        """``x [..., source]`` as ``[..., channel, row, column]``."""
        return x.reshape(*x.shape[:-1], x.shape[-1] // prod(self.size), *self.size)
