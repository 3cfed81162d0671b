"""What a path through a NIR graph does to spikes: a weight and a delay from every source to every target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.nir_graph import Node
from ranvier.export.target import ExportError

MAX_VALUES = 2**26  # weights of one connection
_MAX_DELAY = 32767
_CLOSE = 1e-6  # of a time step, and of a delay that was written as float32


@dataclass(frozen=True, eq=False)
class Piece:
    """Part of a connection.

    Attributes:
        source: the node where the path begins.
        weight: ``[target, source]``.
        delay_steps: integers, broadcastable to ``weight``.
        bias: ``[target]`` or of one value.
        slot: connection and synapse of a pair where our own graph says them, else None.
    """

    source: str
    weight: NDArray[Any]
    delay_steps: NDArray[np.int64]
    bias: NDArray[np.float64]
    slot: tuple[int, int] | None


def width_after(path: Sequence[Node], source: int) -> int:
    """Channels that a path ends with, if it begins with ``source`` of them."""
    for node in reversed(path):
        if node.kind in ("Linear", "Affine"):
            return int(_weight(node).shape[0])
    return source


def piece(path: Sequence[Node], source: int, dt: float) -> Piece:
    """What the nodes between the path's ends do to ``source`` channels, in time steps of ``dt`` seconds.

    Raises:
        ExportError: two weights follow each other, a bias is delayed, a delay is no whole number of time steps, or
            sizes do not fit.
    """
    weight: NDArray[Any] | None = None
    before, after = np.ones(1), np.ones(1)
    early = late = np.zeros(1, np.int64)
    bias, slot, width = np.zeros(1), None, source
    for node in path[1:-1]:
        if node.kind == "Delay":
            steps = _steps(node, width, dt)
            early, late = (early + steps, late) if weight is None else (early, late + steps)
        elif node.kind == "Scale":
            scale = _per_channel(node, "scale", width)
            before, after = (before * scale, after) if weight is None else (before, after * scale)
        elif node.kind in ("Linear", "Affine"):
            if weight is not None:
                raise ExportError(node.name, fault="follows another weight (one between two neurons allowed)")
            weight, slot = _weight(node), _slot(node)
            if weight.shape[1] != width:
                raise ExportError(f"{node.name}.weight", f"shape {weight.shape}", f"[target, {width}]")
            width = len(weight)
            bias = _per_channel(node, "bias", width) if node.kind == "Affine" else bias
    if late.any() and bias.any():
        raise ExportError(path[-1].name, fault="a bias is delayed (a Delay before the Affine allowed)")
    if weight is None:
        weight = _identity(path[-1], width)
    scaled = weight if (before == 1).all() and (after == 1).all() else weight * before * after[:, None]
    return Piece(path[0].name, scaled, early[None, :] + late[:, None], bias * after, slot)


def _weight(node: Node) -> NDArray[Any]:
    weight = node.array("weight")
    if weight.ndim != 2:
        raise ExportError(f"{node.name}.weight", f"shape {weight.shape}", "[target, source]")
    return weight


def _identity(target: Node, width: int) -> NDArray[Any]:
    if width * width > MAX_VALUES:
        raise ExportError(target.name, f"{width} channels without weights", f"up to {int(MAX_VALUES**0.5)}")
    return np.eye(width, dtype=np.float32)


def _per_channel(node: Node, field: str, width: int) -> NDArray[np.float64]:
    values = node.array(field).ravel()
    if len(values) not in (1, width):
        raise ExportError(f"{node.name}.{field}", f"{len(values)} values", f"1 or {width}")
    return values.astype(np.float64)


def _steps(node: Node, width: int, dt: float) -> NDArray[np.int64]:
    steps = _per_channel(node, "delay", width) / dt
    nearest = np.rint(steps)
    wrong = (np.abs(steps - nearest) > _CLOSE * np.maximum(1, nearest)) | (nearest < 0) | (nearest > _MAX_DELAY)
    if wrong.any():
        allowed = f"whole time steps of {dt:g} s, 0 ... {_MAX_DELAY}"
        raise ExportError(f"{node.name}.delay", f"{float(steps[wrong][0]):g} time steps", allowed)
    return nearest.astype(np.int64)


def _slot(node: Node) -> tuple[int, int] | None:
    """What our own graphs say of a weight."""
    said = own_metadata(node.name, node.metadata)
    if said is None:
        return None
    numbers = said.get("input"), said.get("synapse")
    if not all(type(number) is int and 0 <= number < 2**31 for number in numbers):
        raise ExportError(f"{node.name}.metadata", fault="input and synapse are no whole numbers from 0 on")
    return numbers  # type: ignore[return-value]


def own_metadata(name: str, metadata: Any) -> dict[str, Any] | None:
    """The JSON object that :func:`to_nir` wrote, or None.

    Raises:
        ExportError: there is something else in its place.
    """
    text = metadata.get("ranvier")
    if text is None:
        return None
    try:
        said = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise ExportError(f"{name}.metadata.ranvier", fault="is no JSON object")
    return said
