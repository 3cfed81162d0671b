"""Runs that come with the package, and what a name stands for where a run or a network is asked for."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from ranvier.recipes.config import ConfigError
from ranvier.runs import RunResult, read_result

_RUNS = Path(__file__).with_name("pretrained_runs")  # made by tools/package_run.py
MODEL_FILE = "model.safetensors"
LICENCE_FILE = "licence.txt"


@dataclass(frozen=True)
class PretrainedRun:
    """A run that comes with the package.

    Attributes:
        name: stands for it in commands.
        folder: its files; nobody writes there.
        result: as ``result.json`` holds it.
        licence: of the network, and of what it was trained on, in a line.
    """

    name: str
    folder: Path
    result: RunResult
    licence: str


def pretrained_names() -> tuple[str, ...]:
    """Names of the runs that come with the package."""
    return tuple(sorted(file.parent.name for file in _RUNS.glob("*/config.toml")))


def pretrained_runs() -> tuple[PretrainedRun, ...]:
    """All of them, by name.

    Raises:
        ConfigError: a file is damaged.
    """
    runs = []
    for name in pretrained_names():
        folder = _RUNS / name
        result = read_result(folder)
        if result is None:
            raise ConfigError(f"{folder}: result.json is missing (install Ranvier again)")
        runs.append(PretrainedRun(name, folder, result, (folder / LICENCE_FILE).read_text("utf-8").strip()))
    return tuple(runs)


def is_pretrained(place: Path) -> bool:
    """Whether this is the folder of a run that comes with the package: nothing may be written there."""
    return place.absolute().parent == _RUNS


def find_run(name: str) -> Path:
    """The folder, or file, that is meant where a run's folder, a network file or a name is given.

    A name with a path separator in it (``./digits``, ``runs/digits``) is a path. Any other is, in this order: the run's
    folder of that name in the working directory, the run of that name that comes with the package, or a path.

    Args:
        name: as the user gave it.

    Raises:
        ConfigError: the name is empty, or is not there and much like one of the package's.
    """
    if not name:
        raise ConfigError("names no run")
    place = Path(name)
    if name != place.name or (place / "config.toml").is_file():
        return place
    if name in pretrained_names():
        return _RUNS / name
    near = difflib.get_close_matches(name, pretrained_names(), 1)
    if near and not place.exists():
        raise ConfigError(f"{name}: is neither here nor a run of the package (did you mean {near[0]}?)")
    return place
