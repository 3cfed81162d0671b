"""What a network costs, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ranvier.data import events_dataset
from ranvier.engine import Engine, cost
from ranvier.engine.cost import synaptic_operations, weight_bits
from ranvier.network import Decoding, Dense, Input, Network, Trace, quantize
from tests.drawn import draw, draw_clip
from tests.networks import chained, changed, dense, dense_layer


def small() -> Network:
    """2-3-1: one weight is 0; hidden neurons spike when their current reaches 1."""
    hidden = dense_layer(
        weight=np.array([[[1, 0], [1, 1], [1, 1]]], np.float32),
        delay_steps=np.array([[[0, 0], [2, 2], [4, 1]]], np.int16),
        bias=np.zeros(3, np.float32),
        decay=np.zeros(3, np.float32),
        threshold=np.ones(3, np.float32),
        max_delay=6,
    )
    readout = dense_layer(
        weight=np.ones((1, 1, 3), np.float32),
        delay_steps=np.zeros((1, 1, 3), np.int16),
        bias=np.zeros(1, np.float32),
        decay=np.zeros(1, np.float32),
        threshold=np.full(1, np.inf, np.float32),
        max_delay=0,
    )
    return chained(1.0, (hidden, readout), ("a",), Input(2), Decoding(10))


def test_operations_and_bytes_are_those_counted_by_hand() -> None:
    clip = np.zeros((3, 2))
    clip[0, 0] = clip[1, 0] = clip[2, 1] = 1
    found = cost(small(), [(clip, None), (np.zeros((7, 2)), None)])
    hidden, readout = found.layers
    assert (found.clips, found.max_delay) == (2, 4)
    # source 0 sends twice to 3 synapses, source 1 once to 2; the spikes are 3 + 3 + 2, at different steps
    assert hidden.synaptic_operations == (2 * 3 + 2) / 2
    assert hidden.dense_operations == (13 + 17) / 2 * 6
    assert hidden.spikes == len(Engine(small()).run(clip).spikes[0]) / 2
    assert readout.synaptic_operations == hidden.spikes
    assert (hidden.synapses, readout.synapses) == (5, 3)
    assert (hidden.weight_bits, hidden.weight_bytes) == (32, 20)
    assert hidden.delay_bytes == 2  # four different delays, 2 bits each, 5 synapses
    assert readout.delay_bytes == 0
    assert (hidden.ring_bytes, readout.ring_bytes) == (3 * 7 * 4, 4)
    assert (hidden.history_bytes, readout.history_bytes) == (2 * 7, 1)
    # source 0 has the delays 0, 2, 4, source 1 has 1, 2: at step 2 the three events wait for 1, 2 and 2 of them
    assert hidden.queue_bytes == 4 * 5
    assert found.total.synapses == 8
    assert found.total.queue_bytes == hidden.queue_bytes


def test_platforms_by_their_longest_delay() -> None:
    network = small()
    for longest, expected in ((15, [True, True, True]), (62, [False, True, True]), (63, [False, False, True])):
        delay_steps = dense(network.layers[0]).delay_steps.copy()
        delay_steps[0, 0, 0] = longest
        first = changed(network.layers[0], max_delay=longest, delay_steps=delay_steps)
        found = cost(replace(network, layers=(first, network.layers[1])), [(np.ones((2, 2)), None)])
        assert list(found.fits().values()) == expected


def test_stored_bits_of_weights() -> None:
    for seed in range(5):
        for bits, stored in ((8, 8), (4, 4), ("ternary", 2)):
            made = quantize(draw(seed), weight_bits=bits)  # type: ignore[arg-type]
            (first, *_) = made.layers[0].inputs
            assert isinstance(first, Dense)
            assert weight_bits(first) == stored or not first.weight.any()
    assert weight_bits(Dense("input", 0, np.zeros((1, 1, 1), np.int8), np.zeros((1, 1, 1), np.int16))) == 2


def test_loops_count_and_no_clip_is_refused() -> None:
    network = draw(15, loops=True)
    found = cost(network, [(draw_clip(network, 1), None)])
    assert all(layer.synaptic_operations and layer.synaptic_operations > 0 for layer in found.layers)
    with pytest.raises(ValueError, match="clips: none"):
        cost(network, [])


def test_an_event_is_one_operation_for_each_synapse_whatever_its_size() -> None:
    step, source = np.array([0, 1, 2]), np.array([0, 0, 1])
    ones, sizes = np.ones(3), np.array([3.0, 1.0, 255.0])
    one, several = (cost(small(), [((step, source, size), 3)]).layers for size in (ones, sizes))
    assert [layers[0].synaptic_operations for layers in (one, several)] == [2 * 3 + 2] * 2
    sent = {"input": np.array([2.0, 0.5]), "hidden_1": np.array([1.0, 2.0, 4.0])}
    assert synaptic_operations(small(), sent) == [2 * 3 + 0.5 * 2, 7]


def test_equal_events_are_one_with_a_size_as_readers_make_them() -> None:
    """In any order within a time step; one of size 0 is none."""
    step, source = np.array([0, 0, 0, 0, 2, 2, 2]), np.array([1, 0, 1, 1, 1, 0, 0])
    size = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    read = events_dataset([(step, source)], [0], dt_ms=1000, sources=2).clip(0)
    assert [part.tolist() for part in read] == [[0, 0, 2, 2], [0, 1, 0, 1], [1, 3, 2, 1]]
    merged = (np.array([0, 0, 2]), np.array([0, 1, 1]), np.array([1.0, 3.0, 1.0]))
    network = small()
    one, other = (Engine(network).run(events, 3) for events in ((step, source, size), merged))
    assert np.array_equal(one.voltage, other.voltage)
    found = [cost(network, [(events, 3)]) for events in ((step, source, size), merged)]
    assert found[0] == found[1]
    assert found[0].layers[0].synaptic_operations == 1 * 3 + 2 * 2


def test_what_receives_numbers_has_no_count_of_operations() -> None:
    network, clip = small(), (np.eye(2), None)
    traced = replace(network.layers[0], output=Trace(np.full(3, 0.5, np.float32)))
    found = cost(replace(network, layers=(traced, network.layers[1])), [clip])
    plain = cost(network, [clip])
    assert [layer.synaptic_operations for layer in found.layers] == [plain.layers[0].synaptic_operations, None]
    assert found.total.synaptic_operations is None
    assert found.total.dense_operations == plain.total.dense_operations
    assert cost(network, [clip], real_input=True).layers[0].synaptic_operations is None
    for wrong in (0.5, -1.0):
        found = cost(network, [clip, (np.full((2, 2), wrong), None)])
        assert found.layers[0].synaptic_operations is None
        assert found.layers[1].synaptic_operations is not None
    sent = {"hidden_1": np.array([1.0, 2.0, 4.0])}  # of the input nothing is known
    assert synaptic_operations(network, sent) == [None, 7]


def test_connections_of_a_layer_share_its_ring_and_those_from_a_source_its_history() -> None:
    network = small()
    first = network.layers[0]
    others = [
        Dense(source, longest, np.ones((1, 3, sources), np.float32), np.full((1, 1, 1), longest, np.int16))
        for source, sources, longest in (("input", 2, 8), ("input", 2, 1), ("hidden_1", 3, 10))
    ]
    made = replace(network, layers=(replace(first, inputs=(*first.inputs, *others)), network.layers[1]))
    hidden = cost(made, [(np.ones((2, 2)), None)]).layers[0]
    assert hidden.ring_bytes == 3 * (10 + 1) * 4
    assert hidden.history_bytes == -(-(2 * (8 + 1) * 8 + 3 * (10 + 1)) // 8)


def test_a_layer_runs_the_tails_before_it_and_no_more() -> None:
    network = replace(small(), decoding=Decoding(10, tail="per_layer"))
    found = cost(network, [(np.zeros((7, 2)), None), (np.zeros((3, 2)), None)])
    assert [layer.dense_operations for layer in found.layers] == [(7 + 3) / 2 * 6 + 10 * 6, (7 + 3) / 2 * 3 + 20 * 3]


def test_events_wait_together_only_at_the_same_time() -> None:
    hidden, readout = small().layers
    one = np.ones((1, 1, 2), np.int16)
    inputs = (replace(dense(readout), max_delay=1, delay_steps=np.ones((1, 1, 3), np.int16)),)
    skip = (Dense("input", 1, one.astype(np.float32), one),)
    network = replace(small(), layers=(hidden, replace(readout, inputs=inputs + skip)))
    # the event waits for the readout in step 0; the spikes that it causes in steps 1 and 2
    clip = np.zeros((3, 2))
    clip[0, 1] = 1
    assert cost(network, [(clip, None)]).layers[1].queue_bytes == 4
    clip[1, 1] = 1  # now with the spike of step 1
    assert cost(network, [(clip, None)]).layers[1].queue_bytes == 8
