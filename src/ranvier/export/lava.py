"""Lava's network exchange (``lava.lib.dl.netx``): HDF5 files of dense layers of CUBA neurons, as on Loihi."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.parts import dense
from ranvier.export.target import ExportError, Target
from ranvier.files import write_atomically
from ranvier.network import Dense, IntegerIntegrator, IntegerLIF, Layer, Network, Sparse
from ranvier.network.rules import DECAY_ONE

MAX_DELAY = 62  # time steps, Loihi's
_MAX_THRESHOLD = 2**17 - 1  # mantissa of 17 bits
_BIAS = (-(2**12), 2**12 - 1)  # mantissa of 13 bits


def to_lava(network: Network) -> dict[str, NDArray[Any]]:
    """The datasets of a Lava NetX file, by their HDF5 names ``layer/0/weight`` and so on.

    For each layer ``type``, ``shape``, ``inFeatures``, ``outFeatures``, ``weight [target, source]``,
    ``delay [target, source]`` in time steps, ``bias [target]`` and
    ``neuron/{type, iDecay, vDecay, vThMant, refDelay}``, with ``iDecay`` = 4096 (no current is kept), ``vDecay`` = 4096
    - decay and ``vThMant`` = threshold - 1, as Loihi spikes above its threshold and we from ours on. Values that are
    one for the layer are scalars.

    Weights, biases and thresholds are ours. Loihi keeps 6 more bits of a voltage than an ``IntegerLIF``, so a spike may
    differ where a decayed voltage is rounded; where every decay is 0, none does. A layer runs one time step after the
    one before. The file does not hold the length of a time step, input, classes and decoding; a readout of voltages is
    a layer with the highest threshold, 131071, whose voltages have to be read.

    Args:
        network: in integers, each layer with one dense or sparse connection from the layer before.

    Raises:
        ExportError: it is not in integers, not a chain, or has a delay above 62 or a value beyond Loihi's bits.
    """
    sources = ["input", *(layer.name for layer in network.layers)]
    # first what no quantisation changes
    made = [_connection(layer, f"layers.{n}", sources[n]) for n, layer in enumerate(network.layers)]
    if not network.integer:
        fault = "float32 weights are not allowed (int8; quantise the network first)"
        raise ExportError("layers.0.inputs.0", fault=fault)
    found: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(network.layers):
        datasets = _datasets(layer, made[number], number)
        found |= {f"layer/{number}/{name}": np.asarray(value) for name, value in datasets.items()}
    return found


def _connection(layer: Layer, place: str, source: str) -> Dense:
    if len(layer.inputs) != 1 or layer.inputs[0].source != source:
        sources = [made.source for made in layer.inputs]
        raise ExportError(f"{place}.inputs", f"from {sources}", f"one connection, from {source}")
    if type(layer.inputs[0]) not in (Dense, Sparse):
        raise ExportError(f"{place}.inputs.0", layer.inputs[0].kind, "dense, sparse")
    made = dense(layer.inputs[0])
    if made.synapses_per_pair != 1:
        raise ExportError(f"{place}.inputs.0", f"{made.synapses_per_pair} synapses a pair", "1")
    longest = int(made.synapses().delay_steps.max(initial=0))
    if longest > MAX_DELAY:
        raise ExportError(f"{place}.inputs.0.delay_steps", longest, f"0 ... {MAX_DELAY} time steps on Loihi")
    return made


def _datasets(layer: Layer, made: Dense, number: int) -> dict[str, Any]:
    place = f"layers.{number}"
    if type(layer.neuron) is IntegerLIF:
        threshold = layer.neuron.threshold.astype(np.int64) - 1
    elif type(layer.neuron) is IntegerIntegrator:
        threshold = np.full(layer.targets, _MAX_THRESHOLD)
    else:
        raise ExportError(f"{place}.neuron", layer.neuron.kind, "integer_lif, integer_integrator")
    _check_range(f"{place}.neuron.threshold", threshold + 1, 1, _MAX_THRESHOLD + 1)
    _check_range(f"{place}.bias", layer.bias, *_BIAS)
    weight = made.weight[0]
    delay_steps = np.where(weight != 0, made.full_delay_steps[0], np.int16(0))
    return {
        "type": np.array([b"dense"], "S10"),
        "shape": np.array([made.targets]),
        "inFeatures": made.sources,
        "outFeatures": made.targets,
        "weight": weight.astype(np.int32),
        "delay": delay_steps.astype(np.int32),
        "bias": layer.bias.astype(np.int32),
        "neuron/type": np.bytes_(b"CUBA"),
        "neuron/iDecay": DECAY_ONE,
        "neuron/vDecay": _shared(DECAY_ONE - layer.neuron.arrays()["decay"].astype(np.int32)),
        "neuron/vThMant": _shared(threshold.astype(np.int32)),
        "neuron/refDelay": 1,
    }


def _check_range(place: str, values: NDArray[Any], low: int, high: int) -> None:
    if values.min() < low or values.max() > high:
        raise ExportError(place, f"{values.min()} ... {values.max()}", f"{low} ... {high} on Loihi")


def _shared(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """One value where all are the same."""
    return values[:1].reshape(()) if (values == values[0]).all() else values


def _write(network: Network, path: Path) -> None:
    import h5py

    datasets = to_lava(network)
    with write_atomically(path) as temporary, h5py.File(temporary, "w") as file:
        for name, value in datasets.items():
            file.create_dataset(name, data=value)


TARGET = Target("lava", "a Lava NetX file (HDF5) of an integer network, for Loihi", ".net", _write)
