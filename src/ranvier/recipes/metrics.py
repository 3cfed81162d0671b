"""``metrics.jsonl``: one line per epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def append_metrics(folder: Path, row: dict[str, Any]) -> None:
    """Add an epoch."""
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Every whole line."""
    file = folder / "metrics.jsonl"
    rows = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break  # a kill cut the last line short
    return rows


def keep_metrics(folder: Path, epochs: int) -> None:
    """Drop what a killed run wrote after its last checkpoint."""
    file = folder / "metrics.jsonl"
    temporary = file.with_suffix(".tmp")
    kept = [row for row in read_metrics(folder) if row["epoch"] <= epochs]
    temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
    temporary.replace(file)
