"""Runs an exported script in a Python of its own, and compares its results with the engine's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from ranvier.engine import Engine
from ranvier.export import targets
from ranvier.network import Network
from tests.drawn import chain, clips, counted, draw_conv, recurrent, rough

NETWORKS = {
    "convolutions": draw_conv(16),
    "chain": chain(0),
    "per layer": chain(1, tail="per_layer"),
    "two a pair": chain(2, synapses=2),
    "one decay": chain(3, bias=False, varied=False),
    "recurrent": recurrent(0, back=2),
    "rough": rough(chain(4)),
    "rough recurrent": rough(recurrent(1, back=2)),
    "counted": counted(chain(1, tail="per_layer")),
    "counted, each class inhibits the other": counted(recurrent(2, back=2), inhibited=True),
}
_CODE = """
import sys, numpy as np, network
assert "ranvier" not in sys.modules
for n in range({clips}):
    result = network.run(network.read_arrays(network.NETWORK), np.load(f"clip{{n}}.npy"))
    np.savez(f"result{{n}}.npz", **result)
"""


def same_as_the_engine(target: str, network: Network, folder: Path, python: str = sys.executable) -> None:
    """Every spike of every clip, and voltages but for rounding in double precision."""
    targets()[target].write(network, folder / "network.py")
    assert [file.name for file in folder.iterdir()] == ["network.py"]
    made = clips(network)
    for number, clip in enumerate(made):
        np.save(folder / f"clip{number}.npy", clip)
    command = [python, "-c", _CODE.format(clips=len(made))]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, env={"HOME": str(folder)})
    assert done.returncode == 0, done.stderr
    spikes = 0
    for number, clip in enumerate(made):
        expected = Engine(network).run(clip)
        with np.load(folder / f"result{number}.npz") as result:
            for layer, raster in zip(network.layers, expected.spikes, strict=False):
                np.testing.assert_array_equal(result[layer.name], raster)
                spikes += len(raster)
            if network.layers[-1].spikes:
                np.testing.assert_array_equal(result[network.layers[-1].name], np.argwhere(expected.voltage))
                assert "voltage" not in result
            else:
                np.testing.assert_allclose(result["voltage"], expected.voltage, rtol=1e-12, atol=1e-12)
    assert spikes > 50
