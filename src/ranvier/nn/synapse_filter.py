"""Stateful synapses as a module."""

from __future__ import annotations

from torch import Tensor, nn

from ranvier.nn.decay import register_decay
from ranvier.ops.synapse_filter import synapse_filter


class SynapseFilter(nn.Module):
    """Synapses that go on hearing a spike; see :func:`ranvier.ops.synapse_filter.synapse_filter` for the equation.

    Args:
        decay: share of the trace kept in a step without a spike, in [0, 1]; within (0, 1) if learned.
        learn_decay: True learns it, one for the layer; see :func:`ranvier.nn.decay.register_decay`.

    Raises:
        ValueError: an argument is out of range.
    """

    decay: Tensor

    def __init__(self, decay: float, *, learn_decay: bool = False) -> None:
        super().__init__()
        register_decay(self, decay, learn=learn_decay, of="trace")

    def forward(self, spikes: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The trace ``[time, batch, neuron]`` of spikes of that shape; the state is its last step."""
        return synapse_filter(spikes, self.decay, state)

    def extra_repr(self) -> str:
        return f"decay={self.decay:.4g}"
