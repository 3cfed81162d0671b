"""What a network costs: operations and bytes, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.clip import Events, check_clip
from ranvier.engine.engine import Clip, Engine
from ranvier.network import Connection, Conv, Dense, Layer, Network, Sparse

DELAY_LIMITS = {"SpiNNaker 1, without extension": 15, "Loihi": 62, "GeNN": 65535}
"""Longest delay in time steps that a platform takes."""
_WORD = 4  # bytes of an accumulator
_Known = Dense | Sparse | Conv


@dataclass(frozen=True)
class LayerCost:
    """Of a layer's incoming connections and neurons; operations are means over clips with their tails.

    Attributes:
        name: of the layer.
        spikes: of its neurons, per clip.
        synaptic_operations: per clip, as :func:`synaptic_operations` counts them; None where the layer receives numbers
            in place of events.
        dense_operations: per clip: one for each time step and weight of the arrays, silent or not, 0 or not.
        synapses: with a weight other than 0; of a convolution at every place of its kernel.
        weight_bits: of a weight as it must be stored.
        weight_bytes: of all synapses; of a convolution of its kernel.
        delay_bytes: one delay for each synapse, source (axonal), target (dendritic) or kernel element (convolution)
            that is there, in as many bits as the connection's different delays need.
        ring_bytes: post-side ring: an accumulator of 4 bytes for each target and time step of the longest delay.
        history_bytes: pre-side history: a bit (8 for counts of the input) for each source and time step of the longest
            delay from its layer.
        queue_bytes: axonal queue: 4 bytes for each event that waits for one of its source's different delays, at the
            time when most wait.
    """

    name: str
    spikes: float
    synaptic_operations: float | None
    dense_operations: float
    synapses: int
    weight_bits: int
    weight_bytes: int
    delay_bytes: int
    ring_bytes: int
    history_bytes: int
    queue_bytes: int


@dataclass(frozen=True)
class Cost:
    """Of a network.

    Attributes:
        layers: from input to readout.
        clips: over which operations are means.
        max_delay: longest delay that occurs, in time steps.
    """

    layers: tuple[LayerCost, ...]
    clips: int
    max_delay: int

    @property
    def total(self) -> LayerCost:
        """Sums over the layers; ``weight_bits`` is the largest, and operations are None where those of a layer are."""
        others = {"name", "weight_bits", "synaptic_operations"}
        sums = {
            f.name: sum(getattr(layer, f.name) for layer in self.layers)
            for f in fields(LayerCost)
            if f.name not in others
        }
        operations = summed(layer.synaptic_operations for layer in self.layers)
        bits = max(layer.weight_bits for layer in self.layers)
        return LayerCost("total", **sums, weight_bits=bits, synaptic_operations=operations)

    def fits(self) -> dict[str, bool]:
        """Whether each platform of :data:`DELAY_LIMITS` takes the longest delay."""
        return {name: self.max_delay <= limit for name, limit in DELAY_LIMITS.items()}

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        rows = [asdict(row) for row in (*self.layers, self.total)]
        return {"clips": self.clips, "max_delay_steps": self.max_delay, "layers": rows, "delays_fit": self.fits()}


def cost(network: Network, clips: Iterable[Clip], *, real_input: bool = False) -> Cost:
    """Count what the network does with clips and what it takes to store.

    Args:
        network: of dense and sparse connections and convolutions.
        clips: one or more, as :meth:`Engine.run_many` takes them.
        real_input: whether inputs are real numbers even where those of these clips are whole.

    Raises:
        ValueError: there is no clip, or as :meth:`Engine.run`.
        TypeError: a connection is not known; the message names it.
    """
    for number, layer in enumerate(network.layers):
        for place, connection in enumerate(layer.inputs):
            if not isinstance(connection, _Known):
                raise TypeError(f"layers.{number}.inputs.{place}: the cost of {connection.kind} is not known")
    events = {"input": np.zeros(network.sources), **{layer.name: np.zeros(layer.targets) for layer in network.layers}}
    waiting = np.zeros(len(network.layers))
    traffic = [[_Traffic(connection) for connection in layer.inputs] for layer in network.layers]
    steps = np.zeros(len(network.layers), np.int64)
    count, real = 0, real_input
    given = list(clips)
    for clip, result in zip(given, Engine(network).run_many(given), strict=True):
        given_events, length = check_clip(clip[0], network.sources, clip[1])
        real = real or bool((given_events[2] % 1 != 0).any() or (given_events[2] < 0).any())
        sent = {"input": _merged(given_events, network.sources)}
        sent |= {layer.name: made for layer, made in zip(network.layers, result.spikes, strict=False)}
        if network.layers[-1].spikes:
            sent[network.layers[-1].name] = np.argwhere(result.voltage)
        count += 1
        steps += [network.decoding.steps(length, number) for number in range(len(network.layers))]
        for name, made in sent.items():
            events[name] += np.bincount(made[:, 1], minlength=len(events[name]))
        for number, connections in enumerate(traffic):
            waiting[number] = max(waiting[number], _most_waiting(connections, sent))
    if not count:
        raise ValueError("clips: none (1 or more)")
    longest = max(int(c.delays().max(initial=0)) for layer in network.layers for c in layer.inputs)
    means = {name: total / count for name, total in events.items()}
    spikes = [means[layer.name].sum() for layer in network.layers]
    received = {name: mean for name, mean in means.items() if not (real and name == "input")}
    rows = zip(network.layers, spikes, synaptic_operations(network, received), waiting, steps / count, strict=True)
    return Cost(tuple(_layer_cost(*row) for row in rows), count, longest)


def synaptic_operations(network: Network, events: Mapping[str, NDArray[Any]]) -> list[float | None]:
    """Synaptic operations of each layer: the events of every source times the synapses that it has there.

    An event is one operation for each synapse, whatever its size, as the engine and exported C code add ``weight *
    size`` once. Numbers are no events: layers that receive traces, or an input of real numbers, have no such count.

    Args:
        network: whose layers receive the events.
        events: how many every source sends, ``{"input": [source], "hidden_1": [neuron], ...}``; those of a source in a
            time step are one, with their number as its size. A source of numbers is left out.

    Returns:
        One for each layer; None where it receives numbers.
    """
    numbers = {layer.name for layer in network.layers if layer.output is not None}

    def of(layer: Layer) -> float | None:
        if any(each.source in numbers or each.source not in events for each in layer.inputs):
            return None
        return float(sum(events[each.source] @ _fan_out(each) for each in layer.inputs))

    return [of(layer) for layer in network.layers]


def summed(operations: Iterable[float | None]) -> float | None:
    """Of all layers; None where one has no count."""
    known = list(operations)
    counts = [count for count in known if count is not None]
    return sum(counts) if len(counts) == len(known) else None


def _merged(events: Events, sources: int) -> NDArray[np.int64]:
    """Time step and source ``[event, 2]``: those of a source in a time step are one event, as readers count them; of
    size 0 are none."""
    step, source, size = events
    cell = np.unique((step * sources + source)[size != 0])
    return np.stack([cell // sources, cell % sources], 1)


def _fan_out(connection: Connection) -> NDArray[np.int64]:
    """Synapses of every source ``[source]``; a weight of 0 is none."""
    return np.bincount(connection.synapses().source, minlength=connection.sources)


def ring_bytes(layer: Layer) -> int:
    """Of the ring that all connections of a layer add to."""
    return layer.targets * (layer.max_delay + 1) * _WORD


def weight_bits(connection: Dense | Sparse | Conv) -> int:
    """Bits of a stored weight with its sign: 32, or of integers as many as they need without zeros that all end in."""
    if not connection.integer or isinstance(connection, Conv):
        return 32
    values = np.abs(connection.weight.astype(np.int64))
    if not values.any():
        return 2
    together = int(np.bitwise_or.reduce(values, axis=None))
    common = (together & -together).bit_length() - 1  # zero bits that all weights end in
    return int(values.max() >> common).bit_length() + 1


def _layer_cost(layer: Layer, spikes: float, operations: float | None, waiting: float, steps: float) -> LayerCost:
    known = [connection for connection in layer.inputs if isinstance(connection, _Known)]
    bits = [weight_bits(connection) for connection in known]
    stored = [int(np.count_nonzero(connection.weight)) for connection in known]
    places = [prod(c.out_size) if isinstance(c, Conv) else 1 for c in known]
    delays = [_stored_delays(connection) for connection in known]
    delay_bits = [(len(np.unique(each)) - 1).bit_length() * each.size for each in delays if each.size]
    history = {c.source: 0 for c in known}
    for c in known:
        bits_kept = c.sources * (c.max_delay + 1) * (8 if c.source == "input" else 1)
        history[c.source] = max(history[c.source], bits_kept)
    return LayerCost(
        name=layer.name,
        spikes=float(spikes),
        synaptic_operations=operations,
        dense_operations=float(steps * sum(c.weight.size * count for c, count in zip(known, places, strict=True))),
        synapses=sum(connection.synapse_count for connection in known),
        weight_bits=max(bits),
        weight_bytes=_bytes(sum(one * each for one, each in zip(stored, bits, strict=True))),
        delay_bytes=_bytes(sum(delay_bits)),
        ring_bytes=ring_bytes(layer),
        history_bytes=_bytes(sum(history.values())),
        queue_bytes=_WORD * int(waiting),
    )


def _stored_delays(connection: Dense | Sparse | Conv) -> NDArray[np.int16]:
    """Those of a source or target each, or of the synapses or kernel elements that there are."""
    steps = connection.delay_steps
    return steps[connection.weight != 0] if steps.shape == connection.weight.shape else steps


def _bytes(bits: int) -> int:
    return -(-bits // 8)


class _Traffic:
    """What a connection does with events ``[event, 2]``: time step and source, time steps never falling."""

    def __init__(self, connection: Connection) -> None:
        source, _, _, delay_steps = connection.synapses()
        self.source, self.max_delay = connection.source, connection.max_delay
        # [source]: whether it has a synapse of that delay
        self._with_delay = {
            int(delay): np.bincount(source[delay_steps == delay], minlength=connection.sources) > 0
            for delay in np.unique(delay_steps)
        }

    def add_waiting(self, sent: NDArray[np.int64], change: NDArray[np.int64]) -> None:
        """Add by how many events more wait than a time step before, to ``change [step]``; one waits once for each
        different delay of its source's synapses."""
        for delay, sources in self._with_delay.items():
            step = sent[sources[sent[:, 1]], 0]
            np.add.at(change, step, 1)
            np.add.at(change, step + delay, -1)


def _most_waiting(connections: Sequence[_Traffic], sent: Mapping[str, NDArray[np.int64]]) -> int:
    """Most events that wait for a layer at one time, in all of its connections together."""
    ends = [int(sent[each.source][:, 0].max(initial=0)) + each.max_delay + 2 for each in connections]
    change = np.zeros(max(ends), np.int64)
    for each in connections:
        each.add_waiting(sent[each.source], change)
    return int(change.cumsum().max())
