"""How a part runs: one function that finds the runner of a part by its type.

A runner holds what does not change (weights as it needs them). The state of a clip is arrays, made by ``rest()`` and
changed in place, so that it can be copied and kept.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ranvier.network import Part

State = NDArray[Any]
"""float64; int32 in an integer network."""


class Packet(NamedTuple):
    """What a layer, or the input, sends in a few time steps in a row.

    Attributes:
        starts: int64 ``[steps + 1 or more]``; step ``k`` has the events ``starts[k]`` up to ``starts[k + 1]``.
        source: int32 ``[event]``, who sends.
        size: ``[event]``, how much, of the state's type.
    """

    starts: NDArray[np.int64]
    source: NDArray[np.int32]
    size: NDArray[Any]


class ConnectionRunner(Protocol):
    """Runs a connection, whose state is a row per time step. The engine moves the rows: a packet's step ``k`` is row
    ``at + k``, and there are ``max_delay`` rows more than steps."""

    def rest(self) -> State:
        """The state before a clip: zeros ``[max_delay, width]``."""

    def receive(self, rows: State, at: int, packet: Packet, steps: int) -> None:
        """Take what sources send in the packet's first ``steps`` time steps."""

    def arriving(self, rows: State, at: int, current: State) -> None:
        """Add what arrives in the steps from ``at`` on to ``current [step, target]``."""


class NeuronRunner:
    """Runs the neurons of a layer. A subclass has :meth:`rest` and either :meth:`step` or a faster :meth:`advance`."""

    def rest(self) -> State:
        """The state before a clip. A readout's is its voltage ``[target]``."""
        raise NotImplementedError

    def step(self, state: State, current: State) -> NDArray[np.integer[Any]]:
        """Go on by one time step with ``current [target]``; returns the neurons that spike, in ascending order."""
        raise NotImplementedError

    def advance(self, state: State, current: State, starts: NDArray[np.int64], source: NDArray[np.int32]) -> None:
        """Go on by the time steps of ``current [step, target]``: write who spikes, as in :class:`Packet`; a readout
        replaces ``current`` by its voltage."""
        starts[0] = 0
        for k, now in enumerate(current):
            spiking = self.step(state, now)
            starts[k + 1] = starts[k] + len(spiking)
            source[starts[k] : starts[k + 1]] = spiking
            if state.shape == now.shape:
                now[:] = state


class OutputRunner(Protocol):
    """Runs what other layers receive of a layer's spikes."""

    def rest(self) -> State:
        """The state before a clip."""

    def advance(self, state: State, spikes: Packet, sent: Packet, steps: int) -> None:
        """Go on by the packet's first ``steps`` time steps; writes what others receive to ``sent``, which has room for
        all neurons in every step."""


@singledispatch
def runner(part: Part) -> Any:
    """The :class:`ConnectionRunner`, :class:`NeuronRunner` or :class:`OutputRunner` of a part.

    Raises:
        TypeError: there is none for its type.
    """
    raise TypeError(f"{type(part).__name__} cannot be run")
