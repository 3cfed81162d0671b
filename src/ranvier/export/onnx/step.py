"""One time step of a network, as ONNX nodes.

Each layer keeps its currents in a queue ``[slots * target]``, time step after time step, the present one first. The
sources that send something are found by ``NonZero``, their rows gathered, and added by ``ScatterElements``: unlike
``ScatterND``, its order does not depend on the number of threads in any release of onnxruntime.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranvier.export.onnx.graph import Graph, Value
from ranvier.network import AdaptiveLIF, Connection, IntegerIntegrator, Layer, Network, SoftResetLIF, Trace

EVENTS = "events"
SCORES = "scores"
NEXT = ".next"


@dataclass(frozen=True, eq=False)
class Step:
    """Adds a network's time step to a graph.

    Attributes:
        network: to write.
        graph: to add to.
        prefix: of the names of inputs, outputs and state.
        running: name of a bool value ``[layer]``, of layers that have not ended; empty: all run.
    """

    network: Network
    graph: Graph
    prefix: str = ""
    running: str = ""

    @property
    def number(self) -> type[np.generic]:
        return np.int32 if self.network.integer else np.float32

    def name(self, layer: Layer, what: str) -> str:
        """Of a layer's value."""
        return f"{self.prefix}{layer.name}.{what}"

    def state(self) -> list[Value]:
        """What is kept from one time step to the next."""
        found = []
        for layer in self.network.layers:
            shape = (slots(layer) * layer.targets,)
            words = f"currents on their way, {slots(layer)} time steps of {layer.targets} neurons"
            found.append(Value(self.name(layer, "current"), self.number, shape, words))
            found.append(Value(self.name(layer, "voltage"), self.number, (layer.targets,), "after reset"))
            if isinstance(layer.neuron, AdaptiveLIF):
                words = "what is taken off the current"
                found.append(Value(self.name(layer, "adaptation"), np.float32, (layer.targets,), words))
                if layer.neuron.euler == "forward":
                    found.append(Value(self.name(layer, "fired"), np.float32, (layer.targets,), "1 after a spike"))
            if layer.output is not None:
                found.append(
                    Value(self.name(layer, "trace"), np.float32, (layer.targets,), "what other layers receive")
                )
        total = np.int64 if self.network.integer else np.float32
        kind = self.network.decoding.scores
        shares = self.network.integer and kind == "softmax"
        words = "of the classes, 32768 for a share of 1" if shares else f"of the classes, {kind}"
        start = float(np.finfo(np.float32).min) if kind == "max" else 0.0
        return [*found, Value(self.prefix + SCORES, total, (len(self.network.classes),), words, start)]

    def events(self) -> Value:
        """The input of a time step."""
        dtype = np.uint8 if self.network.integer else np.float32
        return Value(
            self.prefix + EVENTS, dtype, (self.network.sources,), "size of each source's event, 0 where there is none"
        )

    def spikes(self) -> list[Value]:
        """What layers that spike give."""
        spiking = [layer for layer in self.network.layers if layer.spikes]
        return [Value(self.name(layer, "spikes"), np.bool_, (layer.targets,), "of this time step") for layer in spiking]

    def add(self) -> None:
        """Add the nodes: from events and state to spikes and the state's ``.next``."""
        queues = {layer.name: self.name(layer, "current") for layer in self.network.layers}
        self._send("input", self.graph.cast(self.prefix + EVENTS, self.number), queues, sized=True)
        for number, layer in enumerate(self.network.layers):
            first = self.graph.node("Slice", queues[layer.name], *self._range(0, layer.targets))
            v = self._voltage(layer, number, first)
            if layer.spikes:
                spikes = self._fire(layer, number, v)
                if isinstance(layer.output, Trace):
                    self._send(layer.name, self._trace(layer, number, spikes), queues, sized=True)
                else:
                    self._send(layer.name, spikes, queues, sized=False)
                if number == len(self.network.layers) - 1:
                    self._score(layer, self.graph.cast(spikes, np.int64 if layer.integer else np.float32))
            else:
                self.graph.node("Identity", v, name=self.name(layer, "voltage") + NEXT)
                self._score(layer, v)
        for layer in self.network.layers:
            self._turn(layer, queues[layer.name])

    def _range(self, start: int, end: int) -> tuple[str, str]:
        return self.graph.integers(start), self.graph.integers(end)

    def _send(self, source: str, sent: str, queues: dict[str, str], *, sized: bool) -> None:
        """Add what ``sent`` holds for each line of a source to the queues of the layers that it reaches."""
        graph, indices = self.graph, ""
        for number, layer in enumerate(self.network.layers):
            for place, connection in enumerate(layer.inputs):
                if connection.source != source or not connection.synapse_count:
                    continue
                if not indices:
                    found = graph.node("NonZero", sent)
                    indices = graph.node("Squeeze", found, graph.integers(0))
                    sizes = (
                        graph.node("Unsqueeze", graph.node("Gather", sent, indices), graph.integers(1)) if sized else ""
                    )
                offset, weight = self._rows(connection, f"{number}.{place}")
                places = graph.node("Gather", offset, indices)
                amounts = graph.node("Gather", weight, indices)
                if sized:
                    amounts = graph.node("Mul", amounts, sizes)
                flat = graph.integers(-1)
                queues[layer.name] = graph.node(
                    "ScatterElements",
                    queues[layer.name],
                    graph.node("Reshape", places, flat),
                    graph.node("Reshape", amounts, flat),
                    axis=0,
                    reduction="add",
                )

    def _rows(self, connection: Connection, place: str) -> tuple[str, str]:
        """Offset ``[source, row]`` in the queue, and weight; rows are as long as the longest, filled with weights 0."""
        source, target, weight, delay_steps = connection.synapses()
        order = np.lexsort((delay_steps.astype(np.int64) * connection.targets + target, source))
        source = source[order]
        count = np.bincount(source, minlength=connection.sources)
        within = np.arange(len(source)) - (np.cumsum(count) - count)[source]
        shape = (connection.sources, int(count.max()))
        offset, amount = np.zeros(shape, np.int64), np.zeros(shape, self.number)
        offset[source, within] = (delay_steps.astype(np.int64) * connection.targets + target)[order]
        amount[source, within] = weight[order]
        return self.graph.constant(offset, f"offset.{place}"), self.graph.constant(amount, f"weight.{place}")

    def _voltage(self, layer: Layer, number: int, current: str) -> str:
        graph = self.graph
        arrays = layer.neuron.arrays()
        current = graph.node("Add", current, graph.constant(layer.bias, f"bias.{number}"))
        before = self.name(layer, "voltage")
        if isinstance(layer.neuron, AdaptiveLIF):
            current = graph.node("Sub", current, self.name(layer, "adaptation"))
            current = graph.node("Mul", current, graph.constant(1 - layer.neuron.decay, f"gain.{number}"))
        if layer.integer:
            decay = graph.constant(arrays["decay"].astype(np.int64), f"decay.{number}")
            product = graph.node("Mul", graph.cast(before, np.int64), decay)
            # integers are divided as in C, towards zero
            kept = graph.cast(graph.node("Div", product, graph.constant(np.int64(4096))), np.int32)
        else:
            kept = graph.node("Mul", before, graph.constant(arrays["decay"], f"decay.{number}"))
        return graph.node("Add", kept, current)

    def _fire(self, layer: Layer, number: int, v: str) -> str:
        graph, name = self.graph, self.name(layer, "spikes")
        threshold = graph.constant(layer.neuron.arrays()["threshold"], f"threshold.{number}")
        if self.running:
            runs = graph.node("Gather", self.running, graph.integers(number))
            spikes = graph.node("And", graph.node("GreaterOrEqual", v, threshold), runs, name=name)
        else:
            spikes = graph.node("GreaterOrEqual", v, threshold, name=name)
        after = graph.constant(self.number(0))
        if isinstance(layer.neuron, SoftResetLIF):
            after = graph.node("Sub", v, threshold)
        u = graph.node("Where", spikes, after, v, name=self.name(layer, "voltage") + NEXT)
        if isinstance(layer.neuron, AdaptiveLIF):
            self._adapt(layer, layer.neuron, number, u, spikes)
        return spikes

    def _adapt(self, layer: Layer, neuron: AdaptiveLIF, number: int, u: str, spikes: str) -> None:
        """w kept + (1 - kept) (a u + b s), with u and s of this time step or, in forward Euler, the one before."""
        graph, w = self.graph, self.name(layer, "adaptation")
        s = graph.cast(spikes, np.float32)
        if neuron.euler == "forward":
            fired = self.name(layer, "fired")
            graph.node("Identity", s, name=fired + NEXT)
            u, s = self.name(layer, "voltage"), fired
        kept = neuron.adaptation_decay
        pairs = ((u, "a", neuron.a), (s, "b", neuron.b), (w, "kept", kept))
        terms = [graph.node("Mul", x, graph.constant(values, f"{name}.{number}")) for x, name, values in pairs]
        drive = graph.node("Add", *terms[:2])
        drive = graph.node("Mul", drive, graph.constant(1 - kept, f"adapted.{number}"))
        graph.node("Add", terms[2], drive, name=w + NEXT)

    def _trace(self, layer: Layer, number: int, spikes: str) -> str:
        """y + 1 with a spike, y - (1 - decay) y without."""
        graph, y = self.graph, self.name(layer, "trace")
        assert isinstance(layer.output, Trace)
        lost = (1 - layer.output.decay.astype(np.float64)).astype(np.float32)
        down = graph.node("Sub", y, graph.node("Mul", y, graph.constant(lost, f"lost.{number}")))
        up = graph.node("Add", y, graph.constant(np.float32(1)))
        after = graph.node("Where", spikes, up, down, name=y + NEXT)
        if not self.running:
            return after
        runs = graph.node("Gather", self.running, graph.integers(number))
        return graph.node("Where", runs, after, graph.constant(np.float32(0)))

    def _score(self, layer: Layer, v: str) -> None:
        """The scores after this time step's voltages, or spikes that are counted."""
        before, after, kind = self.prefix + SCORES, self.prefix + SCORES + NEXT, self.network.decoding.scores
        if kind == "last":
            self.graph.node("Identity", v, name=after)
        elif kind == "max":
            self.graph.node("Max", before, v, name=after)
        elif kind in ("sum", "count"):
            self.graph.node("Add", before, v, name=after)
        else:
            share = self._integer_share(layer, v) if layer.integer else self.graph.node("Softmax", v)
            self.graph.node("Add", before, share, name=after)

    def _integer_share(self, layer: Layer, v: str) -> str:
        """As :class:`IntegerIntegrator` says."""
        graph = self.graph
        assert isinstance(layer.neuron, IntegerIntegrator)
        wide = graph.cast(v, np.int64)
        below = graph.node("Sub", graph.node("ReduceMax", wide, axes=[0], keepdims=1), wide)
        scaled = graph.node("Mul", below, graph.constant(np.int64(23637)))
        y = graph.node("Div", scaled, graph.constant(np.int64(2 ** (6 - layer.neuron.scale_exponent))))
        whole = graph.node("Min", graph.node("Div", y, graph.constant(np.int64(256))), graph.constant(np.int64(16)))
        table = graph.constant(np.rint(2.0 ** (15 - np.arange(256) / 256)).astype(np.int64), "power")
        halves = graph.constant(2 ** np.arange(17, dtype=np.int64), "halves")
        fraction = graph.node("Gather", table, graph.node("Mod", y, graph.constant(np.int64(256))))
        p = graph.node("Div", fraction, graph.node("Gather", halves, whole))
        total = graph.node("ReduceSum", p, graph.integers(0), keepdims=1)
        return graph.node("Div", graph.node("Mul", p, graph.constant(np.int64(2**15))), total)

    def _turn(self, layer: Layer, queue: str) -> None:
        """The queue one time step later."""
        graph, targets = self.graph, layer.targets
        silence = graph.constant(np.zeros(targets, self.number), f"silence.{targets}")
        rest = graph.node("Slice", queue, *self._range(targets, slots(layer) * targets))
        graph.node("Concat", rest, silence, name=self.name(layer, "current") + NEXT, axis=0)


def slots(layer: Layer) -> int:
    """Time steps that a layer's queue holds."""
    return 1 + max(int(connection.delays().max(initial=0)) for connection in layer.inputs)
