"""Leaky integrate-and-fire neurons as a module."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ranvier import network
from ranvier.nn.decay import Learn, learned, register_decay, shown, start_value
from ranvier.nn.freezing import frozen_array
from ranvier.nn.ranges import WithRanges
from ranvier.nn.settings import Settings, WithSettings
from ranvier.ops.lif import RESETS, Reset, lif
from ranvier.ops.surrogate import SURROGATES, Surrogate


class LIF(WithRanges, WithSettings):
    """Leaky integrate-and-fire neurons; see :func:`ranvier.ops.lif.lif` for the equation.

    Args:
        decay: share of the voltage kept per step, in [0, 1]; within (0, 1) if learned.
        threshold: voltage at which a neuron spikes, > 0.
        surrogate: ``arctan``, ``fast_sigmoid`` or ``triangle``.
        alpha: steepness of the surrogate, > 0.
        learn_decay: True or ``layer`` learns the decay, one for the layer (PLIF), ``neuron`` one for each; see
            :func:`ranvier.nn.decay.register_decay`.
        learn_threshold: the same for the threshold. After a step of any of torch's optimisers it is brought back to
            1/100 of its start or more.
        neurons: of the layer, needed where each learns its own.
        reset: ``zero`` (hard): a spike sets the voltage to 0; ``subtract`` (soft): it takes the threshold off.

    Raises:
        ValueError: an argument is out of range.
    """

    defined_by: ClassVar[Settings] = {"alpha": (), "surrogate": SURROGATES, "reset": RESETS}
    freezes_to: ClassVar[type[network.Neuron]] = network.LIF
    decay: Tensor
    threshold: Tensor

    def __init__(
        self,
        decay: float,
        threshold: float = 1.0,
        *,
        surrogate: Surrogate = "arctan",
        alpha: float = 5.0,
        learn_decay: Learn = False,
        learn_threshold: Learn = False,
        neurons: int | None = None,
        reset: Reset = "zero",
    ) -> None:
        super().__init__()
        if not threshold > 0:
            raise ValueError(f"threshold: {threshold} is not allowed (above 0)")
        if surrogate not in SURROGATES:
            raise ValueError(f"surrogate: {surrogate!r} is not allowed ({', '.join(SURROGATES)})")
        if reset not in RESETS:
            raise ValueError(f"reset: {reset!r} is not allowed ({', '.join(RESETS)})")
        if not alpha > 0:
            raise ValueError(f"alpha: {alpha} is not allowed (above 0)")
        self.surrogate: Surrogate = surrogate
        self.alpha = alpha
        self.reset: Reset = reset
        register_decay(self, decay, learn=learn_decay, neurons=neurons)
        self._lowest = None if learn_threshold is False else threshold / 100
        if learn_threshold is False:
            self.register_buffer("threshold", torch.tensor(float(threshold)))
        else:
            self.threshold = nn.Parameter(start_value("threshold", threshold, learn_threshold, neurons))
        self.mark_ranges()

    def ranges(self) -> dict[str, tuple[float, float]]:
        return {} if self._lowest is None else {"threshold": (self._lowest, float("inf"))}

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Spikes ``[time, batch, neuron]`` from a current of that shape; the state is the voltage after reset."""
        return lif(
            current,
            self.decay,
            self.threshold,
            state,
            surrogate=self.surrogate,
            alpha=self.alpha,
            reset=self.reset,
        )

    def freeze(self, targets: int) -> network.LIF | network.SoftResetLIF:
        """The frozen neurons, ``targets`` of them."""
        kind = network.LIF if self.reset == "zero" else network.SoftResetLIF
        return kind(frozen_array(self.decay, targets), frozen_array(self.threshold, targets))

    def extra_repr(self) -> str:
        return (
            f"decay={shown(self.decay)}, threshold={shown(self.threshold)}, surrogate={self.surrogate}, "
            f"alpha={self.alpha}, reset={self.reset}{learned(self, 'decay', 'threshold')}"
        )
