"""The frozen path needs NumPy, safetensors and numba, and nothing else that is not of Python itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MADE = Path(__file__).parent / "made_at_3cf00c6"

CODE = """
import sys
from importlib.metadata import packages_distributions

ALLOWED = {"numpy", "safetensors", "numba", "llvmlite", "ranvier"}
INSTALLED = set(packages_distributions()) - ALLOWED


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in INSTALLED:
            raise ImportError(f"{name} is not there")


sys.meta_path.insert(0, Refuse())
try:
    import pydantic
except ImportError:
    pass
else:
    raise SystemExit("nothing is refused")

import numpy as np
from ranvier.engine import Engine
from ranvier.network import Network

network = Network.read(sys.argv[1])
with np.load(sys.argv[2]) as expected:
    result = Engine(network).run(expected["coincidence_input"])
    np.testing.assert_allclose(result.voltage, expected["coincidence_voltage"], rtol=0, atol=1e-14)
print(network)
"""


def test_a_network_is_read_and_run_without_the_other_dependencies() -> None:
    files = [str(MADE / "coincidence" / "network.safetensors"), str(MADE / "expected.npz")]
    done = subprocess.run([sys.executable, "-c", CODE, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "hidden_1" in done.stdout
