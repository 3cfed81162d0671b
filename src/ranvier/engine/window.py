"""The rows of a connection's state, one per time step, that move on with time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.compiled import compiled
from ranvier.engine.runner import State

BLOCK = 128
"""Time steps that are run at once, at most."""


class Window:
    """``max_delay`` rows are in use between two packets. Their place in a longer array moves on with every time step
    and is moved back now and then, so that a step costs no copy of all rows.

    Attributes:
        rows: ``[row, width]``.
        at: row of the next time step.
    """

    def __init__(self, rest: State) -> None:
        self._used, width = rest.shape
        # moved back so seldom that it costs a few rows per time step at most
        self.rows: NDArray[Any] = np.zeros((self._used + max(BLOCK, self._used // 4), width), rest.dtype)
        self.at = 0

    def reserve(self, steps: int) -> None:
        """Have room for a packet of ``steps``, at most :data:`BLOCK`, time steps."""
        if self.at + steps + self._used > len(self.rows):
            _move_back(self.rows, self.at, self._used)
            self.at = 0

    def used(self) -> State:
        """The rows in use, as a view."""
        return self.rows[self.at : self.at + self._used]

    def set(self, used: State) -> None:
        """Make these the rows in use."""
        self.reset()
        self.rows[: self._used] = used

    def reset(self) -> None:
        """Make zeros the rows in use."""
        self.rows[:] = 0
        self.at = 0


@compiled
def _move_back(rows: State, at: int, used: int) -> None:
    for row in range(used):
        rows[row] = rows[at + row]
    rows[used:] = 0
