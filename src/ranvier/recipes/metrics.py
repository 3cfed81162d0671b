"""``metrics.jsonl``: one line per epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ranvier.recipes.config import ConfigError
from ranvier.recipes.run_values import check_row, parse_json


def append_metrics(folder: Path, row: dict[str, Any]) -> None:
    """Add an epoch."""
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


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
    file = folder / "metrics.jsonl"
    temporary = file.with_suffix(".tmp")
    kept = [row for row in read_metrics(folder) if row["epoch"] <= epochs]
    temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
    temporary.replace(file)
