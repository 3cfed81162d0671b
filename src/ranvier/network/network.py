"""The frozen network: layers of parts, with units."""

from __future__ import annotations

import os
from dataclasses import dataclass
from reprlib import repr as short

import numpy as np
from numpy.typing import NDArray

from ranvier.names import name_fault
from ranvier.network.decoding import Decoding
from ranvier.network.input import Input
from ranvier.network.layer import INPUT, Layer
from ranvier.network.rules import DECAY_ONE, MAX_BUFFER, MAX_COUNT, MAX_INT32, is_real, require

_SHORTEST_MS, _LONGEST_MS = 1e-6, 1e9


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A network with frozen integer delays; ``print(network)`` summarises it.

    Args:
        dt_ms: length of a time step in ms, in [1e-6, 1e9].
        layers: in the order in which they are computed within a time step; the last one is the readout and, unless
            its spikes are counted (``Decoding(scores="count")``), the only one that never spikes.
        classes: names of the output neurons: text, not empty, without control characters, each once.
        input: how raw events become the input.
        decoding: how the output becomes class scores.

    Raises:
        NetworkError: layers, input and classes do not fit together.
    """

    dt_ms: float
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]
    input: Input
    decoding: Decoding

    def __post_init__(self) -> None:
        require(
            is_real(self.dt_ms, _SHORTEST_MS, _LONGEST_MS),
            f"dt_ms: {short(self.dt_ms)} is not allowed ({_SHORTEST_MS:g} ... {_LONGEST_MS:g} ms)",
        )
        object.__setattr__(self, "dt_ms", float(self.dt_ms))
        object.__setattr__(self, "layers", tuple(self.layers))
        require(len(self.layers) >= 1, "layers: none (1 or more)")
        self._check_connections()
        counts = self.decoding.scores == "count"
        allowed = "all layers spike" if counts else "the last layer, and only it, never spikes"
        for number, layer in enumerate(self.layers):
            last = number == len(self.layers) - 1
            require(
                layer.spikes != (last and not counts),
                f"layers.{number}.neuron: {layer.neuron.kind} is not allowed ({allowed}, with "
                f"decoding.scores {self.decoding.scores})",
            )
            require(not last or layer.output is None, f"layers.{number}.output: is not allowed in the last layer")
            tail = self.decoding.steps(0, number)
            require(
                tail * layer.targets <= MAX_BUFFER,
                f"decoding.tail_steps: {tail} time steps in layer {number} for {layer.targets} targets (a product up "
                f"to {MAX_BUFFER} allowed)",
            )
        self._check_integers()
        require(
            isinstance(self.classes, list | tuple), f"classes: {short(self.classes)} is not allowed (a list of names)"
        )
        object.__setattr__(self, "classes", tuple(self.classes))
        outputs = self.layers[-1].targets
        require(len(self.classes) == outputs, f"classes: {len(self.classes)} names for {outputs} output neurons")
        fault = name_fault(self.classes)
        require(fault is None, f"classes: {fault}")

    def _check_connections(self) -> None:
        names = [layer.name for layer in self.layers]
        for number, name in enumerate(names):
            require(names.index(name) == number, f"layers.{number}.name: {name!r} is layer {names.index(name)} already")
        widths = {INPUT: self.input.sources, **{layer.name: layer.targets for layer in self.layers}}
        for number, layer in enumerate(self.layers):
            for place, connection in enumerate(layer.inputs):
                where, source = f"layers.{number}.inputs.{place}", connection.source
                known = isinstance(source, str) and source in widths
                require(known, f"{where}.source: {short(source)} is not known ({', '.join(widths)})")
                require(
                    connection.sources == widths[source],
                    f"{where}: {connection.sources} sources, but {source} has {widths[source]}",
                )
                if source in names[number:]:
                    shortest = int(connection.delays().min(initial=1))
                    require(
                        shortest >= 1,
                        f"{where}.delay_steps: {shortest} is not allowed (1 or more from the own or a later layer)",
                    )

    def _check_integers(self) -> None:
        """All layers compute in integers or none; no sum or voltage can leave 32 bits, whatever the input."""
        require(
            not self.integer or self.decoding.scores in ("softmax", "count"),
            f"decoding.scores: {self.decoding.scores} is not allowed in an integer network (softmax, count)",
        )
        for number, layer in enumerate(self.layers):
            require(
                layer.integer == self.integer,
                f"layers.{number}.neuron: {layer.neuron.kind} (all layers in integers or none allowed)",
            )
            if not layer.integer:
                continue
            current = np.abs(layer.bias.astype(np.int64))
            for connection in layer.inputs:
                current += connection.largest_current(MAX_COUNT if connection.source == INPUT else 1)
            decay: NDArray[np.int64] = layer.neuron.arrays()["decay"].astype(np.int64)
            largest = int((current * DECAY_ONE // (DECAY_ONE - decay)).max())
            require(
                largest <= MAX_INT32,
                f"layers.{number}: voltages up to {largest} (2^31 - 1 allowed; an event counts up to {MAX_COUNT})",
            )

    @property
    def integer(self) -> bool:
        """Whether it computes in integers; event sizes are then whole numbers in [0, 255]."""
        return self.layers[0].integer

    @property
    def sources(self) -> int:
        """Input lines."""
        return self.input.sources

    @property
    def max_delay(self) -> int:
        """Longest delay that any connection may have, in time steps."""
        return max(layer.max_delay for layer in self.layers)

    def __repr__(self) -> str:
        from ranvier.network.summary import summary

        return summary(self)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, with the SHA-256 of its content, whole or not at all.

        Raises:
            OSError: the file cannot be written.
        """
        from ranvier.network.file import write

        write(self, path)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Network:
        """Read a network written by :meth:`write` or an earlier Ranvier; every rule and the content's hash are checked.

        Raises:
            NetworkError: whatever is wrong with the content: cut short, changed since it was written, of a newer
                format, a broken rule; the message names the file.
            FileNotFoundError: there is no such file.
        """
        from ranvier.network.file import read

        return read(path)
