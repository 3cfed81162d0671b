"""``probe.json``: does a network use its delays, and the timing of its input?"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from ranvier.files import write_text
from ranvier.runs.accuracy import Accuracy, Record
from ranvier.runs.versioned import RunError, parse_versioned

VERSION = 1


class Gain(Record):
    """How much more accurate a network is than another on the same clips.

    Attributes:
        value: difference of the accuracies, in [-1, 1].
        low, high: its 95% interval, Student's t of the differences clip by clip; None where all clips agree.
    """

    value: float
    low: float | None = None
    high: float | None = None


class ProbeResult(Record):
    """Accuracy under one disturbance, or of the control.

    Attributes:
        name: what was done, in words.
        kind: ``nothing``, ``delays``, ``order``, ``counts``, ``jitter`` or ``deletion``; ``control``: of the network
            that was trained with fixed delays.
        amount: of a jitter in ms, of a deletion the share; else None.
        accuracy: with its interval.
        gain: of the undisturbed control, how much more accurate the network with learned delays is; else None.
    """

    name: str
    kind: Literal["nothing", "delays", "order", "counts", "jitter", "deletion", "control"]
    amount: float | None = None
    accuracy: Accuracy
    gain: Gain | None = None


class ProbeRecord(Record):
    """All disturbances of a network; ``probe.json`` is its JSON.

    Attributes:
        version: of these fields.
        network: SHA-256 of the network's file.
        data: the clips, in words.
        seed: of all that was drawn.
        control: folder of the run with fixed delays; None without one.
        results: undisturbed first.
    """

    version: Literal[1] = 1
    network: str
    data: str
    seed: int
    control: str | None = None
    results: tuple[ProbeResult, ...]


def network_hash(file: Path) -> str:
    """SHA-256 of a network's file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_probe(folder: Path, record: ProbeRecord) -> None:
    """Write ``probe.json`` into a run's folder."""
    write_text(folder / "probe.json", record.model_dump_json(indent=2, exclude_none=True) + "\n")


def read_probe(folder: Path) -> ProbeRecord | None:
    """``probe.json`` of a run's folder; None where there is none, or where it is of another network.

    Raises:
        RunError: the file is damaged, or of a newer version.
    """
    file = folder / "probe.json"
    if not file.exists():
        return None
    try:
        record = parse_versioned(ProbeRecord, file.read_bytes().decode("utf-8"), VERSION, _upgrade)
    except (RunError, UnicodeDecodeError) as error:
        raise RunError(f"{file}: {error}; ranvier probe {folder} makes it again") from None
    return record if record.network == network_hash(folder / "network.safetensors") else None


def _upgrade(values: dict[str, Any]) -> dict[str, Any]:
    """There was no version before the first."""
    return values
