"""Checkpoints of the official DCLS-Delays code, as our model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from ranvier.models.feedforward import feedforward
from ranvier.models.stack import Stack
from ranvier.network import Decoding
from ranvier.nn import LIF, DelayLinear, Integrator, SequenceBatchNorm
from ranvier.ops.dense import Kernel

_KEY = re.compile(r"blocks\.(\d+)\.(0\.0|0\.1|1\.0)\.(\w+)")
_PARTS = {"0.0": "linear", "0.1": "norm", "1.0": "neuron"}
_FLAT_KEY = re.compile(r"(model\.\d+)\.(\w+)")


@torch.no_grad()
def from_dcls_checkpoint(
    state_dict: Mapping[str, Tensor],
    *,
    taps: int,
    decay: float | None = None,
    threshold: float = 1.0,
    dropout: float = 0.0,
    alpha: float = 5.0,
    kernel: Kernel = "gaussian",
) -> Stack:
    """Build a model from a checkpoint of the official code.

    It has the layers' ``{weight,P,SIG}`` and batch norm under ``model.0``, ``model.1``, ``model.4``, ``model.5`` and so
    on (commit d169b4e), or under ``blocks.i.0.0`` and ``blocks.i.0.1``. With PLIF neurons (SpikingJelly's
    ParametricLIFNode) it has a ``w`` for every layer, the readout's too, under ``model.2``, ``model.6`` and so on, or
    ``blocks.i.1.0``: a step keeps ``1 - sigmoid(w)`` of the voltage, which training may go on learning.

    Position P of K taps becomes ``delay = (K - 1) - (P + K // 2)``; the width becomes ``sigma = |SIG| + 0.27``
    (``|SIG|`` for the triangle, dcls version ``max``). The model pads every layer with ``(K - 1) // 2`` steps as the
    official code does (``tail = "per_layer"``).

    Args:
        state_dict: as ``torch.load(path, weights_only=True)`` gives it; keys that repeat the blocks' under
            ``model.`` are passed over.
        taps: K, the official ``max_delay`` (SHD 25, SSC and GSC 31); the file does not say it.
        decay: share of the voltage kept per step; the official tau (in steps) means ``1 - 1 / tau``. None for PLIF,
            whose decays the file holds.
        threshold, dropout, alpha: of the official configuration; the file does not hold them.
        kernel: ``gaussian`` for dcls version ``gauss``, ``triangle`` for ``max`` and ``v1``.

    Returns:
        A :class:`Stack` in training mode.

    Raises:
        ValueError: keys or shapes are not those of the official network, the message names them; or decay is given
            and the file holds decays, or neither.
    """
    parts = _parts(state_dict)
    weights = [tensors["linear.weight"] for tensors in parts]
    learned = [tensors["neuron.w"] for tensors in parts if "neuron.w" in tensors]
    if (decay is None) != bool(learned):
        allowed = "None: the file holds the decays" if learned else "a number: the file does not hold it"
        raise ValueError(f"decay: {decay} is not allowed ({allowed})")
    model = feedforward(
        weights[0].shape[1],
        [weight.shape[0] for weight in weights[:-1]],
        weights[-1].shape[0],
        taps - 1,
        decay=0.5 if decay is None else decay,
        dropout=dropout,
        connection=partial(DelayLinear, synapses_per_pair=weights[0].shape[2], kernel=kernel),
        neuron=partial(LIF, threshold=threshold, alpha=alpha, learn_decay=bool(learned)),
        readout=partial(Integrator, learn_decay=bool(learned)),
        decoding=Decoding(tail="per_layer", tail_steps=(taps - 1) // 2),
    )
    layers = [layer for layer in model.delay_layers if isinstance(layer, DelayLinear)]
    for layer, tensors in zip(layers, parts, strict=True):
        _load_layer(layer, tensors, taps)
    norms = [module for module in model.modules() if isinstance(module, SequenceBatchNorm)]
    for own, tensors in zip(norms, parts, strict=False):
        norm = {key.removeprefix("norm."): value for key, value in tensors.items() if key.startswith("norm.")}
        own.load_state_dict(norm, strict=False)
    neurons = [module for module in model.modules() if isinstance(module, LIF | Integrator)]
    for neuron, w in zip(neurons, learned, strict=bool(learned)):
        neuron.get_parameter("parametrizations.decay.original").copy_(w)
    return model


def _parts(state_dict: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The tensors of each block, from input to readout, as ``linear.*`` and ``norm.*``."""
    blocks: dict[int, dict[str, Tensor]] = {}
    for key, value in _by_block(state_dict).items():
        if match := _KEY.fullmatch(key):
            blocks.setdefault(int(match[1]), {})[f"{_PARTS[match[2]]}.{match[3]}"] = value
        elif not key.startswith("model."):
            raise ValueError(
                f"state_dict: key {key!r} is not one of the official network's (blocks.i.0.0, .0.1 and .1.0)"
            )
    if sorted(blocks) != list(range(len(blocks))) or not blocks:
        raise ValueError(f"state_dict: blocks {sorted(blocks)} found (0, 1, ... without a gap allowed)")
    parts = [blocks[i] for i in range(len(blocks))]
    plif = any("neuron.w" in tensors for tensors in parts)
    for number, tensors in enumerate(parts):
        wanted = {"linear.weight", "linear.P"} | ({"neuron.w"} if plif else set())
        if number < len(parts) - 1:
            wanted |= {"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}
        if missing := wanted - set(tensors):
            raise ValueError(f"state_dict: block {number} lacks {', '.join(sorted(missing))}")
    return parts


def _by_block(state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The names ``blocks.i.0.0``, ``.0.1`` and ``.1.0``; where there are none, made of those of the flat ``model``."""
    if any(key.startswith("blocks.") for key in state_dict):
        return state_dict
    matches = {key: match for key in state_dict if (match := _FLAT_KEY.fullmatch(key))}
    layers = sorted(int(match[1].removeprefix("model.")) for match in matches.values() if match[2] == "P")
    names: dict[str, str] = {}
    for number, place in enumerate(layers):  # the last layer has no batch norm
        for offset, part in enumerate(_PARTS if number < len(layers) - 1 else ("0.0", "1.0")):
            names[f"model.{place + offset}"] = f"blocks.{number}.{part}"
    named = {}
    for key, value in state_dict.items():
        if key not in matches or matches[key][1] not in names:
            raise ValueError(f"state_dict: key {key!r} is not one of the official network's (model.N of layers with P)")
        named[f"{names[matches[key][1]]}.{matches[key][2]}"] = value
    return named


def _load_layer(layer: DelayLinear, tensors: Mapping[str, Tensor], taps: int) -> None:
    position = tensors["linear.P"][0]
    layer.weight.copy_(tensors["linear.weight"].permute(2, 0, 1))
    layer.delay.copy_(((taps - 1) - (position + taps // 2)).permute(2, 0, 1))
    layer.clamp_delay()
    if "linear.SIG" in tensors:
        width = tensors["linear.SIG"].abs()
        if not torch.all(width == width.flatten()[0]):
            raise ValueError("state_dict: SIG differs within a layer (one width per layer allowed)")
        layer.set_sigma(float(width.flatten()[0]) + (0.27 if layer.kernel == "gaussian" else 0.0))
    elif layer.kernel == "triangle":
        layer.set_sigma(0.0)
