"""Generated networks and clips, on which an export target has to give the engine's spikes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engine import Engine
from ranvier.network import LIF, Decoding, Dense, Input, Integrator, Layer, Network
from ranvier.network.decoding import Tail

LONGEST = 9  # time steps


def connection(
    generator: np.random.Generator, source: str, targets: int, sources: int, *, synapses: int = 1,
    shape: tuple[int, int, int] | None = None, shortest: int = 0, share: float = 1.0, scale: float = 1.0,
) -> Dense:  # fmt: skip
    """Random weights in multiples of 1/64, so that every order of summation gives the same, and random delays."""
    full = (synapses, targets, sources)
    weight = (np.round(generator.normal(0.1, scale, full) * 64) / 64).astype(np.float32)
    weight[generator.random(full) >= share] = 0
    delay_steps = generator.integers(shortest, LONGEST + 1, shape or full).astype(np.int16)
    delay_steps.flat[0], delay_steps.flat[-1] = shortest, LONGEST
    return Dense(source, LONGEST, weight, delay_steps)


def layer(
    generator: np.random.Generator, name: str, inputs: tuple[Dense, ...], *, bias: bool = True, varied: bool = True
) -> Layer:
    """Neurons with decays of their own, in multiples of 1/8; a layer ``readout`` never spikes."""
    targets = inputs[0].targets
    kept = np.array([0.0, 0.25, 0.5, 0.875, 0.75], np.float32)
    decay = generator.choice(kept, targets) if varied else np.full(targets, 0.5, np.float32)
    threshold = generator.choice(np.array([1.0, 1.5], np.float32), targets) if varied else np.ones(targets, np.float32)
    shift = (generator.integers(-8, 9, targets) / 64 * bias).astype(np.float32)
    return Layer(name, inputs, shift, Integrator(decay) if name == "readout" else LIF(decay, threshold))


def chain(seed: int = 0, *, tail: Tail = "clip", synapses: int = 1, bias: bool = True, varied: bool = True) -> Network:
    """Two hidden layers of odd sizes and a readout."""
    generator = np.random.default_rng(seed)
    sizes = [("input", 5), ("hidden_1", 7), ("hidden_2", 3), ("readout", 4)]
    layers = [
        layer(
            generator, name, (connection(generator, source, targets, sources, synapses=synapses),), bias=bias,
            varied=varied,
        )
        for (source, sources), (name, targets) in pairwise(sizes)
    ]  # fmt: skip
    return Network(4.0, tuple(layers), ("a", "b", "c", "d"), Input(9, 2, "first_event"), Decoding(6, tail))


def recurrent(seed: int = 0, back: int = 1) -> Network:
    """Loops within a layer and back, skips, two connections from one source, axonal and dendritic delays.

    Args:
        seed: of weights and delays.
        back: shortest delay of the connection back to an earlier layer, in time steps.
    """
    generator = np.random.default_rng(seed)

    def make(source: str, targets: int, sources: int, **settings: Any) -> Dense:
        return connection(generator, source, targets, sources, scale=0.6, **settings)

    first = layer(
        generator,
        "output",
        (
            make("input", 6, 3),
            make("output", 6, 6, shortest=1, share=0.5),
            make("second", 6, 4, shortest=back, synapses=2, share=0.4),
        ),
    )
    second = layer(
        generator,
        "second",
        (make("output", 4, 6, shape=(1, 1, 6)), make("input", 4, 3, shape=(1, 4, 1)), make("input", 4, 3, share=0.0)),
    )
    last = layer(generator, "readout", (make("second", 2, 4), make("input", 2, 3), make("output", 2, 6, share=0.3)))
    return Network(10.0, (first, second, last), ("x", "y"), Input(3), Decoding(3))


def rough(network: Network) -> Network:
    """The network with weights that are no round numbers, so that no voltage equals a threshold by chance."""
    generator = np.random.default_rng(5)

    def other(made: Any) -> Dense:
        assert isinstance(made, Dense)
        factor = generator.uniform(0.7, 1.3, made.weight.shape)
        return replace(made, weight=(made.weight * factor).astype(np.float32))

    layers = [replace(layer, inputs=tuple(other(made) for made in layer.inputs)) for layer in network.layers]
    return replace(network, layers=tuple(layers))


def clips(network: Network, seed: int = 0) -> list[NDArray[np.int64]]:
    """Counts ``[time, source]``, some above 1; one clip is silent."""
    generator = np.random.default_rng(seed)
    lengths = [1, 17, 40]
    made = [generator.poisson(0.8, (length, network.sources)) for length in lengths]
    return [*made, np.zeros((5, network.sources), np.int64)]


def same_network(one: Network, other: Network) -> None:
    """Every setting and every array the same to the bit; delays where the weight is not 0."""
    for name in ("dt_ms", "classes", "input", "decoding"):
        assert getattr(one, name) == getattr(other, name)
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        assert mine.bias.dtype == theirs.bias.dtype
        np.testing.assert_array_equal(mine.bias, theirs.bias)
        assert mine.parts().keys() == theirs.parts().keys()
        for place, part in mine.parts().items():
            again = theirs.parts()[place]
            assert part.settings() == again.settings()
            for name, array in part.arrays().items():
                found = again.arrays()[name]
                assert found.dtype == array.dtype
                assert found.shape == array.shape
                if name != "delay_steps":
                    np.testing.assert_array_equal(array, found)
            if isinstance(part, Dense) and isinstance(again, Dense):
                there = part.weight != 0
                np.testing.assert_array_equal(part.full_delay_steps[there], again.full_delay_steps[there])


def same_spikes(one: Network, other: Network) -> None:
    """The engine's spikes and voltages of generated clips, to the bit; some neurons have to spike."""
    spikes = 0
    for clip in clips(one):
        mine, theirs = Engine(one).run(clip), Engine(other).run(clip)
        np.testing.assert_array_equal(mine.voltage, theirs.voltage)
        for raster, again in zip(mine.spikes, theirs.spikes, strict=True):
            np.testing.assert_array_equal(raster, again)
            spikes += len(raster)
    assert spikes > 20
