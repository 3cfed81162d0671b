"""A run is used from other folders than the one it was trained in, and its data may have moved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ranvier.cli import main
from ranvier.data import write_recording
from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.run_config import read_config

FIELDS = {
    "model.hidden": "8", "train.epochs": "1", "data.test": "fraction", "data.test_fraction": "0.2",
    "data.validation": "fraction", "data.validation_fraction": "0.2",
}  # fmt: skip


def recording(path: Path, seed: int, classes: tuple[str, ...] = ("a", "b")) -> Path:
    generator = np.random.default_rng(seed)
    labels = np.arange(20) % 2
    times = [np.sort(generator.uniform(0, 0.2, 20)) for _ in labels]
    units = [generator.integers(0, 350, 20) + 350 * label for label in labels]
    write_recording(path, times, units, labels, classes=classes)
    return path


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run whose recipe, a .toml file, names its data by a relative path; we are in another folder now."""
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    recording(tmp_path / "work" / "a.h5", 0)
    assert main(["cp", "folder", "mine.toml"]) == 0
    text = Path("mine.toml").read_text(encoding="utf-8").replace("[data]\n", '[data]\nroot = "a.h5"\n')
    Path("mine.toml").write_text(text, encoding="utf-8")
    options = [word for name, value in FIELDS.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert main(["train", "mine.toml", *options, "--out", "run"]) == 0
    shutil.move("run", tmp_path / "other" / "moved")
    monkeypatch.chdir(tmp_path / "other")
    return tmp_path / "other" / "moved"


def fails(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2


def test_relative_paths_are_from_the_working_directory_and_kept_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for recipe, field in (("folder", "root"), ("gsc", "root"), ("shd", "root"), ("digits", "file")):
        config = build_config(load_values(recipe), {f"data.{field}": "there/a.h5"})
        assert getattr(config.data, field) == str(tmp_path / "there" / "a.h5")


def test_a_run_is_probed_reported_and_resumed_from_elsewhere(trained: Path) -> None:
    assert main(["probe", "moved", "--json"]) == 0
    (trained / "observed.npz").unlink()
    assert main(["report", "moved"]) == 0
    assert (trained / "observed.npz").exists()
    before = json.loads((trained / "result.json").read_text(encoding="utf-8"))
    (trained / "result.json").unlink()
    assert main(["train", "--resume", "moved"]) == 0
    assert json.loads((trained / "result.json").read_text(encoding="utf-8"))["accuracy"] == before["accuracy"]


def test_data_that_have_moved_are_named_with_the_option_that_finds_them(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "work" / "a.h5"
    here = gone.rename(tmp_path / "other" / "b.h5")
    capsys.readouterr()
    (trained / "result.json").unlink()
    for command in (("probe", "moved"), ("train", "--resume", "moved")):
        fails(*command)
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert str(gone) in line
        assert "--data-root" in line
    assert main(["probe", "moved", "--data-root", "b.h5", "--json"]) == 0
    assert read_config(trained).data.location == str(gone), "probing changes nothing"

    recording(tmp_path / "other" / "c.h5", 1, ("a", "z"))
    fails("train", "--resume", "moved", "--data-root", "c.h5")
    assert read_config(trained).data.location == str(gone)

    assert main(["train", "--resume", "moved", "--data-root", "b.h5"]) == 0
    assert read_config(trained).data.location == str(here)
    assert main(["probe", "moved", "--json"]) == 0
