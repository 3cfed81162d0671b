"""Where a result comes from: code, versions, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import ranvier

_PACKAGES = ("torch", "numpy", "h5py", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Ranvier, Python and what the numbers hang on."""
    return {
        "ranvier": ranvier.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def git_commit() -> str | None:
    """Commit of Ranvier's own checkout, else of the folder it was started in, else None; ``+`` marks local changes."""
    for folder in (Path(ranvier.__file__).parent, Path.cwd()):
        if (commit := _git(folder, "rev-parse", "HEAD")) is not None:
            changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
            return commit + ("+" if changed else "")
    return None


def machine() -> str:
    """Processor, cores and system."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
