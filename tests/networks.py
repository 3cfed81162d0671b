"""Frozen networks made in tests: dense layers in a row, written down with few words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.network import LIF, Decoding, Dense, Input, Integrator, Layer, Network, Sparse, Trace

F32 = NDArray[np.float32]


def dense_layer(
    weight: F32, delay_steps: NDArray[np.int16], bias: F32, decay: F32, threshold: F32, max_delay: int,
    *, trace: F32 | None = None,
) -> Layer:  # fmt: skip
    """A layer with one dense connection; a threshold of +inf makes a readout. :func:`chained` gives name and source."""
    neuron = Integrator(decay) if np.isinf(threshold).all() else LIF(decay, threshold)
    connection = Dense("input", max_delay, weight, delay_steps)
    return Layer("layer", (connection,), bias, neuron, None if trace is None else Trace(trace))


def chained(
    dt_ms: float, layers: Sequence[Layer], classes: tuple[str, ...], input: Input, decoding: Decoding | None = None
) -> Network:
    """The layers in a row: each receives from the one before."""
    names = ["input", *(f"hidden_{number}" for number in range(1, len(layers))), "readout"]
    named = [
        changed(replace(layer, name=name), source=source)
        for layer, source, name in zip(layers, names, names[1:], strict=False)
    ]
    return Network(dt_ms, tuple(named), classes, input, decoding or Decoding())


def dense(layer: Layer) -> Dense:
    """The layer's one connection, a sparse one as a dense one."""
    (connection,) = layer.inputs
    connection = connection.dense() if isinstance(connection, Sparse) else connection
    assert isinstance(connection, Dense)
    return connection


def changed(layer: Layer, **fields: Any) -> Layer:
    """The layer with some fields of its connection replaced."""
    return replace(layer, inputs=(replace(dense(layer), **fields),))


def decay_of(layer: Layer) -> F32:
    """The decay of its neurons."""
    assert isinstance(layer.neuron, LIF | Integrator)
    return layer.neuron.decay
