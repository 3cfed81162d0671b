"""Checkpoints of the official DCLS-Delays code (Hammouamri et al. 2024): what that code saves and loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.parts import check_plain, dense
from ranvier.export.target import ExportError, Target
from ranvier.files import write_atomically
from ranvier.network import LIF, Layer, Network

_EPS = 1e-5  # of batch norm, as torch has it


@dataclass(frozen=True, eq=False)
class SnnDelaysCheckpoint:
    """A checkpoint, and what the official code takes from its configuration.

    Attributes:
        state_dict: arrays by the names of the published code (commit d169b4e): layer i has ``{weight,P,SIG}`` under
            ``model.(4 i)`` and batch norm under ``model.(4 i + 1)``.
        taps: the official ``max_delay``, K.
        decay: share of the voltage kept per time step; the official ``init_tau`` is ``time_step / (1 - decay)``.
        threshold: the official ``v_threshold``.
    """

    state_dict: dict[str, NDArray[Any]]
    taps: int
    decay: float
    threshold: float


def to_snn_delays(network: Network) -> SnnDelaysCheckpoint:
    """The network as a checkpoint of the official code, which :func:`ranvier.models.from_dcls_checkpoint` reads.

    Weights stay as they are, ``P = (K - 1) - K // 2 - delay``, ``SIG = 0``. Biases become the shift of a batch norm
    that leaves all else as it is: mean 0, scale 1, and a variance that is 1 with torch's epsilon. Where layers have
    fewer synapses per pair than others, synapses of weight 0 are added.

    Args:
        network: a chain of ``Dense`` or ``Sparse`` and ``LIF`` with one decay and one threshold, without bias in
            the readout, and ``Decoding("per_layer")`` with ``(K - 1) // 2`` time steps, as the official code pads; set
            another with ``dataclasses.replace(network, decoding=...)``.

    Raises:
        ExportError: it is something else; the message names the place.
    """
    check_plain(network, "the official code")
    source = "input"
    for number, layer in enumerate(network.layers):
        sources = [made.source for made in layer.inputs]
        if sources != [source]:
            raise ExportError(f"layers.{number}.inputs", f"from {sources}", f"one connection, from {source}")
        source = layer.name
    last = len(network.layers) - 1
    if network.layers[last].bias.any():
        raise ExportError(f"layers.{last}.bias", fault="values other than 0 are not allowed in the readout")
    decay = _one_value(network, "decay")
    threshold = _one_value(network, "threshold") if last else 1.0
    taps, most = _taps(network), max(dense(layer.inputs[0]).synapses_per_pair for layer in network.layers)
    state: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(network.layers):
        for (place, name), value in _block(layer, taps, most).items():
            state[f"model.{4 * number + place}.{name}"] = value
    return SnnDelaysCheckpoint(state, taps, decay, threshold)


def _one_value(network: Network, name: str) -> float:
    first: float | None = None
    for number, layer in enumerate(network.layers):
        values = layer.neuron.arrays().get(name, np.empty(0))
        for value in np.unique(values).tolist():
            if first is not None and value != first:
                raise ExportError(f"layers.{number}.neuron.{name}", value, f"{first}, one for the whole network")
            first = value
    assert first is not None
    return first


def _taps(network: Network) -> int:
    """K, of which the file's readers have to know: as many taps as the longest delay asks for and the tail says."""
    decoding = network.decoding
    longest = max(int(dense(layer.inputs[0]).delay_steps.max()) for layer in network.layers)
    said = [2 * decoding.tail_steps + 1, 2 * decoding.tail_steps + 2]
    fitting = [taps for taps in (network.max_delay + 1, *said) if taps in said and taps > longest]
    if decoding.scores != "softmax":
        raise ExportError("decoding.scores", decoding.scores, "softmax")
    if decoding.tail != "per_layer" or not fitting:
        allowed = f"per_layer, {longest // 2} time steps or more: (K - 1) // 2, for delays up to K - 1 = {longest}"
        raise ExportError("decoding", f"{decoding.tail}, {decoding.tail_steps} time steps", allowed)
    return fitting[0]


def _block(layer: Layer, taps: int, synapses_per_pair: int) -> dict[tuple[int, str], NDArray[Any]]:
    """Arrays by the module's place in the block, 0 for weights and 1 for batch norm, and their names."""
    made = dense(layer.inputs[0])
    more = ((0, synapses_per_pair - made.synapses_per_pair), (0, 0), (0, 0))
    weight = np.pad(made.weight, more).transpose(1, 2, 0)
    delay_steps = np.pad(made.full_delay_steps, more).transpose(1, 2, 0)
    position = ((taps - 1) - taps // 2 - delay_steps.astype(np.int64)).astype(np.float32)[None]
    block: dict[tuple[int, str], NDArray[Any]] = {
        (0, "weight"): np.ascontiguousarray(weight),
        (0, "P"): position,
        (0, "SIG"): np.zeros_like(position),
    }
    if isinstance(layer.neuron, LIF):
        ones = np.ones(layer.targets, np.float32)
        block |= {
            (1, "weight"): ones,
            (1, "bias"): layer.bias.astype(np.float32),
            (1, "running_mean"): np.zeros_like(ones),
            (1, "running_var"): (ones - np.float32(_EPS)).astype(np.float32),
            (1, "num_batches_tracked"): np.array(0, np.int64),
        }
    return block


def _write(network: Network, path: Path) -> None:
    import torch  # a checkpoint is a file of torch's own

    state = to_snn_delays(network).state_dict
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
    with write_atomically(path) as temporary:
        torch.save(tensors, temporary)


TARGET = Target("snn-delays", "a checkpoint of the official DCLS-Delays code (torch)", ".pt", _write)
