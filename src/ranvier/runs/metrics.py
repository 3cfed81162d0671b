"""``metrics.jsonl``: one line per epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from ranvier.files import name_errors, write_text
from ranvier.runs.accuracy import MOST, Count, Record, Share
from ranvier.runs.versioned import RunError, parse_versioned

VERSION = 1


class EpochRow(Record):
    """What is measured of an epoch; a line of ``metrics.jsonl`` is its JSON.

    Attributes:
        version: of these fields.
        epoch: from 1 on.
        loss: mean over the training clips; NaN or infinite where the training diverged.
        train_accuracy: counted during the epoch.
        validation_accuracy, seen_accuracy: after it; seen: held-out clips of the speakers trained on.
        weight_lr: learning rate of the weights at its end.
        delay_lr_ms: of the delays, in ms per iteration.
        sigma_ms: width of the delays' kernel at its end; where widths are learned, their mean.
        delay_histograms: ``[layer][step]`` synapses by delay, of the layers that learn theirs.
        delay_moved_ms: ``[layer]`` median distance of the delays from where they began.
        seconds: of training so far.
    """

    model_config = ConfigDict(allow_inf_nan=True)

    version: Literal[1] = 1
    epoch: Annotated[int, Field(ge=1, le=MOST)]
    loss: float
    train_accuracy: Share
    validation_accuracy: Share | None = None
    seen_accuracy: Share | None = None
    weight_lr: float | None = None
    delay_lr_ms: float | None = None
    sigma_ms: float | None = None
    delay_histograms: tuple[tuple[Count, ...], ...] | None = None
    delay_moved_ms: tuple[float | None, ...] | None = None
    seconds: Annotated[float, Field(ge=0, le=1e12)]

    def line(self) -> str:
        """Its JSON and the line's end."""
        return self.model_dump_json(exclude_none=True) + "\n"


def append_metrics(folder: Path, row: EpochRow) -> None:
    """Add an epoch."""
    file = folder / "metrics.jsonl"
    with name_errors(file), file.open("a", encoding="utf-8", newline="\n") as lines:
        lines.write(row.line())


def read_metrics(folder: Path) -> list[EpochRow]:
    """Every whole line; a last one without its end was cut short by a kill.

    Raises:
        RunError: a line is damaged, or epochs do not follow one another.
    """
    file = folder / "metrics.jsonl"
    rows: list[EpochRow] = []
    for number, line in enumerate(file.read_bytes().split(b"\n")[:-1] if file.exists() else [], 1):
        try:
            rows.append(parse_versioned(EpochRow, line.decode("utf-8"), VERSION, upgrade_row))
        except (RunError, UnicodeDecodeError) as error:
            raise RunError(f"{file}: line {number}: {error}") from None
        if len(rows) > 1 and rows[-1].epoch <= rows[-2].epoch:
            raise RunError(f"{file}: line {number}: epoch {rows[-1].epoch} after epoch {rows[-2].epoch}")
    return rows


def keep_metrics(folder: Path, epochs: int) -> None:
    """Drop what a killed run wrote after its last checkpoint."""
    write_text(folder / "metrics.jsonl", "".join(row.line() for row in read_metrics(folder) if row.epoch <= epochs))


def upgrade_row(values: dict[str, Any]) -> dict[str, Any]:
    """Fields of version 1 from those of a line without a version: the same; others were somebody else's."""
    return {name: value for name, value in values.items() if name in EpochRow.model_fields}
