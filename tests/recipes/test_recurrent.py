"""Recurrent connections in a recipe: trained, resumed, reported, frozen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ranvier.engine import cost
from ranvier.network import Dense, Network
from ranvier.recipes.build import build_model
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.describe import describe_run
from ranvier.recipes.run_cost import run_cost
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import resume, train
from ranvier.runs import read_metrics

from .conftest import Quiet, stop_after_an_epoch

Make = Callable[..., Config]


@pytest.mark.parametrize("delay_type", ["undelayed", "synaptic", "axonal", "dendritic"])
def test_a_recipe_reaches_the_recurrent_connections(small: Make, delay_type: str) -> None:
    init = {} if delay_type == "undelayed" else {"model__recurrent_max_init_delay_ms": "150"}
    config = small(model__recurrent=delay_type, model__recurrent_dropout="0.2", **init)
    model = build_model(config, build_splits(config), torch.Generator().manual_seed(0))
    for block, width in zip(model.blocks, (12, 10), strict=True):
        own = block.neuron.connection
        assert (own.in_features, own.min_delay, block.neuron.dropout.p) == (width, 1, 0.2)
        assert own.learn_delay == (delay_type != "undelayed")
        expected = {"undelayed": 1, "synaptic": width * width}.get(delay_type, width)
        assert own.delay.numel() == (width if delay_type == "undelayed" else expected)
        longest = float(own.delay.detach().max())
        assert longest == 1 if delay_type == "undelayed" else 8 < longest <= 15
    wide = small(model__recurrent=delay_type, model__learn_sigma="layer", train__sigma_start_ms="50")
    model = build_model(wide, build_splits(wide), torch.Generator().manual_seed(0))
    assert all(layer.learn_sigma == layer.learn_delay for layer in model.delay_layers)
    rounded = small(model__recurrent=delay_type, model__round_delay="true", model__kernel="delrec")
    model = build_model(rounded, build_splits(rounded), torch.Generator().manual_seed(0))
    assert {(layer.kernel, layer.round_delay) for layer in model.delay_layers} == {("delrec", True)}
    fixed = small(model__recurrent=delay_type, model__delays="fixed")
    model = build_model(fixed, build_splits(fixed), torch.Generator().manual_seed(0))
    assert not any(layer.learn_delay for layer in model.delay_layers)
    assert max(float(layer.delay.detach().max()) for layer in model.delay_layers) <= 6
    none = small(model__recurrent=delay_type, model__delays="none")
    model = build_model(none, build_splits(none), torch.Generator().manual_seed(0))
    assert {block.neuron.connection.max_delay for block in model.blocks} == {1}


@pytest.mark.pictures
def test_a_run_with_recurrent_delays_resumes_to_the_bit_and_is_reported(small: Make, tmp_path: Path) -> None:
    config = small(model__recurrent="axonal", model__recurrent_max_init_delay_ms="100", train__delay_lr_ms="2")
    whole = train(config, tmp_path / "whole", Quiet())
    stop_after_an_epoch(config, tmp_path / "stopped")
    resumed = resume(tmp_path / "stopped", Quiet())
    networks = [Network.read(tmp_path / name / "network.safetensors") for name in ("whole", "stopped")]
    for one, other in zip(*(network.layers for network in networks), strict=True):
        for ours, theirs in zip(one.inputs, other.inputs, strict=True):
            assert isinstance(ours, Dense)
            assert isinstance(theirs, Dense)
            np.testing.assert_array_equal(ours.weight, theirs.weight)
            np.testing.assert_array_equal(ours.delay_steps, theirs.delay_steps)
    assert [each.source for each in networks[0].layers[1].inputs] == ["hidden_1", "hidden_2"]
    assert whole.parameters == resumed.parameters
    rows = read_metrics(tmp_path / "whole")
    assert [sum(counts) for counts in rows[-1].delay_histograms or ()] == [10 * 12, 12 * 12, 12 * 10, 10 * 10, 10 * 3]
    assert max(map(len, rows[-1].delay_histograms or ())) < 40  # no count for each of 32,767 steps
    moved = rows[-1].delay_moved_ms or ()
    assert all(moved_ms is not None and moved_ms > 0 for moved_ms in moved)
    page = (tmp_path / "whole" / "report.html").read_text("utf-8")
    data = json.loads(page.split('id="report-data">')[1].split("</script>")[0])[0]
    assert [layer["name"] for layer in data["delays"]["layers"]][1] == "hidden 1 → hidden 1"
    assert len(data["delays"]["layers"]) == len(data["scatter"]) == 5
    part = build_splits(config).validation
    assert part is not None
    data = part.dataset
    clips = [(data.clip(number), int(data.lengths[number])) for number in part.clips]
    total, ours = cost(networks[0], clips).total, run_cost(tmp_path / "whole")
    assert ours is not None
    assert ours.spikes == pytest.approx(total.spikes)
    assert ours.spikes > 10
    assert max(size.max() for (_, _, size), _ in clips) > 1  # and is one event
    assert ours.operations == pytest.approx(total.synaptic_operations)
    assert ours.buffer_bytes == total.ring_bytes
    assert ours.synapses == total.synapses
    sentences = " ".join(describe_run(config, whole, networks[0]))
    assert "recurrent connections with axonal delays" in sentences


@pytest.mark.pictures
def test_undelayed_recurrence_leaves_the_report_its_frames(small: Make, tmp_path: Path) -> None:
    train(small(model__recurrent="undelayed"), tmp_path / "run", Quiet())
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    data = json.loads(page.split('id="report-data">')[1].split("</script>")[0])[0]
    names = ["input → hidden 1", "hidden 1 → hidden 2", "hidden 2 → output"]
    assert [layer["name"] for layer in data["delays"]["layers"]] == names
    assert len(data["delays"]["epoch"]) == 3


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"recurrent_dropout": "0.2"}, "model.recurrent_dropout"),
        ({"recurrent_max_init_delay_ms": "50"}, "model.recurrent_max_init_delay_ms"),
        ({"recurrent": "axonal", "recurrent_max_init_delay_ms": "5"}, "model.recurrent_max_init_delay_ms"),
        ({"recurrent": "axonal", "recurrent_max_init_delay_ms": "1e6"}, "model.recurrent_max_init_delay_ms"),
        ({"recurrent": "axonal", "max_delay_ms": "0"}, "model.max_delay_ms"),
        ({"recurrent": "synaptic", "synapse_tau_ms": "20"}, "model.recurrent"),
        ({"recurrent": "synaptic", "delays": "dense"}, "model.recurrent"),
        ({"recurrent": "sideways"}, "model.recurrent"),
        ({"recurrent": "undelayed", "recurrent_max_init_delay_ms": "50"}, "model.recurrent_max_init_delay_ms"),
    ],
)
def test_what_does_not_go_together_is_refused(small: Make, fields: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=f"^{named}: "):
        small(**{f"model__{name}": value for name, value in fields.items()})


def test_recurrent_delays_alone(small: Make) -> None:
    """Undelayed from layer to layer, learned delays within: what DelRec trains."""
    config = small(model__recurrent="axonal", model__max_delay_ms="0", model__recurrent_max_init_delay_ms="100")
    model = build_model(config, build_splits(config), torch.Generator().manual_seed(0))
    assert [layer.max_delay for layer in model.delay_layers] == [0, 32767, 0, 32767, 0]
    assert [layer.learn_delay for layer in model.delay_layers] == [False, True, False, True, False]
    assert model.decoding.tail_steps == 6


def test_a_network_without_any_delay_is_trained_where_they_would_be_learned(small: Make, tmp_path: Path) -> None:
    config = small(model__recurrent="undelayed", model__max_delay_ms="0", model__tail_ms="0")
    train(config, tmp_path / "run", Quiet())
    rows = read_metrics(tmp_path / "run")
    assert [(row.sigma_ms, row.delay_lr_ms) for row in rows] == [(None, None)] * 3
    assert Network.read(tmp_path / "run" / "network.safetensors").layers[0].max_delay == 1
