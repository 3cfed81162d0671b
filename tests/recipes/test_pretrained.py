"""Networks that come with the package: what a training takes from them, and what they know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ranvier.data import write_recording
from ranvier.data.ear.listen import Ear
from ranvier.data.encode import encode
from ranvier.recipes import pretrained
from ranvier.recipes.build import build_model
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint, start_file
from ranvier.recipes.config import Config, ConfigError, build_config, load_values
from ranvier.recipes.fit import predict
from ranvier.recipes.pretrained import pretrained_names, read_pretrained, write_pretrained
from ranvier.recipes.splits import Part, build_splits
from ranvier.recipes.start import begin
from ranvier.recipes.train import train
from tests.results import present

from .conftest import SMALL, Quiet, write_small_recording

Make = Callable[..., Config]
DIGITS = tuple("0123456789")
ALL = {"data.validation": "none", "data.validation_speakers": "", "data.test": "none"}


def folder(root: Path, **changes: str) -> Config:
    dotted = {name.replace("__", "."): value for name, value in changes.items()}
    return build_config(load_values("folder"), {"data.root": str(root), **ALL, **dotted})


@pytest.fixture
def own(small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run, kept as a network of the package by the name ``own``."""
    (tmp_path / "networks").mkdir()
    monkeypatch.setattr(pretrained, "_NETWORKS", tmp_path / "networks")
    train(small(), tmp_path / "first", Quiet())
    write_pretrained(
        tmp_path / "first", tmp_path / "networks" / "own.safetensors", summary="three classes", heard=["shd"]
    )
    return tmp_path / "first"


def test_a_training_starts_with_a_network_of_the_package(small: Make, own: Path, tmp_path: Path) -> None:
    write_small_recording(tmp_path / "other.h5", 60, 5)
    there = load_checkpoint(checkpoint_file(own))
    values = {**SMALL, "data.root": str(tmp_path / "other.h5"), "train.start": "own", "train.start_share": "0.5"}
    result = train(build_config(load_values("folder"), {**values, **ALL}), tmp_path / "run", Quiet())
    begun = load_checkpoint(start_file(tmp_path / "run"))
    assert begun is not None
    assert there is not None
    for name, tensor in there["best"]["model"].items():
        if not name.endswith("sigma"):
            assert torch.equal(begun["model"][name], tensor), name
    assert present(result.init_from).run == "own"
    assert present(result.init_from).classes == ("a", "b", "c")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Initialised from own" in page


def test_it_tells_what_it_is_and_not_where_its_data_lay(own: Path) -> None:
    assert pretrained_names() == ("own",)
    network = read_pretrained("own")
    assert (network.summary, network.classes) == ("three classes", ("a", "b", "c"))
    assert network.config.train.epochs == 3
    assert str(own.parent).encode() not in network.file.read_bytes()


def test_it_is_refused_where_it_may_have_heard_what_is_held_out(small: Make, own: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^train.start: own: learned from data of recipe shd"):
        train(small(train__start="own"), tmp_path / "run", Quiet())
    assert not (tmp_path / "run").exists()


def test_a_network_made_from_one_of_the_package_has_heard_the_same(own: Path, tmp_path: Path) -> None:
    write_small_recording(tmp_path / "other.h5", 60, 5)
    values = {**SMALL, "data.root": str(tmp_path / "other.h5"), "train.start": "own", **ALL}
    train(build_config(load_values("folder"), values), tmp_path / "run", Quiet())
    write_pretrained(tmp_path / "run", tmp_path / "networks" / "next.safetensors", summary="-", heard=["gsc"])
    assert read_pretrained("next").heard == ("gsc", "shd")


def test_a_run_with_the_name_of_a_network_has_to_be_named_as_a_folder(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own.rename(tmp_path / "own")
    write_small_recording(tmp_path / "other.h5", 60, 5)
    values = {**SMALL, "data.root": str(tmp_path / "other.h5"), **ALL}
    both = build_config(load_values("folder"), {**values, "train.start": "own"})
    with pytest.raises(ConfigError, match=r"^train.start: own: is a run here and a network of the package"):
        train(both, tmp_path / "run", Quiet())
    run = build_config(load_values("folder"), {**values, "train.start": "./own"})
    assert present(train(run, tmp_path / "run", Quiet()).init_from).run == "own"


def test_a_damaged_network_is_told_in_a_line(own: Path, tmp_path: Path) -> None:
    file = tmp_path / "networks" / "own.safetensors"
    for damaged in (b"", b"no tensors", file.read_bytes()[:200], torch_file(tmp_path)):
        file.write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"own.safetensors: is damaged \(install Ranvier again\)$"):
            read_pretrained("own")


def torch_file(folder: Path) -> bytes:
    """Tensors, but nothing of a network."""
    save_file({"a": torch.zeros(2)}, folder / "a.safetensors")
    return (folder / "a.safetensors").read_bytes()


def test_a_run_that_is_not_finished_is_not_kept(own: Path, tmp_path: Path) -> None:
    (own / "result.json").unlink()
    with pytest.raises(ConfigError, match="is no single finished training"):
        write_pretrained(own, tmp_path / "no.safetensors", summary="-")
    assert not (tmp_path / "no.safetensors").exists()


def test_a_name_that_is_not_known_tells_those_that_are(small: Make, own: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^train.start: onw: is not there \(.* a network of the package: own\)$"):
        train(small(train__start="onw"), tmp_path / "run", Quiet())


@pytest.mark.parametrize("name", pretrained_names())
def test_the_recipe_folder_takes_each_as_it_is(name: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    times = [np.sort(generator.uniform(0, 0.4, 500)) for _ in range(20)]
    units = [generator.integers(0, 700, 500) for _ in range(20)]
    write_recording(tmp_path / "clips.h5", times, units, np.arange(20) % 10, classes=DIGITS)
    config = folder(tmp_path / "clips.h5", train__start=name, train__start_share="0.5", train__epochs="1")
    assert present(train(config, tmp_path / "run", Quiet()).init_from).classes == tuple(DIGITS)
    assert read_pretrained(name).file.stat().st_size < 2**20


def test_spoken_digits_knows_most_of_what_strangers_say(data_root: Path, tmp_path: Path) -> None:
    """Two takes of each of the Free Spoken Digit Dataset's six speakers and ten digits."""
    files = [file for file in sorted((data_root / "fsdd").rglob("*.wav")) if file.stem.rpartition("_")[2] in ("7", "8")]
    encode(files, tmp_path / "fsdd.h5", ear=Ear(emphasis_hz=300, flatten=0.7))
    config = folder(tmp_path / "fsdd.h5", train__start="spoken-digits")
    splits = build_splits(config)
    start = begin(config, splits, tmp_path)
    assert start is not None
    model = build_model(config, splits, torch.Generator())
    model.load_state_dict(start["model"])
    part: Part = splits.train
    right = predict(model, part) == part.dataset.labels[part.clips]
    assert len(right) == 120
    assert right.mean() > 0.7
