"""Class scores, time step by time step, so that a clip in pieces gives the bits of the whole.

What each kind is: :class:`ranvier.network.Decoding`.
"""

from __future__ import annotations

import numpy as np

from ranvier.compiled import compiled
from ranvier.engine.runner import State
from ranvier.network import IntegerIntegrator, Layer, Scores

ONE = 2**15  # a share of 1 in integers
_TABLE = np.round(ONE * 2.0 ** (-np.arange(256) / 256)).astype(np.int64)


def before_clip(kind: Scores) -> float:
    """A class's score before the first time step."""
    return float(np.finfo(np.float32).min) if kind == "max" else 0.0


def add_scores(kind: Scores, readout: Layer, voltage: State, scores: State, share: State) -> None:
    """Add every time step of ``voltage [time, class]``, or of spikes that are counted, to ``scores [class]``.

    The softmax of an integer network as :class:`ranvier.network.IntegerIntegrator` says: whole numbers, :data:`ONE`
    for 1.
    ``share`` is room for as many.
    """
    if kind == "max":
        np.maximum(scores, voltage.max(0, initial=before_clip(kind)), out=scores)
    elif kind == "last":
        scores[:] = voltage[-1] if len(voltage) else scores
    elif kind == "count":
        scores += voltage.sum(0, dtype=scores.dtype)
    elif kind == "sum":
        _add_voltages(voltage, scores)
    elif isinstance(readout.neuron, IntegerIntegrator):
        _add_integer_shares(voltage, scores, share, 6 - readout.neuron.scale_exponent, _TABLE)
    else:
        _add_shares(voltage, scores, share)


@compiled
def _add_voltages(voltage: State, scores: State) -> None:
    for v in voltage:
        for c in range(len(v)):
            scores[c] += v[c]


@compiled
def _add_shares(voltage: State, scores: State, share: State) -> None:
    for v in voltage:
        largest, total = v.max(), 0.0
        for c in range(len(v)):
            share[c] = np.exp(v[c] - largest)
            total += share[c]
        for c in range(len(v)):
            scores[c] += share[c] / total


@compiled
def _add_integer_shares(voltage: State, scores: State, share: State, shift: int, table: State) -> None:
    for v in voltage:
        largest, total = np.int64(v.max()), np.int64(0)
        for c in range(len(v)):
            y = ((largest - v[c]) * 23637) >> shift  # 23637 = log2(e) 2^14; y counts in 1/256
            share[c] = table[y & 255] >> (y >> 8) if y < 16 * 256 else 0
            total += share[c]
        for c in range(len(v)):
            scores[c] += (share[c] << 15) // total
