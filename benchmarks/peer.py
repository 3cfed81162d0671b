"""The paper's network as it is built today: PyPI's dcls, dense convolutions, a multi-step LIF that loops over time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from DCLS.construct.modules import Dcls1d
from torch import Tensor, nn

from ranvier.models import Stack
from ranvier.nn import class_scores
from ranvier.ops.integrator.reference import leaky_integrator
from ranvier.ops.lif.reference import lif

try:
    from spikingjelly.activation_based import neuron, surrogate
except ImportError:
    neuron = None


class PlainLIF(nn.Module):
    """Leaky integrate-and-fire as a loop of torch operations over time; voltages instead of spikes if ``silent``."""

    def __init__(self, decay: float, silent: bool = False) -> None:
        super().__init__()
        self.silent = silent
        self.register_buffer("decay", torch.tensor(decay))

    def forward(self, current: Tensor) -> Tensor:
        if self.silent:
            return leaky_integrator(current, self.decay, None)[0]
        return lif(current, self.decay, torch.ones_like(self.decay), None, surrogate="arctan", alpha=5.0)[0]


class JellyLIF(nn.Module):
    """SpikingJelly's LIFNode, as the official code sets it."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.node = neuron.LIFNode(
            tau=1 / (1 - decay),
            decay_input=False,
            v_threshold=1.0,
            v_reset=0.0,
            surrogate_function=surrogate.ATan(alpha=5.0),
            detach_reset=True,
            step_mode="m",
        )

    def forward(self, current: Tensor) -> Tensor:
        self.node.reset()
        spikes: Tensor = self.node(current)
        return spikes


class Peer(nn.Module):
    """140-hidden-hidden-20 with dcls's Gaussian delays; numbers as in ``ours``."""

    def __init__(self, ours: Stack, sigma: float, dropout: float) -> None:
        super().__init__()
        self.delays, self.norms, self.neurons = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.dropout = dropout
        decay = float(ours.readout.decay)
        for layer in ours.delay_layers:
            taps = layer.max_delay + 1
            delay = Dcls1d(
                layer.in_features, layer.out_features, 1, dilated_kernel_size=taps, bias=False, version="gauss"
            )
            with torch.no_grad():
                delay.weight.copy_(layer.weight.permute(1, 2, 0))
                delay.P.copy_(((taps - 1) - layer.delay - taps // 2).permute(1, 2, 0).unsqueeze(0))
                delay.SIG.fill_(sigma - 0.27)
            delay.SIG.requires_grad_(False)
            self.delays.append(delay)
        for block in ours.blocks:
            self.norms.append(nn.BatchNorm1d(block.linear.out_features))
            self.neurons.append(PlainLIF(decay) if neuron is None else JellyLIF(decay))
        self.neurons.append(PlainLIF(decay, silent=True))

    def _delayed(self, layer: Dcls1d, x: Tensor) -> Tensor:
        padded = F.pad(x.permute(1, 2, 0), (layer.dilated_kernel_size[0] - 1, 0))
        current: Tensor = layer(padded).permute(2, 0, 1)
        return current

    def scores(self, x: Tensor) -> Tensor:
        for delay, norm, neurons in zip(self.delays, self.norms, self.neurons, strict=False):
            current = self._delayed(delay, x)
            x = neurons(norm(current.flatten(0, 1)).view_as(current))
            # one mask per clip and neuron, as SpikingJelly's multi-step dropout draws it
            x = x * F.dropout(x.new_ones(x.shape[1:]), self.dropout, training=self.training)
        return class_scores(self.neurons[-1](self._delayed(self.delays[-1], x)))

    def clamp_delay(self) -> None:
        with torch.no_grad():
            for delay in self.delays:
                limit = delay.dilated_kernel_size[0] // 2
                delay.P.clamp_(-limit, limit)
