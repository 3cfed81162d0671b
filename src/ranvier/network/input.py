"""How raw events become a network's input."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as short
from typing import Literal

from ranvier.network.rules import MAX_CHANNELS, is_whole, require

Alignment = Literal["zero", "first_event"]


@dataclass(frozen=True)
class Input:
    """How raw events become the network's input counts.

    Args:
        channels: channels of the raw events, in [1, 2^24]; unit ids lie in [0, channels).
        pool: neighbouring channels summed into one source, in [1, 2^24].
        alignment: where time step 0 lies: ``zero`` at time 0 of the recording, ``first_event`` at its first event.

    Raises:
        NetworkError: a value is out of range.
    """

    channels: int
    pool: int = 1
    alignment: Alignment = "zero"

    def __post_init__(self) -> None:
        for name in ("channels", "pool"):
            value = getattr(self, name)
            require(
                is_whole(value, 1, MAX_CHANNELS), f"input.{name}: {short(value)} is not allowed (1 ... {MAX_CHANNELS})"
            )
        require(
            self.alignment in ("zero", "first_event"),
            f"input.alignment: {short(self.alignment)} is not allowed (zero, first_event)",
        )

    @property
    def sources(self) -> int:
        """Input lines after pooling."""
        return -(-self.channels // self.pool)
