"""Adaptive neurons in a frozen network: their file, their rules, and what has no form of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.export import ExportError, to_brian2, to_lava, to_nest, to_nir, to_snn_delays
from ranvier.network import AdaptiveLIF, Network, NetworkError, quantize
from tests.drawn import draw


def network() -> Network:
    return draw(45, adaptive=True)


def test_is_written_and_read(tmp_path: Path) -> None:
    network().write(tmp_path / "network.safetensors")
    again = Network.read(tmp_path / "network.safetensors")
    eulers = []
    for ours, theirs in zip(network().layers[:-1], again.layers[:-1], strict=True):
        assert isinstance(ours.neuron, AdaptiveLIF)
        assert ours.neuron.settings() == theirs.neuron.settings()
        for name, array in ours.neuron.arrays().items():
            np.testing.assert_array_equal(array, theirs.neuron.arrays()[name])
        eulers.append(ours.neuron.euler)
    assert eulers == ["forward", "symplectic"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("euler", "backward"),
        ("euler", ["symplectic"]),
        ("decay", 1.5),
        ("adaptation_decay", -0.5),
        ("a", -1.0),
        ("b", np.nan),
        ("threshold", 0.0),
    ],
)
def test_names_what_is_wrong(name: str, value: Any) -> None:
    neuron = network().layers[0].neuron
    value = value if name == "euler" else np.full(neuron.targets, value, np.float32)
    with pytest.raises(NetworkError, match=f"^{name}: "):
        replace(neuron, **{name: value})


def test_there_is_no_integer_form() -> None:
    with pytest.raises(NetworkError, match=r"^layers\.0\.neuron: adaptive_lif has no integer form"):
        quantize(network())


@pytest.mark.parametrize("target", [to_nir, to_nest, to_brian2, to_snn_delays, to_lava])
def test_targets_without_them_refuse_them(target: Any) -> None:
    with pytest.raises(ExportError) as error:
        target(network())
    # what goes to Lava is in integers first, which is refused above
    assert error.value.place == ("layers.0.inputs.0" if target is to_lava else "layers.0.neuron")
