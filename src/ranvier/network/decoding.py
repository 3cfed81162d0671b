"""How output voltages become class scores."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as short
from typing import Literal

from ranvier.network.rules import MAX_STEPS, is_whole, require

Tail = Literal["clip", "per_layer"]


@dataclass(frozen=True)
class Decoding:
    """Class scores r = sum over t of softmax(v[t]), over the clip's time steps and its tail.

    Args:
        tail_steps: time steps of silence after a clip, in [0, 65535].
        tail: ``clip``: one silence after the clip, the same for every layer, so that a clip and a stream mean the
            same. ``per_layer``: every layer adds ``tail_steps`` to what its predecessor gave and receives nothing of
            it later, as the official DCLS-Delays code pads.

    Raises:
        NetworkError: a value is out of range.
    """

    tail_steps: int = 0
    tail: Tail = "clip"

    def __post_init__(self) -> None:
        require(
            is_whole(self.tail_steps, 0, MAX_STEPS),
            f"decoding.tail_steps: {short(self.tail_steps)} is not allowed (0 ... {MAX_STEPS} time steps)",
        )
        require(
            self.tail in ("clip", "per_layer"), f"decoding.tail: {short(self.tail)} is not allowed (clip, per_layer)"
        )

    def steps(self, clip_steps: int, layer: int) -> int:
        """Time steps for which layer number ``layer`` (0 = first) runs on a clip of ``clip_steps``."""
        return clip_steps + self.tail_steps * (1 if self.tail == "clip" else layer + 1)
