"""LIF with soft reset: in training, frozen and in the engine."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.engine import Engine
from ranvier.export import ExportError, to_brian2, to_lava, to_nest, to_nir, to_snn_delays
from ranvier.models import feedforward, freeze
from ranvier.models.fused import run_fused
from ranvier.network import Input, Network, NetworkError, SoftResetLIF, quantize
from ranvier.nn import LIF, SequenceBatchNorm, Trace


def test_a_spike_leaves_what_is_above_the_threshold() -> None:
    current = torch.tensor([2.5, 0.0, 0.0, 0.0]).view(4, 1, 1)
    for reset, expected in (("zero", [1, 0, 0, 0]), ("subtract", [1, 1, 0, 0])):
        spikes, _ = LIF(0.75, reset=reset)(current)  # type: ignore[arg-type]
        assert spikes.flatten().tolist() == expected
    with pytest.raises(ValueError, match=r"^reset: 'soft' is not allowed \(zero, subtract\)"):
        LIF(0.75, reset="soft")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="reset: subtract in the state, zero here"):
        LIF(0.75).load_state_dict(LIF(0.75, reset="subtract").state_dict())


def test_it_is_not_taken_for_the_fused_hard_reset() -> None:
    current, steps = 2 * torch.randn(20, 2, 5), torch.tensor([20, 20])
    assert run_fused([SequenceBatchNorm(5), LIF(0.9)], current, steps) is not None
    assert run_fused([SequenceBatchNorm(5), LIF(0.9, reset="subtract")], current, steps) is None


@pytest.mark.parametrize("options", [{"dropout": 0.3}, {"trace": partial(Trace, 0.8)}])
def test_the_engine_spikes_as_the_frozen_module(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(3)
    neuron = partial(LIF, reset="subtract")
    model = feedforward(6, [12, 10], 4, 8, decay=0.8, neuron=neuron, generator=generator, **options)
    for _ in range(5):  # batch norm's running statistics away from their start
        model.scores(torch.poisson(torch.full((40, 3, 6), 0.6)))
    x = torch.poisson(torch.full((40, 3, 6), 0.6))
    rasters, voltage = model.eval().forward_with_spikes(x)
    network = freeze(model, dt_ms=4.0, classes=tuple("abcd"), input=Input(6))
    assert [type(layer.neuron) for layer in network.layers[:-1]] == [SoftResetLIF] * 2
    for clip in range(3):
        result = Engine(network).run(x[:, clip].numpy())
        for spikes, raster in zip(result.spikes, rasters, strict=True):
            assert spikes.tolist() == (raster[:, clip] > 0).nonzero().tolist()
        np.testing.assert_allclose(result.voltage, voltage[:, clip].detach().numpy(), atol=1e-4)
    assert all(100 < int((raster > 0).sum()) < 0.8 * raster.numel() for raster in rasters)
    refused(network)


def refused(network: Network) -> None:
    for target in (to_nir, to_nest, to_brian2, to_snn_delays, to_lava):
        with pytest.raises(ExportError) as error:
            target(network)
        assert error.value.place in ("layers.0.neuron", "layers.0.inputs.0"), target
    with pytest.raises(NetworkError, match=r"^layers\.0\.(neuron|output): (soft_reset_lif|trace) has no integer form"):
        quantize(network)
