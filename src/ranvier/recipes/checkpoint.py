"""The state of a training on disk: whole or not at all."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch

from ranvier.files import write_atomically
from ranvier.recipes.config import ConfigError


def checkpoint_file(folder: Path) -> Path:
    """Where a run keeps the state of its last whole epoch."""
    return folder / "checkpoint" / "last.pt"


def start_file(folder: Path) -> Path:
    """Where a run keeps what it took from another run to start from."""
    return folder / "checkpoint" / "start.pt"


def save_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Write under a temporary name, force it to the disk, rename: a kill at any moment leaves the one before."""
    file.parent.mkdir(exist_ok=True)
    content = io.BytesIO()
    torch.save(state, content)  # of a file that cannot be written, it would say that positions are unexpected
    with write_atomically(file) as temporary, temporary.open("wb") as out:
        out.write(content.getbuffer())
        out.flush()
        os.fsync(out.fileno())


def load_checkpoint(file: Path) -> dict[str, Any] | None:
    """What the last :func:`save_checkpoint` wrote, or None.

    Raises:
        ConfigError: the file is damaged.
    """
    if not file.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(file, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ConfigError(f"{file}: not a whole checkpoint ({type(error).__name__})") from None
    return state
