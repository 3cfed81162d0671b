"""Integer networks: what they hold, and that no sum of theirs can leave 32 bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier.network import LIF, Decoding, Dense, Input, IntegerIntegrator, IntegerLIF, Layer, Network, NetworkError


def layer(name: str, source: str, targets: int, sources: int, *, decay: int = 100, bias: int = 3) -> Layer:
    generator = np.random.default_rng(0)
    weight = generator.integers(-127, 128, (1, targets, sources)).astype(np.int8)
    delay_steps = generator.integers(0, 6, (1, targets, sources)).astype(np.int16)
    kept = np.full(targets, decay, np.int16)
    neuron = IntegerIntegrator(-7, kept) if name == "readout" else IntegerLIF(kept, np.full(targets, 500, np.int32))
    return Layer(name, (Dense(source, 5, weight, delay_steps),), np.full(targets, bias, np.int32), neuron)


def network(**fields: int) -> Network:
    layers = (layer("hidden_1", "input", 4, 3, **fields), layer("readout", "hidden_1", 2, 4))
    return Network(10.0, layers, ("a", "b"), Input(3), Decoding(5))


def test_a_file_holds_integers_as_they_are(tmp_path: Path) -> None:
    made = network()
    made.write(tmp_path / "net.safetensors")
    read = Network.read(tmp_path / "net.safetensors")
    assert read.integer
    assert read.layers[1].neuron.settings() == {"kind": "integer_integrator", "scale_exponent": -7}
    for one, other in zip(made.layers, read.layers, strict=True):
        assert (one.bias == other.bias).all()
        assert other.bias.dtype == np.int32
        for place, part in one.parts().items():
            for name, array in part.arrays().items():
                again = other.parts()[place].arrays()[name]
                assert again.dtype == array.dtype
                assert (again == array).all()


def test_what_may_overflow_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"layers\.0: voltages up to"):
        network(decay=4095, bias=2**31 - 4096)
    with pytest.raises(NetworkError, match="decay"):
        network(decay=4096)


def test_integers_and_floats_do_not_mix() -> None:
    made = network()
    floats = LIF(np.full(4, 0.5, np.float32), np.ones(4, np.float32))
    with pytest.raises(NetworkError, match=r"inputs\.0: int8 weights"):
        Layer("hidden_1", made.layers[0].inputs, np.zeros(4, np.float32), floats)
    with pytest.raises(NetworkError, match="bias: dtype float32"):
        Layer("hidden_1", made.layers[0].inputs, np.zeros(4, np.float32), made.layers[0].neuron)
    weight, delay_steps = np.ones((1, 4, 3), np.float32), np.zeros((1, 4, 3), np.int16)
    first = Layer("hidden_1", (Dense("input", 5, weight, delay_steps),), np.zeros(4, np.float32), floats)
    with pytest.raises(NetworkError, match="all layers in integers or none"):
        Network(10.0, (first, made.layers[1]), ("a", "b"), Input(3), Decoding(5))
    with pytest.raises(NetworkError, match=r"decoding\.scores: max"):
        replace(made, decoding=Decoding(5, scores="max"))
    with pytest.raises(NetworkError, match="-128"):
        Dense("input", 5, np.full((1, 4, 3), -128, np.int8), delay_steps)
