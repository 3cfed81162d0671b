"""A network in ten lines or so."""

from __future__ import annotations

from ranvier.network.layer import Layer
from ranvier.network.network import Network
from ranvier.network.part import Connection
from ranvier.network.sparse import Sparse

_MAX_LAYERS = 5
_WIDTH = 60  # letters of the list of classes


def summary(network: Network) -> str:
    """What a network is made of, for people."""
    rows = [("input", _input(network))]
    shown = network.layers if len(network.layers) <= _MAX_LAYERS else network.layers[: _MAX_LAYERS - 2]
    rows += [(layer.name, _layer(layer, network.dt_ms)) for layer in shown]
    if hidden := len(network.layers) - len(shown):
        rows += [
            ("...", f"{hidden - 1} more layers"),
            (network.layers[-1].name, _layer(network.layers[-1], network.dt_ms)),
        ]
    decoding = network.decoding
    per_layer = " of every layer" if decoding.tail == "per_layer" else ""
    words = {
        "softmax": "sum of softmax", "sum": "sum", "max": "highest voltage", "last": "last voltage", "count": "spikes",
    }[decoding.scores]  # fmt: skip
    rows.append(("decoding", f"{words} over the clip and {decoding.tail_steps} time steps of tail{per_layer}"))
    synapses = sum(c.synapse_count for layer in network.layers for c in layer.inputs)
    size = sum(layer.nbytes() for layer in network.layers)
    rows.append(("size", f"{synapses:,} synapses, {size / 1e6:.2f} MB"))
    names = ", ".join(network.classes)
    rows.append(("classes", names if len(names) <= _WIDTH else f"{names[:_WIDTH].rpartition(',')[0]}, ..."))
    width = max(len(name) for name, _ in rows)
    title = f"Network: {network.sources} inputs, {len(network.layers)} layers, {len(network.classes)} classes, time "
    return "\n".join([f"{title}step {network.dt_ms:g} ms", *(f"  {name:<{width}}  {text}" for name, text in rows)])


def _input(network: Network) -> str:
    pooled = f" pooled by {network.input.pool}" if network.input.pool > 1 else ""
    start = "at the first event" if network.input.alignment == "first_event" else "at time zero"
    return f"{network.input.channels} channels{pooled}, time step 0 {start}"


def _left(connection: Connection) -> str:
    """How many synapses there are, where it is not one for each source and target."""
    return f", {connection.synapse_count:,} synapses" if isinstance(connection, Sparse) else ""


def _layer(layer: Layer, dt_ms: float) -> str:
    connections = [
        f"{c.kind} from {c.source} ({c.sources} to {c.targets}{_left(c)}), delays up to {c.max_delay} time steps "
        f"({c.max_delay * dt_ms:g} ms)"
        for c in layer.inputs
    ]
    parts = [*connections, layer.neuron.kind, *([] if layer.output is None else [layer.output.kind])]
    return ", ".join(parts)
