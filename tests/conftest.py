"""Where tests find real recordings, and small networks to run."""

from __future__ import annotations

import os
from pathlib import Path

# as many test processes as cores: more threads each, also of the processes that tests start, get in one another's way
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

DATA = Path(os.environ.get("RANVIER_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Whatever a test before has set."""
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
