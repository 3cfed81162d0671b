"""What a probe says of a network that is all delays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ranvier.analysis.delays import mean_delays, permuted_delays
from ranvier.cli import main
from ranvier.data import SpikeDataset, write_recording
from ranvier.network import Decoding, Input, Layer, Network
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.probe import probe, read_control
from ranvier.recipes.train_run import train
from ranvier.runs import read_probe
from tests.networks import chained, dense, dense_layer

from .conftest import Quiet, write_small_recording

GAP = 15


def layer(weight: list[list[float]], delay: list[list[int]], threshold: float, decay: float) -> Layer:
    targets = len(weight)
    return dense_layer(
        weight=np.array([weight], np.float32),
        delay_steps=np.array([delay], np.int16),
        bias=np.zeros(targets, np.float32),
        decay=np.full(targets, decay, np.float32),
        threshold=np.full(targets, threshold, np.float32),
        max_delay=GAP,
    )


def order_detectors() -> Network:
    """One neuron fires where channel 0 comes 15 steps before channel 1, the other where it comes 15 steps after."""
    return chained(
        dt_ms=1.0,
        layers=(
            layer([[0.6, 0.6, 0], [0.6, 0.6, 0]], [[GAP, 0, 3], [0, GAP, 3]], 1.0, 0.0),  # channel 2 is not heard
            layer([[5, 0], [0, 5]], [[0, 0], [0, 0]], np.inf, 1.0),
        ),
        classes=("first", "last"),
        input=Input(channels=3),
        decoding=Decoding(tail_steps=GAP),
    )


def pairs(clips: int = 60) -> SpikeDataset:
    start = np.random.default_rng(0).integers(0, 20, clips)
    made = []
    for clip in range(clips):
        order = np.array([clip % 2, 1 - clip % 2])
        made.append((np.array([start[clip], start[clip] + GAP]), order, np.ones(2, np.int64)))
    made = [(np.append(step, 40), np.append(source, 2), np.append(count, 1)) for step, source, count in made]
    return SpikeDataset.pack(
        made, labels=np.arange(clips) % 2, speakers=None, classes=("first", "last"), sources=3, dt_ms=1.0
    )


def test_a_network_of_delays_needs_them() -> None:
    found = {one.name: one.accuracy.value for one in probe(order_detectors(), pairs(), np.arange(60))}
    assert found["as it is"] == 1.0
    assert found["every delay its layer's mean"] == 0.5  # neither fires: always the first class
    assert found["clips backwards"] == 0.0
    assert found["delays permuted within each layer"] < 1.0
    assert found["events moved by 50 ms (standard deviation)"] < 0.8
    assert found["50% of events deleted"] < found["10% of events deleted"] < 1.0


def test_a_probe_is_drawn_by_its_seed_and_changes_nothing() -> None:
    network, data = order_detectors(), pairs()
    first, again, other = (probe(network, data, np.arange(20), seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert dense(network.layers[0]).delay_steps.ravel().tolist() == [GAP, 0, 3, 0, GAP, 3]


def test_only_synapses_that_are_there_have_delays_to_permute() -> None:
    network = order_detectors()
    last = dense(permuted_delays(network, np.random.default_rng(0)).layers[0]).delay_steps
    assert sorted(last[0, :, :2].ravel().tolist()) == [0, 0, GAP, GAP]
    assert last[0, :, 2].tolist() == [3, 3]
    weight, delay = dense(network.layers[1]).weight, np.array([[[4, 9], [9, 6]]], np.int16)
    object.__setattr__(dense(network.layers[1]), "delay_steps", delay)
    assert weight[0, 0, 1] == 0
    assert dense(mean_delays(network).layers[0]).delay_steps.tolist() == [[[8, 8, 3], [8, 8, 3]]]
    assert dense(mean_delays(network).layers[1]).delay_steps.tolist() == [[[5, 9], [9, 5]]]
    kept = dense(permuted_delays(network, np.random.default_rng(1)).layers[1]).delay_steps
    assert kept[0, 0, 1] == kept[0, 1, 0] == 9


def test_the_command_tells_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order_detectors().write(tmp_path / "n.safetensors")
    data = pairs(8)
    times = [(data.clip(clip)[0] + 0.5) / 1000 for clip in range(8)]
    units = [data.clip(clip)[1] for clip in range(8)]
    write_recording(tmp_path / "d.h5", times, units, data.labels, classes=("first", "last"))
    call = ["probe", str(tmp_path / "n.safetensors"), "--data", str(tmp_path / "d.h5")]
    assert main([*call, "--json", "--figure", str(tmp_path / "p.png")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["probes"][0]["accuracy"]["value"] == 1.0
    assert len(told["probes"]) == 15
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    assert main(call) == 0
    assert "clips backwards" in capsys.readouterr().out


def test_a_control_says_what_learning_is_worth() -> None:
    learned, fixed = order_detectors(), order_detectors()
    object.__setattr__(dense(fixed.layers[0]), "delay_steps", np.array([[[GAP, 0, 3], [2, 5, 3]]], np.int16))
    data = pairs()
    plain = probe(learned, data, np.arange(60))
    found = probe(learned, data, np.arange(60), control=fixed)
    assert found[: len(plain)] == plain
    control, permuted = found[len(plain) :]
    assert [one.kind for one in (control, permuted)] == ["control", "control"]
    alone = probe(fixed, data, np.arange(60))
    assert (control.accuracy, permuted.accuracy) == (alone[0].accuracy, alone[1].accuracy)
    assert permuted.gain is None
    gain = control.gain
    assert gain is not None
    # the second class has no detector, and where none fires the first is said
    assert gain.value == pytest.approx(1.0 - control.accuracy.value) == pytest.approx(0.5)
    apart = np.arange(60) % 2
    interval = stats.ttest_rel(apart, np.zeros(60)).confidence_interval()
    assert (gain.low, gain.high) == pytest.approx((interval.low, interval.high))
    same = probe(learned, data, np.arange(60), control=learned)[-2].gain
    assert same is not None
    assert (same.value, same.low, same.high) == (0.0, None, None)


def test_the_control_of_a_run_is_its_twin_with_fixed_delays(
    small: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, fixed = tmp_path / "run", tmp_path / "fixed"
    train(small(), run, Quiet())
    twin = small(model__delays="fixed", name="twin", train__device="cpu")
    result = train(twin, fixed, Quiet())
    assert main(["probe", str(run), "--control", str(fixed), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    kept = read_probe(run)
    assert kept is not None
    assert told["control"] == kept.control == str(fixed)
    assert [one["kind"] for one in told["probes"]].count("control") == 2
    control = next(one for one in told["probes"] if one["gain"])
    assert control["accuracy"]["correct"] == result.accuracy["validation"].correct
    whole = told["probes"][0]["accuracy"]["value"]
    assert control["gain"]["value"] == pytest.approx(whole - control["accuracy"]["value"])
    assert (run / "probe.png").exists()
    assert main(["probe", str(run), "--control", str(fixed)]) == 0
    assert f"learned over fixed delays: {100 * control['gain']['value']:+.1f} points" in capsys.readouterr().out
    for name, changes, message in (
        ("seed", {"train__seed": "1"}, "has train.seed = 1, .* has 0"),
        ("tau", {"model__tau_ms": "20"}, "has model.tau_ms = 20.0, .* has 10.05"),
    ):
        train(small(model__delays="fixed", **changes), tmp_path / name, Quiet())
        with pytest.raises(ConfigError, match=f"^--control: .*{name} {message}"):
            read_control(run, tmp_path / name)
    with pytest.raises(ConfigError, match=r"^--control: .*run has model\.delays = learned \(fixed allowed\)"):
        read_control(run, run)
    with pytest.raises(ConfigError, match=r"^--control: .*fixed has model\.delays = fixed \(learned allowed\)"):
        read_control(fixed, fixed)
    with pytest.raises(ConfigError, match=r"^--control: .*nowhere is no run's folder"):
        read_control(run, tmp_path / "nowhere")
    (fixed / "result.json").unlink()
    with pytest.raises(ConfigError, match=r"^--control: .*fixed has not finished"):
        read_control(run, fixed)
    other = tmp_path / "other"
    other.mkdir()
    write_small_recording(other / "shd_train.h5", 90, 1)
    train(small(model__delays="fixed", data__root=str(other)), tmp_path / "elsewhere", Quiet())
    with pytest.raises(ConfigError, match=r"elsewhere was trained on other data than"):
        read_control(run, tmp_path / "elsewhere")


def test_a_run_is_probed_on_clips_it_was_not_trained_on(
    small: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(small(), tmp_path / "run", Quiet())
    assert main(["probe", str(tmp_path / "run"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert told["data"] == "the run's validation clips"
    assert told["probes"][0]["accuracy"]["correct"] == result["accuracy"]["validation"]["correct"]
    assert (tmp_path / "run" / "probe.png").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "is a network alone: --data FILE says what to run it on"),
        (["--seed", "-1"], "--seed: -1 is not allowed (0 or more)"),
        (["--figure", "nowhere/p.png"], "is not a .png file's name in a folder that is there"),
        (["--figure", "p.jpg"], "is not a .png file's name"),
    ],
)
def test_a_wrong_call_is_told_in_a_line(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order_detectors().write(tmp_path / "n.safetensors")
    with pytest.raises(SystemExit) as stopped:
        main(["probe", str(tmp_path / "n.safetensors"), *more])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
