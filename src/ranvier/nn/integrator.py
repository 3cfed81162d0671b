"""The output layer: a membrane that never spikes, and the class scores read from it."""

from __future__ import annotations

from typing import ClassVar, get_args

import torch
from torch import Tensor, nn

from ranvier import network
from ranvier.nn.decay import Learn, learned, register_decay, shown
from ranvier.nn.freezing import frozen_array
from ranvier.ops.inputs import clip_lengths, over_time
from ranvier.ops.integrator import leaky_integrator

_SCORES: tuple[str, ...] = get_args(network.Scores)


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
        return f"decay={shown(self.decay)}{learned(self, 'decay')}"


def class_scores(voltage: Tensor, steps: Tensor | None = None, scores: network.Scores = "softmax") -> Tensor:
    """Scores from the voltages of a clip's own steps and its tail, whatever its batch is padded to.

    A recipe's loss is the cross entropy of the scores; of their mean over time if ``sum``, and of 10 times the mean
    rates, ``10 * count / steps``, if ``count``. Plain numbers of spikes, the logits of snnTorch's ``ce_count_loss``,
    grow with a clip's length: at the start of a training they are tens apart, and all classes are silenced first. A
    cross entropy of plain rates (SpikingJelly's examples take their squared error) cannot fall below
    log(1 + (classes - 1) / e).

    Args:
        voltage: ``[time, batch, class]``; of ``count`` the spikes, 1 or 0, whose gradient is that of their surrogate.
        steps: ``[batch]``, steps of each clip that count, in [0, time]; None counts all.
        scores: which, see :class:`ranvier.network.Decoding`. A clip without steps has scores of 0, as the lowest
            number if ``max``.

    Returns:
        Scores ``[batch, class]``; those of ``softmax`` sum to ``steps``.

    Raises:
        ValueError: a shape, a type, a name or a number of steps does not fit.
    """
    if scores not in _SCORES:
        raise ValueError(f"scores: {scores!r} is not allowed ({', '.join(_SCORES)})")
    voltage = over_time("voltage", voltage, voltage, "class")
    steps = torch.full(voltage.shape[1:2], len(voltage)) if steps is None else steps
    steps = clip_lengths("steps", steps, voltage)
    time = torch.arange(len(voltage), device=voltage.device).unsqueeze(-1)
    if scores == "max":
        lowest = max(torch.finfo(voltage.dtype).min, torch.finfo(torch.float32).min)
        before = voltage.new_full((1, *voltage.shape[1:]), lowest)
        outside = (time >= steps).unsqueeze(-1)
        return torch.cat([before, voltage.masked_fill(outside, lowest)]).amax(0)
    counted = time == steps - 1 if scores == "last" else time < steps
    share = voltage.softmax(-1) if scores == "softmax" else voltage
    return (share * counted.unsqueeze(-1)).sum(0)
