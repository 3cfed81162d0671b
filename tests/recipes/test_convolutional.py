"""Recipes with convolutional models: what they say reaches the model, and a training runs from end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.errors import ConfigError
from ranvier.network import LIF, Conv
from ranvier.nn import DelayConv2d
from ranvier.recipes.build import build_model, check_convolutions
from ranvier.recipes.config import Config, build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.report import write_report
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import train
from ranvier.runs import read_run

from .conftest import Quiet

SMALL = {
    "data.size": "9",
    "data.clip_ms": "20",
    "data.directions": "3",
    "data.speed": "0.6",
    "data.threshold": "0.5",
    "data.train_clips": "24",
    "data.validation_clips": "6",
    "data.test_clips": "6",
    "model.hidden": "4,3",
    "model.kernel_size": "3",
    "model.stride": "2",
    "model.max_delay_ms": "5",
    "model.tail_ms": "4",
    "train.epochs": "2",
    "train.batch_size": "8",
}


def small(**changes: Any) -> Config:
    dotted = {name.replace("__", "."): str(value) for name, value in changes.items()}
    return build_config(load_values("motion"), {**SMALL, **dotted})


def test_every_field_of_the_model_reaches_it() -> None:
    config = small(
        model__dropout=0.35, model__kernel="triangle", model__surrogate="triangle", model__surrogate_alpha=2.5,
        model__threshold=1.5, model__tau_ms=4, model__readout_tau_ms=10, model__delays="fixed",
    )  # fmt: skip
    model = build_model(config, build_splits(config), torch.Generator().manual_seed(0))
    sizes = [(2, 4, (9, 9), (5, 5)), (4, 3, (5, 5), (3, 3))]
    for block, (before, after, size, out_size) in zip(model.blocks, sizes, strict=True):
        conv = block.linear
        assert isinstance(conv, DelayConv2d)
        assert (conv.in_channels, conv.out_channels, conv.places.size, conv.out_size) == (before, after, size, out_size)
        assert (conv.kernel_size, conv.places.stride, conv.places.padding) == ((3, 3), (2, 2), (1, 1))
        assert (conv.max_delay, conv.kernel, conv.learn_delay) == (5, "triangle", False)
        assert (block.norm.num_features, block.norm.positions) == (after, out_size[0] * out_size[1])
        assert (block.neuron.surrogate, block.neuron.alpha, block.dropout.p) == ("triangle", 2.5, 0.35)
        assert block.neuron.threshold.item() == 1.5
        assert block.neuron.decay.item() == pytest.approx(0.75)
    assert (model.linear.in_features, model.linear.out_features, model.linear.max_delay) == (27, 3, 0)
    assert model.readout.decay.item() == pytest.approx(0.9)
    assert model.decoding.tail_steps == 4


def test_a_camera_of_ones_own_is_a_picture(tmp_path: Path) -> None:
    camera = {"kind": "folder", "root": str(tmp_path), "dt_ms": 1.0, "camera": "9x6", "pool": 2, "time_unit": "us"}
    base = load_values("folder")["data"]
    config = build_config({**load_values("motion"), "data": {**base, **camera}})
    assert config.data.picture == (3, 5)


@pytest.mark.pictures
def test_a_training_runs_from_end_to_end(tmp_path: Path) -> None:
    train(small(), tmp_path / "run", Quiet())
    run = read_run(tmp_path / "run")
    assert run.network is not None
    first, second, last = (layer.inputs[0] for layer in run.network.layers)
    assert isinstance(first, Conv)
    assert isinstance(second, Conv)
    assert (first.size, second.size, last.sources) == ((9, 9), (5, 5), 27)
    assert first.max_delay == 5
    assert len(np.unique(first.delays())) > 3
    assert (tmp_path / "run" / "delays.png").exists()
    page = write_report([tmp_path / "run"]).read_text()
    assert "convolutions of 4, 3 channels, kernels of 3 x 3" in page


@pytest.mark.pictures
def test_a_dense_convolution_is_pruned(tmp_path: Path) -> None:
    pruned: dict[str, Any] = {"train__prune": "magnitude", "train__density": 0.1}
    train(small(model__delays="dense", **pruned), tmp_path / "run", Quiet())
    run = read_run(tmp_path / "run")
    assert run.network is not None
    first = run.network.layers[0].inputs
    assert {connection.max_delay for connection in first} <= set(range(6))
    there = sum(int(np.count_nonzero(c.weight)) for c in first if isinstance(c, Conv))
    assert there == round(0.1 * 4 * 2 * 9 * 6)
    assert "a learned weight at every delay" in write_report([tmp_path / "run"]).read_text()


def test_counted_spikes_are_trained_and_frozen(tmp_path: Path) -> None:
    train(small(model__scores="count", model__threshold=0.5, model__readout_tau_ms=8), tmp_path / "run", Quiet())
    run = read_run(tmp_path / "run")
    assert run.network is not None
    readout = run.network.layers[-1]
    assert (readout.name, type(readout.neuron), run.network.decoding.scores) == ("readout", LIF, "count")
    assert readout.neuron.arrays()["threshold"].tolist() == [0.5] * 3
    assert readout.neuron.arrays()["decay"] == pytest.approx(0.875)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__kernel_size": 4}, r"^model\.kernel_size: 4 is not allowed \(an odd number\)$"),
        ({"model__stride": 0}, r"^model\.stride: '0' is not allowed"),
        ({"model__max_delay_ms": 0.5}, r"^model\.max_delay_ms: 0\.5 ms is not a whole number"),
        ({"model__readout_tau_ms": 0.5}, r"^model\.readout_tau_ms: 0\.5 is not allowed"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**changes)


def test_what_is_too_large_to_be_frozen_is_refused_before_the_training(tmp_path: Path) -> None:
    large = {"data.size": "128", "model.hidden": "32", "model.stride": "2", "model.max_delay_ms": "30"}
    few = {"data.train_clips": "12", "data.validation_clips": "12", "data.test_clips": "12"}
    config = build_config(load_values("motion"), {**large, **few})
    with pytest.raises(ConfigError, match=r"^model: is too large \(.*max_delay: 30 time steps"):
        check_convolutions(config, build_splits(config))


def test_data_without_pictures_are_refused() -> None:
    values = {**load_values("motion"), "data": load_values("coincidence")["data"]}
    with pytest.raises(ConfigError, match=r"^model\.kind: convolutional is not allowed with data of coincidence"):
        build_config(values)
