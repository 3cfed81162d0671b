"""Leaky integrate-and-fire neurons as a module."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ranvier import network
from ranvier.nn.decay import register_decay
from ranvier.nn.freezing import frozen_array
from ranvier.nn.settings import Settings, WithSettings
from ranvier.ops.lif import lif
from ranvier.ops.surrogate import SURROGATES, Surrogate


class LIF(WithSettings):
    """Leaky integrate-and-fire neurons with hard reset; see :func:`ranvier.ops.lif.lif` for the equation.

    Args:
        decay: share of the voltage kept per step, in [0, 1]; within (0, 1) if learned.
        threshold: voltage at which a neuron spikes, > 0.
        surrogate: ``arctan``, ``fast_sigmoid`` or ``triangle``.
        alpha: steepness of the surrogate, > 0.
        learn_decay: True learns the decay, one for the layer (PLIF); see :func:`ranvier.nn.decay.register_decay`.
        neurons: of the layer; not needed, as all share what they have.

    Raises:
        ValueError: an argument is out of range.
    """

    defined_by: ClassVar[Settings] = {"alpha": (), "surrogate": SURROGATES}
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
        learn_decay: bool = False,
        neurons: int | None = None,
    ) -> None:
        super().__init__()
        if not threshold > 0:
            raise ValueError(f"threshold: {threshold} is not allowed (above 0)")
        if surrogate not in SURROGATES:
            raise ValueError(f"surrogate: {surrogate!r} is not allowed ({', '.join(SURROGATES)})")
        if not alpha > 0:
            raise ValueError(f"alpha: {alpha} is not allowed (above 0)")
        self.surrogate: Surrogate = surrogate
        self.alpha = alpha
        register_decay(self, decay, learn=learn_decay)
        self.register_buffer("threshold", torch.tensor(float(threshold)))

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Spikes ``[time, batch, neuron]`` from a current of that shape; the state is the voltage after reset."""
        return lif(current, self.decay, self.threshold, state, surrogate=self.surrogate, alpha=self.alpha)

    def freeze(self, targets: int) -> network.LIF:
        """The frozen neurons, ``targets`` of them."""
        return network.LIF(frozen_array(self.decay, targets), frozen_array(self.threshold, targets))

    def extra_repr(self) -> str:
        return f"decay={self.decay:.4g}, threshold={self.threshold:.4g}, surrogate={self.surrogate}, alpha={self.alpha}"
