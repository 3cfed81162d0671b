"""Networks drawn at random, of every part, shape and wiring that a network may have, and clips for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ranvier.network import (
    LIF,
    AdaptiveLIF,
    Connection,
    Conv,
    Decoding,
    Dense,
    Input,
    IntegerIntegrator,
    IntegerLIF,
    Integrator,
    Layer,
    Network,
    SoftResetLIF,
    Sparse,
    Tail,
    Trace,
)

Shape = tuple[int, int, int]
CLASSES = ("a", 'quote " and \\', "f\u00fcnf ??/ */")
# source of each layer's connections; a name means a layer
CHAIN = {"first": ["input"], "second": ["first"], "out": ["second"]}
RECURRENT = {"first": ["input", "first"], "second": ["first", "second"], "out": ["second"]}
SKIP = {"first": ["input", "second"], "second": ["first", "input"], "out": ["second", "first", "input"]}
WIDTHS = {"input": 9, "first": 17, "second": 12, "out": 3}
LONGEST = 9  # time steps, of exact networks


class Numbers(Protocol):
    """Draws weights and neurons of one kind."""

    generator: np.random.Generator

    def weight(self, shape: Shape) -> NDArray[Any]: ...

    def layer(self, name: str, inputs: Sequence[Connection], *, last: bool, trace: bool = False) -> Layer:
        """With neurons of its own kind, each with its own decay and threshold; the last one never spikes."""
        ...


@dataclass
class Floats:
    generator: np.random.Generator

    def weight(self, shape: Shape) -> NDArray[Any]:
        return self.generator.normal(0.3, 0.6, shape).astype(np.float32)

    def layer(self, name: str, inputs: Sequence[Connection], *, last: bool, trace: bool = False) -> Layer:
        random, targets = self.generator, inputs[0].targets
        bias = random.normal(0, 0.15, targets).astype(np.float32)
        decay, level, kept = random.uniform(0, 0.95, (3, targets)).astype(np.float32)
        output = Trace(kept) if trace and not last else None
        return Layer(name, tuple(inputs), bias, Integrator(decay) if last else LIF(decay, level + 0.4), output)


@dataclass
class Integers:
    """Weights up to ``largest``, in steps of ``unit``."""

    generator: np.random.Generator
    largest: int = 127
    unit: int = 1

    def weight(self, shape: Shape) -> NDArray[Any]:
        drawn = self.generator.integers(-self.largest * 2 // 3, self.largest + 1, shape)
        return (drawn * self.unit).astype(np.int8)

    def layer(self, name: str, inputs: Sequence[Connection], *, last: bool, trace: bool = False) -> Layer:
        random, targets, most = self.generator, inputs[0].targets, self.largest * self.unit
        decay = random.integers(0, 4050, targets).astype(np.int16)
        threshold = random.integers(most // 2, 2 * most, targets).astype(np.int32)
        bias = random.integers(-most // 4, most // 4 + 1, targets).astype(np.int32)
        scale = IntegerIntegrator(int(random.integers(-12, 1)), decay)
        return Layer(name, tuple(inputs), bias, scale if last else IntegerLIF(decay, threshold))


@dataclass
class Exact:
    """Multiples of 1/64, which have the same sum in every order."""

    generator: np.random.Generator
    scale: float = 1.0
    bias: bool = True
    varied: bool = True

    def weight(self, shape: Shape) -> NDArray[Any]:
        return (np.round(self.generator.normal(0.1, self.scale, shape) * 64) / 64).astype(np.float32)

    def layer(self, name: str, inputs: Sequence[Connection], *, last: bool, trace: bool = False) -> Layer:
        random, targets = self.generator, inputs[0].targets
        decay, threshold = np.full(targets, 0.5, np.float32), np.ones(targets, np.float32)
        if self.varied:
            decay = random.choice(np.array([0.0, 0.25, 0.5, 0.875, 0.75], np.float32), targets)
            threshold = random.choice(np.array([1.0, 1.5], np.float32), targets)
        bias = (random.integers(-8, 9, targets) / 64 * self.bias).astype(np.float32)
        return Layer(name, tuple(inputs), bias, Integrator(decay) if last else LIF(decay, threshold))


def connection(
    numbers: Numbers, source: str, shape: Shape, *,
    delays: Shape | None = None, shortest: int = 0, longest: int = LONGEST, share: float = 1.0,
) -> Dense:  # fmt: skip
    """Weights ``[synapse, target, source]``, a ``share`` of them there; the shortest and the longest delay is there."""
    weight = numbers.weight(shape)
    weight[numbers.generator.random(shape) >= share] = 0
    delay_steps = numbers.generator.integers(shortest, longest + 1, delays or shape).astype(np.int16)
    delay_steps.flat[0], delay_steps.flat[-1] = shortest, longest
    return Dense(source, longest, weight, delay_steps)


def wired(
    numbers: Numbers, wires: Mapping[str, Sequence[str]], widths: Mapping[str, int], *,
    synapses: int | None = None, axis: int | None = None, trace: bool = False,
) -> tuple[Layer, ...]:  # fmt: skip
    """Layers with these sources; without ``synapses`` of drawn number, with delays along a drawn axis."""
    random, names, layers = numbers.generator, list(wires), []
    for number, (name, sources) in enumerate(wires.items()):
        inputs = []
        for source in sources:
            shape = (synapses or int(random.integers(1, 3)), widths[name], widths[source])
            along = (axis or 0) if synapses else int(random.integers(0, 3))  # 1: axonal delays, 2: dendritic
            delays = (shape[0], 1 if along == 1 else shape[1], 1 if along == 2 else shape[2])
            longest = int(random.integers(1, 9)) if random.random() < 0.8 else 40
            shortest = int(source in names[number:])
            inputs.append(
                connection(numbers, source, shape, delays=delays, shortest=shortest, longest=longest, share=0.7)
            )
        layers.append(numbers.layer(name, inputs, last=name == names[-1], trace=trace))
    return tuple(layers)


def draw(
    seed: int, *, integer: bool = False, loops: bool = False, traces: bool = False, adaptive: bool = False,
    soft: bool = False,
) -> Network:  # fmt: skip
    """A network with 1 to 3 layers of 1 to 9 neurons; ``loops`` adds recurrent, backward and skip connections, and
    ``soft`` a soft reset."""
    random = np.random.default_rng(seed)
    names = ["input", *(f"hidden_{n}" for n in range(1, random.integers(1, 4))), "readout"]
    widths = {name: int(random.integers(1, 10)) for name in names}
    wires = {name: [source] for source, name in pairwise(names)}
    if loops:
        for number, name in enumerate(names[1:-1], 1):
            wires[name] += [name, names[random.integers(number, len(names) - 1)]]
        for name in names[2:]:
            wires[name].append("input")
    layers = wired((Integers if integer else Floats)(random), wires, widths, trace=traces)
    if adaptive:
        layers = (*(replace(layer, neuron=adaptive_lif(random, layer.targets)) for layer in layers[:-1]), layers[-1])
    if soft:
        layers = (*(replace(layer, neuron=SoftResetLIF(**layer.neuron.arrays())) for layer in layers[:-1]), layers[-1])
    tail: Tail = "per_layer" if random.random() < 0.5 else "clip"
    classes = tuple(f"class {n}" for n in range(widths["readout"]))
    return Network(5.0, layers, classes, Input(widths["input"]), Decoding(int(random.integers(0, 6)), tail))


def counted(network: Network, *, inhibited: bool = False) -> Network:
    """The network with a readout that spikes and whose spikes are counted; ``inhibited`` adds a connection from each
    class to the others."""
    readout = network.layers[-1]
    decay, count = readout.neuron.arrays()["decay"], readout.targets
    neuron: LIF | IntegerLIF
    if network.integer:
        neuron = IntegerLIF(decay, np.full(count, 90, np.int32))
    else:
        neuron = LIF(decay, np.full(count, 0.6, np.float32))
    inputs = readout.inputs
    if inhibited:
        others = 1 - np.eye(count)[None]
        weight = (-50 * others).astype(np.int8) if network.integer else (-0.3 * others).astype(np.float32)
        inputs = (*inputs, Dense(readout.name, 3, weight, np.full((1, 1, 1), 2, np.int16)))
    layers = (*network.layers[:-1], replace(readout, neuron=neuron, inputs=inputs))
    return replace(network, layers=layers, decoding=replace(network.decoding, scores="count"))


def made_sparse(network: Network) -> Network:
    """The network with its dense connections as lists of synapses."""

    def other(made: Connection) -> Connection:
        return Sparse.of(made) if isinstance(made, Dense) and made.synapse_count else made

    return replace(
        network, layers=tuple(replace(layer, inputs=tuple(map(other, layer.inputs))) for layer in network.layers)
    )


def adaptive_lif(generator: np.random.Generator, targets: int) -> AdaptiveLIF:
    """Of either method."""
    decay, adaptation_decay, a, b, above = (generator.uniform(0, 0.95, targets).astype(np.float32) for _ in range(5))
    euler: Any = "symplectic" if generator.random() < 0.5 else "forward"
    return AdaptiveLIF(euler, decay, adaptation_decay, a, 2 * b, 0.1 + above)


def draw_conv(seed: int) -> Network:
    """Two convolutions, with strides, paddings and kernel elements that are not there, and a dense readout."""
    numbers = Floats(np.random.default_rng(seed))
    generator = numbers.generator
    channels, size = int(generator.integers(1, 3)), (int(generator.integers(1, 7)), int(generator.integers(3, 8)))
    sources, layers = channels * size[0] * size[1], []
    for number, source in enumerate(("input", "hidden_1"), 1):
        made = convolution(generator, source, channels, size)
        layers.append(numbers.layer(f"hidden_{number}", (made,), last=False, trace=seed % 3 == 0))
        channels, size = len(made.weight), made.out_size
    last = connection(numbers, "hidden_2", (1, 3, layers[-1].targets))
    layers.append(numbers.layer("readout", (last,), last=True))
    return Network(5.0, tuple(layers), ("a", "b", "c"), Input(sources), Decoding(int(generator.integers(0, 6))))


def conv_with_gaps() -> Network:
    """A convolution whose elements without weight have the longest delays."""
    network = draw_conv(52)
    (part,) = network.layers[0].inputs
    assert isinstance(part, Conv)
    weight, delay_steps = part.weight.copy(), np.minimum(part.delay_steps, 1)
    weight[:, :, 0, 0] = 0
    delay_steps[:, :, 0, 0] = 300
    part = Conv(part.source, 300, part.size, part.stride, part.padding, weight, delay_steps)
    return replace(network, layers=(replace(network.layers[0], inputs=(part,)), *network.layers[1:]))


def convolution(generator: np.random.Generator, source: str, channels: int, size: tuple[int, int]) -> Conv:
    """From ``source``; a part of the kernel is not there, and has delays beyond the others."""
    kernel, stride, padding = [], [], []
    for length in size:
        kernel.append(int(generator.integers(1, min(4, length + 1))))
        padding.append(int(generator.integers(0, kernel[-1])))
        stride.append(int(generator.integers(1, 4)))
    max_delay = int(generator.integers(0, 9))
    shape = (int(generator.integers(1, 4)), channels, *kernel)
    weight = generator.normal(0.3, 0.7, shape).astype(np.float32)
    weight[generator.random(shape) < 0.2] = 0
    delay_steps = generator.integers(0, max_delay + 1, shape).astype(np.int16)
    delay_steps[weight == 0] = max_delay
    return Conv(source, max_delay, size, (stride[0], stride[1]), (padding[0], padding[1]), weight, delay_steps)


def draw_clip(network: Network, seed: int, steps: int | None = None, rate: float = 0.4) -> NDArray[np.float64]:
    """Counts ``[time, source]``, some of them above 1."""
    generator = np.random.default_rng(seed)
    steps = int(generator.integers(1, 60)) if steps is None else steps
    return generator.poisson(rate, (steps, network.sources)).astype(float)


def draw_wired(
    seed: int, wires: Mapping[str, Sequence[str]], tail: Tail = "clip", tail_steps: int = 4, *,
    integer: bool, largest: int = 127, unit: int = 1, synapses: int = 1, axis: int | None = None, trace: bool = False,
) -> tuple[Network, list[NDArray[Any]]]:  # fmt: skip
    """A network of :data:`WIDTHS`, and clips of numbers up to 255 (integers) or of any size (floats)."""
    random = np.random.default_rng(seed)
    numbers = Integers(random, largest, unit) if integer else Floats(random)
    layers = wired(numbers, wires, WIDTHS, synapses=synapses, axis=axis, trace=trace)
    sizes = [1, 2, 3, 255] if integer else [0.3, 0.7, 1.1, 1.9]
    clips = []
    for steps in (40, 1, 25, 3):
        shape = (steps, WIDTHS["input"])
        size = random.choice(sizes, shape, p=[0.5, 0.3, 0.19, 0.01])
        clips.append(np.where(random.random(shape) < (0.25 if steps > 3 else 0), size, 0))
    return Network(5.0, layers, CLASSES, Input(WIDTHS["input"]), Decoding(tail_steps, tail)), clips


def every_distance() -> tuple[Network, NDArray[np.int64]]:
    """Two classes without memory, and a clip in which their voltages are 0, 1, 2 ... 2,000 apart."""
    weight = np.array([[[0, 0], [-1, -127]]], np.int8)
    connection = Dense("input", 0, weight, np.zeros((1, 1, 1), np.int16))
    readout = Layer("out", (connection,), np.zeros(2, np.int32), IntegerIntegrator(-7, np.zeros(2, np.int16)))
    distance = np.arange(2001)
    clip = np.stack([distance % 127, distance // 127], 1)
    return Network(1.0, (readout,), ("a", "b"), Input(2), Decoding()), clip


def chain(seed: int = 0, *, tail: Tail = "clip", synapses: int = 1, bias: bool = True, varied: bool = True) -> Network:
    """Two hidden layers of odd sizes and a readout, in exact numbers."""
    numbers = Exact(np.random.default_rng(seed), bias=bias, varied=varied)
    sizes = [("input", 5), ("hidden_1", 7), ("hidden_2", 3), ("readout", 4)]
    layers = [
        numbers.layer(name, [connection(numbers, source, (synapses, targets, sources))], last=name == "readout")
        for (source, sources), (name, targets) in pairwise(sizes)
    ]
    return Network(4.0, tuple(layers), ("a", "b", "c", "d"), Input(9, 2, "first_event"), Decoding(6, tail))


def recurrent(seed: int = 0, back: int = 1) -> Network:
    """Loops within a layer and back, skips, two connections from one source, axonal and dendritic delays; exact.

    Args:
        seed: of weights and delays.
        back: shortest delay of the connection back to an earlier layer, in time steps.
    """
    numbers = Exact(np.random.default_rng(seed), 0.6)

    def make(source: str, targets: int, sources: int, synapses: int = 1, **settings: Any) -> Dense:
        return connection(numbers, source, (synapses, targets, sources), **settings)

    first = [
        make("input", 6, 3),
        make("output", 6, 6, shortest=1, share=0.5),
        make("second", 6, 4, 2, shortest=back, share=0.4),
    ]
    second = [
        make("output", 4, 6, delays=(1, 1, 6)),
        make("input", 4, 3, delays=(1, 4, 1)),
        make("input", 4, 3, share=0.0),
    ]
    last = [make("second", 2, 4), make("input", 2, 3), make("output", 2, 6, share=0.3)]
    layers = (
        numbers.layer("output", first, last=False),
        numbers.layer("second", second, last=False),
        numbers.layer("readout", last, last=True),
    )
    return Network(10.0, layers, ("x", "y"), Input(3), Decoding(3))


def rough(network: Network) -> Network:
    """The network with weights that are no round numbers, so that no voltage equals a threshold by chance."""
    generator = np.random.default_rng(5)

    def other(made: Any) -> Any:
        factor = generator.uniform(0.7, 1.3, made.weight.shape)
        return replace(made, weight=(made.weight * factor).astype(np.float32))

    layers = [replace(layer, inputs=tuple(other(made) for made in layer.inputs)) for layer in network.layers]
    return replace(network, layers=tuple(layers))


def clips(network: Network, seed: int = 0) -> list[NDArray[np.int64]]:
    """Counts ``[time, source]``, some above 1; one clip is silent."""
    generator = np.random.default_rng(seed)
    made = [generator.poisson(0.8, (length, network.sources)) for length in (1, 17, 40)]
    return [*made, np.zeros((5, network.sources), np.int64)]
