"""NIR graphs as networks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.nir_connections import Connected, connections
from ranvier.export.nir_file import read_file
from ranvier.export.nir_graph import Graph, Node, paths_into, plain_graph
from ranvier.export.nir_neurons import NEURONS, DecayRule, NeuronValues, neuron_values
from ranvier.export.nir_paths import Piece, own_metadata, piece, width_after
from ranvier.export.target import ExportError
from ranvier.network import LIF, Decoding, Input, Integrator, Layer, Network, NetworkError
from ranvier.network.rules import MAX_CHANNELS

_FORMAT_VERSION = 1


def from_nir(
    graph: object,
    *,
    dt_ms: float | None = None,
    classes: Sequence[str] | None = None,
    input: Input | None = None,
    decoding: Decoding | None = None,
    decay_rule: DecayRule | None = None,
) -> Network:
    """The network that a NIR graph describes, in time steps of ``dt_ms``.

    Read are ``Input``, ``Output``, ``Linear``, ``Affine``, ``Delay``, ``Scale``, ``Flatten`` and the neurons ``LIF``,
    ``IF``, ``LI``, ``I``, and ``CubaLIF`` where ``tau_syn`` is the time step, so that no current is kept. What follows
    is the NIR specification in single time steps: a neuron spikes where ``v > v_threshold`` and is then set to 0. A
    framework that resets in another way writes the same graph, and spikes otherwise: of snnTorch, neurons need
    ``reset_mechanism="zero"``, ``RLeaky`` and ``Synaptic`` also ``reset_delay=False``; Norse resets like this.
    Numbers become float32. A connection back to an earlier layer or itself takes one time step where it has no delay.

    A graph that does not end in ``LI`` or ``I`` gets a readout of decay 0, whose voltage is the graph's output in each
    time step; with ``Decoding(scores="count")`` its last neurons are the readout, whose spikes are counted.

    A graph of :func:`to_nir` gives an equal network: the same settings, and every array the same to the bit, in the
    same shape, but for the delays of synapses of weight 0, which are 0.

    Args:
        graph: a ``nir.NIRGraph``, or the path of a ``.nir`` file, which is read in a process of its own with up to
            1 GiB of arrays.
        dt_ms: length of a time step in ms; needed where the graph's metadata do not have ``dt``.
        classes: names of the outputs; None takes those of the metadata, else 0, 1, ...
        input: how raw events become the input; None takes that of the metadata, else the input's channels.
        decoding: what follows a clip; None takes that of the metadata, else nothing.
        decay_rule: ``euler`` (None: also this) or ``exp``, see :func:`ranvier.export.nir_neurons.neuron_values`.

    Returns:
        Layers have the names of the neuron nodes, as far as a layer's name may be that.

    Raises:
        ExportError: the graph or the file holds what we do not; the message names the node.
        NetworkError: the parts do not fit together.
        FileNotFoundError: there is no such file.
    """
    plain = plain_graph(read_file(graph) if isinstance(graph, str | os.PathLike) else graph)
    about = _About.of(plain.metadata)
    dt_ms = _dt_ms(about, plain.metadata, dt_ms)
    decoding = decoding or about.decoding or Decoding()
    counts = decoding.scores == "count"
    try:
        with np.errstate(all="ignore"):  # every result is checked
            layers = _Reader(plain, about, dt_ms / 1000, decay_rule or about.decay_rule).layers(counts=counts)
        outputs = tuple(map(str, range(layers[-1].targets)))
        channels = next(c.sources for layer in layers for c in layer.inputs if c.source == "input")
        return Network(
            dt_ms,
            layers,
            tuple(classes if classes is not None else about.classes or outputs),
            input or about.input or Input(channels),
            decoding,
        )
    except StopIteration:
        raise ExportError("graph", fault="no neuron receives from the Input") from None


@dataclass(frozen=True, eq=False)
class _About:
    """What our own graphs say of themselves; nothing of others."""

    dt_ms: float | None = None
    decay_rule: DecayRule = "euler"
    classes: tuple[str, ...] | None = None
    input: Input | None = None
    decoding: Decoding | None = None
    layers: dict[str, list[Any]] = field(default_factory=dict)  # settings of the inputs, by the layer's name

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> _About:
        said = own_metadata("graph", metadata)
        if said is None:
            return cls()
        try:
            if said["format_version"] != _FORMAT_VERSION or said["decay_rule"] not in ("euler", "exp"):
                raise KeyError("format_version, decay_rule")
            return cls(
                float(said["dt_ms"]),
                said["decay_rule"],
                tuple(said["classes"]),
                Input(**said["input"]),
                Decoding(**said["decoding"]),
                {layer["name"]: list(layer["inputs"]) for layer in said["layers"]},
            )
        except NetworkError as error:
            raise ExportError(f"graph.metadata.{error}") from None
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            fault = f"is missing something or of another version ({str(error)[:100]})"
            raise ExportError("graph.metadata.ranvier", fault=fault) from None


def _dt_ms(about: _About, metadata: Mapping[str, Any], given: float | None) -> float:
    said = about.dt_ms
    if said is None and "dt" in metadata:
        dt = Node("graph.metadata", "", {"dt": metadata["dt"]}, {}).array("dt")
        said = float(dt.ravel()[0]) * 1000 if dt.size == 1 else None
    value = said if given is None else given
    if value is None:
        raise ExportError("dt_ms", fault="is not in the graph's metadata (give the length of a time step in ms)")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1e-6 <= value <= 1e9:
        raise ExportError("dt_ms", value, "1e-06 ... 1e+09 ms")
    if about.dt_ms is not None and value != about.dt_ms:
        raise ExportError("dt_ms", value, f"{about.dt_ms:g}, as the graph's metadata have it")
    return float(value)


class _Reader:
    """A graph on its way to layers."""

    def __init__(self, graph: Graph, about: _About, dt: float, rule: DecayRule) -> None:
        self.graph, self.about, self.dt = graph, about, dt
        kinds = {node.name: node.kind for node in graph.nodes.values()}
        self.input, self.output = (_only(kinds, kind) for kind in ("Input", "Output"))
        self.values = {name: neuron_values(graph.nodes[name], dt, rule) for name in kinds if kinds[name] in NEURONS}
        ends = frozenset((self.input, *self.values))
        self.paths = {name: paths_into(graph, name, ends) for name in (*self.values, self.output)}
        self.sizes = {self.input: _input_size(graph.nodes[self.input])}
        for name, values in self.values.items():
            self.sizes[name] = values.size if values.size > 1 else self._size(name)

    def _size(self, name: str) -> int:
        """Of a neuron whose values are the same for all: what its weights say, or those that it feeds."""
        for path in self.paths[name]:
            if after := width_after(path, 0):
                return after
            if path[0].name in self.sizes:
                return self.sizes[path[0].name]
        return 1

    def layers(self, *, counts: bool) -> tuple[Layer, ...]:
        """From input to readout, whose spikes are counted or (``counts`` False) whose voltages are read."""
        order = self._order()
        ends = self.paths[self.output]
        if not ends:
            raise ExportError(self.output, fault="receives nothing")
        last = ends[0][0].name
        read_out = len(ends) == 1 and len(ends[0]) == 2 and last in self.values
        read_out = read_out and (self.values[last].threshold is None) != counts
        if read_out:
            order.remove(last)
            order.append(last)
        named = _layer_names(order, self.about)
        for name in order:
            silent = self.values[name].threshold is None
            if silent and not (read_out and name == last and all(path[0].name != name for path in self._every_path())):
                raise ExportError(name, fault="never spikes, but is not the graph's one output")
        made = [self._layer(name, order, named, self.values[name]) for name in order]
        if not read_out:
            zero = NeuronValues(np.zeros(1, np.float32), np.ones(1), None)
            names = {**named, self.output: _free("readout", set(named.values()))}
            self.sizes[self.output] = width_after(ends[0], self.sizes[last])
            made.append(self._layer(self.output, order, names, zero))
        return tuple(made)

    def _every_path(self) -> list[list[Node]]:
        return [path for name, paths in self.paths.items() if name != self.output for path in paths]

    def _order(self) -> list[str]:
        """Neurons in the order of computation: our own, else each after those it receives from, as far as may be."""
        if self.about.layers:
            names = list(self.about.layers)
            if set(names) != set(self.values):
                raise ExportError("graph.metadata.ranvier", fault="its layers are not the graph's neurons")
            return names
        left = {name: {path[0].name for path in paths} - {self.input, name} for name, paths in self.paths.items()}
        del left[self.output]
        near = self._distances()
        order: list[str] = []
        while left:
            ready = [name for name in left if not left[name] & left.keys()]
            taken = ready or [min(left, key=lambda name: near.get(name, len(near)))]
            order += taken
            for name in taken:
                del left[name]
        return order

    def _distances(self) -> dict[str, int]:
        """Neurons between the input and each, on the shortest way."""
        near, now = {self.input: 0}, {self.input}
        while now:
            reached = {
                name
                for name, paths in self.paths.items()
                if name not in near and any(path[0].name in now for path in paths)
            }
            near |= dict.fromkeys(reached, max(near.values()) + 1)
            now = reached
        return near

    def _layer(self, name: str, order: list[str], named: dict[str, str], values: NeuronValues) -> Layer:
        paths = self.paths[name]
        if not paths:
            raise ExportError(name, fault="receives nothing")
        size = self.sizes[name]
        if values.size not in (1, size):
            raise ExportError(name, f"{values.size} neurons", f"{size}, as its weights have")
        later = set(order[order.index(name) :]) if name in order else set()
        gain = np.broadcast_to(values.gain, size)

        def pieces(source: str) -> Any:
            for path in paths:
                if path[0].name == source:
                    yield self._piece(path, size, gain, recurrent=source in later)

        sources = sorted({path[0].name for path in paths})
        bias = np.zeros(size)
        found = Connected(size, self.about.layers.get(name), {**named, self.input: "input"})
        for source in sources:
            for made in pieces(source):
                bias = bias + made.bias
                found.add(made, self.sizes[source])
        try:
            neuron = _neuron(values, size)
            return Layer(named[name], connections(found), _float32(f"{name}.bias", bias), neuron)
        except NetworkError as error:
            raise NetworkError(f"{name}.{error}") from None

    def _piece(self, path: list[Node], size: int, gain: NDArray[np.float64], *, recurrent: bool) -> Piece:
        made = piece(path, self.sizes[path[0].name], self.dt)
        if len(made.weight) != size:
            raise ExportError(path[-1].name, f"{len(made.weight)} channels come in", f"{size} neurons")
        delay_steps = made.delay_steps
        if recurrent and made.slot is None:
            delay_steps = np.maximum(delay_steps, 1)
        weight = made.weight if (gain == 1).all() else made.weight * gain[:, None]
        weight = _float32(path[-1].name, weight)
        return Piece(made.source, weight, delay_steps, made.bias * gain, made.slot)


def _neuron(values: NeuronValues, size: int) -> LIF | Integrator:
    decay = np.ascontiguousarray(np.broadcast_to(values.decay, size))
    if values.threshold is None:
        return Integrator(decay)
    return LIF(decay, np.ascontiguousarray(np.broadcast_to(values.threshold, size)))


def _only(kinds: dict[str, str], kind: str) -> str:
    names = [name for name, found in kinds.items() if found == kind]
    if len(names) != 1:
        raise ExportError("graph", f"{len(names)} {kind} nodes", "one")
    return names[0]


def _input_size(node: Node) -> int:
    shape = node.fields.get("shape")
    if shape is None and isinstance(node.fields.get("input_type"), Mapping):
        shape = node.fields["input_type"].get("input")
    sizes = [int(size) for size in Node(node.name, node.kind, {"shape": shape}, {}).array("shape").ravel()[:8]]
    size = prod(sizes)
    if not 1 <= size <= MAX_CHANNELS:
        raise ExportError(f"{node.name}.shape", sizes, f"1 ... {MAX_CHANNELS} channels in all")
    return size


def _float32(place: str, values: NDArray[Any]) -> NDArray[np.float32]:
    rounded = np.asarray(values, np.float32)
    if not np.isfinite(rounded).all():
        raise ExportError(place, fault="values beyond those of float32")
    return rounded


def _layer_names(order: Sequence[str], about: _About) -> dict[str, str]:
    named: dict[str, str] = {}
    for name in order:
        letters = re.sub(r"[^a-z0-9_]", "_", name.lower())
        letters = letters if re.match(r"[a-z]", letters) else f"layer_{letters}"
        named[name] = name if name in about.layers else _free(letters[:56], {*named.values(), "input"})
    return named


def _free(name: str, taken: set[str]) -> str:
    """The name, or with a number after it."""
    if name not in taken:
        return name
    return next(free for number in range(2, len(taken) + 3) if (free := f"{name}_{number}") not in taken)
