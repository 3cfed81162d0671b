"""Torch and engine give the same spikes, on real recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.data import Grid, SpikeDataset, read_recording
from ranvier.engine import run
from ranvier.models import Feedforward, feedforward, freeze
from ranvier.network import Input, Network, Readout, Tail

CLIPS = 200
GRID = Grid(700, 5, 10.0)


@pytest.fixture(scope="module")
def shd(shd_root: Path, tmp_path_factory: pytest.TempPathFactory) -> SpikeDataset:
    return read_recording(shd_root / "shd_train.h5.gz", GRID)


STATEFUL = {"learn_decay": True, "synapse_decay": 0.9, "learn_synapse_decay": True}


def trained_a_little(shd: SpikeDataset, tail: Tail, tail_steps: int, **variant: Any) -> Feedforward:
    """The paper's SHD network with learned delays, trained for a few steps so that its layers spike as they should."""
    model = feedforward(
        140,
        [256, 256],
        20,
        24,
        decay=0.005,
        dropout=0.4,
        ending=Readout(tail_steps, tail),
        generator=torch.Generator().manual_seed(0),
        **variant,
    )
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.set_sigma(0.5)
    for step in range(6):
        x, lengths, labels = shd.batch(np.arange(32) + 1000 + 32 * step)
        loss = torch.nn.functional.cross_entropy(model.scores(x, lengths), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.clamp_delay()
    return model.eval()


@pytest.mark.parametrize(
    ("tail", "tail_steps", "variant"), [("clip", 36, {}), ("per_layer", 12, {}), ("per_layer", 12, STATEFUL)]
)
@torch.no_grad()
def test_frozen_network_spikes_as_the_model_does(
    shd: SpikeDataset, tail: Tail, tail_steps: int, variant: dict[str, Any], tmp_path: Path
) -> None:
    with torch.enable_grad():
        model = trained_a_little(shd, tail, tail_steps, **variant)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    freeze(model, dt_ms=10.0, classes=shd.classes, input=Input(700, 5)).write(tmp_path / "n.safetensors")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    network = Network.read(tmp_path / "n.safetensors")

    chosen = np.random.default_rng(0).choice(len(shd), CLIPS, replace=False)
    predictions = []
    for clips in np.array_split(chosen, 4):
        x, lengths, _ = shd.batch(clips)
        rasters, voltage = model.record(x, lengths)
        predictions += model.scores(x, lengths).argmax(1).tolist()
        for place, clip in enumerate(clips):
            result = run(network, shd.clip(int(clip)), int(lengths[place]))
            assert result.prediction == predictions[len(predictions) - len(clips) + place]
            for number, (spikes, raster) in enumerate(zip(result.spikes, rasters, strict=True)):
                steps = network.readout.steps(int(lengths[place]), number)
                theirs = raster[:steps, place].nonzero().numpy()
                np.testing.assert_array_equal(spikes, theirs, err_msg=f"clip {clip}, hidden layer {number + 1}")
                assert 0.002 < len(spikes) / (steps * 256) < 0.5
            torch.testing.assert_close(
                torch.from_numpy(result.voltage), voltage[: len(result.voltage), place].double(), atol=1e-4, rtol=1e-4
            )
    assert len(set(predictions)) > 1


@torch.no_grad()
def test_a_real_clip_is_worth_the_same_alone_in_any_batch_and_with_any_padding(shd: SpikeDataset) -> None:
    with torch.enable_grad():
        model = trained_a_little(shd, "clip", 36)
    clips = np.argsort(shd.lengths)[[0, 100, 4000, -1]]
    x, lengths, _ = shd.batch(clips)
    padded, _, _ = shd.batch(clips, steps=250)
    together = model.scores(x, lengths)
    torch.testing.assert_close(model.scores(padded, lengths), together, atol=1e-3, rtol=1e-5)
    for place, clip in enumerate(clips):
        alone = model.scores(*shd.batch(np.array([clip]))[:2])
        torch.testing.assert_close(alone[0], together[place], atol=1e-3, rtol=1e-5)
