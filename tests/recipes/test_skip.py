"""Skip connections in a recipe: trained, resumed, reported, evaluated, started from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.analysis import figures
from ranvier.engine import cost
from ranvier.models import SkipConnections
from ranvier.network import Network, quantize
from ranvier.recipes import train_run
from ranvier.recipes.build import build_model
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.describe import describe_run
from ranvier.recipes.evaluation import evaluate
from ranvier.recipes.initialise import check_init, initial_state
from ranvier.recipes.run_cost import run_cost
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import resume, train
from ranvier.runs import read_metrics

from .conftest import Quiet, stop_after_an_epoch

Make = Callable[..., Config]


@pytest.mark.parametrize(("skip", "skipped"), [("none", []), ("input", [[0], [0]]), ("all", [[0], [0, 1]])])
@pytest.mark.parametrize("delays", ["learned", "fixed", "none", "dense"])
def test_a_recipe_reaches_the_skip_connections(small: Make, skip: str, skipped: list[list[int]], delays: str) -> None:
    config = small(model__skip=skip, model__delays=delays, model__fan_in="4", model__round_delay="true")
    model = build_model(config, build_splits(config), torch.Generator().manual_seed(0))
    assert [module.sources for module in model.modules() if isinstance(module, SkipConnections)] == skipped
    for layer in model.delay_layers:
        assert layer.learn_delay == (delays == "learned")
        assert layer.round_delay
        assert layer.max_delay == (0 if delays == "none" else 6)
        assert int(layer.synapse_mask().sum()) == 4 * layer.out_features * (7 if delays == "dense" else 1)  # type: ignore[union-attr]


@pytest.mark.pictures
def test_a_run_with_skip_connections_resumes_to_the_bit_and_is_reported(
    small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    plot = figures.plot_delays

    def watched(before: Any, after: Any, dt_ms: float, names: list[str]) -> Any:
        drawn.extend(f"{name} {len(delays)}" for name, delays in zip(names, after, strict=True))
        return plot(before, after, dt_ms, names)

    monkeypatch.setattr(figures, "plot_delays", watched)
    config = small(model__skip="all", model__tail="per_layer", train__epochs="2")
    whole = train(config, tmp_path / "whole", Quiet())
    wires = ["input → hidden_1", "hidden_1 → hidden_2", "input → hidden_2"]
    wires += ["hidden_2 → readout", "input → readout", "hidden_1 → readout"]
    sizes = [10 * 12, 12 * 10, 10 * 10, 10 * 3, 10 * 3, 12 * 3]
    assert drawn == [f"{wire} {size}" for wire, size in zip(wires, sizes, strict=True)]
    monkeypatch.setattr(train_run, "draw_figures", lambda *_: None)
    stop_after_an_epoch(config, tmp_path / "stopped")
    resumed = resume(tmp_path / "stopped", Quiet())
    files = [(tmp_path / name / "network.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert files[0] == files[1]
    assert whole.parameters == resumed.parameters == 2 * sum(sizes) + 2 * (12 + 10)
    network = Network.read(tmp_path / "whole" / "network.safetensors")
    assert [f"{made.source} → {layer.name}" for layer in network.layers for made in layer.inputs] == wires
    splits = build_splits(config)
    part = splits.validation
    assert part is not None
    assert evaluate(network, part.dataset, part.clips).accuracy.value == whole.accuracy["validation"].value
    assert whole.before_rounding is not None
    rows = read_metrics(tmp_path / "whole")
    assert [sum(counts) for counts in rows[-1].delay_histograms or ()] == sizes
    assert all(moved_ms is not None and moved_ms > 0 for moved_ms in rows[-1].delay_moved_ms or (None,))
    page = (tmp_path / "whole" / "report.html").read_text("utf-8")
    data = json.loads(page.split('id="report-data">')[1].split("</script>")[0])[0]
    names = [wire.replace("_", " ").replace("readout", "output") for wire in wires]
    assert [layer["name"] for layer in data["delays"]["layers"]] == names
    assert len(data["delays"]["epoch"]) == 2
    dataset = part.dataset
    clips = [(dataset.clip(number), int(dataset.lengths[number])) for number in part.clips]
    ours, total = run_cost(tmp_path / "whole"), cost(network, clips).total
    assert ours is not None
    assert (ours.buffer_bytes, ours.synapses) == (total.ring_bytes, total.synapses)
    assert total.synapses == sum(sizes)
    assert "skip connections from all earlier layers" in " ".join(describe_run(config, whole, network))
    assert quantize(network).layers[2].inputs[2].source == "hidden_1"


def test_a_training_starts_from_a_run_with_the_same_connections(small: Make, tmp_path: Path) -> None:
    train(small(model__skip="all", train__epochs="1"), tmp_path / "first", Quiet())
    start = {"train__init_from": str(tmp_path / "first"), "train__epochs": "1"}
    config = small(model__skip="all", train__seed="7", **start)
    (tmp_path / "next").mkdir()
    state = initial_state(config, build_splits(config), tmp_path / "next")
    assert state is not None
    model = build_model(config, build_splits(config), torch.Generator().manual_seed(7))
    drawn = [layer.weight.detach().clone() for layer in model.delay_layers]
    model.load_state_dict(state["model"])
    frozen = Network.read(tmp_path / "first" / "network.safetensors")
    # the readout has no batch norm to fold, so its weights are as they were
    for made, layer in zip(frozen.layers[-1].inputs, model.linear.connections, strict=True):
        np.testing.assert_array_equal(made.arrays()["weight"], layer.weight.detach().numpy())
    assert not any(torch.equal(before, layer.weight) for before, layer in zip(drawn, model.delay_layers, strict=True))
    other = small(model__skip="input", **start)
    with pytest.raises(ConfigError, match=r"model\.skip is all there and input here"):
        check_init(other, build_splits(other), tmp_path / "other")


def test_weights_in_whole_steps_are_refused_before_the_training(small: Make) -> None:
    with pytest.raises(ConfigError, match=r"^model\.skip: input is not allowed with model\.weight_bits = 4 \(none\)"):
        small(model__skip="input", model__weight_bits="4")
    with pytest.raises(ConfigError, match=r"^model\.skip: "):
        small(model__skip="some")
    assert small(model__skip="input", model__delay_bits="2").model.kind == "feedforward"
