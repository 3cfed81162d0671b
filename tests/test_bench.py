"""``ranvier bench step``: what it measures, says and refuses."""

from __future__ import annotations

import json

import pytest
import torch

from ranvier.cli import main
from ranvier.recipes.memory import PeakMemory
from ranvier.recipes.step_cost import measure_step, step_settings

SMALL = ["--hidden", "8", "--max-delay", "5", "--time", "12", "--batch", "4", "--repeats", "2"]


def test_json_tells_where_the_time_goes_and_which_way_was_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "step", "--json", *SMALL]) == 0
    out, err = capsys.readouterr()
    cost = json.loads(out)
    assert err == ""
    parts = [cost[name] for name in ("forward", "backward", "optimiser")]
    assert all(seconds > 0 for seconds in parts)
    assert max(parts) < cost["seconds"] <= 2 * sum(parts)
    assert cost["peak_mb"] >= 0
    assert cost["plan"] == "dense"
    assert "multiply-adds" in cost["why"]
    assert [(layer["sources"], layer["targets"]) for layer in cost["layers"]] == [(140, 8), (8, 8), (8, 20)]
    assert cost["settings"]["max_delay"] == 5
    assert cost["threads"] == torch.get_num_threads()


def test_a_table_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "step", *SMALL]) == 0
    out = capsys.readouterr().out
    for part in (
        "140-8-8-20",
        "longest delay 5 steps",
        "forward",
        "backward",
        "optimiser",
        "8 → 8: dense (",
        "2 steps",
    ):
        assert part in out


def test_the_network_of_shd_takes_the_spectral_way() -> None:
    cost = measure_step(step_settings({"time": "60", "batch": "64", "repeats": "1"}))
    assert cost["plan"] == "spectral"
    assert cost["parameters"] == 214_016


def test_measuring_leaves_torchs_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    measure_step(step_settings({"hidden": 4, "time": 5, "batch": 2, "repeats": 1}))
    assert torch.rand(1) == expected


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--hidden", "0", ["--hidden", "'0'", "1 or more"]),
        ("--hidden", "many", ["--hidden", "'many'", "a whole number"]),
        ("--max-delay", "-1", ["--max-delay", "'-1'", "0 ... 32767"]),
        ("--time", "2.5", ["--time", "'2.5'", "a whole number"]),
        ("--activity", "1.2", ["--activity", "'1.2'", "0 ... 1"]),
        ("--sigma", "nan", ["--sigma", "0.12 or more"]),
        ("--device", "tpu", ["--device", "'tpu'", "auto, cpu, cuda, cuda:N, mps"]),
        ("--hiden", "8", ["--hiden"]),
        pytest.param(
            "--device",
            "cuda",
            ["--device", "'cuda' is not available"],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
        ),
    ],
)
def test_refuses_in_one_line(capsys: pytest.CaptureFixture[str], option: str, value: str, said: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", "step", option, value])
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    for part in said:
        assert part in err


@pytest.mark.parametrize("arguments", [["bench"], ["bench", "stpe"]])
def test_names_what_can_be_measured(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "WHAT" in capsys.readouterr().err


def test_help_shows_defaults_and_units(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", "step", "--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    delay, device = (text.rpartition(f"--{name} ")[2].partition("--")[0] for name in ("max-delay", "device"))
    assert "[steps]" in delay
    assert "(a whole number, 0 ... 32767; default: 24)" in delay
    assert "auto, cpu, cuda, cuda:N or mps (default: auto)" in device


def test_peak_memory_is_what_was_held_at_once() -> None:
    with PeakMemory(torch.device("cpu")) as peak:
        torch.ones(100, 1_000_000).sum()  # 400 MB
        torch.ones(50, 1_000_000).sum()
    assert peak.megabytes is not None
    assert 390 < peak.megabytes < 450
