"""How the output becomes class scores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from reprlib import repr as short
from typing import Any, Literal, get_args

from ranvier.network.rules import MAX_STEPS, is_whole, require

Tail = Literal["clip", "per_layer"]
Scores = Literal["softmax", "sum", "max", "last", "count"]
RATE_LOGIT = 10.0
"""What one spike in every time step is as a logit, where a loss or a share is taken of numbers of spikes."""


@dataclass(frozen=True)
class Decoding:
    """Class scores from output voltages v[t], or output spikes s[t], over the clip's time steps and its tail.

    The class is the one with the highest score, the lowest index among equal ones.

    Args:
        tail_steps: time steps of silence after a clip, in [0, 65535].
        tail: ``clip``: one silence after the clip, the same for every layer, so that a clip and a stream mean the
            same. ``per_layer``: every layer adds ``tail_steps`` to what its predecessor gave and receives nothing of
            it later, as the official DCLS-Delays code pads.
        scores: ``softmax``: r = sum over t of softmax(v[t]) (arXiv 2306.17670). ``sum``: of v[t]. ``max``: the highest
            v[t] of each class. ``last``: v[t] of the last time step. ``count``: sum of s[t], the number of spikes of
            each class, as chips read it; the last layer then spikes as the others do. Equal counts are common, as is
            0 of every class. The loss of a recipe is the cross entropy of 10 times the mean rates, count / time steps.

    Raises:
        NetworkError: a value is out of range.
    """

    tail_steps: int = 0
    tail: Tail = "clip"
    scores: Scores = "softmax"

    def __post_init__(self) -> None:
        require(
            is_whole(self.tail_steps, 0, MAX_STEPS),
            f"decoding.tail_steps: {short(self.tail_steps)} is not allowed (0 ... {MAX_STEPS} time steps)",
        )
        require(
            self.tail in ("clip", "per_layer"), f"decoding.tail: {short(self.tail)} is not allowed (clip, per_layer)"
        )
        require(
            self.scores in get_args(Scores),
            f"decoding.scores: {short(self.scores)} is not allowed ({', '.join(get_args(Scores))})",
        )

    def settings(self) -> dict[str, Any]:
        """As files hold it: without ``scores`` if they are ``softmax``, so that earlier Ranviers read them."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("scores", "softmax")}

    def steps(self, clip_steps: int, layer: int) -> int:
        """Time steps for which layer number ``layer`` (0 = first) runs on a clip of ``clip_steps``."""
        return clip_steps + self.tail_steps * (1 if self.tail == "clip" else layer + 1)
