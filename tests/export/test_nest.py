"""NEST gives the engine's raster and voltages, run by the script that is exported."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ranvier.engine import Engine
from ranvier.export import ExportError, targets
from ranvier.export.nest import nest_arrays
from ranvier.network import Network
from tests.drawn import chain, clips, recurrent
from tests.export.scripts import NETWORKS, same_as_the_engine

if find_spec("nest") is None:  # it is not imported here, where it would print and set signals
    pytest.skip("NEST is not installed (wheels for Linux alone)", allow_module_level=True)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_the_exported_script_spikes_as_the_engine(network: Network, tmp_path: Path) -> None:
    same_as_the_engine("nest", network, tmp_path)


def test_the_script_is_a_command(tmp_path: Path) -> None:
    network = chain(0)
    targets()["nest"].write(network, tmp_path / "network.py")
    clip = clips(network)[2]
    np.save(tmp_path / "clip.npy", clip)
    command = [sys.executable, "network.py", "clip.npy", "result.npz"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    with np.load(tmp_path / "result.npz") as result:
        np.testing.assert_array_equal(result["hidden_2"], Engine(network).run(clip).spikes[1])


def test_what_nest_cannot_do_is_refused() -> None:
    network = recurrent(0, back=1)
    with pytest.raises(ExportError, match=r"^layers\.\d\.inputs\.\d: a loop through several layers"):
        nest_arrays(network)
    with pytest.raises(ExportError, match=r"^dt_ms: 0\.0005 is not allowed"):
        nest_arrays(replace(chain(), dt_ms=0.0005))


def test_to_nest_returns_what_can_be_read(tmp_path: Path) -> None:
    code = (
        "from ranvier.export import to_nest\nfrom tests.drawn import recurrent\nimport nest\n"
        "built = to_nest(recurrent(0, back=2))\n"
        "assert built.shifts == {'input': 0, 'output': 1, 'second': 2, 'readout': 3}, built.shifts\n"
        "assert [len(p) for p in built.populations.values()] == [6, 4, 2]\n"
        "connections = nest.GetConnections(built.populations['second'], built.populations['output'])\n"
        "assert min(connections.delay) == 10 * (2 + 1 - 2), min(connections.delay)\n"
        "assert min(nest.GetConnections(built.inputs, built.populations['readout']).delay) == 10 * 3"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
