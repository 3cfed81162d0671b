"""Networks of every shape to export, drawn at random, and clips for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.network import (
    LIF,
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

CLASSES = ("a", 'quote " and \\', "f\u00fcnf ??/ */")
# source of each layer's connections; a name means a layer
CHAIN = {"first": ["input"], "second": ["first"], "out": ["second"]}
RECURRENT = {"first": ["input", "first"], "second": ["first", "second"], "out": ["second"]}
SKIP = {"first": ["input", "second"], "second": ["first", "input"], "out": ["second", "first", "input"]}
_WIDTHS = {"input": 9, "first": 17, "second": 12, "out": 3}


class Draw:
    """Draws a network: integer weights up to ``largest``, in ``steps``; ``axis`` 1: axonal delays, 2: dendritic."""

    def __init__(
        self,
        seed: int,
        *,
        integer: bool,
        largest: int = 127,
        steps: int = 1,
        synapses: int = 1,
        axis: int | None = None,
    ):
        self._random = np.random.default_rng(seed)
        self._integer, self._largest, self._synapses, self._axis = integer, largest, synapses, axis
        self._steps = steps

    def network(
        self, wires: dict[str, list[str]], tail: Tail = "clip", tail_steps: int = 4, *, trace: bool = False
    ) -> Network:
        """Layers with these sources."""
        names = list(wires)
        layers = []
        for number, (name, sources) in enumerate(wires.items()):
            later = names[number:]
            inputs = [self._connection(source, name, 1 if source in later else 0) for source in sources]
            layers.append(self._layer(name, inputs, trace=trace))
        return Network(5.0, tuple(layers), CLASSES, Input(_WIDTHS["input"]), Decoding(tail_steps, tail))

    def clip(self, steps: int = 40) -> NDArray[Any]:
        """Dense ``[time, source]``, a quarter of it not silent; whole numbers up to 255 for integers."""
        shape = (steps, _WIDTHS["input"])
        there = self._random.random(shape) < 0.25
        if self._integer:
            some = self._random.choice([1, 2, 3, 255], shape, p=[0.5, 0.3, 0.19, 0.01])
            return np.where(there, some, 0).astype(np.int64)
        size = self._random.normal(1.0, 0.5, shape).astype(np.float32)
        return np.where(there, size, 0).astype(np.float64)

    def _connection(self, source: str, target: str, shortest: int) -> Dense:
        random = self._random
        shape = (self._synapses, _WIDTHS[target], _WIDTHS[source])
        longest = int(random.integers(1, 9))
        delays = [size if axis != self._axis else 1 for axis, size in enumerate(shape)]
        delay_steps = random.integers(shortest, longest + 1, delays).astype(np.int16)
        there = random.random(shape) < 0.6
        if self._integer:
            weight = there * random.integers(-self._largest * 2 // 3, self._largest + 1, shape) * self._steps
            return Dense(source, longest, weight.astype(np.int8), delay_steps)
        return Dense(source, longest, (there * random.normal(0.2, 0.5, shape)).astype(np.float32), delay_steps)

    def _layer(self, name: str, inputs: list[Dense], *, trace: bool) -> Layer:
        random, width, last = self._random, _WIDTHS[name], name == "out"
        if self._integer:
            kept = random.integers(0, 4050, width).astype(np.int16)
            most = self._largest * self._steps
            level = random.integers(most // 2, 2 * most, width).astype(np.int32)
            bias = random.integers(-most // 4, most // 4 + 1, width).astype(np.int32)
            return Layer(name, tuple(inputs), bias, IntegerIntegrator(-5, kept) if last else IntegerLIF(kept, level))
        decay = random.uniform(0, 0.95, width).astype(np.float32)
        bias = random.normal(0, 0.1, width).astype(np.float32)
        if last:
            return Layer(name, tuple(inputs), bias, Integrator(decay))
        output = Trace(random.uniform(0, 0.9, width).astype(np.float32)) if trace else None
        return Layer(name, tuple(inputs), bias, LIF(decay, random.uniform(0.7, 1.5, width).astype(np.float32)), output)


def every_distance() -> tuple[Network, NDArray[np.int64]]:
    """Two classes without memory, and a clip in which their voltages are 0, 1, 2 ... 2,000 apart."""
    weight = np.array([[[0, 0], [-1, -127]]], np.int8)
    connection = Dense("input", 0, weight, np.zeros((1, 1, 1), np.int16))
    readout = Layer("out", (connection,), np.zeros(2, np.int32), IntegerIntegrator(-7, np.zeros(2, np.int16)))
    distance = np.arange(2001)
    clip = np.stack([distance % 127, distance // 127], 1)
    return Network(1.0, (readout,), ("a", "b"), Input(2), Decoding()), clip
