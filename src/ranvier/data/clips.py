"""Some clips of a recording, as they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.recording_rules import (
    Fault,
    Lists,
    TimeUnit,
)


@dataclass(frozen=True, eq=False)
class Clips:
    """Some clips in a row.

    Attributes:
        start: number of the first.
        times, units: of their events; None where the recording has none.
        faults: what is wrong with them.
        unit: of the times.
    """

    start: int
    times: Lists | None
    units: Lists | None
    faults: tuple[Fault, ...]
    unit: TimeUnit

    @property
    def sizes(self) -> NDArray[np.int64] | None:
        """``[clip]`` events."""
        known = self.times or self.units
        return None if known is None else known.sizes

    def events(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Time, as it is stored, and channel of the events of each clip."""
        if self.times is not None and self.units is not None:
            yield from zip(self.times.clips(), self.units.clips(), strict=True)
