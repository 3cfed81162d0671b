"""Networks that Ranvier wrote before there were parts (commit 3cf00c6) are read, and run to the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from ranvier.engine import Engine
from ranvier.network import LIF, Dense, Integrator, Network, NetworkError, Trace

MADE = Path(__file__).parents[1] / "made_at_3cf00c6"


@pytest.mark.parametrize(("run", "version", "traced"), [("coincidence", 1, False), ("traces", 2, True)])
def test_older_networks_run_to_the_same_spikes(run: str, version: int, traced: bool, tmp_path: Path) -> None:
    network = Network.read(MADE / run / "network.safetensors")
    assert header_of(MADE / run / "network.safetensors")["format_version"] == version
    for layer in network.layers[:-1]:
        assert [type(part) for part in layer.parts().values()] == [Dense, LIF, *([Trace] if traced else [])]
    assert isinstance(network.layers[-1].neuron, Integrator)
    network.write(tmp_path / "again.safetensors")
    assert header_of(tmp_path / "again.safetensors")["format_version"] == 3
    with np.load(MADE / "expected.npz") as expected:
        for each in (network, Network.read(tmp_path / "again.safetensors")):
            result = Engine(each).run(expected[f"{run}_input"])
            # the sums were taken in another order then
            np.testing.assert_allclose(result.voltage, expected[f"{run}_voltage"], rtol=0, atol=1e-14)
            np.testing.assert_array_equal(np.concatenate(result.spikes), expected[f"{run}_spikes"])
            assert len(expected[f"{run}_spikes"]) > 20


def header_of(file: Path) -> dict[str, Any]:
    raw = file.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header: dict[str, Any] = json.loads(json.loads(raw[8 : 8 + size])["__metadata__"]["ranvier"])
    return header


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, h: h.update(format_version=1), r"layers\.0\.synapse_decay: is not allowed in format version 1"),
        (lambda t, h: h["layers"][0].update(reset="soft"), r"layers\.0\.reset"),
        (lambda t, h: t["layers.0.threshold"].fill(np.inf), r"layers\.0"),
        (lambda t, h: t["layers.1.threshold"].fill(1), r"layers\.1"),
        (lambda t, h: t.update({"layers.0.gate": t["layers.0.bias"]}), r"layers\.0\.gate.*not known"),
        (lambda t, h: t.pop("layers.1.bias"), r"layers\.1\.bias"),
        (lambda t, h: h["layers"].pop(), r"layers\.1\..*not known"),
        (lambda t, h: h.update(layers={}), "layers"),
        (lambda t, h: h.update(layers=[1, 2]), "malformed"),
    ],
)
def test_damage_to_older_files_is_named(tmp_path: Path, change: Any, message: str) -> None:
    file = MADE / "traces" / "network.safetensors"
    header = header_of(file)
    header.pop("sha256", None)
    tensors = {name: array.copy() for name, array in load(file.read_bytes()).items()}
    change(tensors, header)
    (tmp_path / "n.safetensors").write_bytes(save(tensors, {"ranvier": json.dumps(header)}))
    with pytest.raises(NetworkError, match=message):
        Network.read(tmp_path / "n.safetensors")
