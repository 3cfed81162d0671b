"""Synaptic traces as a module."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from ranvier import network
from ranvier.nn.decay import learned, register_decay, shown
from ranvier.nn.freezing import frozen_array
from ranvier.ops.trace import trace


class Trace(nn.Module):
    """A synaptic trace of spikes; see :func:`ranvier.ops.trace.trace` for the equation.

    Args:
        decay: share of the trace kept in a step without a spike, in [0, 1]; within (0, 1) if learned.
        learn_decay: True learns it, one for the layer; see :func:`ranvier.nn.decay.register_decay`.

    Raises:
        ValueError: an argument is out of range.
    """

    freezes_to: ClassVar[type[network.Output]] = network.Trace
    decay: Tensor

    def __init__(self, decay: float, *, learn_decay: bool = False) -> None:
        super().__init__()
        register_decay(self, decay, learn=learn_decay, of="trace")

    def forward(self, spikes: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The trace ``[time, batch, neuron]`` of spikes of that shape; the state is its last step."""
        return trace(spikes, self.decay, state)

    def freeze(self, targets: int) -> network.Trace:
        """The frozen traces of ``targets`` neurons."""
        return network.Trace(frozen_array(self.decay, targets))

    def extra_repr(self) -> str:
        return f"decay={shown(self.decay)}{learned(self, 'decay')}"
