"""Adaptive leaky integrate-and-fire neurons as a module."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ranvier import network
from ranvier.nn.decay import shown
from ranvier.nn.freezing import frozen_array
from ranvier.nn.ranges import WithRanges
from ranvier.nn.settings import Settings, WithSettings
from ranvier.ops.adaptive_lif import EULERS, Euler, adaptive_lif
from ranvier.ops.surrogate import SURROGATES, Surrogate

Range = tuple[float, float]


class AdaptiveLIF(WithRanges, WithSettings):
    """Adaptive leaky integrate-and-fire neurons; see :func:`ranvier.ops.adaptive_lif.adaptive_lif` for the equation.

    Each neuron learns its two time constants, within a range, and how voltage and spikes drive its adaptation:

        tau = shortest + fraction (longest - shortest)        decay = exp(-1 / tau)        for the voltage and for w
        fraction in [0, 1]        a in [0, 1]        b in [0, 2]        a and b count scale times in the equation

    After a step of any of torch's optimisers they are brought back into their ranges.

    Args:
        neurons: of the layer.
        threshold: voltage at which a neuron spikes, > 0.
        tau_steps: shortest and longest membrane time constant in steps, > 0.
        adaptation_tau_steps: the same of the adaptation.
        scale: the paper's q, > 0. Where it is large and time constants are short, voltages oscillate without bound:
            see ``ops/adaptive_lif/README.md``.
        euler: ``symplectic`` or ``forward``.
        surrogate: ``arctan``, ``fast_sigmoid`` or ``triangle``.
        alpha: steepness of the surrogate, > 0.
        generator: randomness of the start; None takes torch's own.

    Shapes:
        tau_fraction, adaptation_tau_fraction, a and b ``[neuron]``, uniform in their ranges at the start.

    Raises:
        ValueError: an argument is out of range.

    Source: Baronig et al. 2024 (arXiv 2408.07517), whose official code has these defaults, there in steps of 4 ms.
    """

    defined_by: ClassVar[Settings] = {
        "alpha": (),
        "surrogate": SURROGATES,
        "euler": EULERS,
        "scale": (),
        "tau_min": (),
        "tau_max": (),
        "adaptation_tau_min": (),
        "adaptation_tau_max": (),
    }
    freezes_to: ClassVar[type[network.Neuron]] = network.AdaptiveLIF
    threshold: Tensor
    tau_fraction: Tensor
    adaptation_tau_fraction: Tensor
    a: Tensor
    b: Tensor

    def __init__(
        self,
        neurons: int,
        threshold: float = 1.0,
        *,
        tau_steps: Range = (5.0, 25.0),
        adaptation_tau_steps: Range = (60.0, 300.0),
        scale: float = 120.0,
        euler: Euler = "symplectic",
        surrogate: Surrogate = "arctan",
        alpha: float = 5.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("neurons", neurons), ("threshold", threshold), ("scale", scale), ("alpha", alpha)):
            if not value > 0:
                raise ValueError(f"{name}: {value} is not allowed (above 0)")
        for name, (low, high) in (("tau_steps", tau_steps), ("adaptation_tau_steps", adaptation_tau_steps)):
            if not 0 < low <= high < 1e6:
                raise ValueError(f"{name}: {low} ... {high} is not allowed (above 0, rising, below 1e6 steps)")
        for name, text, choices in (("euler", euler, EULERS), ("surrogate", surrogate, SURROGATES)):
            if text not in choices:
                raise ValueError(f"{name}: {text!r} is not allowed ({', '.join(choices)})")
        self.tau_min, self.tau_max = tau_steps
        self.adaptation_tau_min, self.adaptation_tau_max = adaptation_tau_steps
        self.scale, self.alpha = scale, alpha
        self.euler: Euler = euler
        self.surrogate: Surrogate = surrogate
        self.register_buffer("threshold", torch.tensor(float(threshold)))
        for name, (low, high) in self.ranges().items():
            start = torch.empty(neurons).uniform_(low, high, generator=generator)
            self.register_parameter(name, nn.Parameter(start))
        self.mark_ranges()

    def ranges(self) -> dict[str, tuple[float, float]]:
        return {"tau_fraction": (0, 1), "adaptation_tau_fraction": (0, 1), "a": (0, 1), "b": (0, 2)}

    def values(self) -> dict[str, Tensor]:
        """What :func:`ranvier.ops.adaptive_lif.adaptive_lif` takes, each ``[neuron]``."""
        tau = self.tau_min + (self.tau_max - self.tau_min) * self.tau_fraction
        longer = self.adaptation_tau_max - self.adaptation_tau_min
        return {
            "decay": torch.exp(-1 / tau),
            "adaptation_decay": torch.exp(-1 / (self.adaptation_tau_min + longer * self.adaptation_tau_fraction)),
            "a": self.scale * self.a,
            "b": self.scale * self.b,
            "threshold": self.threshold.expand_as(self.a),
        }

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Spikes ``[time, batch, neuron]`` from a current of that shape; the state is ``[batch, 3, neuron]``."""
        values = self.values()
        return adaptive_lif(
            current,
            values["decay"],
            values["adaptation_decay"],
            values["a"],
            values["b"],
            self.threshold,
            state,
            euler=self.euler,
            surrogate=self.surrogate,
            alpha=self.alpha,
        )

    @torch.no_grad()
    def freeze(self, targets: int) -> network.AdaptiveLIF:
        """The frozen neurons, of which there have to be ``targets``."""
        arrays = {name: frozen_array(value) for name, value in self.values().items()}
        return network.AdaptiveLIF(self.euler, **arrays)

    def extra_repr(self) -> str:
        values = ("decay", "adaptation_decay", "threshold")
        with torch.no_grad():
            now = {**self.values(), "threshold": self.threshold}
        return (
            f"neurons={len(self.a)}, {', '.join(f'{name}={shown(now[name])}' for name in values)}, "
            f"tau_steps=({self.tau_min:g}, {self.tau_max:g}), "
            f"adaptation_tau_steps=({self.adaptation_tau_min:g}, {self.adaptation_tau_max:g}), scale={self.scale:g}, "
            f"euler={self.euler}, surrogate={self.surrogate}, alpha={self.alpha}"
        )
