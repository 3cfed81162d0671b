"""The frozen network as its equations say it, one arriving spike after the other, in plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.network import Layer, Network

Events = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Step (integers), source (integers) and size (finite) of every event, three arrays of one length, steps never
falling."""

_LONGEST = 2**24  # steps


@dataclass(frozen=True, eq=False)
class Run:
    """What a network did with one clip.

    Attributes:
        spikes: per hidden layer, ``[spike, 2]``: step and neuron, in order.
        voltage: of the readout, ``[step, class]``, in units of the threshold's scale.
        scores: ``[class]``, sum over steps of softmax(voltage).
        prediction: index of the highest score.
    """

    spikes: tuple[NDArray[np.int64], ...]
    voltage: NDArray[np.float64]
    scores: NDArray[np.float64]
    prediction: int


def run(network: Network, events: Events | NDArray[Any], length: int | None = None) -> Run:
    """Run one clip from silence, and its tail.

    Sums are taken in double precision, so that no order of the events within a step changes a spike.

    Args:
        network: what to run.
        events: (step, source, size) arrays as in :data:`Events`; or the dense ``[time, source]`` form of the same,
            finite, as wide as the network has sources.
        length: steps of the clip, in [1, 2^24]; None means up to the last event, or all of the dense form.

    Returns:
        Spikes, voltages, scores and prediction.

    Raises:
        ValueError: events of another type, shape or length, outside the clip or the network's sources, not finite, or
            unsorted; a length out of range.
    """
    sources = network.layers[0].sources
    if isinstance(events, np.ndarray):
        _check_dense(events, sources)
        length = len(events) if length is None else length
        step, source = np.nonzero(events)
        size = events[step, source]
    else:
        step, source, size = _check_events(events, sources)
    if length is None:
        length = int(step[-1]) + 1 if len(step) else 1
    if isinstance(length, bool) or not isinstance(length, int | np.integer) or not 1 <= length <= _LONGEST:
        raise ValueError(f"length: {length!r} is not allowed (a whole number of steps, 1 ... {_LONGEST})")
    length = int(length)
    if len(step) and (step[0] < 0 or step[-1] >= length or (np.diff(step) < 0).any()):
        raise ValueError(f"events: steps {step.min()} ... {step.max()} (rising, within 0 ... {length - 1} allowed)")

    rasters = []
    for number, layer in enumerate(network.layers[:-1]):
        spikes, _ = _run_layer(layer, step, source, size, network.readout.steps(length, number))
        rasters.append(spikes)
        step, source, size = _heard(layer, spikes, network.readout.steps(length, number))
    last = len(network.layers) - 1
    _, voltage = _run_layer(network.layers[-1], step, source, size, network.readout.steps(length, last))
    share = np.exp(voltage - voltage.max(1, keepdims=True))
    scores = (share / share.sum(1, keepdims=True)).sum(0)
    return Run(tuple(rasters), voltage, scores, int(scores.argmax()))


def _check_dense(events: NDArray[Any], sources: int) -> None:
    if events.ndim != 2 or events.shape[1] != sources or not len(events):
        raise ValueError(
            f"events: an array of shape {events.shape} ([time, {sources}], one column per source; or three arrays "
            "step, source, size allowed)"
        )
    if events.dtype.kind not in "biuf" or not np.isfinite(events).all():
        raise ValueError(f"events: {events.dtype} with values that are not finite real numbers (finite allowed)")


def _check_events(events: Events, sources: int) -> Events:
    """The three arrays, steps and sources as int64."""
    if not isinstance(events, tuple | list) or len(events) != 3:
        raise ValueError(
            f"events: {type(events).__name__} is not allowed (three arrays step, source, size; or a NumPy array "
            f"[time, {sources}])"
        )
    step, source, size = (np.asarray(part) for part in events)
    if not step.shape == source.shape == size.shape or step.ndim != 1:
        raise ValueError(
            f"events: step, source and size have shapes {step.shape}, {source.shape}, {size.shape} (one length allowed)"
        )
    if not len(step):  # NumPy makes float64 of an empty list
        return step.astype(np.int64), source.astype(np.int64), size
    for name, values in (("step", step), ("source", source)):
        if values.dtype.kind not in "iu":
            raise ValueError(f"events: {name} is {values.dtype} (integers allowed; times have to be counted in steps)")
    if not (source.min() >= 0 and source.max() < sources):
        raise ValueError(f"events: sources {source.min()} ... {source.max()} (0 ... {sources - 1} allowed)")
    if not (step.min() >= 0 and step.max() < _LONGEST):
        raise ValueError(f"events: steps {step.min()} ... {step.max()} (0 ... {_LONGEST - 1} allowed)")
    if size.dtype.kind not in "biuf" or not np.isfinite(size).all():
        raise ValueError(f"events: size is {size.dtype} with values that are not finite real numbers (finite allowed)")
    return step.astype(np.int64), source.astype(np.int64), size


def _heard(layer: Layer, spikes: NDArray[np.int64], steps: int) -> Events:
    """What the next layer hears of spikes ``[spike, 2]``: themselves, or their trace at every step."""
    if layer.synapse_decay is None:
        return spikes[:, 0], spikes[:, 1], np.ones(len(spikes))
    fired, trace = np.zeros((2, steps, layer.targets))
    fired[spikes[:, 0], spikes[:, 1]] = 1
    lost = 1 - layer.synapse_decay.astype(np.float64)
    y = np.zeros(layer.targets)
    for t, s in enumerate(fired):
        y = y - (1 - s) * lost * y + s
        trace[t] = y
    step, source = np.nonzero(trace)
    return step, source, trace[step, source]


def _run_layer(
    layer: Layer, step: NDArray[Any], source: NDArray[Any], size: NDArray[Any], steps: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Spikes ``[spike, 2]`` of a hidden layer, voltages ``[steps, target]`` of a readout; the other is empty."""
    targets, slots = layer.targets, layer.max_delay + 1
    # one row per source, so that a spike reads its whole fan-out at once
    fan_delay = layer.delay_steps.transpose(2, 0, 1).reshape(layer.sources, -1).astype(np.int64)
    fan_weight = layer.weight.transpose(2, 0, 1).reshape(layer.sources, -1).astype(np.float64)
    fan_target = np.tile(np.arange(targets), layer.branches)
    bias, decay, threshold = (a.astype(np.float64) for a in (layer.bias, layer.decay, layer.threshold))

    waiting = np.zeros((slots, targets))  # current on its way, by the step it arrives at, as a ring
    v = np.zeros(targets)
    voltage = np.empty((0 if layer.spikes else steps, targets))
    spikes = [np.empty((0, 2), np.int64)]
    starts = np.searchsorted(step, np.arange(steps + 1))
    for t in range(steps):
        arriving = slice(starts[t], starts[t + 1])
        if arriving.start < arriving.stop:
            fan = source[arriving]
            place = (t + fan_delay[fan]) % slots * targets + fan_target
            amount = fan_weight[fan] * size[arriving, None]
            waiting += np.bincount(place.ravel(), amount.ravel(), minlength=waiting.size).reshape(waiting.shape)
        v = decay * v + (waiting[t % slots] + bias)
        waiting[t % slots] = 0
        if not layer.spikes:
            voltage[t] = v
            continue
        spiking = np.flatnonzero(v >= threshold)
        v[spiking] = 0
        spikes.append(np.stack([np.full(len(spiking), t), spiking], 1))
    return np.concatenate(spikes).astype(np.int64), voltage
