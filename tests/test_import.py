"""Importing is instant, and commands load only what they need."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


def modules_of(*arguments: str) -> dict[str, int]:
    """Modules that a fresh interpreter imports, with their cumulative microseconds."""
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True)
    lines = re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)", done.stderr)
    return {name: int(cumulative) for cumulative, name in lines}


def test_importing_ranvier_loads_nothing_else() -> None:
    loaded = modules_of("-c", "import ranvier").keys() - modules_of("-c", "pass").keys()
    assert loaded == {"ranvier"}


@pytest.mark.parametrize(
    ("code", "banned"),
    [
        ("import ranvier", {"torch", "numba", "numpy", "h5py", "pydantic"}),
        ("import ranvier.network", {"torch", "numba", "h5py", "pydantic", "matplotlib"}),
        ("import ranvier.engine", {"torch", "h5py", "pydantic", "matplotlib"}),
        ("import ranvier.models", {"numba", "triton", "h5py", "pydantic", "matplotlib"}),
        ("import ranvier.data", {"torch", "numba", "matplotlib"}),
        ("import ranvier.audio", {"torch", "numba", "scipy", "soundfile", "matplotlib"}),
        ("import ranvier.analysis", {"torch", "matplotlib"}),
        ("import ranvier.recipes", {"torch", "numpy", "pydantic", "h5py", "matplotlib"}),
        ("import ranvier.recipes.evaluation", {"torch", "matplotlib"}),
        ("from ranvier.cli import main; main(['ls'])", {"torch", "numba", "matplotlib"}),
    ],
)
def test_rooms_load_only_what_they_need(code: str, banned: set[str]) -> None:
    loaded = modules_of("-c", code)
    assert "ranvier" in loaded
    assert not banned & set(loaded)
