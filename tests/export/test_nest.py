"""NEST gives the engine's raster and voltages, run by the script that is exported."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier.engine import Engine
from ranvier.export import ExportError, targets
from ranvier.export.nest import nest_arrays
from ranvier.network import Network
from tests.export.generated import chain, clips, recurrent, rough

pytest.importorskip("nest", reason="NEST has a wheel for Linux alone")

NETWORKS = {
    "chain": chain(0),
    "per layer": chain(1, tail="per_layer"),
    "two a pair": chain(2, synapses=2),
    "one decay": chain(3, bias=False, varied=False),
    "recurrent": recurrent(0, back=2),
    "rough": rough(chain(4)),
    "rough recurrent": rough(recurrent(1, back=2)),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_the_exported_script_spikes_as_the_engine(network: Network, tmp_path: Path) -> None:
    targets()["nest"].write(network, tmp_path / "network.py")
    assert [file.name for file in tmp_path.iterdir()] == ["network.py"]
    code = (
        "import sys, numpy as np, network; assert 'ranvier' not in sys.modules\n"
        "for n in range(4):\n"
        "    result = network.run(network.read_arrays(network.NETWORK), np.load(f'clip{n}.npy'))\n"
        "    np.savez(f'result{n}.npz', **result)"
    )
    for number, clip in enumerate(clips(network)):
        np.save(tmp_path / f"clip{number}.npy", clip)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL, env={})
    spikes = 0
    for number, clip in enumerate(clips(network)):
        expected = Engine(network).run(clip)
        with np.load(tmp_path / f"result{number}.npz") as result:
            for layer, raster in zip(network.layers, expected.spikes, strict=False):
                np.testing.assert_array_equal(result[layer.name], raster)
                spikes += len(raster)
            np.testing.assert_allclose(result["voltage"], expected.voltage, rtol=1e-12, atol=1e-12)
    assert spikes > 50


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
        "from ranvier.export import to_nest\nfrom tests.export.generated import recurrent\nimport nest\n"
        "built = to_nest(recurrent(0, back=2))\n"
        "assert built.shifts == {'input': 0, 'output': 1, 'second': 2, 'readout': 3}, built.shifts\n"
        "assert [len(p) for p in built.populations.values()] == [6, 4, 2]\n"
        "connections = nest.GetConnections(built.populations['second'], built.populations['output'])\n"
        "assert min(connections.delay) == 10 * (2 + 1 - 2), min(connections.delay)\n"
        "assert min(nest.GetConnections(built.inputs, built.populations['readout']).delay) == 10 * 3"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
