"""A network goes to NIR and comes back the same; what NIR cannot say is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from ranvier import load_network
from ranvier.export import ExportError, from_nir, targets, to_nir
from ranvier.network import LIF, Decoding, Dense, Input, Integrator, Layer, Network, NetworkError, Trace
from tests.drawn import Exact, chain, connection, recurrent
from tests.export.same import same_network, same_spikes
from tests.network.test_integer import network as integer_network

MADE = [
    chain(0), chain(1, tail="per_layer"), chain(2, synapses=2), chain(3, bias=False), recurrent(0), recurrent(1),
]  # fmt: skip


@pytest.mark.parametrize("network", MADE)
def test_a_network_comes_back_the_same(network: Network, tmp_path: Path) -> None:
    graph = to_nir(network)
    same_network(network, from_nir(graph))
    same_spikes(network, from_nir(graph))
    file = tmp_path / "n.nir"
    targets()["nir"].write(network, file)
    assert [found.name for found in tmp_path.iterdir()] == ["n.nir"]
    same_network(network, from_nir(file))
    same_network(network, from_nir(nir.read(file)))


def test_decays_thresholds_and_weights_come_back_to_the_bit() -> None:
    generator = np.random.default_rng(0)
    decay = np.concatenate([[0, 1, 1e-12, 1e-30, 0.005], generator.random(195)]).astype(np.float32)
    threshold = np.concatenate([[1e-45, 1e-38, 1e30], generator.random(197) * 10]).astype(np.float32)
    weight = generator.normal(0, 1, (1, 200, 3)).astype(np.float32)
    delay_steps = generator.integers(0, 300, weight.shape).astype(np.int16)
    hidden = Layer(
        "a",
        (Dense("input", 32767, weight, delay_steps),),
        (weight[0, :, 0] / 3).astype(np.float32),
        LIF(decay, threshold),
    )
    last = Layer(
        "b",
        (connection(Exact(generator), "a", (1, 2, 200)),),
        np.zeros(2, np.float32),
        Integrator(np.ones(2, np.float32)),
    )
    network = Network(0.1, (hidden, last), ("p", "q"), Input(3), Decoding())
    graph = to_nir(network)
    again = from_nir(graph)
    same_network(network, again)
    for node in graph.nodes.values():
        node.metadata.pop("decay", None)
    without = from_nir(graph).layers[0].neuron.arrays()["decay"]
    kept = decay > 1e-8
    np.testing.assert_array_equal(without[kept], decay[kept])


def test_the_graph_is_a_flat_fan_out_in_seconds() -> None:
    network = load_network("digits")
    graph = to_nir(network)
    kinds = [type(node).__name__ for node in graph.nodes.values()]
    delays = [np.unique(made.delay_steps[made.weight != 0]) for layer in network.layers for made in layer.inputs]  # type: ignore[attr-defined]
    assert kinds.count("Delay") == sum(np.count_nonzero(each) for each in delays)
    assert kinds.count("Linear") + kinds.count("Affine") == sum(len(each) for each in delays)
    assert graph.metadata["dt"] == network.dt_ms / 1000
    longest = max(node.delay.max() for node in graph.nodes.values() if isinstance(node, nir.Delay))
    assert longest == pytest.approx(max(each.max() for each in delays) * network.dt_ms / 1000)
    assert not [name for name in graph.nodes if "." in name]
    layer, neuron = network.layers[0], graph.nodes[network.layers[0].name]
    np.testing.assert_allclose(1 - 0.01 / neuron.tau, layer.neuron.arrays()["decay"], rtol=1e-7)
    np.testing.assert_allclose(neuron.r * 0.01 / neuron.tau, 1, rtol=1e-12)
    assert (neuron.v_threshold < layer.neuron.arrays()["threshold"]).all()
    assert isinstance(network.layers[0].inputs[0], Dense)
    total = sum(
        node.weight for name, node in graph.nodes.items() if name.startswith(f"{layer.name}_W")
    )  # each weight stands in one of them
    np.testing.assert_array_equal(total, network.layers[0].inputs[0].weight[0])
    same_network(network, from_nir(graph))


def test_axonal_delays_stay_small() -> None:
    again = from_nir(to_nir(recurrent()))
    shapes = [made.delay_steps.shape for made in again.layers[1].inputs]  # type: ignore[attr-defined]
    assert shapes == [(1, 1, 6), (1, 4, 1), (1, 4, 3)]


def _with(network: Network, number: int, **fields: Any) -> Network:
    layers = list(network.layers)
    layers[number] = replace(layers[number], **fields)
    return replace(network, layers=tuple(layers))


def test_what_nir_cannot_say_is_refused() -> None:
    network = chain()
    trace = Trace(np.full(3, 0.5, np.float32))
    with pytest.raises(ExportError, match=r"^layers\.1\.output: trace is not allowed"):
        to_nir(_with(network, 1, output=trace))
    with pytest.raises(ExportError, match=r"^layers\.0\.neuron: integer_lif is not allowed"):
        to_nir(integer_network())
    looped = replace(network.layers[2].inputs[0], source="readout", **_delayed(4))
    with pytest.raises(ExportError, match=r"^layers\.2\.inputs\.1\.source: 'readout'"):
        to_nir(_with(network, 2, inputs=(network.layers[2].inputs[0], looped)))


def _delayed(size: int) -> dict[str, Any]:
    shape = (1, size, size)
    return {"weight": np.ones(shape, np.float32), "delay_steps": np.ones(shape, np.int16)}


def _metadata(graph: Any, **fields: Any) -> None:
    graph.metadata["ranvier"] = json.dumps(json.loads(graph.metadata["ranvier"]) | fields)


def _second_weight(graph: Any) -> None:
    name = next(name for name in graph.nodes if name.startswith("hidden_1_W"))
    graph.nodes["more"] = nir.Linear(np.eye(7))
    graph.edges.remove((name, "hidden_1"))
    graph.edges += [(name, "more"), ("more", "hidden_1")]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda g: setattr(g.nodes["hidden_1"], "v_leak", np.ones(7)), ExportError, r"hidden_1\.v_leak"),
        (lambda g: setattr(g.nodes["hidden_1"], "v_reset", np.ones(7)), ExportError, r"hidden_1\.v_reset"),
        (lambda g: setattr(g.nodes["hidden_1"], "tau", np.full(7, 1e-3)), ExportError, r"hidden_1\.tau: 0\.001 s"),
        (lambda g: setattr(g.nodes["hidden_1"], "tau", np.full(7, 1.0)), ExportError, r"metadata\.decay"),
        (lambda g: setattr(g.nodes["hidden_1"], "v_threshold", np.full(7, -1.0)), ExportError, "v_threshold"),
        (lambda g: setattr(g.nodes["hidden_1"], "r", np.full(6, 1.0)), ExportError, "6 values"),
        (lambda g: g.nodes["input_D1"].delay.fill(5e-3), ExportError, r"input_D1\.delay: 1\.25 time steps"),
        (lambda g: g.nodes.update(hidden_1=nir.Threshold(np.ones(7))), ExportError, "hidden_1: Threshold"),
        (lambda g: g.edges.append(g.edges[0]), ExportError, "twice"),
        (lambda g: g.edges.append(("input", "nowhere")), ExportError, "nowhere"),
        (_second_weight, ExportError, r"^more: follows another weight"),
        (lambda g: _metadata(g, format_version=2), ExportError, "another version"),
        (lambda g: _metadata(g, classes=["a"]), NetworkError, "classes: 1 names"),
        (lambda g: _metadata(g, layers=[]), NetworkError, ""),
        (lambda g: _metadata(g, input={"channels": 0}), ExportError, r"metadata\.input\.channels"),
    ],
)
def test_a_graph_that_is_something_else_is_refused(change: Any, error: type[Exception], message: str) -> None:
    graph = to_nir(chain())
    change(graph)
    if message:
        with pytest.raises(error, match=message):
            from_nir(graph)
    else:  # of no layers it says nothing, so it is read as a stranger's
        assert len(from_nir(graph).layers) == 3


def test_the_time_step_is_the_graphs_or_given() -> None:
    graph = to_nir(chain())
    with pytest.raises(ExportError, match=r"^dt_ms: 5 is not allowed \(4, as"):
        from_nir(graph, dt_ms=5)
    del graph.metadata["ranvier"]
    assert from_nir(graph).dt_ms == 4
    del graph.metadata["dt"]
    with pytest.raises(ExportError, match=r"^dt_ms: is not in"):
        from_nir(graph)


def test_without_our_metadata_the_spikes_are_the_same() -> None:
    for network in (chain(0), chain(1, synapses=2)):
        graph = to_nir(network)
        graph.metadata = {}
        for node in graph.nodes.values():
            node.metadata = {}
        again = from_nir(graph, dt_ms=4, classes=network.classes, input=network.input, decoding=network.decoding)
        same_spikes(network, again)
        weight = again.layers[0].inputs[0].weight  # type: ignore[attr-defined]
        assert len(weight) == len(network.layers[0].inputs[0].weight)  # type: ignore[attr-defined]


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nir").write_bytes(b"no HDF5")
    with pytest.raises(ExportError, match=r"a\.nir: not a whole HDF5 file"):
        from_nir(tmp_path / "a.nir", dt_ms=1)
    with pytest.raises(FileNotFoundError):
        from_nir(tmp_path / "b.nir", dt_ms=1)
    with pytest.raises(ExportError, match="no file"):
        from_nir(tmp_path, dt_ms=1)
    with pytest.raises(ExportError, match=r"^graph: int is not allowed"):
        from_nir(3, dt_ms=1)


def _graph(nodes: dict[str, Any], edges: list[tuple[str, str]], size: int = 2) -> dict[str, Any]:
    """Mappings as a file holds them: an input, the nodes, an integrator and an output."""
    ends = {
        "input": {"type": "Input", "shape": np.array([size])},
        "I": {"type": "I", "r": np.ones(1)},
        "output": {"type": "Output", "shape": np.array([size])},
    }
    return {"type": "NIRGraph", "nodes": {**ends, **nodes}, "edges": [*edges, ("I", "output")]}


def test_sizes_are_checked_before_anything_is_made() -> None:
    scale = {"type": "Scale", "scale": np.ones(1)}
    with pytest.raises(ExportError, match=r"input\.shape"):
        from_nir(_graph({}, [("input", "I")], size=2**40), dt_ms=1)
    with pytest.raises(ExportError, match="I: 100000 channels without weights"):
        from_nir(_graph({}, [("input", "I")], size=100_000), dt_ms=1)
    with pytest.raises(ExportError, match="loop of such"):
        from_nir(_graph({"a": scale, "b": scale}, [("input", "I"), ("a", "b"), ("b", "a"), ("a", "I")]), dt_ms=1)
    diamonds: list[tuple[str, str]] = [("input", "a0"), ("a25", "I")]
    for number in range(25):  # 2^25 ways
        diamonds += [(f"a{number}", f"{side}{number}") for side in "bc"]
        diamonds += [(f"{side}{number}", f"a{number + 1}") for side in "bc"]
    nodes = {f"{side}{number}": scale for side in "abc" for number in range(26)}
    with pytest.raises(ExportError, match="I: is reached on more than"):
        from_nir(_graph(nodes, diamonds), dt_ms=1)
