"""Runs that come with the package: how they are made, their names, and what a training takes from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ranvier.cli import main
from ranvier.models import freeze
from ranvier.network import Network
from ranvier.recipes import pretrained
from ranvier.recipes.build import build_input, build_model
from ranvier.recipes.checkpoint import checkpoint_file, init_file, load_checkpoint
from ranvier.recipes.config import Config, ConfigError, build_config
from ranvier.recipes.initialise import check_init
from ranvier.recipes.pretrained import find_run, is_pretrained, pretrained_names, pretrained_runs
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.run_config import read_config
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import train
from ranvier.runs import read_result
from tests.networks import dense
from tests.results import present
from tools.package_run import MOST_BYTES, package_run

from .conftest import SMALL, Quiet, write_small_recording

Make = Callable[..., Config]
ALL = {"data.validation": "none", "data.validation_speakers": "", "data.test": "none"}


@pytest.fixture
def own(small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on SHD's speakers 0 and 1, packaged by the name ``own``; the working directory is empty."""
    monkeypatch.setattr(pretrained, "_RUNS", tmp_path / "package")
    train(small(), tmp_path / "first", Quiet())
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return package_run(tmp_path / "first", "own", "Apache-2.0", into=tmp_path / "package")


@pytest.fixture
def further(own: Path, tmp_path: Path) -> Make:
    """The recipe folder on another recording, started from ``own``."""
    write_small_recording(tmp_path / "other.h5", 60, 5)

    def make(**changes: str) -> Config:
        dotted = {name.replace("__", "."): value for name, value in changes.items()}
        values = {**SMALL, "data.root": str(tmp_path / "other.h5"), "train.init_from": "own", **ALL, **dotted}
        return build_config(load_values("folder"), values)

    return make


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_packaged_run_is_a_run_without_paths_of_this_machine(own: Path, tmp_path: Path) -> None:
    assert sorted(contents(own)) == [
        "config.toml", "licence.txt", "metrics.jsonl", "model.safetensors", "network.safetensors", "observed.npz",
        "result.json",
    ]  # fmt: skip
    assert getattr(read_config(own).data, "root", None) is None
    assert not any(str(tmp_path).encode() in content for content in contents(own).values())
    (run,) = pretrained_runs()
    assert (run.name, run.folder, run.licence) == ("own", own, "Apache-2.0")
    assert run.result == read_result(tmp_path / "first")


def test_a_training_starts_with_its_unrounded_model(further: Make, tmp_path: Path) -> None:
    there = load_checkpoint(checkpoint_file(tmp_path / "first"))
    result = train(further(train__init_interpolation="0.5"), tmp_path / "run", Quiet())
    begun = load_checkpoint(init_file(tmp_path / "run"))
    assert begun is not None
    assert there is not None
    for name, tensor in there["best"]["model"].items():
        if not name.endswith("sigma"):
            assert torch.equal(begun["model"][name], tensor), name
    init = present(result.init_from)
    assert (init.run, init.classes, init.trained_on) == ("own", ("a", "b", "c"), ("shd",))


def test_it_is_refused_where_it_may_have_been_trained_on_what_is_held_out(
    small: Make, own: Path, tmp_path: Path
) -> None:
    for changes in ({"data__validation_speakers": "1"}, {"data__validation": "leave-one-speaker-out"}):
        with pytest.raises(ConfigError, match=r"^train.init_from: own: was trained on data of recipe shd"):
            train(small(train__init_from="own", **changes), tmp_path / "run", Quiet())
    assert not (tmp_path / "run").exists()
    alike = small(train__init_from="own", train__seed="3")
    check_init(alike, build_splits(alike), tmp_path / "run")


def test_what_it_was_trained_on_is_remembered_by_what_comes_from_it(small: Make, further: Make, tmp_path: Path) -> None:
    train(further(train__epochs="1"), tmp_path / "second", Quiet())
    config = small(train__init_from=str(tmp_path / "second"))
    with pytest.raises(ConfigError, match="second: was trained on data of recipe shd"):
        train(config, tmp_path / "third", Quiet())


def test_what_a_name_stands_for(own: Path, tmp_path: Path) -> None:
    assert find_run("own") == own
    assert is_pretrained(find_run("own"))
    assert find_run("./own") == Path("own")
    assert find_run("network.safetensors") == Path("network.safetensors")
    Path("own").mkdir()
    assert find_run("own") == own, "a folder that is no run does not stand in the way"
    (Path("own") / "config.toml").touch()
    assert find_run("own") == Path("own")
    assert not is_pretrained(find_run("own"))


@pytest.mark.parametrize(("name", "said"), [("onw", "did you mean own?"), ("", "names no run")])
def test_a_name_that_will_not_do(own: Path, name: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        find_run(name)
    assert said in str(error.value)


def test_commands_take_its_name_and_write_nothing_into_the_package(
    own: Path, small_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(own)
    recording = str(small_root / "shd_train.h5")
    assert main(["eval", "own", "--data", recording, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"]["clips"] == 90
    assert main(["eval", "own", "--data-root", str(small_root), "--json"]) == 0
    validation = json.loads(before["result.json"])["accuracy"]["validation"]
    assert json.loads(capsys.readouterr().out)["accuracy"]["clips"] == validation["clips"]
    assert main(["report", "own"]) == 0
    assert main(["report", "own", "--data", recording, "--out", "more.html"]) == 0
    assert main(["probe", "own", "--data", recording]) == 0
    assert main(["watch", "own", "--once"]) == 0
    assert sorted(file.name for file in Path().iterdir()) == ["more.html", "probe.png", "report.html"]
    assert contents(own) == before
    assert list(own.parent.iterdir()) == [own]


@pytest.mark.parametrize("by_name", [True, False])
def test_it_is_not_continued(own: Path, capsys: pytest.CaptureFixture[str], by_name: bool) -> None:
    before = contents(own)
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--resume", "own" if by_name else str(own)])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--train.init-from own" in line
    assert contents(own) == before


def test_its_clips_do_not_come_with_it(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["eval", "own"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--data-root" in said


def test_a_damaged_model_is_told_in_a_line(further: Make, own: Path, tmp_path: Path) -> None:
    for damaged in (b"", b"no tensors", (own / "model.safetensors").read_bytes()[:200]):
        (own / "model.safetensors").write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"model\.safetensors: is damaged$"):
            train(further(), tmp_path / "run", Quiet())


def test_what_is_not_packaged(small: Make, further: Make, own: Path, tmp_path: Path) -> None:
    before, first = contents(tmp_path / "package"), tmp_path / "first"

    def refused(run: Path, name: str = "next", licence: str = "Apache-2.0") -> str:
        with pytest.raises(ConfigError) as error:
            package_run(run, name, licence, into=tmp_path / "package")
        assert contents(tmp_path / "package") == before
        return str(error.value)

    assert "'No'" in refused(first, name="No")
    assert "one line" in refused(first, licence="a\nb")
    train(further(train__epochs="1"), tmp_path / "second", Quiet())
    assert "does not tell all" in refused(tmp_path / "second")
    (first / "metrics.jsonl").write_text(f'{{"epoch": 1, "seconds": 1.0, "note": "{small().data.location}"}}\n')
    assert "metrics.jsonl names a folder of this machine" in refused(first)
    (first / "result.json").unlink()
    assert "no single finished training" in refused(first)


@pytest.mark.parametrize("name", pretrained_names())
def test_every_run_of_the_package_is_small(name: str) -> None:
    folder = find_run(name)
    assert sum(len(content) for content in contents(folder).values()) <= MOST_BYTES
    assert read_config(folder).train.init_from is None
    assert Network.read(folder / "network.safetensors").classes


def test_the_model_of_digits_freezes_to_its_network() -> None:
    folder = find_run("digits")
    network, config = Network.read(folder / "network.safetensors"), read_config(folder)
    model = build_model(config, build_splits(config), torch.Generator())
    model.load_state_dict(load_file(folder / "model.safetensors"))
    again = freeze(model, dt_ms=config.data.dt_ms, classes=network.classes, input=build_input(config))
    for layer, other in zip(network.layers, again.layers, strict=True):
        np.testing.assert_array_equal(dense(layer).weight, dense(other).weight)
        np.testing.assert_array_equal(dense(layer).full_delay_steps, dense(other).full_delay_steps)


def test_digits_is_as_accurate_as_it_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "digits", "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    (run,) = [run for run in pretrained_runs() if run.name == "digits"]
    expected = run.result.accuracy["test"]
    assert (accuracy["correct"], accuracy["clips"]) == (expected.correct, expected.clips)
    assert accuracy["value"] > 0.9
    config = build_config(load_values("digits"), {"train.init_from": "digits"})
    check_init(config, build_splits(config), tmp_path / "run")


def test_shd_is_as_accurate_as_it_says_on_the_clips_that_it_has_not_seen(
    capsys: pytest.CaptureFixture[str], shd_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "shd", "--data-root", str(shd_root), "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    (run,) = [run for run in pretrained_runs() if run.name == "shd"]
    expected = run.result.accuracy["validation"]
    assert (accuracy["correct"], accuracy["clips"]) == (expected.correct, expected.clips)
    assert accuracy["value"] > 0.95
