"""Encoded files between the ear and the recording: batches on disk, in the order of the files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.files import write_atomically

Clip = tuple[NDArray[np.float16], NDArray[np.uint16]]
"""Times in seconds, and channels."""


@dataclass(frozen=True)
class Batch:
    """What became of some files.

    Attributes:
        file: of the batch, or a zip file that holds it.
        member: its name in the zip file.
    """

    file: Path
    member: str | None = None

    def facts(self) -> list[dict[str, Any]]:
        """Of every file: ``name``, and ``fault`` or ``label``, ``speaker`` and ``spikes``."""
        (facts,) = self._read("facts")
        rows: list[dict[str, Any]] = json.loads(str(facts))
        return rows

    def clips(self) -> Iterator[Clip]:
        """Spikes of the files without a fault."""
        facts, times, units = self._read("facts", "times", "units")
        at = 0
        for row in json.loads(str(facts)):
            if "fault" not in row:
                stop = at + row["spikes"]
                yield times[at:stop], units[at:stop]
                at = stop

    def _read(self, *names: str) -> list[NDArray[Any]]:
        if self.member is None:
            with np.load(self.file) as batch:
                return [batch[name] for name in names]
        with zipfile.ZipFile(self.file) as whole, whole.open(self.member) as file, np.load(file) as batch:
            return [batch[name] for name in names]


def store_batch(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write a batch; rows hold ``times`` and ``units`` besides the facts where there is no fault."""
    encoded = [row for row in rows if "fault" not in row]
    facts = [{name: value for name, value in row.items() if name not in ("times", "units")} for row in rows]
    with write_atomically(file) as temporary, temporary.open("wb") as out:
        np.savez(
            out,
            facts=np.array(json.dumps(facts)),
            times=np.concatenate([row["times"] for row in encoded] or [np.empty(0, np.float16)]),
            units=np.concatenate([row["units"] for row in encoded] or [np.empty(0, np.uint16)]),
        )
