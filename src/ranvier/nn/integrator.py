"""The output layer: a membrane that never spikes, and the class scores read from it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ranvier import network
from ranvier.nn.decay import Learn, register_decay, shown
from ranvier.nn.freezing import frozen_array
from ranvier.ops.inputs import clip_lengths, over_time
from ranvier.ops.integrator import leaky_integrator


class Integrator(nn.Module):
    """Leaky integrators that never spike: v[t] = decay * v[t-1] + current[t].

    Args:
        decay: share of the voltage kept per step, in [0, 1]; within (0, 1) if learned.
        learn_decay: True or ``layer`` learns the decay, one for the layer, ``neuron`` one for each; see
            :func:`ranvier.nn.decay.register_decay`.
        neurons: of the layer, needed where each learns its own.

    Raises:
        ValueError: decay is out of range.
    """

    freezes_to: ClassVar[type[network.Neuron]] = network.Integrator
    decay: Tensor

    def __init__(self, decay: float, *, learn_decay: Learn = False, neurons: int | None = None) -> None:
        super().__init__()
        register_decay(self, decay, learn=learn_decay, neurons=neurons)

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Voltages ``[time, batch, class]`` from a current of that shape; the state is the last voltage."""
        return leaky_integrator(current, self.decay, state)

    def freeze(self, targets: int) -> network.Integrator:
        """The frozen membranes, ``targets`` of them."""
        return network.Integrator(frozen_array(self.decay, targets))

    def extra_repr(self) -> str:
        return f"decay={shown(self.decay)}"


def class_scores(voltage: Tensor, steps: Tensor | None = None) -> Tensor:
    """r = sum over t < steps of softmax(v[t]): a clip's own steps and its tail, whatever its batch is padded to.

    Args:
        voltage: ``[time, batch, class]``.
        steps: ``[batch]``, steps of each clip that count, in [0, time]; None counts all.

    Returns:
        Scores ``[batch, class]``; they sum to ``steps``.

    Raises:
        ValueError: a shape, a type or a number of steps does not fit.

    Source: arXiv 2306.17670, section 3.3.
    """
    share = over_time("voltage", voltage, voltage, "class").softmax(-1)
    if steps is not None:
        steps = clip_lengths("steps", steps, voltage)
        time = torch.arange(len(voltage), device=voltage.device).unsqueeze(-1)
        share = share * (time < steps).unsqueeze(-1)
    return share.sum(0)
