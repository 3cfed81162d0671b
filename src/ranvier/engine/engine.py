"""The frozen network as its equations say it, one arriving spike after the other, in plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engine import dense, integrator, lif, trace  # noqa: F401 - they register their runners
from ranvier.engine.clip import Events, check_clip
from ranvier.engine.runner import ConnectionRunner, NeuronRunner, OutputRunner, State, runner
from ranvier.network import Layer, Network

Sent = tuple[NDArray[np.int64], NDArray[np.float64]]  # sources that send something, and how much


@dataclass(frozen=True, eq=False)
class Run:
    """What a network did with one clip.

    Attributes:
        spikes: per hidden layer, ``[spike, 2]``: time step and neuron, in order.
        voltage: of the readout, ``[time, class]``, in units of the threshold's scale.
        scores: ``[class]``, sum over time steps of softmax(voltage).
        prediction: index of the highest score.
    """

    spikes: tuple[NDArray[np.int64], ...]
    voltage: NDArray[np.float64]
    scores: NDArray[np.float64]
    prediction: int


class _LayerRunner:
    """The runners of a layer's parts."""

    def __init__(self, layer: Layer, number: int) -> None:
        runners = {}
        for place, part in layer.parts().items():
            try:
                runners[place] = runner(part)
            except TypeError as error:
                raise TypeError(f"layers.{number}.{place}: {error}") from None
        self.bias = layer.bias.astype(np.float64)
        self.neuron: NeuronRunner = runners["neuron"]
        self.output: OutputRunner | None = runners.get("output")
        self.inputs: list[tuple[str, ConnectionRunner]] = [
            (connection.source, runners[f"inputs.{n}"]) for n, connection in enumerate(layer.inputs)
        ]


@dataclass
class _LayerState:
    """A layer while a clip runs."""

    inputs: list[State]
    neuron: State
    output: State | None
    spiking: list[NDArray[np.int64]] = field(default_factory=list)
    voltage: list[NDArray[np.float64]] = field(default_factory=list)

    def raster(self) -> NDArray[np.int64]:
        """All spikes ``[spike, 2]``: time step and neuron."""
        step = np.repeat(np.arange(len(self.spiking)), [len(neurons) for neurons in self.spiking])
        return np.stack([step, np.concatenate(self.spiking)], 1).astype(np.int64)


class Engine:
    """Runs a network event by event: a spike reaches every target once, at its delay.

    Sums are taken in double precision, so that the order of the events within a time step changes no spike.

    Args:
        network: what to run.

    Raises:
        TypeError: a part cannot be run; the message names it.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._layers = [_LayerRunner(layer, number) for number, layer in enumerate(network.layers)]
        # (layer, connection) that each source reaches
        self._reached: dict[str, list[tuple[int, int]]] = {}
        for number, layer in enumerate(self._layers):
            for place, (source, _) in enumerate(layer.inputs):
                self._reached.setdefault(source, []).append((number, place))

    def run(self, events: Events | NDArray[Any], length: int | None = None) -> Run:
        """Run one clip from silence, and its tail.

        Args:
            events: (time step, source, size) arrays as in :data:`Events`; or the dense ``[time, source]`` form of the
                same, finite, as wide as the network has sources.
            length: time steps of the clip, in [1, 2^24]; None means up to the last event, or all of the dense form.

        Returns:
            Spikes, voltages, scores and prediction.

        Raises:
            ValueError: events of another type, shape or length, outside the clip or the network's sources, not finite,
                or unsorted; a length out of range.
        """
        (step, source, size), length = check_clip(events, self.network.sources, length)
        ends = [self.network.decoding.steps(length, number) for number in range(len(self._layers))]
        starts = np.searchsorted(step, np.arange(length + 1))
        states = [self._rest(layer) for layer in self._layers]
        for t in range(max(ends)):
            if t < length and starts[t] < starts[t + 1]:
                now = slice(starts[t], starts[t + 1])
                self._send(states, "input", t, (source[now], size[now]))
            for number, layer in enumerate(self.network.layers):
                if t < ends[number]:  # a layer that has ended is silent
                    self._send(states, layer.name, t, self._step(states[number], number, t))
        voltage = np.array(states[-1].voltage)
        share = np.exp(voltage - voltage.max(1, keepdims=True))
        scores = (share / share.sum(1, keepdims=True)).sum(0)
        return Run(tuple(state.raster() for state in states[:-1]), voltage, scores, int(scores.argmax()))

    @staticmethod
    def _rest(layer: _LayerRunner) -> _LayerState:
        inputs = [connection.rest() for _, connection in layer.inputs]
        return _LayerState(inputs, layer.neuron.rest(), None if layer.output is None else layer.output.rest())

    def _step(self, state: _LayerState, number: int, t: int) -> Sent:
        """Let a layer go on by one time step; returns what other layers receive."""
        layer = self._layers[number]
        arriving = [
            connection.arriving(ring, t) for (_, connection), ring in zip(layer.inputs, state.inputs, strict=True)
        ]
        spiking = layer.neuron.step(state.neuron, sum(arriving[1:], arriving[0]) + layer.bias)
        if not self.network.layers[number].spikes:
            state.voltage.append(state.neuron.copy())
        state.spiking.append(spiking)
        if layer.output is None or state.output is None:
            return spiking, np.ones(len(spiking))
        return layer.output.step(state.output, spiking)

    def _send(self, states: list[_LayerState], source: str, t: int, sent: Sent) -> None:
        if len(sent[0]):
            for number, place in self._reached.get(source, ()):
                self._layers[number].inputs[place][1].receive(states[number].inputs[place], t, *sent)
