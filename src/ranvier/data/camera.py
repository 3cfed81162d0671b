"""Pixels of an event camera as channels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError
from ranvier.errors import RuleError

MOST_CHANNELS = 65535


@dataclass(frozen=True)
class Camera:
    """An event camera: which channel each pixel and polarity is.

        channel = (p * rows + y // pool) * columns + x // pool,    columns = ceil(width / pool), rows likewise

    Args:
        width, height: pixels, >= 1.
        pool: ``pool`` x ``pool`` pixels are a channel, >= 1.
        merged: both polarities are one channel; else those of brighter pixels (p = 1) come after those of darker ones.

    Raises:
        RuleError: an argument is out of range, or there are more than 65,535 channels.
    """

    width: int
    height: int
    pool: int = 1
    merged: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "height", "pool"):
            if getattr(self, name) < 1:
                raise RuleError(name, getattr(self, name), "1 or more")
        if self.channels > MOST_CHANNELS:
            fault = f"{self.channels:,} channels of {self.width} x {self.height} pixels pooled by {self.pool}"
            raise RuleError("pool", fault=f"{fault} are not allowed (up to {MOST_CHANNELS:,}; pool more)")

    @classmethod
    def of(cls, size: str, *, pool: int = 1, merged: bool = False) -> Self:
        """From its size as text, ``128x128``: width, then height.

        Raises:
            RuleError: it is no such text, or see :class:`Camera`.
        """
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
        if match is None:
            raise RuleError("size", repr(size), "WIDTHxHEIGHT in pixels, as 128x128")
        return cls(int(match[1]), int(match[2]), pool, merged)

    @property
    def columns(self) -> int:
        """Channels side by side."""
        return -(-self.width // self.pool)

    @property
    def rows(self) -> int:
        """Channels above each other."""
        return -(-self.height // self.pool)

    @property
    def channels(self) -> int:
        """All of them."""
        return self.columns * self.rows * (1 if self.merged else 2)

    def units(self, x: NDArray[Any], y: NDArray[Any], p: NDArray[Any] | None) -> NDArray[np.int64]:
        """The channel of each event ``[event]``.

        Args:
            x, y: column and row of the pixel, integers.
            p: polarity, all 0 or 1, or all -1 or 1; None is allowed where they are merged.

        Raises:
            DataError: a pixel is outside the camera, or a polarity is another number; names the event.
        """
        for name, values, most in (("x", x, self.width), ("y", y, self.height)):
            good = (values >= 0) & (values < most)
            if not good.all():
                at = int(np.argmin(good))
                raise DataError(f"event {at} has {name} = {values[at]} (0 ... {most - 1} allowed)")
        unit: NDArray[np.int64] = (y.astype(np.int64) // self.pool) * self.columns + x.astype(np.int64) // self.pool
        if self.merged:
            return unit
        if p is None:
            raise DataError("has no polarity p (or polarities that are merged)")
        off = -1 if (p == -1).any() else 0
        good = (p == off) | (p == 1)
        if not good.all():
            at = int(np.argmin(good))
            raise DataError(f"event {at} has p = {p[at]} (0 and 1, or -1 and 1, allowed)")
        unit[p == 1] += self.columns * self.rows
        return unit
