"""Brian 2 gives the engine's raster and voltages, run by the script that is exported.

Brian 2.9, the newest for Python 3.11, does not import beside NumPy 2.4, so it may stand in an environment of its own:
``RANVIER_TEST_BRIAN2=/path/to/python``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ranvier.export import ExportError, targets, to_brian2
from ranvier.network import Network
from tests.drawn import chain, recurrent
from tests.export.scripts import NETWORKS, same_as_the_engine

PYTHON = os.environ.get("RANVIER_TEST_BRIAN2", sys.executable)


@pytest.fixture(scope="module")
def brian2() -> None:
    done = subprocess.run([PYTHON, "-c", "import brian2"], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.splitlines() or ["no output"])[-1]
        pytest.skip(f"Brian 2 does not import ({reason}); RANVIER_TEST_BRIAN2 names a Python where it does")


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
@pytest.mark.usefixtures("brian2")
def test_the_exported_script_spikes_as_the_engine(network: Network, tmp_path: Path) -> None:
    same_as_the_engine("brian2", network, tmp_path, PYTHON)


def test_the_script_holds_the_network(tmp_path: Path) -> None:
    network = chain()
    targets()["brian2"].write(network, tmp_path / "network.py")
    code = "import network, numpy as np; np.savez('again.npz', **network.read_arrays(network.NETWORK))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    expected = to_brian2(network)
    with np.load(tmp_path / "again.npz") as again:
        assert set(again) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(again[name], array)


def test_a_loop_that_is_too_short_is_refused() -> None:
    with pytest.raises(ExportError, match=r"^layers\.\d\.inputs\.\d: a loop through several layers"):
        to_brian2(recurrent(0, back=1))
