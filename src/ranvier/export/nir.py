"""NIR, the Neuromorphic Intermediate Representation (Pedersen et al. 2024, doi 10.1038/s41467-024-52259-9)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.nir_neurons import euler_tau
from ranvier.export.parts import check_plain, dense
from ranvier.export.target import Target, needed
from ranvier.files import write_atomically
from ranvier.network import LIF, Dense, Layer, Network

METADATA = "ranvier"  # key under which graph and nodes hold our JSON
FORMAT_VERSION = 1


def to_nir(network: Network) -> Any:
    """The network as a flat NIR graph.

    A NIR ``Delay`` has one delay per channel, so every connection becomes a fan-out: from the source one
    ``Delay(k dt)`` per distinct delay k (none for k = 0) into ``Linear(weight where delay_steps == k)``, one for each
    synapse of a pair; all are summed at the neuron. The bias stands in an ``Affine`` in place of the layer's first
    ``Linear``.

    A NIR neuron is continuous; the graph's numbers follow Euler's rule in a step dt,

        decay = 1 - dt / tau        r = tau / dt        v_leak = v_reset = 0        spike where v > v_threshold

    so ``v_threshold`` is the largest float32 below ours, which spikes from the threshold on. Times are in seconds.
    The time step, the exact decay, classes, input and decoding are in the metadata.

    Args:
        network: of ``Dense``, ``Sparse``, ``LIF`` and ``Integrator``, with spikes between the layers. A readout whose
            spikes are counted is a NIR ``LIF``.

    Returns:
        A ``nir.NIRGraph``; :func:`from_nir` makes an equal network of it, see there.

    Raises:
        ExportError: a part has no counterpart in NIR; or ``nir`` is not installed.
    """
    check_plain(network, "NIR")
    nir = needed("nir", "nir")
    dt = network.dt_ms / 1000
    nodes: dict[str, Any] = {"input": nir.Input(np.array([network.sources]))}
    edges: list[tuple[str, str]] = []
    for layer in network.layers:
        _add_layer(nir, nodes, edges, layer, dt)
    output = "Output" if any(layer.name == "output" for layer in network.layers) else "output"
    nodes[output] = nir.Output(np.array([network.layers[-1].targets]))
    edges.append((network.layers[-1].name, output))
    widths = {"input": network.sources, **{layer.name: layer.targets for layer in network.layers}}
    for name in [source for source, _ in edges if source not in nodes]:
        source, _, steps = name.rpartition("_D")
        if name not in nodes:
            nodes[name] = nir.Delay(np.full(widths[source], int(steps) * dt))
            edges.append((source, name))
    return nir.NIRGraph(nodes, edges, metadata={"dt": dt, METADATA: json.dumps(_about(network))})


def _add_layer(nir: Any, nodes: dict[str, Any], edges: list[tuple[str, str]], layer: Layer, dt: float) -> None:
    """The layer's neuron and weights; the delays that they are fed by are named in the edges."""
    nodes[layer.name] = _neuron(nir, layer, dt)
    bias: NDArray[Any] | None = layer.bias if layer.bias.any() else None
    for number, connection in enumerate(layer.inputs):
        made = dense(connection)
        for synapse, (weight, delay_steps) in enumerate(zip(made.weight, made.full_delay_steps, strict=True)):
            # a synapse without any weight leaves one node all the same: its shape is needed to read it back
            for steps in np.unique(delay_steps[weight != 0]) if weight.any() else delay_steps.max(keepdims=True).flat:
                name = f"{layer.name}_W{number}_{synapse}_D{steps}"
                metadata = {METADATA: json.dumps({"input": number, "synapse": synapse})}
                here = np.where(delay_steps == steps, weight, np.float32(0))
                if bias is None:
                    nodes[name] = nir.Linear(here, metadata=metadata)
                else:
                    nodes[name], bias = nir.Affine(here, bias, metadata=metadata), None
                edges += [(f"{made.source}_D{steps}" if steps else made.source, name), (name, layer.name)]


def _neuron(nir: Any, layer: Layer, dt: float) -> Any:
    decay = layer.neuron.arrays()["decay"]
    tau = euler_tau(decay, dt)
    zero = np.zeros(len(tau))
    continuous = {"tau": tau, "r": tau / dt, "v_leak": zero, "metadata": {"decay": decay}}
    if not isinstance(layer.neuron, LIF):
        return nir.LI(**continuous)
    threshold = np.nextafter(layer.neuron.threshold, np.float32(-np.inf))
    return nir.LIF(**continuous, v_threshold=threshold, v_reset=zero)


def _about(network: Network) -> dict[str, Any]:
    def connection(made: Dense) -> dict[str, Any]:
        return {"max_delay": made.max_delay, "delay_shape": list(made.delay_steps.shape)}

    return {
        "format_version": FORMAT_VERSION,
        "dt_ms": network.dt_ms,
        "decay_rule": "euler",
        "classes": list(network.classes),
        "input": asdict(network.input),
        "decoding": network.decoding.settings(),
        "layers": [
            {"name": layer.name, "inputs": [connection(dense(made)) for made in layer.inputs]}
            for layer in network.layers
        ],
    }


def _write(network: Network, path: Path) -> None:
    graph, nir = to_nir(network), needed("nir", "nir")
    with write_atomically(path) as temporary:
        nir.write(temporary, graph)


TARGET = Target("nir", "a NIR graph (HDF5) with one Delay per distinct delay", ".nir", _write)
