"""Pieces of connections, put together to dense ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.nir_paths import MAX_VALUES, Piece
from ranvier.export.target import ExportError
from ranvier.network import Dense
from ranvier.network.rules import is_whole


@dataclass
class _Slot:
    """One synapse between each source and each target."""

    weight: NDArray[np.float32]
    delay_steps: NDArray[np.int16]

    def take(self, made: Piece) -> bool:
        """Add a piece, unless a pair of its has a synapse here already."""
        there = made.weight != 0
        if (self.weight[there] != 0).any():
            return False
        self.weight[there] = made.weight[there]
        self.delay_steps[there] = np.broadcast_to(made.delay_steps, there.shape)[there]
        return True


@dataclass
class Connected:
    """What a layer receives, piece by piece.

    Attributes:
        targets: neurons of the layer.
        settings: of each connection, where our own graph says them: ``max_delay`` and ``delay_shape``.
        names: of the layers, and ``input``, by the node's name.
    """

    targets: int
    settings: list[Any] | None
    names: dict[str, str]
    found: dict[tuple[int | str, str], dict[int, _Slot]] = field(default_factory=dict)
    values: int = 0

    def add(self, made: Piece, sources: int) -> None:
        """Take a piece.

        Raises:
            ExportError: it lies where another one does, or there are too many.
        """
        if self.settings is None:
            slots = self.found.setdefault((made.source, made.source), {})
            if not any(slot.take(made) for slot in slots.values()):
                self._new(slots, len(slots), sources, made.source).take(made)
            return
        if made.slot is None:
            raise ExportError(made.source, fault="a weight after it has no metadata, but others have")
        number, synapse = made.slot
        slots = self.found.setdefault((number, made.source), {})
        slot = slots.get(synapse) or self._new(slots, synapse, sources, made.source)
        if not slot.take(made):
            raise ExportError(made.source, fault="two weights after it say that they are the same synapse")

    def _new(self, slots: dict[int, _Slot], key: int, sources: int, place: str) -> _Slot:
        self.values += self.targets * sources
        if self.values > MAX_VALUES:
            raise ExportError(place, f"{self.values} weights after it", f"up to {MAX_VALUES} into a layer")
        shape = (self.targets, sources)
        slots[key] = _Slot(np.zeros(shape, np.float32), np.zeros(shape, np.int16))
        return slots[key]


def connections(connected: Connected) -> tuple[Dense, ...]:
    """The connections, in order.

    Raises:
        ExportError: numbers are missing among our own, or settings do not fit.
    """
    if connected.settings is None:
        return tuple(
            _dense(connected.names[source], slots, source, None) for (_, source), slots in connected.found.items()
        )
    ordered = sorted(connected.found, key=lambda key: int(key[0]))
    if [number for number, _ in ordered] != list(range(len(connected.settings))):
        fault = f"inputs {[number for number, _ in ordered]} of a layer that has {len(connected.settings)}"
        raise ExportError(ordered[0][1], fault=fault)
    return tuple(
        _dense(connected.names[key[1]], connected.found[key], key[1], connected.settings[int(key[0])])
        for key in ordered
    )


def _dense(source: str, slots: dict[int, _Slot], place: str, settings: Any) -> Dense:
    if sorted(slots) != list(range(len(slots))):
        raise ExportError(place, fault=f"synapses {sorted(slots)[:8]} of a pair (0, 1, ... allowed)")
    weight = np.stack([slots[number].weight for number in range(len(slots))])
    delay_steps = np.stack([slots[number].delay_steps for number in range(len(slots))])
    if settings is None:
        return Dense(source, int(delay_steps.max()), weight, delay_steps)
    shape = settings.get("delay_shape") if isinstance(settings, dict) else None
    if not isinstance(shape, list) or len(shape) != 3 or not all(is_whole(size, 1, 2**31) for size in shape):
        raise ExportError(f"{place}.metadata", fault="delay_shape is no list of three sizes")
    return Dense(source, settings.get("max_delay"), weight, _shrunk(place, weight, delay_steps, shape))


def _shrunk(
    place: str, weight: NDArray[np.float32], delay_steps: NDArray[np.int16], shape: list[int]
) -> NDArray[np.int16]:
    """Delays in the shape that they had, ``[synapse | 1, target | 1, source | 1]``."""
    axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    small: NDArray[np.int16] = np.where(weight != 0, delay_steps, np.int16(0)).max(axes, keepdims=True)
    fits = list(small.shape) == shape and (weight == 0) | (delay_steps == small)
    if not np.all(fits):
        raise ExportError(f"{place}.metadata.delay_shape", shape, f"one of {list(weight.shape)} that its delays have")
    return small
