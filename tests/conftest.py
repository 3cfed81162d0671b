"""Where tests find real recordings, and small networks to run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

DATA = Path(os.environ.get("RANVIER_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Several test processes share the cores; more threads each only get in one another's way."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with recordings of sound and of lauscher's spikes."""
    if not (DATA / "lauscher").exists():
        pytest.skip(f"the recordings are not at {DATA} (RANVIER_TEST_DATA names another folder)")
    return DATA


@pytest.fixture(scope="session")
def shd_root() -> Path:
    """Folder with SHD's (regenerated) training recording."""
    root = DATA / "shd"
    if not (root / "shd_train.h5.gz").exists():
        pytest.skip(f"the recording is not at {root} (RANVIER_TEST_DATA names another folder)")
    return root
