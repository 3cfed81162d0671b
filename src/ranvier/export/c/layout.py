"""A network as tables of constants: a row of synapses per source, each with its place in a ring of currents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.c import literals
from ranvier.export.c.convolution import Convolution
from ranvier.export.c.literals import Identifier
from ranvier.export.c.table import Table, smallest
from ranvier.export.parts import check_known
from ranvier.export.target import ExportError
from ranvier.network import AdaptiveLIF, Connection, Conv, Layer, Network, Trace

_MOST = 65535  # neurons, sources or classes, which are counted in 16 bits
_PACKED = 7  # largest weight, in its steps, that goes into 4 bits


@dataclass(frozen=True, eq=False)
class Rows:
    """The synapses of a connection, source after source.

    Attributes:
        number: of the layer, and of the connection among its inputs.
        source: ``input`` or a layer's name.
        start: uint16 or uint32 ``[source + 1]``, where each source's row begins.
        offset: uint16 or uint32 ``[synapse]``, delay times the layer's neurons plus the target; rising along a row.
        weight: float32 or int8 ``[synapse]``; uint8 with two weights in a byte, the even one low, if packed.
        step: where weights are packed: each is 4 bits minus 8, times it; or else 0.
        sized: its events have sizes; those of spikes are 1.
    """

    number: tuple[int, int]
    source: str
    start: NDArray[Any]
    offset: NDArray[Any]
    weight: NDArray[Any]
    step: int
    sized: bool

    @property
    def kernel(self) -> tuple[int, str, bool]:
        """What the C function that adds a row depends on: bits of an offset, weights, sizes."""
        weight = "s4" if self.step else "s8" if self.weight.dtype == np.int8 else "f32"
        return 8 * self.offset.itemsize, weight, self.sized or self.step > 0

    @property
    def factor(self) -> str:
        """What the C function multiplies weights by."""
        return f"size * {self.step}" if self.sized and self.step > 1 else "size" if self.sized else str(self.step)

    def tables(self, words: str) -> list[Table]:
        place = "_".join(map(str, self.number))
        return [
            Table(f"row_{place}", self.start, f"{words}: where the row of each source begins"),
            Table(f"offset_{place}", self.offset, "time steps of delay times neurons, plus the target"),
            Table(
                f"weight_{place}",
                self.weight,
                f"weights in steps of {self.step}, plus 8, two in a byte" if self.step else "weights",
            ),
        ]


@dataclass(frozen=True, eq=False)
class LayerLayout:
    """A layer.

    Attributes:
        layer: of the network.
        number: its place.
        slots: time steps of its ring of currents, one more than its longest delay.
        rows: of its dense connections that have synapses.
        convolutions: those of its connections.
    """

    layer: Layer
    number: int
    slots: int
    rows: tuple[Rows, ...]
    convolutions: tuple[Convolution, ...]

    @property
    def trace(self) -> Trace | None:
        output = self.layer.output
        return output if isinstance(output, Trace) else None

    def row_tables(self) -> list[Table]:
        """Of all its connections."""
        found = []
        for rows in self.rows:
            connection = self.layer.inputs[rows.number[1]]
            found += rows.tables(f"{connection.source} to {self.layer.name}, {len(rows.offset)} synapses")
        return found + [table for each in self.convolutions for table in each.tables()]

    def neuron_tables(self) -> list[Table]:
        """A value for each neuron."""
        neuron = self.layer.neuron.arrays()
        unit = " in 1/4096" if self.layer.integer else ""
        found = [
            Table(f"bias_{self.number}", self.layer.bias, f"{self.layer.name}: bias"),
            Table(f"decay_{self.number}", neuron["decay"], f"{self.layer.name}: share of the voltage kept{unit}"),
        ]
        if self.layer.spikes:
            found.append(Table(f"threshold_{self.number}", neuron["threshold"], f"{self.layer.name}: thresholds"))
        if isinstance(self.layer.neuron, AdaptiveLIF):
            about = {"a": "adaptation to a voltage of 1", "b": "adaptation to a spike in every time step"}
            kept = Table(f"kept_{self.number}", neuron["adaptation_decay"], f"{self.layer.name}: share of it kept")
            found += [Table(f"{name}_{self.number}", neuron[name], words) for name, words in about.items()] + [kept]
        if self.trace is not None:
            lost = (1 - self.trace.decay.astype(np.float64)).astype(np.float32)
            found.append(Table(f"lost_{self.number}", lost, f"{self.layer.name}: share of the trace lost"))
        return found


@dataclass(frozen=True, eq=False)
class Layout:
    """A network, as its C code has it."""

    name: Identifier
    network: Network
    layers: tuple[LayerLayout, ...]

    @property
    def per_layer(self) -> bool:
        """Whether layers end at different time steps."""
        decoding = self.network.decoding
        return decoding.tail == "per_layer" and decoding.tail_steps > 0 and len(self.layers) > 1

    @property
    def tail_steps(self) -> int:
        """Time steps of silence after a clip until the readout ends."""
        return self.network.decoding.steps(0, len(self.layers) - 1)

    def reached(self, source: str) -> list[tuple[LayerLayout, Rows | Convolution]]:
        """The rows that events of ``source`` walk, and the convolutions."""
        found: list[tuple[LayerLayout, Rows | Convolution]] = []
        for layer in self.layers:
            found += [(layer, rows) for rows in layer.rows if rows.source == source]
            found += [(layer, each) for each in layer.convolutions if each.source == source]
        return found

    @cached_property
    def _names(self) -> dict[str, tuple[str, Table]]:
        """By the name of each table, the first table that holds the same."""
        first: dict[tuple[str, bytes], Table] = {}
        found = {}
        for table in self._every_table():
            same = first.setdefault((table.values.dtype.str, table.values.tobytes()), table)
            found[table.name] = (same.name, same)
        return found

    def _every_table(self) -> Iterator[Table]:
        for layer in self.layers:
            yield from layer.row_tables()
            yield from (table for table in layer.neuron_tables() if not _uniform(table))
        if self.network.integer and self.network.decoding.scores == "softmax":
            powers = np.rint(2.0 ** (15 - np.arange(256) / 256)).astype(np.uint16)
            yield Table("power", powers, "round(2^15 * 2^(-k / 256))")

    def tables(self) -> list[Table]:
        """All arrays of constants; equal ones once, and none where all neurons have one value."""
        return [table for name, (first, table) in self._names.items() if name == first]

    def name_of(self, name: str) -> str:
        """The array that stands for the table of that name."""
        return self._names[name][0]

    def values_of(self, layer: LayerLayout) -> dict[str, str]:
        """C expressions for neuron ``j``: bias, decay, and those of the other :meth:`LayerLayout.neuron_tables`."""
        found = {}
        for table in layer.neuron_tables():
            plain = literals.literal(table.values.flat[0])
            found[table.name.partition("_")[0]] = plain if _uniform(table) else f"{self.name_of(table.name)}[j]"
        return found


def _uniform(table: Table) -> bool:
    """All neurons have one value, bit by bit: 0 and -0 differ."""
    return len({value.tobytes() for value in table.values}) == 1


def layout(network: Network, name: str) -> Layout:
    """The tables of a network.

    Raises:
        ExportError: C code cannot say a part of it; the message names the part.
    """
    check_known(network)
    if network.sources > _MOST:
        raise ExportError("input", network.sources, f"up to {_MOST} sources")
    for number, layer in enumerate(network.layers):
        if layer.targets > _MOST:
            raise ExportError(f"layers.{number}", layer.targets, f"up to {_MOST} neurons")
    traced = {layer.name for layer in network.layers if layer.output is not None}
    sized = traced | {"input"}
    silent = "" if network.layers[-1].spikes else network.layers[-1].name
    layers = tuple(_layer(layer, number, sized, silent) for number, layer in enumerate(network.layers))
    return Layout(Identifier.of(name), network, layers)


def _layer(layer: Layer, number: int, sized: set[str], silent: str) -> LayerLayout:
    """A layer; what comes from ``sized`` has sizes, and from ``silent``, a readout of voltages, nothing comes."""
    longest = max(int(connection.delays().max(initial=0)) for connection in layer.inputs)
    rows, convolutions = [], []
    for place, connection in enumerate(layer.inputs):
        if not connection.synapse_count or connection.source == silent:
            continue
        at, has_size = (number, place), connection.source in sized
        if isinstance(connection, Conv):
            convolutions.append(Convolution(at, connection, layer.name, longest + 1, has_size))
        else:
            rows.append(_rows(connection, at, sized=has_size))
    return LayerLayout(layer, number, longest + 1, tuple(rows), tuple(convolutions))


def _rows(connection: Connection, number: tuple[int, int], *, sized: bool) -> Rows:
    source, target, weight, delay_steps = connection.synapses()
    offset = delay_steps.astype(np.int64) * connection.targets + target
    order = np.lexsort((offset, source))
    start = np.searchsorted(source[order], np.arange(connection.sources + 1))
    weight = weight[order]
    step = int(np.gcd.reduce(weight.astype(np.int64))) if connection.integer else 0
    step = step if step and int(np.abs(weight.astype(np.int64)).max()) <= _PACKED * step else 0
    return Rows(
        number,
        connection.source,
        smallest(start),
        smallest(offset[order]),
        _pairs(weight.astype(np.int64) // step) if step else weight,
        step,
        sized,
    )


def _pairs(weight: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Two weights in a byte."""
    raised = weight + 8
    raised = np.append(raised, 8) if len(raised) % 2 else raised
    return (raised[0::2] | raised[1::2] << 4).astype(np.uint8)
