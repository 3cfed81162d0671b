"""A network that runs as its input comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.clip import Events, check_clip, check_step
from ranvier.engine.layer_state import LayerRunner, LayerState
from ranvier.engine.run import Run
from ranvier.engine.runner import Packet
from ranvier.engine.scores import ONE, add_scores, before_clip
from ranvier.engine.window import BLOCK
from ranvier.network import IntegerIntegrator, Network
from ranvier.network.layer import INPUT


class Wiring(Protocol):
    """What an engine made of its network."""

    network: Network
    layers: list[LayerRunner]


class Stream:
    """Runs a network from silence on, a time step or a packet of them at a time; :meth:`Engine.stream` makes one.

    A clip in packets of any lengths gives the bits of the whole clip: :meth:`Engine.run` is one :meth:`push` and
    :meth:`finish`.

    Attributes:
        network: that runs.
        t: time steps so far.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.network = wiring.network
        self._layers = [LayerState(layer) for layer in wiring.layers]
        self._forward: list[list[tuple[int, int | None]]] = [[] for _ in self._layers]
        self._feedback: list[tuple[int, int, int]] = []
        self._chunk = BLOCK
        for number, place, sender, feeds_back in self._wire():
            if sender is not None and feeds_back:
                self._feedback.append((number, place, sender))
                # so many steps do not wait for what they send
                delay_steps = self.network.layers[number].inputs[place].delays()
                self._chunk = min(self._chunk, int(delay_steps.min(initial=BLOCK)))
            else:
                self._forward[number].append((place, sender))
        self._dtype = wiring.layers[0].dtype
        start = before_clip(self.network.decoding.scores)
        self._sums = np.full(len(self.network.classes), start, np.int64 if self.network.integer else np.float64)
        self._share = np.zeros_like(self._sums)
        self._events = self._room(4 * self.network.sources)
        self.t = 0

    def _room(self, events: int) -> Packet:
        """For the events of one time step."""
        return Packet(np.zeros(2, np.int64), np.zeros(events, np.int32), np.ones(events, self._dtype))

    def _wire(self) -> Iterator[tuple[int, int, int | None, bool]]:
        """Of every connection: its layer and place, the number of the layer that sends (None: the input), and whether
        that is the own or a later layer."""
        numbers = {layer.name: number for number, layer in enumerate(self.network.layers)}
        for number, layer in enumerate(self.network.layers):
            for place, connection in enumerate(layer.inputs):
                sender = None if connection.source == INPUT else numbers[connection.source]
                yield number, place, sender, sender is not None and sender >= number

    @property
    def scores(self) -> NDArray[np.float64]:
        """``[class]``, of the time steps so far, as the network's decoding says."""
        shares = self.network.integer and self.network.decoding.scores == "softmax"
        return self._sums.astype(np.float64) / (ONE if shares else 1)

    @property
    def prediction(self) -> int:
        """Index of the highest score so far, the first of equal ones."""
        return int(self._sums.argmax())

    def step(self, source: NDArray[Any], size: NDArray[Any] | None = None) -> tuple[NDArray[np.int32], ...]:
        """Go on by one time step.

        Args:
            source: integers ``[event]`` in [0, sources), in any order.
            size: ``[event]``, finite (whole numbers in [0, 255] in an integer network); None means 1 each.

        Returns:
            Neurons that spiked in each hidden layer, in ascending order. The arrays change with the next step.

        Raises:
            ValueError: another type, shape or value.
        """
        source, size = np.asarray(source), None if size is None else np.asarray(size)
        check_step(source, size, self.network.sources, integer=self.network.integer)
        if len(source) > len(self._events.source):
            self._events = self._room(2 * len(source))
        events = self._events
        events.starts[1] = len(source)
        events.source[: len(source)] = source
        events.size[: len(source)] = 1 if size is None else size
        self._advance(events, 1, None)
        return tuple(layer.spikes.source[: layer.spikes.starts[1]] for layer in self._layers[:-1])

    def push(self, events: Events | NDArray[Any], length: int | None = None) -> Run:
        """Go on by a packet of time steps, in which time counts from 0.

        Args:
            events: as in :meth:`Engine.run`.
            length: time steps of the packet; None means up to the last event, or all of the dense form.

        Returns:
            What happened in these steps, time counted from the stream's beginning.

        Raises:
            ValueError: as in :meth:`Engine.run`.
        """
        (step, source, size), length = check_clip(events, self.network.sources, length, integer=self.network.integer)
        starts = np.searchsorted(step, np.arange(length + 1))
        return self._run(Packet(starts, source.astype(np.int32), size.astype(self._dtype)), None)

    def finish(self) -> Run:
        """Run the tail that follows a clip: silence, as the network's decoding says.

        Returns:
            What happened in these steps, time counted from the stream's beginning.
        """
        ends = [self.network.decoding.steps(self.t, number) for number in range(len(self._layers))]
        silence = np.zeros(max(ends) - self.t + 1, np.int64)
        return self._run(Packet(silence, self._events.source, self._events.size), ends)

    def reset(self) -> None:
        """Back to silence."""
        for layer in self._layers:
            layer.reset()
        self._sums[:] = before_clip(self.network.decoding.scores)
        self.t = 0

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of all that the stream is, for ``numpy.savez`` or :meth:`restore`: ``t``, ``scores`` and, for each
        layer, ``NAME.inputs.0 [max_delay, ...]``, ``NAME.neuron``, ``NAME.output``."""
        return {"t": np.array(self.t), "scores": self._sums.copy()} | {
            name: array.copy() for name, array in self._views().items()
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`state` gave, of this or another stream of the same network.

        Raises:
            ValueError: an array is missing, is not known, or has another type or shape.
        """
        expected = {"t": np.array(0), "scores": self._sums, **self._views()}
        for name in {*expected, *state}:
            if name not in expected or name not in state:
                raise ValueError(f"state.{name}: is {'not known' if name in state else 'missing'}")
            mine, given = expected[name], np.asarray(state[name])
            if given.shape != mine.shape or given.dtype != mine.dtype or not np.isfinite(given).all():
                raise ValueError(
                    f"state.{name}: {given.dtype} {given.shape} ({mine.dtype} {mine.shape}, finite, allowed)"
                )
        if int(state["t"]) < 0:
            raise ValueError(f"state.t: {int(state['t'])} is not allowed (0 or more)")
        self.t = int(state["t"])
        self._sums[:] = state["scores"]
        for layer, part in zip(self.network.layers, self._layers, strict=True):
            part.set({name: np.asarray(state[f"{layer.name}.{name}"]) for name in part.arrays()})

    def _views(self) -> dict[str, NDArray[Any]]:
        return {
            f"{layer.name}.{name}": array
            for layer, part in zip(self.network.layers, self._layers, strict=True)
            for name, array in part.arrays().items()
        }

    def _run(self, packet: Packet, ends: list[int] | None) -> Run:
        """Run a packet of any length and keep what happens."""
        steps = len(packet.starts) - 1
        rasters: list[list[NDArray[np.int64]]] = [[np.zeros((0, 2), np.int64)] for _ in self._layers[:-1]]
        voltage = [np.zeros((0, len(self._sums)), self._dtype)]
        for first in range(0, steps, self._chunk):
            chunk = min(self._chunk, steps - first)
            done = self._advance(Packet(packet.starts[first:], packet.source, packet.size), chunk, ends)
            for raster, layer in zip(rasters, self._layers[:-1], strict=True):
                raster.append(_raster(layer.spikes, chunk, self.t - chunk))
            voltage.append(self._layers[-1].current[:done].copy())
        readout = self.network.layers[-1].neuron
        scale = 2.0**readout.scale_exponent if isinstance(readout, IntegerIntegrator) else 1.0
        return Run(
            tuple(np.concatenate(raster) for raster in rasters),
            np.concatenate(voltage) * scale,
            self.scores,
            self.prediction,
        )

    def _advance(self, packet: Packet, steps: int, ends: list[int] | None) -> int:
        """Run up to a chunk of time steps; returns how many of them the readout ran. ``ends`` is when layers end."""
        done = steps
        for number, layer in enumerate(self._layers):
            layer.reserve(steps)
            for place, sender in self._forward[number]:
                layer.receive(place, packet if sender is None else self._layers[sender].sent, steps)
            if ends is not None:
                done = max(0, min(steps, ends[number] - self.t))
            if done:
                layer.advance(done)
            if done < steps:
                layer.silence(done, steps)
        for number, place, sender in self._feedback:
            self._layers[number].receive(place, self._layers[sender].sent, steps)
        for layer in self._layers:
            layer.move_on(steps)
        self.t += steps
        if self.network.layers[-1].spikes:
            self._layers[-1].spikes_to_current(done)
        voltage = self._layers[-1].current[:done]
        add_scores(self.network.decoding.scores, self.network.layers[-1], voltage, self._sums, self._share)
        return done


def _raster(spikes: Packet, steps: int, first: int) -> NDArray[np.int64]:
    """Spikes of a packet ``[spike, 2]``: time step, counted from ``first``, and neuron."""
    starts = spikes.starts[: steps + 1]
    step = np.repeat(np.arange(first, first + steps), np.diff(starts))
    return np.stack([step, spikes.source[: starts[-1]]], 1)
