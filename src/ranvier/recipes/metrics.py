"""``metrics.jsonl``: one line per epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ranvier.files import name_errors, write_text
from ranvier.recipes.config import ConfigError
from ranvier.recipes.run_values import check_row, parse_json


def append_metrics(folder: Path, row: dict[str, Any]) -> None:
    """Add an epoch."""
    file = folder / "metrics.jsonl"
    with name_errors(file), file.open("a", encoding="utf-8", newline="\n") as lines:
        lines.write(json.dumps(row) + "\n")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Every whole line; a last one without its end was cut short by a kill.

    Raises:
        ConfigError: a line is damaged, or epochs do not follow one another.
    """
    file = folder / "metrics.jsonl"
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(file.read_bytes().split(b"\n")[:-1] if file.exists() else [], 1):
        try:
            rows.append(check_row(parse_json(line.decode("utf-8"))))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{file}: line {number}: {error}") from None
        if len(rows) > 1 and rows[-1]["epoch"] <= rows[-2]["epoch"]:
            raise ConfigError(f"{file}: line {number}: epoch {rows[-1]['epoch']} after epoch {rows[-2]['epoch']}")
    return rows


def keep_metrics(folder: Path, epochs: int) -> None:
    """Drop what a killed run wrote after its last checkpoint."""
    kept = [row for row in read_metrics(folder) if row["epoch"] <= epochs]
    write_text(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))
