"""From a network of floats to one of integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from reprlib import repr as short
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ranvier.network.dense import Dense
from ranvier.network.integer_integrator import MAX_SCALE, MIN_SCALE, IntegerIntegrator
from ranvier.network.integer_lif import IntegerLIF
from ranvier.network.integrator import Integrator
from ranvier.network.layer import Layer
from ranvier.network.lif import LIF
from ranvier.network.network import Network
from ranvier.network.part import Connection
from ranvier.network.rules import DECAY_ONE, MAX_INT32, NetworkError, is_whole, require
from ranvier.network.sparse import Sparse, smallest

WeightBits = Literal[8, 4, "ternary"]
LEVELS: dict[WeightBits, int] = {8: 127, 4: 7, "ternary": 1}
_STEP: dict[WeightBits, int] = {8: 1, 4: 16, "ternary": 64}
SHARES = np.concatenate([np.geomspace(0.2, 1, 40), [1.1, 1.25]])  # shares of the largest weight tried as the range

F64 = NDArray[np.float64]


def quantize(
    network: Network,
    *,
    weight_bits: WeightBits = 8,
    delay_bits: int | None = None,
    activity: Mapping[str, NDArray[np.float64]] | None = None,
) -> Network:
    """The network in integers, which every runner computes alike to the bit.

    A weight is a whole number of steps, whose size each hidden neuron has for itself (its spikes do not depend on it:
    threshold and bias are counted in the same steps), a readout whose spikes are counted too, and one of voltages as
    one power of two. The size is the one that
    leaves the smallest squared error of the current, where a source counts by its activity. Decays are rounded to
    1/4096. Weights of 4 bits are stored as int8 in multiples of 16, ternary ones of 64, so that thresholds, biases and
    voltages are finer than a weight's step.

    Args:
        network: of floats: dense and sparse connections, LIF neurons, an integrator unless spikes are counted, no
            traces.
        weight_bits: 8 (-127 ... 127), 4 (-7 ... 7) or ``"ternary"`` (-1, 0, 1) steps.
        delay_bits: delays take at most 2^bits values, in [1, 15]; None leaves them as they are. Where there are more,
            they go to the nearest of as many values, evenly spaced from the shortest to the longest of the connection.
        activity: events per time step of every source, ``{"input": [source], "hidden_1": [neuron], ...}``, as
            :func:`ranvier.engine.activity` measures; None counts all sources alike.

    Raises:
        NetworkError: a part has no integer form, or a value is out of range; the message names it.
    """
    require(weight_bits in LEVELS, f"weight_bits: {short(weight_bits)} is not allowed (8, 4, ternary)")
    return _each_layer(with_delay_bits(network, delay_bits), lambda layer: _quantized(layer, weight_bits, activity))


def with_delay_bits(network: Network, bits: int | None) -> Network:
    """The network with its delays on at most 2^bits values a connection, as :func:`quantize` rounds them.

    Raises:
        NetworkError: a connection is neither dense nor sparse, or ``bits`` is out of range.
    """
    require(bits is None or is_whole(bits, 1, 15), f"delay_bits: {short(bits)} is not allowed (1 ... 15)")
    return _each_layer(network, lambda layer: _with_delay_bits(layer, bits))


def _each_layer(network: Network, change: Callable[[Layer], Layer]) -> Network:
    """The network with every layer changed; an error names the layer."""
    layers = []
    for number, layer in enumerate(network.layers):
        try:
            layers.append(change(layer))
        except NetworkError as error:
            raise NetworkError(f"layers.{number}.{error}") from None
    return replace(network, layers=tuple(layers))


def _with_delay_bits(layer: Layer, bits: int | None) -> Layer:
    inputs = tuple(replace(connection, delay_steps=_delays(connection, bits)) for connection in _known_inputs(layer))
    return replace(layer, inputs=inputs)


def _known_inputs(layer: Layer) -> list[Dense | Sparse]:
    for place, connection in enumerate(layer.inputs):
        known = isinstance(connection, Dense | Sparse)
        require(known, f"inputs.{place}: {connection.kind} has no integer form (dense and sparse have)")
    return [connection for connection in layer.inputs if isinstance(connection, Dense | Sparse)]


def _in_form(made: Dense, of: Connection) -> Connection:
    """What was made of a dense or sparse connection; of a sparse one, sparse where that is smaller."""
    return smallest(made) if isinstance(of, Sparse) else made


def _quantized(layer: Layer, weight_bits: WeightBits, activity: Mapping[str, F64] | None) -> Layer:
    require(layer.output is None, f"output: {layer.output and layer.output.kind} has no integer form")
    known = isinstance(layer.neuron, LIF | Integrator)
    require(known, f"neuron: {layer.neuron.kind} has no integer form (lif and integrator have)")
    dense = [made.dense() if isinstance(made, Sparse) else made for made in _known_inputs(layer)]
    weights = [connection.weight.astype(np.float64).transpose(1, 0, 2) for connection in dense]
    matters = [
        np.broadcast_to(_activity(connection, activity), weight.shape)
        for connection, weight in zip(dense, weights, strict=True)
    ]
    levels, step = LEVELS[weight_bits], _STEP[weight_bits]
    sizes = _shared_size if isinstance(layer.neuron, Integrator) else _own_sizes
    size = sizes(_rows(weights), _rows(matters), levels, step)
    inputs = tuple(
        _in_form(replace(connection, weight=_steps(weight, size[:, None, None] * step, levels, step)), of)
        for connection, weight, of in zip(dense, weights, layer.inputs, strict=True)
    )
    bias = _int32("bias", layer.bias / size)
    assert isinstance(layer.neuron, LIF | Integrator)
    decay = np.minimum(np.rint(layer.neuron.decay.astype(np.float64) * DECAY_ONE), DECAY_ONE - 1).astype(np.int16)
    if isinstance(layer.neuron, LIF):
        threshold = np.maximum(1, _int32("threshold", layer.neuron.threshold / size))
        return Layer(layer.name, inputs, bias, IntegerLIF(decay, threshold))
    return Layer(layer.name, inputs, bias, IntegerIntegrator(round(float(np.log2(size[0]))), decay))


def _activity(connection: Connection, activity: Mapping[str, F64] | None) -> F64:
    """How much each source matters ``[source]``; one that is silent matters a little."""
    if activity is None:
        return np.ones(connection.sources)
    given = np.asarray(activity.get(connection.source, ()), np.float64)
    require(
        given.shape == (connection.sources,) and bool(np.isfinite(given).all()) and bool((given >= 0).all()),
        f"activity.{connection.source}: {given.shape} is not allowed ([{connection.sources}], finite, 0 or more)",
    )
    floor: F64 = given + 1e-3 * (given.mean() or 1)
    return floor


def _rows(of_connections: list[F64]) -> F64:
    """``[target, synapse]`` over all connections ``[target, synapse, source]``."""
    return np.concatenate([each.reshape(len(each), -1) for each in of_connections], 1)


def _own_sizes(weight: F64, counts: F64, levels: int, step: int) -> F64:
    """Real size of 1 in integers for each target ``[target]``, of the smallest error."""
    largest = np.abs(weight).max(1)
    largest[largest == 0] = 1
    tried = largest / levels * SHARES[:, None]  # [trial, target]
    errors = np.stack([_error(weight, counts, size, levels) for size in tried])
    best: F64 = tried[errors.argmin(0), np.arange(len(weight))] / step
    return best


def _shared_size(weight: F64, counts: F64, levels: int, step: int) -> F64:
    """The same power of two for all targets."""
    largest = max(float(np.abs(weight).max()), 2.0**-20)
    top = int(np.ceil(np.log2(largest / levels / step)))
    exponents = [exponent for exponent in range(top - 4, top + 2) if MIN_SCALE <= exponent <= MAX_SCALE]
    require(bool(exponents), f"weight: up to {largest:g} (steps of 2^{MIN_SCALE} ... 2^{MAX_SCALE} allowed)")
    sizes = [np.full(len(weight), 2.0**exponent * step) for exponent in exponents]
    return min(sizes, key=lambda size: float(_error(weight, counts, size, levels).sum())) / step


def _error(weight: F64, counts: F64, size: F64, levels: int) -> F64:
    """Squared error of the current ``[target]`` where a step is ``size [target]``."""
    rounded = np.clip(np.rint(weight / size[:, None]), -levels, levels) * size[:, None]
    error: F64 = (counts * (rounded - weight) ** 2).sum(1)
    return error


def _steps(weight: F64, size: F64, levels: int, step: int) -> NDArray[np.int8]:
    """Weights ``[target, synapse, source]`` as integers ``[synapse, target, source]``."""
    rounded = np.clip(np.rint(weight / size), -levels, levels) * step
    return rounded.astype(np.int8).transpose(1, 0, 2)


def _delays(connection: Dense | Sparse, bits: int | None) -> NDArray[np.int16]:
    """The same with at most 2^bits values at the synapses that there are."""
    delay_steps, used = connection.delay_steps, np.unique(connection.delays())
    if bits is None or len(used) <= 2**bits:
        return delay_steps
    allowed = np.unique(np.rint(np.linspace(used[0], used[-1], 2**bits)))
    nearest = np.searchsorted((allowed[1:] + allowed[:-1]) / 2, delay_steps)
    return allowed[nearest].astype(np.int16)


def _int32(name: str, values: F64) -> NDArray[np.int32]:
    rounded = np.rint(values)
    require(bool((np.abs(rounded) <= MAX_INT32).all()), f"{name}: {np.abs(rounded).max():g} steps (2^31 - 1 allowed)")
    return rounded.astype(np.int32)
