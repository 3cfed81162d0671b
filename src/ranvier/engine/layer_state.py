"""A layer while it runs: its state, and room for what passes through it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.runner import ConnectionRunner, NeuronRunner, OutputRunner, Packet, State, runner
from ranvier.engine.window import BLOCK, Window
from ranvier.network import Layer


class LayerRunner:
    """The runners of a layer's parts; nothing here changes.

    Raises:
        TypeError: a part cannot be run; the message names it.
    """

    def __init__(self, layer: Layer, number: int) -> None:
        runners = {}
        for place, part in layer.parts().items():
            try:
                runners[place] = runner(part)
            except TypeError as error:
                raise TypeError(f"layers.{number}.{place}: {error}") from None
        self.dtype: type[np.generic] = np.int32 if layer.integer else np.float64
        self.bias = layer.bias.astype(self.dtype)
        self.neuron: NeuronRunner = runners["neuron"]
        self.output: OutputRunner | None = runners.get("output")
        self.inputs: list[ConnectionRunner] = [runners[f"inputs.{n}"] for n in range(len(layer.inputs))]


class LayerState:
    """What changes while a layer runs.

    Attributes:
        current: ``[step, target]`` of the packet that is run, afterwards a readout's voltage, or its counted spikes.
        spikes: of that packet.
        sent: what other layers receive of them.
    """

    def __init__(self, layer: LayerRunner) -> None:
        self._layer = layer
        self._windows = [Window(connection.rest()) for connection in layer.inputs]
        self._neuron = layer.neuron.rest()
        self._output = None if layer.output is None else layer.output.rest()
        targets = len(layer.bias)
        self.current: State = np.zeros((BLOCK, targets), layer.dtype)
        self.spikes = self._room(np.ones(BLOCK * targets, layer.dtype))
        self.sent = self.spikes if layer.output is None else self._room(np.zeros(BLOCK * targets, layer.dtype))

    @staticmethod
    def _room(size: State) -> Packet:
        return Packet(np.zeros(BLOCK + 1, np.int64), np.zeros(len(size), np.int32), size)

    def reserve(self, steps: int) -> None:
        """Before a packet of ``steps`` time steps."""
        for window in self._windows:
            window.reserve(steps)

    def receive(self, place: int, packet: Packet, steps: int) -> None:
        """Take what input number ``place`` sends in a packet of ``steps`` time steps."""
        window = self._windows[place]
        self._layer.inputs[place].receive(window.rows, window.at, packet, steps)

    def advance(self, steps: int) -> None:
        """Let the neurons go on by ``steps`` time steps."""
        current = self.current[:steps]
        current[:] = self._layer.bias
        for connection, window in zip(self._layer.inputs, self._windows, strict=True):
            connection.arriving(window.rows, window.at, current)
        self._layer.neuron.advance(self._neuron, current, self.spikes.starts, self.spikes.source)
        if self._layer.output is not None and self._output is not None:
            self._layer.output.advance(self._output, self.spikes, self.sent, steps)

    def spikes_to_current(self, steps: int) -> None:
        """Replace the current of those steps by the spikes made in them, 1 or 0."""
        starts = self.spikes.starts[: steps + 1]
        self.current[:steps] = 0
        self.current[np.repeat(np.arange(steps), np.diff(starts)), self.spikes.source[: starts[-1]]] = 1

    def silence(self, first: int, steps: int) -> None:
        """The layer has ended: nothing is sent from step ``first`` of a packet of ``steps`` on."""
        for packet in (self.spikes, self.sent):
            packet.starts[first : steps + 1] = packet.starts[first] if first else 0

    def move_on(self, steps: int) -> None:
        """After a packet."""
        for window in self._windows:
            window.at += steps

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The state by the parts' places, as views."""
        found = {f"inputs.{n}": window.used() for n, window in enumerate(self._windows)}
        found["neuron"] = self._neuron
        return found if self._output is None else {**found, "output": self._output}

    def reset(self) -> None:
        """Back to silence."""
        for window in self._windows:
            window.reset()
        self._neuron[:] = self._layer.neuron.rest()
        if self._layer.output is not None and self._output is not None:
            self._output[:] = self._layer.output.rest()

    def set(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Make these the state."""
        for place, window in enumerate(self._windows):
            window.set(arrays[f"inputs.{place}"])
        self._neuron[:] = arrays["neuron"]
        if self._output is not None:
            self._output[:] = arrays["output"]
