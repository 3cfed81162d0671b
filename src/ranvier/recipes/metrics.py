"""``metrics.jsonl``: one line per epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ranvier.files import name_errors, write_text


def append_metrics(folder: Path, row: dict[str, Any]) -> None:
    """Add an epoch."""
    file = folder / "metrics.jsonl"
    with name_errors(file), file.open("a", encoding="utf-8", newline="\n") as lines:
        lines.write(json.dumps(row) + "\n")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Every whole line."""
    file = folder / "metrics.jsonl"
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break  # a kill cut the last line short
    return rows


def keep_metrics(folder: Path, epochs: int) -> None:
    """Drop what a killed run wrote after its last checkpoint."""
    kept = [row for row in read_metrics(folder) if row["epoch"] <= epochs]
    write_text(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))
