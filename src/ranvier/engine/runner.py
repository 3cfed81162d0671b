"""How a part runs: one function that finds the runner of a part by its type.

A runner holds what does not change (weights as it needs them); the state of a clip is one array, made by ``rest()``
and changed in place, so that it can be copied and kept.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ranvier.network import Part

State = NDArray[np.float64]


class ConnectionRunner(Protocol):
    """Runs a connection."""

    def rest(self) -> State:
        """The state before a clip."""

    def receive(self, state: State, t: int, source: NDArray[np.int64], size: NDArray[np.float64]) -> None:
        """Take what sources send in time step ``t``."""

    def arriving(self, state: State, t: int) -> NDArray[np.float64]:
        """The current ``[target]`` that arrives in time step ``t``; asked once for each ``t``, in order."""


class NeuronRunner(Protocol):
    """Runs the neurons of a layer."""

    def rest(self) -> State:
        """The state before a clip."""

    def step(self, state: State, current: NDArray[np.float64]) -> NDArray[np.int64]:
        """Go on by one time step; returns the neurons that spike. A readout's state is its voltage ``[target]``."""


class OutputRunner(Protocol):
    """Runs what other layers receive of a layer's spikes."""

    def rest(self) -> State:
        """The state before a clip."""

    def step(self, state: State, spiking: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Go on by one time step; returns the neurons that send something, and how much."""


@singledispatch
def runner(part: Part) -> Any:
    """The runner of a part. Every kind of part registers its own: ``@runner.register(LIF)``.

    Raises:
        TypeError: there is none.
    """
    raise TypeError(f"{type(part).__name__} ({part.kind}) cannot be run (no runner is registered for it)")
