"""Where tests find real recordings, and small networks to run."""

from __future__ import annotations

import os
from pathlib import Path

# as many test processes as cores: more threads each, also of the processes that tests start, get in one another's way
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

DATA = Path(os.environ.get("RANVIER_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


# files of half a minute and more, the longest first: a process that begins one last would keep all others waiting
LONG = (
    "recipes/test_trackers.py", "recipes/test_train.py", "test_report_page.py", "recipes/test_reproduce.py",
    "recipes/test_sweep.py", "recipes/test_carry_out.py", "test_examples.py", "test_docs_code.py",
    "test_docs_commands.py", "recipes/test_distributed.py", "recipes/test_run_files_fuzz.py",
    "recipes/test_initialise.py", "export/test_nir_fuzz.py", "test_files.py", "data/test_recording_fuzz.py",
    "test_cli_run.py", "models/test_plans_agree.py", "test_parity_of_runners.py", "test_docs.py",
    "recipes/test_splits.py", "test_other_systems.py", "models/test_coincidence.py", "models/test_dcls_checkpoint.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of ``LONG`` come first; a file's tests stay in their order."""
    rank = {Path(__file__).parent / file: number for number, file in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path, len(LONG)))


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
