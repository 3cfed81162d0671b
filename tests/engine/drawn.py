"""Networks drawn at random: every part, shape and wiring that a network may have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.network import (
    LIF,
    AdaptiveLIF,
    Decoding,
    Dense,
    Input,
    IntegerIntegrator,
    IntegerLIF,
    Integrator,
    Layer,
    Network,
    SoftResetLIF,
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


def draw(
    seed: int,
    *,
    integer: bool = False,
    loops: bool = False,
    traces: bool = False,
    adaptive: bool = False,
    soft: bool = False,
) -> Network:
    """A network with 1 to 3 layers of 1 to 9 neurons; ``loops`` adds recurrent, backward and skip connections, and
    ``soft`` a soft reset."""
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
        made = layer(generator, names[number], tuple(inputs), targets, integer=integer, trace=trace)
        if hidden and adaptive:
            made = replace(made, neuron=adaptive_lif(generator, targets))
        if hidden and soft:
            made = replace(made, neuron=SoftResetLIF(**made.neuron.arrays()))
        layers.append(made)
    tail: Tail = "per_layer" if generator.random() < 0.5 else "clip"
    decoding = Decoding(int(generator.integers(0, 6)), tail)
    return Network(5.0, tuple(layers), tuple(f"class {n}" for n in range(sizes[-1])), Input(sizes[0]), decoding)


def layer(
    generator: np.random.Generator, name: str, inputs: tuple[Dense, ...], targets: int,
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


def adaptive_lif(generator: np.random.Generator, targets: int) -> AdaptiveLIF:
    """Of either method."""
    decay, adaptation_decay, a, b, above = (uniform(generator, targets) for _ in range(5))
    euler: Any = "symplectic" if generator.random() < 0.5 else "forward"
    return AdaptiveLIF(euler, decay, adaptation_decay, a, 2 * b, 0.1 + above)


def uniform(generator: np.random.Generator, targets: int) -> NDArray[np.float32]:
    """Decays in [0, 0.95]."""
    return generator.uniform(0, 0.95, targets).astype(np.float32)


def draw_clip(network: Network, seed: int, steps: int | None = None, rate: float = 0.4) -> NDArray[np.float64]:
    """Counts ``[time, source]``, some of them above 1."""
    generator = np.random.default_rng(seed)
    steps = int(generator.integers(1, 60)) if steps is None else steps
    return generator.poisson(rate, (steps, network.sources)).astype(float)
