"""The state of a training on disk: whole or not at all."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from ranvier.files import write_atomically
from ranvier.recipes.config import ConfigError


def checkpoint_file(folder: Path) -> Path:
    """Where a run keeps the state of its last whole epoch."""
    return folder / "checkpoint" / "last.pt"


def init_file(folder: Path) -> Path:
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
        _check_archive(file)
        state = torch.load(file, weights_only=True)
        _check_sizes(state)
    except Exception as error:  # torch and zipfile raise many kinds for a damaged file
        raise ConfigError(f"{file}: not a whole checkpoint ({type(error).__name__})") from None
    if not isinstance(state, dict):
        raise ConfigError(f"{file}: not a checkpoint (a {type(state).__name__})")
    return state


def _check_archive(file: Path) -> None:
    """Refuse what would grow while it is unpacked: torch stores its records as they are."""
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
        if any(record.compress_type != zipfile.ZIP_STORED for record in records):
            raise ValueError("a compressed record")
        if sum(record.file_size for record in records) > file.stat().st_size or archive.testzip() is not None:
            raise ValueError("a record that is not what it says")


def _check_sizes(value: Any) -> None:
    """Refuse a tensor that says it is larger than what it holds."""
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.device.type != "cpu":
            raise ValueError("a tensor that holds no numbers")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError("a tensor of other size than its storage")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        _check_sizes(part)
