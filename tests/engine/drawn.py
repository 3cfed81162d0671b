"""Networks drawn at random: every part, shape and wiring that a network may have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ranvier.network import (
    LIF,
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
    Tail,
    Trace,
)

DELAYS = ("synaptic", "axonal", "dendritic")


def connection(
    generator: np.random.Generator, source: str, shape: tuple[int, int, int], *, integer: bool, shortest: int = 0
) -> Dense:
    """From ``source``; a part of the synapses is not there, delays are of any kind, 0 and the longest among them."""
    synapses, targets, sources = shape
    max_delay = int(generator.integers(max(shortest, 0), 9)) if generator.random() < 0.8 else max(shortest, 40)
    kind = DELAYS[generator.integers(len(DELAYS))]
    small = {"synaptic": shape, "axonal": (synapses, 1, sources), "dendritic": (synapses, targets, 1)}[kind]
    delay_steps = generator.integers(shortest, max_delay + 1, small).astype(np.int16)
    delay_steps.flat[0] = max_delay
    if integer:
        weight = generator.integers(-60, 128, shape).astype(np.int8)
    else:
        weight = generator.normal(0.4, 0.6, shape).astype(np.float32)
    weight[generator.random(shape) < 0.2] = 0
    return Dense(source, max_delay, weight, delay_steps)


def draw(seed: int, *, integer: bool = False, loops: bool = False, traces: bool = False) -> Network:
    """A network with 1 to 3 layers of 1 to 9 neurons; ``loops`` adds recurrent, backward and skip connections."""
    generator = np.random.default_rng(seed)
    sizes = [int(n) for n in generator.integers(1, 10, generator.integers(2, 5))]
    names = ["input", *(f"hidden_{n}" for n in range(1, len(sizes) - 1)), "readout"]
    layers = []
    for number in range(1, len(sizes)):
        targets, hidden = sizes[number], number < len(sizes) - 1
        synapses = int(generator.integers(1, 3))
        shape = (synapses, targets, sizes[number - 1])
        inputs = [connection(generator, names[number - 1], shape, integer=integer)]
        if loops and hidden:
            inputs.append(connection(generator, names[number], (1, targets, targets), integer=integer, shortest=1))
            later = int(generator.integers(number, len(sizes) - 1))
            inputs.append(connection(generator, names[later], (1, targets, sizes[later]), integer=integer, shortest=1))
        if loops and number > 1:
            inputs.append(connection(generator, "input", (1, targets, sizes[0]), integer=integer))
        trace = Trace(uniform(generator, targets)) if traces and hidden else None
        layers.append(layer(generator, names[number], tuple(inputs), targets, integer=integer, trace=trace))
    tail: Tail = "per_layer" if generator.random() < 0.5 else "clip"
    decoding = Decoding(int(generator.integers(0, 6)), tail)
    return Network(5.0, tuple(layers), tuple(f"class {n}" for n in range(sizes[-1])), Input(sizes[0]), decoding)


def draw_conv(seed: int) -> Network:
    """Two convolutions, with strides, paddings and kernel elements that are not there, and a dense readout."""
    generator = np.random.default_rng(seed)
    channels, size = int(generator.integers(1, 3)), (int(generator.integers(1, 7)), int(generator.integers(3, 8)))
    sources = channels * size[0] * size[1]
    layers = []
    for number, source in enumerate(("input", "hidden_1")):
        made = convolution(generator, source, channels, size)
        trace = Trace(uniform(generator, made.targets)) if seed % 3 == 0 else None
        layers.append(layer(generator, f"hidden_{number + 1}", (made,), made.targets, integer=False, trace=trace))
        channels, size = len(made.weight), made.out_size
    dense = connection(generator, "hidden_2", (1, 3, layers[-1].targets), integer=False)
    layers.append(layer(generator, "readout", (dense,), 3, integer=False, trace=None))
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


def layer(
    generator: np.random.Generator, name: str, inputs: tuple[Connection, ...], targets: int,
    *, integer: bool, trace: Trace | None,
) -> Layer:  # fmt: skip
    """With neurons of its own kind, each with its own decay and threshold."""
    if integer:
        bias = generator.integers(-30, 60, targets).astype(np.int32)
        decay = generator.integers(0, 3800, targets).astype(np.int16)
        threshold = generator.integers(40, 200, targets).astype(np.int32)
        exponent = int(generator.integers(-12, 1))
        neuron = IntegerIntegrator(exponent, decay) if name == "readout" else IntegerLIF(decay, threshold)
        return Layer(name, inputs, bias, neuron)
    bias, decays = generator.normal(0, 0.2, targets).astype(np.float32), uniform(generator, targets)
    floats = Integrator(decays) if name == "readout" else LIF(decays, 0.3 + uniform(generator, targets))
    return Layer(name, inputs, bias, floats, trace)


def uniform(generator: np.random.Generator, targets: int) -> NDArray[np.float32]:
    """Decays in [0, 0.95]."""
    return generator.uniform(0, 0.95, targets).astype(np.float32)


def draw_clip(network: Network, seed: int, steps: int | None = None, rate: float = 0.4) -> NDArray[np.float64]:
    """Counts ``[time, source]``, some of them above 1."""
    generator = np.random.default_rng(seed)
    steps = int(generator.integers(1, 60)) if steps is None else steps
    return generator.poisson(rate, (steps, network.sources)).astype(float)
