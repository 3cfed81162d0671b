"""From a trained model to a frozen network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ranvier.models.feedforward import Feedforward
from ranvier.network import Input, Layer, Network
from ranvier.nn import DelayLinear, SequenceBatchNorm


def freeze(model: Feedforward, *, dt_ms: float, classes: Sequence[str], input: Input) -> Network:
    """Round the delays to whole steps and fold batch normalisation into weights and biases.

    The model is only read; the network holds copies.

    Args:
        model: any state of training.
        dt_ms: length of a step in ms.
        classes: names of the output neurons.
        input: how raw events become the model's input.

    Returns:
        A network that spikes as ``model.eval()`` does.
    """
    layers = [
        _freeze_layer(
            block.linear,
            block.norm,
            decay=block.neuron.decay,
            threshold=block.neuron.threshold,
            synapse_decay=None if block.synapse is None else block.synapse.decay,
        )
        for block in model.hidden
    ]
    never = torch.tensor(torch.inf)
    layers.append(_freeze_layer(model.linear, None, decay=model.readout.decay, threshold=never))
    return Network(dt_ms=dt_ms, layers=tuple(layers), classes=tuple(classes), input=input, readout=model.ending)


@torch.no_grad()
def _freeze_layer(
    linear: DelayLinear,
    norm: SequenceBatchNorm | None,
    *,
    decay: Tensor,
    threshold: Tensor,
    synapse_decay: Tensor | None = None,
) -> Layer:
    targets = linear.out_features
    # folded in double precision, so that the only rounding is the last one
    weight = linear.weight.double()
    bias = weight.new_zeros(targets) if linear.bias is None else linear.bias.double()
    if norm is not None:
        assert norm.running_var is not None  # ours always tracks its statistics
        assert norm.running_mean is not None
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = weight * scale.unsqueeze(-1)
        bias = (bias - norm.running_mean.double()) * scale + norm.bias.double()

    def array(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return tensor.float().cpu().numpy().copy()

    return Layer(
        weight=array(weight),
        delay_steps=linear.delay_steps().cpu().numpy().copy(),
        bias=array(bias),
        decay=array(decay.expand(targets)),
        threshold=array(threshold.expand(targets)),
        max_delay=linear.max_delay,
        synapse_decay=None if synapse_decay is None else array(synapse_decay.expand(targets)),
    )
