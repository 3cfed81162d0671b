"""Without what only Linux has (fcntl, triton, glibc, fork to read HDF5), all modules load and a network is trained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .recipes.conftest import SMALL, write_small_recording

# found by every Python that is started, also by the processes that Ranvier starts itself
ELSEWHERE = """
import importlib.abc, os, platform, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fcntl", "resource", "termios", "triton"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
platform.libc_ver = lambda *_, **__: ("", "")
del os.sched_getaffinity
if any("hdf5_worker" in word for word in sys.orig_argv):  # libraries look for their own files by the system's name
    sys.platform = "darwin"
    del os.fork
"""
EVERY_MODULE = """
import importlib, pkgutil, ranvier
names = [module.name for module in pkgutil.walk_packages(ranvier.__path__, "ranvier.")]
for name in names:
    if not name.endswith("__main__") and "_cuda" not in name:  # kernels are loaded where there is a CUDA device
        importlib.import_module(name)
print(len(names))
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Environment of a process on a system without them."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(ELSEWHERE)
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "RANVIER_CACHE": str(tmp_path / "cache")}


def run(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_it_is_another_system(elsewhere: dict[str, str]) -> None:
    code = "import os, platform, sys; print(sys.platform, hasattr(os, 'fork'), platform.libc_ver()[0]); import fcntl"
    for word, expected in (("", ["linux", "True"]), ("hdf5_worker", ["darwin", "False"])):
        done = subprocess.run([sys.executable, "-c", code, word], env=elsewhere, capture_output=True, text=True)
        assert done.stdout.split() == expected
        assert "No module named 'fcntl'" in done.stderr


def test_every_module_loads(elsewhere: dict[str, str]) -> None:
    assert int(run(elsewhere, "-c", EVERY_MODULE)) > 200


def test_a_network_is_trained_and_evaluated(elsewhere: dict[str, str], tmp_path: Path) -> None:
    write_small_recording(tmp_path / "shd_train.h5", 60, 0)
    options = {**SMALL, "data.root": str(tmp_path), "train.epochs": "2"}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    run(elsewhere, "-m", "ranvier", "train", "shd", "--out", str(tmp_path / "run"), *words)
    told = run(elsewhere, "-m", "ranvier", "eval", str(tmp_path / "run"), "--data", str(tmp_path / "shd_train.h5"))
    assert "60" in told
    assert (tmp_path / "run" / "report.html").exists()
