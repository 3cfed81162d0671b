"""A network goes to the official checkpoint, and comes back through its reader with the same weights and spikes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.export import ExportError, targets, to_snn_delays
from ranvier.models import freeze, from_dcls_checkpoint
from ranvier.network import LIF, Decoding, Network
from tests.drawn import LONGEST, chain, recurrent, rough
from tests.export.same import same_spikes
from tests.models.test_dcls_checkpoint import Official


def official(seed: int = 0, **settings: Any) -> Network:
    """One decay and threshold, no bias in the readout, the official tail."""
    network = rough(chain(seed, varied=False, **settings))
    silent = replace(network.layers[-1], bias=np.zeros(4, np.float32))
    return replace(network, layers=(*network.layers[:-1], silent), decoding=Decoding(LONGEST // 2, "per_layer"))


@pytest.mark.parametrize("synapses", [1, 3])
def test_a_network_comes_back_the_same(synapses: int, tmp_path: Path) -> None:
    network = official(synapses=synapses)
    targets()["snn-delays"].write(network, tmp_path / "n.pt")
    made = to_snn_delays(network)
    state = torch.load(tmp_path / "n.pt", weights_only=True)
    assert state.keys() == made.state_dict.keys()
    model = from_dcls_checkpoint(state, taps=made.taps, decay=made.decay, threshold=made.threshold)
    again = freeze(model, dt_ms=network.dt_ms, classes=network.classes, input=network.input)
    assert again.decoding == network.decoding
    for mine, theirs in zip(network.layers, again.layers, strict=True):
        np.testing.assert_array_equal(mine.bias, theirs.bias)
        for name, array in {**mine.inputs[0].arrays(), **mine.neuron.arrays()}.items():
            np.testing.assert_array_equal(array, {**theirs.inputs[0].arrays(), **theirs.neuron.arrays()}[name])
    same_spikes(network, again)


def test_the_official_network_takes_it() -> None:
    """Names and shapes are those of dcls's own layer and torch's batch norm; the batch norm only shifts."""
    network = official()
    made = to_snn_delays(network)
    model = Official([5, 7, 3, 4], 1)
    shapes = {  # of the published code, where a hidden layer is four modules in a row
        f"model.{4 * int(name[7]) + int(name[11])}{name[12:]}": tuple(value.shape)
        for name, value in model.state_dict().items()
    }
    assert {name: value.shape for name, value in made.state_dict.items()} == shapes
    norm = torch.nn.BatchNorm1d(7).eval()
    prefix = "model.1."
    norm.load_state_dict(
        {name.removeprefix(prefix): torch.tensor(v) for name, v in made.state_dict.items() if name.startswith(prefix)}
    )
    current = torch.randn(100, 7)
    torch.testing.assert_close(norm(current), current + torch.tensor(network.layers[0].bias), rtol=0, atol=0)
    position = made.state_dict["model.0.P"]
    assert np.abs(position).max() <= made.taps // 2


def test_fewer_synapses_a_pair_are_filled_up() -> None:
    network, many = official(), official(synapses=2)
    mixed = replace(network, layers=(many.layers[0], *network.layers[1:]))
    made = to_snn_delays(mixed)
    assert made.state_dict["model.4.weight"].shape == (3, 7, 2)
    state = {name: torch.tensor(value) for name, value in made.state_dict.items()}
    model = from_dcls_checkpoint(state, taps=made.taps, decay=made.decay, threshold=made.threshold)
    same_spikes(mixed, freeze(model, dt_ms=4, classes=network.classes, input=network.input))


def test_what_the_official_code_cannot_do_is_refused() -> None:
    network = official()
    first, ones = network.layers[0], np.ones(7, np.float32)

    def other(**fields: Any) -> Network:
        return replace(network, layers=(replace(first, **fields), *network.layers[1:]))

    with pytest.raises(ExportError, match=r"^decoding: clip, 4 time steps"):
        to_snn_delays(replace(network, decoding=Decoding(4)))
    with pytest.raises(ExportError, match=r"^decoding: per_layer, 3 time steps is not allowed \(per_layer, 4"):
        to_snn_delays(replace(network, decoding=Decoding(3, "per_layer")))
    with pytest.raises(ExportError, match=r"^layers\.1\.neuron\.decay: 0\.5 is not allowed \(0\.25"):
        to_snn_delays(other(neuron=LIF(np.full(7, 0.25, np.float32), ones)))
    with pytest.raises(ExportError, match=r"^layers\.1\.neuron\.threshold"):
        to_snn_delays(other(neuron=LIF(np.full(7, 0.5, np.float32), ones + 1)))
    with pytest.raises(ExportError, match=r"^layers\.2\.bias"):
        to_snn_delays(chain(0, varied=False))
    with pytest.raises(ExportError, match=r"^layers\.0\.inputs: from"):
        to_snn_delays(recurrent())
