"""``ranvier quantize`` and ``ranvier cost``."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier.cli import main
from ranvier.network import Network, Trace
from ranvier.recipes.pretrained import find_run


def test_quantize_writes_the_network_and_says_what_it_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small.safetensors"
    given = ["quantize", "digits", "--weight-bits", "4", "--delay-bits", "3", "--out", str(out), "--json"]
    assert main(given) == 0
    facts = json.loads(capsys.readouterr().out)
    made = Network.read(out)
    assert made.integer
    assert max(len(set(layer.inputs[0].synapses().delay_steps.tolist())) for layer in made.layers) == 8
    assert facts["before"]["clips"] == facts["after"]["clips"] == facts["delays_alone"]["clips"] == 240
    assert abs(facts["before"]["correct"] - facts["after"]["correct"]) < 24
    assert facts["bytes_after"] < 0.25 * facts["bytes_before"]
    with pytest.raises(SystemExit) as stopped:
        main(given)
    assert stopped.value.code == 2
    assert "exists already" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["quantize", str(out)])
    assert "--data FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given", [["--weight-bits", "5"], ["--delay-bits", "0"], ["--out", "net.txt"], ["--out", "nowhere/net.safetensors"]]
)
def test_what_quantize_refuses(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["quantize", "digits", *given])
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_cost_prints_what_it_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "digits", "--clips", "5", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["clips"] == 5
    *layers, total = facts["layers"]
    assert [layer["name"] for layer in layers] == ["hidden_1", "hidden_2", "readout"]
    assert total["synapses"] == sum(layer["synapses"] for layer in layers) == 106_496
    assert total["weight_bytes"] == 4 * 106_496
    assert 0 < total["synaptic_operations"] < total["dense_operations"]
    assert main(["cost", "digits", "--clips", "5"]) == 0
    text = capsys.readouterr().out
    assert f"{total['ring_bytes']:,}" in text
    assert "5 of 240 clips: the run's validation clips" in text
    platforms = text.splitlines()[-1].partition("? ")[2].split("; ")
    assert [one.rpartition(": ")[::2] for one in platforms] == [
        (name, "yes" if fits else "no") for name, fits in facts["delays_fit"].items()
    ]
    with pytest.raises(SystemExit):
        main(["cost", "digits", "--clips", "0"])
    assert "--clips: 0" in capsys.readouterr().err


def test_operations_of_traces_are_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(find_run("digits"), tmp_path / "run")
    network = Network.read(tmp_path / "run" / "network.safetensors")
    first, *others = network.layers
    traced = replace(first, output=Trace(np.full(first.targets, 0.5, np.float32)))
    replace(network, layers=(traced, *others)).write(tmp_path / "run" / "network.safetensors")
    command = ["cost", str(tmp_path / "run"), "--clips", "2"]
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["layers"]
    assert [row["synaptic_operations"] is None for row in rows] == [False, True, False, True]
    assert main(command) == 0
    text = capsys.readouterr().out
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    assert [row[2] == "-" for row in cells if len(row) == 4] == [False, True, False, True]
    assert "receives numbers" in text
