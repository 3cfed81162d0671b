"""Sparse connections: the same synapses as dense ones, in fewer bytes, to the bit the same when run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.engine import Engine, cost
from ranvier.models import Stack, freeze
from ranvier.network import Connection, Dense, Input, Network, NetworkError, Sparse, quantize
from ranvier.network.sparse import smallest
from ranvier.nn import LIF, DelayConv2d, DelayLinear, Integrator, Recurrent, SequenceBatchNorm, prune
from tests.drawn import draw, draw_clip, made_sparse


def part(**changes: Any) -> Sparse:
    """3 targets, the second without a synapse, 4 sources."""
    values: dict[str, Any] = {
        "source": "input",
        "max_delay": 5,
        "source_count": 4,
        "first": np.array([0, 2, 2, 3], np.int32),
        "source_index": np.array([3, 0, 3], np.int16),
        "weight": np.array([0.5, -1, 2], np.float32),
        "delay_steps": np.array([5, 0, 1], np.int16),
    }
    return Sparse(**{**values, **changes})


def dense_of(seed: int, shape: tuple[int, int, int], share: float) -> Dense:
    generator = np.random.default_rng(seed)
    weight = generator.normal(0, 1, shape).astype(np.float32)
    weight[generator.random(shape) >= share] = 0
    return Dense("input", 9, weight, generator.integers(0, 10, shape).astype(np.int16))


def rows(made: Dense | Sparse) -> list[tuple[int, int, float, int]]:
    return sorted(zip(*(values.tolist() for values in made.synapses()), strict=True))


def test_its_synapses_are_those_written_down() -> None:
    made = part()
    assert rows(made) == [(0, 0, -1.0, 0), (3, 0, 0.5, 5), (3, 2, 2.0, 1)]
    assert (made.sources, made.targets, made.synapse_count) == (4, 3, 3)
    full = made.dense()
    assert full.weight.tolist() == [[[-1, 0, 0, 0.5], [0, 0, 0, 0], [0, 0, 0, 2]]]
    assert rows(full) == rows(made) == rows(Sparse.of(full))
    assert rows(made.with_delays(np.array([1, 2, 3], np.int16))) == [(0, 0, -1.0, 2), (3, 0, 0.5, 1), (3, 2, 2.0, 3)]


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 5, 7), (2, 1, 4), (1, 2, 40_000)])
def test_there_and_back(shape: tuple[int, int, int]) -> None:
    made = dense_of(0, shape, 0.3)
    sparse = Sparse.of(made)
    assert rows(sparse) == rows(made) == rows(sparse.dense()) == rows(Sparse.of(sparse.dense()))
    assert sparse.source_index.dtype == (np.int32 if shape[2] > 32768 else np.int16)


@pytest.mark.parametrize("seed", range(12))
def test_a_network_runs_alike_to_the_bit(seed: int) -> None:
    network = draw(seed, integer=seed % 3 == 0, loops=seed % 2 == 0)
    for layer in network.layers:  # as those with delays of their own at every synapse run
        assert all(isinstance(made, Dense) for made in layer.inputs)
    network = replace(network, layers=tuple(replace(layer, inputs=tuple(map(spread, layer.inputs)))
                                            for layer in network.layers))  # fmt: skip
    sparse = made_sparse(network)
    assert any(isinstance(made, Sparse) for layer in sparse.layers for made in layer.inputs)
    clip = draw_clip(network, seed, 40)
    one, other = Engine(network).run(clip), Engine(sparse).run(clip)
    for mine, theirs in zip(one.spikes, other.spikes, strict=True):
        assert np.array_equal(mine, theirs)
    assert np.array_equal(one.voltage, other.voltage)


def spread(made: Connection) -> Connection:
    assert isinstance(made, Dense)
    return replace(made, delay_steps=made.full_delay_steps.copy())


def pruned(density: float) -> Stack:
    torch.manual_seed(0)
    model = Stack(
        DelayLinear(30, 40, 9), SequenceBatchNorm(40), Recurrent(LIF(0.7, 0.4), DelayLinear(40, 40, 9, min_delay=1)),
        DelayLinear(40, 10, 9, delay_type="axonal"), Integrator(0.9),
    )  # fmt: skip
    with torch.no_grad():
        for layer in model.delay_layers:
            layer.weight.mul_(3)
    prune(model, density)
    return model.eval()


def frozen(model: Stack) -> Network:
    return freeze(model, dt_ms=1.0, classes=[f"c{n}" for n in range(10)], input=Input(30))


def as_dense(network: Network) -> Network:
    return replace(network, layers=tuple(
        replace(layer, inputs=tuple(made.dense() if isinstance(made, Sparse) else made for made in layer.inputs))
        for layer in network.layers
    ))  # fmt: skip


def test_a_pruned_model_freezes_to_what_takes_fewer_bytes(tmp_path: Path) -> None:
    sizes = []
    for density, kind in ((0.9, "dense"), (0.5, "sparse"), (0.1, "sparse")):
        network = frozen(pruned(density))
        assert [made.kind for layer in network.layers for made in layer.inputs] == [kind, kind, "dense"]
        counts = [made.synapse_count for layer in network.layers for made in layer.inputs]
        assert counts == [round(density * full) for full in (1200, 1600, 400)]
        file = tmp_path / f"{density}.safetensors"
        network.write(file)
        sizes.append(file.stat().st_size)
        read = Network.read(file)
        for mine, theirs in zip(network.layers, read.layers, strict=True):
            for one, other in zip(mine.inputs, theirs.inputs, strict=True):
                assert one.settings() == other.settings()
                assert rows(one) == rows(other)  # type: ignore[arg-type]
        x = (np.random.default_rng(0).random((60, 30)) < 0.3).astype(float)
        ran, expected = Engine(read).run(x), Engine(as_dense(network)).run(x)
        assert len(ran.spikes[0]) > 100
        assert np.array_equal(ran.spikes[0], expected.spikes[0])
        assert np.array_equal(ran.voltage, expected.voltage)
    assert sizes[2] < sizes[1] < sizes[0] - 2000


def test_a_pruned_network_spikes_as_the_model() -> None:
    model = pruned(0.2)
    x = (torch.rand(60, 1, 30) < 0.3).float()
    with torch.no_grad():
        (raster,), _ = model.forward_with_spikes(x)
    spikes = Engine(frozen(model)).run(x[:, 0].double().numpy()).spikes[0]
    assert len(spikes) > 100
    assert np.array_equal(spikes, np.argwhere(raster[:, 0].numpy()))


def test_few_sources_for_each_target_are_a_list_too() -> None:
    made, _ = DelayLinear(40, 20, 5, fan_in=4).freeze("input")
    assert isinstance(made, Sparse)
    assert np.diff(made.first).tolist() == [4] * 20
    assert made.max_delay == 5  # nothing was pruned
    assert isinstance(DelayLinear(40, 20, 5).freeze("input")[0], Dense)


def test_the_smaller_form_is_taken() -> None:
    for share in (0.1, 0.6, 0.9):
        made = dense_of(1, (1, 30, 50), share)
        sizes = [sum(array.nbytes for array in one.arrays().values()) for one in (made, Sparse.of(made))]
        assert sum(array.nbytes for array in smallest(made).arrays().values()) == min(sizes)
    nothing = replace(made, weight=np.zeros_like(made.weight))
    assert smallest(nothing) is nothing
    axonal = replace(dense_of(1, (1, 30, 50), 0.1), delay_steps=np.zeros((1, 1, 50), np.int16))
    assert smallest(axonal) is axonal


def test_a_quantised_list_is_the_quantised_matrix() -> None:
    model = Stack(DelayLinear(30, 40, 9), LIF(0.7), DelayLinear(40, 10, 9), Integrator(0.9))
    prune(model, 0.1)
    sparse = frozen(model)
    one, other = (quantize(network, delay_bits=2) for network in (sparse, as_dense(sparse)))
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        assert isinstance(mine.inputs[0], Sparse)
        assert mine.inputs[0].integer
        assert rows(mine.inputs[0]) == rows(theirs.inputs[0])  # type: ignore[arg-type]
        assert np.array_equal(mine.inputs[0].largest_current(3), theirs.inputs[0].largest_current(3))
        assert np.array_equal(mine.bias, theirs.bias)


def test_delays_of_synapses_that_are_not_there_count_for_no_rounding() -> None:
    network = frozen(pruned(0.1))
    for form in (network, as_dense(network)):
        own = form.layers[0].inputs[1]
        begun, ended = (np.unique(made.delays()) for made in (own, quantize(form, delay_bits=2).layers[0].inputs[1]))
        assert begun.tolist() == list(range(1, 10))  # of a recurrent connection: 1 or more
        assert ended.tolist() == [1, 4, 6, 9]


def test_a_cost_counts_what_is_left() -> None:
    sparse = frozen(pruned(0.25))
    clip = (np.random.default_rng(0).random((60, 30)) < 0.3).astype(float)
    one, other = (cost(network, [(clip, None)]) for network in (sparse, as_dense(sparse)))
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        same = ("synapses", "spikes", "synaptic_operations", "weight_bytes", "delay_bytes", "ring_bytes", "queue_bytes")
        assert all(getattr(mine, name) == getattr(theirs, name) for name in same)
    assert one.layers[0].synapses == 300 + 400
    assert one.layers[0].weight_bytes == 4 * 700
    assert one.layers[0].dense_operations == 700 * 60
    assert other.layers[0].dense_operations == 2800 * 60
    assert "sparse from input (30 to 40, 300 synapses)" in str(sparse)


def test_pruned_kernel_elements_are_no_synapses() -> None:
    conv = DelayConv2d(2, 3, 3, 7, (8, 8), stride=2)
    model = Stack(conv, LIF(0.7), DelayLinear(conv.out_features, 2, 0), Integrator(0.9))
    prune(conv, 0.5, "delay")
    network = freeze(model.eval(), dt_ms=1.0, classes=["a", "b"], input=Input(128))
    hidden = cost(network, [((np.zeros((3, 128))), None)]).layers[0]
    assert hidden.synapses == 27 * 9  # 3 x 3 places of each kernel element
    assert hidden.weight_bytes == 27 * 4
    longest = int(conv.synapse_delays().max())
    assert longest < 7
    bits = (len(set(conv.synapse_delays().tolist())) - 1).bit_length()
    assert hidden.delay_bytes == -(-27 * bits // 8)
    assert hidden.ring_bytes == 27 * (longest + 1) * 4


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"first": np.array([0, 2, 1, 3], np.int32)}, "first"),
        ({"first": np.array([0, 2, 2, 4], np.int32)}, "first"),
        ({"first": np.array([1, 2, 2, 3], np.int32)}, "first"),
        ({"first": np.array([0], np.int32)}, "first"),
        ({"source_index": np.array([3, 0, 4], np.int16)}, "source_index"),
        ({"source_index": np.array([3, 0, -1], np.int16)}, "source_index"),
        ({"source_index": np.array([3, 0], np.int16)}, "weight"),
        ({"source_count": 0}, "source_count"),
        ({"source_count": 2.5}, "source_count"),
        ({"source_count": 2**25}, "source_count"),
        ({"weight": np.array([0.5, 0, 2], np.float32)}, "weight"),
        ({"weight": np.array([0.5, np.nan, 2], np.float32)}, "weight"),
        ({"weight": np.array([1, -128, 2], np.int8)}, "weight"),
        ({"delay_steps": np.array([6, 0, 1], np.int16)}, "delay_steps"),
        ({"delay_steps": np.array([-1, 0, 1], np.int16)}, "delay_steps"),
        ({"max_delay": 40_000}, "max_delay"),
    ],
)
def test_a_list_that_breaks_a_rule_is_refused(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(NetworkError, match=rf"^{name}: "):
        part(**changes)


def test_a_list_too_large_to_be_a_matrix_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"^weight: 201326592 weights"):
        part(source_count=2**24, first=np.array([0, 2, *[2] * 10, 3], np.int32)).dense()
