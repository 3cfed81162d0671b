"""Neurons of an installed package: the one file that CONTRIBUTING.md shows, found by its entry points."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranvier.cli import main
from ranvier.engine import Engine
from ranvier.models import feedforward, freeze
from ranvier.network import Input, Network, Neuron
from ranvier.recipes.config import ConfigError, build_config
from ranvier.recipes.neurons import neuron_class, neuron_names
from ranvier.recipes.recipe_files import load_values

GUIDE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a neuron\n")[2]
MODULE = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)[0]
ENTRIES = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)[0]
NAME = "soft-reset"
SMALL = ["--model.hidden", "6", "--train.epochs", "1", "--model.neuron", NAME]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package, where an installation would put it; forgotten at the end."""
    folder = tmp_path / "site"
    about = folder / "soft_reset-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "soft_reset.py").write_text(MODULE, encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: soft-reset\nVersion: 1.0\n", encoding="utf-8")
    entries = re.sub(r'\[project\.entry-points\."([\w.]+)"\]', r"[\1]", ENTRIES).replace('"', "")
    (about / "entry_points.txt").write_text(entries, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(tmp_path)
    yield folder
    sys.modules.pop("soft_reset", None)
    Neuron.kinds.pop("soft_reset", None)


def test_a_neuron_of_a_package_trains_freezes_runs_and_is_reported(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert neuron_names()[-1] == NAME
    assert main(["train", "digits", *SMALL, "--out", "run"]) == 0
    network = Network.read(tmp_path / "run" / "network.safetensors")
    assert [layer.neuron.kind for layer in network.layers] == ["soft_reset", "integrator"]
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    # a process that has not seen it finds it by the kind in the file
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "ranvier", "eval", "run/network.safetensors", "--data", "run/test.h5", "--json"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    trained = json.loads((tmp_path / "run" / "result.json").read_text())["accuracy"]["test"]
    assert json.loads(done.stdout)["accuracy"]["correct"] == trained["correct"]


def test_it_spikes_in_the_engine_as_in_training(site: Path) -> None:
    torch.manual_seed(0)
    model = feedforward(5, [7], 3, 4, decay=0.6, batch_norm=False, neuron=neuron_class(NAME)).eval()
    model.blocks[0].linear.weight.data.mul_(3)
    x = torch.poisson(torch.full((30, 1, 5), 0.4))
    (spikes,), voltage = model.forward_with_spikes(x)
    network = freeze(model, dt_ms=1.0, classes=("a", "b", "c"), input=Input(5))
    result = Engine(network).run(x[:, 0].numpy())
    ours = np.zeros(spikes.shape[::2])
    ours[tuple(result.spikes[0].T)] = 1
    np.testing.assert_array_equal(ours, spikes[:, 0].detach().numpy())
    np.testing.assert_allclose(result.voltage, voltage[:, 0].detach().numpy(), atol=1e-4)
    assert 10 < ours.sum() < ours.size


def test_a_neuron_that_nobody_brings_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.neuron: 'soft-reset' is not allowed \(lif, plif, adlif\)"):
        build_config(load_values("digits"), {"model.neuron": NAME})


def test_a_package_that_fails_is_named(site: Path) -> None:
    (site / "soft_reset.py").write_text("import not_there\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"model\.neuron: 'soft-reset' cannot be used .*not_there"):
        neuron_class(NAME)
