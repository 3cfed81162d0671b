"""Where a result comes from: code, versions, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import ranvier

_PACKAGES = ("torch", "numpy", "numba", "h5py", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Ranvier, Python and what the numbers hang on."""
    return {
        "ranvier": ranvier.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def git_commit() -> str | None:
    """Commit of the Ranvier checkout that this code, or the folder it was started in, lies in; ``+``: changed since.

    None where neither lies in one: another project's commit would say nothing.
    """
    for folder in (Path(ranvier.__file__).parent, Path.cwd()):
        top = _git(folder, "rev-parse", "--show-toplevel")
        if top is not None and (Path(top) / "src" / "ranvier" / "__init__.py").exists():
            commit, changed = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "-uno")
            return commit and commit + ("+" if changed else "")
    return None


def machine() -> str:
    """Processor, cores and system."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = names[0] if names else processor
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()
