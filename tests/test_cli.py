"""The command from outside: one line and exit code 2 for what is wrong, nothing written; and the good paths."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

import ranvier
from ranvier.cli import main
from ranvier.data import Grid, read_recording, write_recording
from ranvier.engine import Engine
from ranvier.network import Decoding, Input, Network
from ranvier.recipes.config import Config, build_config
from ranvier.recipes.pretrained import pretrained_runs
from ranvier.recipes.recipe_files import load_values, recipe_names, recipe_text
from ranvier.recipes.run_config import config_values, read_config
from ranvier.runs import make_folder
from tests.data.recordings import Damage, broken_header, clip, cut, empty, garbage, numbers, without
from tests.networks import chained, dense_layer

RECIPE = """\
name = "mine"
summary = "as little training as there can be, should a refusal fail to come"
protocol = "honest"
compare = []

[data]
kind = "coincidence"
classes = 8
channels = 10
dt_ms = 1.0
gap_ms = 3.0
jitter = 0.05
noise = 1
clip_ms = 40.0
train_clips = 4
validation_clips = 2
test_clips = 2
seed = 0

[model]
kind = "detectors"
delays = "learned"
max_delay_ms = 30.0
tau_ms = 1.005
leak_rule = "euler"
surrogate = "arctan"
surrogate_alpha = 5.0
readout_tau_ms = 33.3
vote = 8.0
tail_ms = 10.0

[train]
seed = 0
epochs = 1
batch_size = 4
weight_lr = 1e-3
weight_decay = 1e-5
delay_lr_ms = 0.3
sigma_start_ms = 15.0
sigma_end_ms = 0.25
sigma_fraction = 0.6
"""


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; the cache lies elsewhere."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def recipe(text: str = RECIPE) -> str:
    """A recipe file to train, by its name."""
    Path("mine.toml").write_text(text)
    return "mine.toml"


def listing(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its content, and every folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def in_cache(ending: str) -> list[Path]:
    return list(Path(os.environ["RANVIER_CACHE"]).rglob(f"*{ending}"))


def assert_one_line(out: str, err: str) -> None:
    assert out == ""
    assert re.fullmatch(r"ranvier: [^\n]+\n", err), err


Refused = Callable[..., str]


@pytest.fixture
def refused(work: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must end with exit code 2, one line and nothing written; gives the line.

    Counts of a whole recording may be kept (``cached``), for the fault lay elsewhere.
    """

    def refuse(*arguments: str | Path, cached: bool = False) -> str:
        before = listing(work)
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert end.value.code == 2
        assert_one_line(out, err)
        assert listing(work) == before
        assert in_cache(".tmp") == []
        assert cached or in_cache(".npz") == []
        return err

    return refuse


def spoken(path: Path, *, speakers: Sequence[int] | None = (4, 4, 7, 7, 11, 11), classes: Sequence[str] = ()) -> Path:
    """Six clips of two classes, in SHD's format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    times = [np.sort(generator.uniform(0, 0.3, 20)) for _ in range(6)]
    units = [generator.integers(0, 700, 20) for _ in range(6)]
    named = None if speakers is None else np.array(speakers)
    write_recording(path, times, units, np.array([0, 1] * 3), classes=classes, speakers=named)
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ["COMMAND", "ranvier --help"]),
        (["trian"], ["trian", "did you mean train?"]),
        (["train", "coincidense"], ["'coincidense'", "did you mean coincidence?", "ranvier ls", ".toml"]),
        (["train", "sdh"], ["'sdh'", "did you mean shd?", "ranvier ls"]),
        (["train", "zzzzzz"], ["'zzzzzz'", "a name that ranvier ls lists, or a .toml file"]),
        (["train", ""], ["recipe ''", "a name that ranvier ls lists, or a .toml file"]),
        (["train", "shd", "coincidence"], ["'coincidence' is one word too many"]),
        (["train", "--train.epochs", "1", "shd"], ["'shd' is one word too many", "RECIPE comes first"]),
        (["train", "--epochs", "5"], ["--epochs", "did you mean --train.epochs?"]),
        (["train", "--train.epoch=5"], ["--train.epoch:", "did you mean --train.epochs?"]),
        (["train", "--forse"], ["--forse", "did you mean --force?"]),
        (["train", "shd", "--data_root", "x"], ["--data_root", "did you mean --data"]),
        (["train", "--data-root", "x"], ["--data-root: no such option"]),
        (["train", "coincidence", "--model.hidden", "8"], ["--model.hidden: no such option"]),
        (["train", "--train.epochs"], ["--train.epochs", "expected one argument"]),
        (["train", "--out"], ["--out", "expected one argument"]),
        (["eval"], ["NETWORK"]),
        (["eval", "network.safetensors"], ["network.safetensors: no such network file"]),
        (["eval", "digts"], ["digts", "did you mean digits?"]),
        (["report", "digts"], ["digts", "did you mean digits?"]),
        (["train", "folder", "--train.init-from", "digts"], ["digts", "did you mean digits?"]),
        (["eval", "n.safetensors", "--data", "x.h5", "--jsn"], ["--jsn"]),
        (["eval", "n.safetensors", "more", "--data", "x.h5"], ["more"]),
        (["ls", "--long"], ["--long"]),
        (["ls", "shd"], ["shd"]),
        (["cp", "shd"], ["FILE"]),
    ],
)
def test_a_command_that_cannot_be_understood(refused: Refused, arguments: list[str], said: list[str]) -> None:
    line = refused(*arguments)
    for part in said:
        assert part in line


OPTIONS: list[tuple[str, str, list[str]]] = [
    ("--train.epochs", "0", ["train.epochs", "'0'", "1 ... 100000"]),
    ("--train.epochs", "2.5", ["train.epochs", "'2.5'", "a whole number"]),
    ("--train.epochs", "many", ["train.epochs", "'many'", "a whole number"]),
    ("--train.epochs", "", ["train.epochs", "''", "a whole number"]),
    ("--train.seed", "-1", ["train.seed", "'-1'", "0"]),
    ("--train.batch-size", "0", ["train.batch-size", "'0'", "1 ... 65536"]),
    ("--train.weight-lr", "fast", ["train.weight-lr", "'fast'", "a number, above 0"]),
    ("--train.weight-lr", "inf", ["train.weight-lr", "inf"]),
    ("--train.sigma-fraction", "1.1", ["train.sigma-fraction", "'1.1'", "above 0 ... 1"]),
    ("--data.jitter", "1.5", ["data.jitter", "'1.5'", "0 ... 1"]),
    ("--data.dt-ms", "0", ["data.dt-ms", "'0'", "above 0"]),
    ("--data.dt-ms", "nan", ["data.dt-ms", "nan", "above 0"]),
    ("--data.dt-ms", "inf", ["data.dt-ms", "inf"]),
    ("--data.gap-ms", "2.5", ["data.gap-ms", "2.5 ms", "1 ms steps"]),
    ("--data.gap-ms", "inf", ["data.gap-ms", "inf"]),
    ("--data.gap-ms", "2", ["data.gap_ms", "2", "3"]),
    ("--data.clip-ms", "29", ["data.clip_ms", "29", "above 29"]),
    ("--data.channels", "3", ["data.", "8"]),
    ("--model.delays", "sometimes", ["model.delays", "'sometimes'", "learned, fixed, none"]),
    ("--model.surrogate", "", ["model.surrogate", "''", "arctan, fast_sigmoid, triangle"]),
    ("--model.max-delay-ms", "30.5", ["model.max-delay-ms", "30.5 ms", "1 ms steps"]),
    ("--model.max-delay-ms", "-1", ["model.max-delay-ms", "'-1'", "0 or more"]),
    ("--model.max-delay-ms", "nan", ["model.max-delay-ms", "nan"]),
    ("--model.max-delay-ms", "inf", ["model.max-delay-ms", "inf"]),
    ("--model.max-delay-ms", "32768", ["model.max-delay-ms", "32768", "32767"]),
    ("--model.tail-ms", "0.5", ["model.tail-ms", "0.5 ms", "1 ms steps"]),
    ("--model.tau-ms", "0.5", ["model.tau-ms", "0.5", "euler", "1 ms or more"]),
    ("--model.readout-tau-ms", "0.5", ["model.readout-tau-ms", "0.5", "euler", "1 ms or more"]),
    ("--compare", "learned", ["compare", "'learned'", "fixed, none"]),
    ("--compare", "fixed,sometimes", ["compare", "'sometimes'", "fixed, none"]),
    ("--protocol", "fair", ["protocol", "'fair'", "honest, paper"]),
]


class ShortOfPatience(np.random.Generator):
    """Ends a search that cannot end."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.drawn = 0

    def permutation(self, *arguments: Any, **options: Any) -> Any:
        self.drawn += 1
        assert self.drawn < 10_000, "looks for patterns that do not exist"
        return super().permutation(*arguments, **options)


@pytest.mark.parametrize(("option", "value", "said"), OPTIONS, ids=[f"{o}={v}" for o, v, _ in OPTIONS])
def test_an_option_with_a_value_that_is_not_allowed(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, option: str, value: str, said: list[str]
) -> None:
    monkeypatch.setattr(np.random, "default_rng", ShortOfPatience)
    line = refused("train", recipe(), option, value)
    for part in said:
        assert part in line


SHD_OPTIONS: list[tuple[str, str, list[str]]] = [
    ("--data.validation-speakers", "99", ["speaker 99", "there are 4, 7, 11"]),
    (
        "--data.validation-speakers",
        "4,five",
        ["data.validation-speakers", "'five'", "whole numbers with commas between"],
    ),
    ("--data.validation-speakers", "4,7,11", ["no clip is left to train on"]),
    ("--data.validation", "hope", ["data.validation", "'hope'", "speakers, fraction, leave-one-speaker-out, none"]),
    ("--data.validation-fraction", "1", ["data.validation-fraction", "'1'", "above 0 ... below 1"]),
    ("--data.alignment", "middle", ["data.alignment", "'middle'", "zero, first_event"]),
    ("--data.channels", "0", ["data.channels", "'0'", "1 ... 65535"]),
    ("--data.channels", "6", ["shd_train.h5", "spikes/units[0][0]", "0 ... 5 allowed"]),
    ("--data.pool", "0", ["data.pool", "'0'", "1 or more"]),
    ("--data.pool", "701", ["data.pool: 701", "1 ... 700, data.channels"]),
    ("--data.dt-ms", "0.001", ["shd_train.h5", "clip 0", "65535 steps"]),
    ("--protocol", "paper", ["shd_test.h5", "shd_test.h5.gz"]),
    ("--model.hidden", "", ["model.hidden", "not empty"]),
    ("--model.hidden", "8,many", ["model.hidden", "'many'", "whole numbers with commas between"]),
    ("--model.hidden", "8,0", ["model.hidden"]),
    ("--model.hidden", "-8", ["model.hidden"]),
    ("--model.synapses-per-pair", "65", ["model.synapses-per-pair", "'65'", "1 ... 64"]),
    ("--model.dropout", "1", ["model.dropout", "'1'", "0 ... below 1"]),
]


@pytest.mark.parametrize(("option", "value", "said"), SHD_OPTIONS, ids=[f"{o}={v}" for o, v, _ in SHD_OPTIONS])
def test_an_option_that_does_not_fit_the_recording(
    refused: Refused, tmp_path: Path, option: str, value: str, said: list[str]
) -> None:
    root = spoken(tmp_path / "root" / "shd_train.h5").parent
    little = ["--model.hidden", "4", "--model.max-delay-ms", "0", "--train.epochs", "1"]
    little += ["--data.validation-speakers", "11"]
    line = refused("train", "shd", "--data-root", root, *little, option, value, cached=True)
    for part in said:
        assert part in line


RECIPES: dict[str, tuple[str, str, list[str]]] = {
    "unknown field": ("epochs = 1", "epochs = 1\nepoch = 3", ["train.epoch:", "did you mean train.epochs?"]),
    "unknown section": ("[train]", "[trian]\nepochs = 3\n[train]", ["trian", "no such field"]),
    "unknown top field": ('protocol = "honest"', 'protocols = "honest"', ["protocols", "did you mean protocol?"]),
    "a field too few": ("epochs = 1\n", "", ["train.epochs", "missing", "1 ... 100000"]),
    "a text": ("epochs = 1", 'epochs = "many"', ["train.epochs", "'many'", "a whole number"]),
    "a list": ("epochs = 1", "epochs = [16]", ["train.epochs", "[16]", "a whole number"]),
    "too low": ("epochs = 1", "epochs = 0", ["train.epochs", "0", "1 ... 100000"]),
    "too high": ("jitter = 0.05", "jitter = 1.05", ["data.jitter", "1.05", "0 ... 1"]),
    "not a choice": ('leak_rule = "euler"', 'leak_rule = "linear"', ["model.leak_rule", "'linear'", "euler, exp"]),
    "not a choice in a list": ("compare = []", 'compare = ["mixed"]', ["compare", "'mixed'", "fixed, none"]),
    "half a step": ("max_delay_ms = 30.0", "max_delay_ms = 30.5", ["model.max_delay_ms", "30.5 ms", "1 ms steps"]),
    "no end": ("max_delay_ms = 30.0", "max_delay_ms = inf", ["model.max_delay_ms", "inf"]),
    "no number": ("tail_ms = 10.0", "tail_ms = nan", ["model.tail_ms", "nan"]),
    "unknown kind": ('kind = "coincidence"', 'kind = "speech"', ["data", "'speech'", "coincidence", "shd"]),
    "no kind": ('kind = "detectors"\n', "", ["model", "kind", "feedforward", "detectors"]),
    "no section": ('kind = "detectors"', "[other]", ["model", "kind", "feedforward", "detectors"]),
    "no name": ('name = "mine"', 'name = ""', ["name", "''"]),
}


@pytest.mark.parametrize(("old", "new", "said"), RECIPES.values(), ids=RECIPES.keys())
def test_a_recipe_file_with_a_fault(refused: Refused, old: str, new: str, said: list[str]) -> None:
    assert old in RECIPE
    line = refused("train", recipe(RECIPE.replace(old, new, 1)))
    for part in said:
        assert part in line


def test_an_error_names_the_file_or_the_option_that_the_value_is_from(refused: Refused) -> None:
    given = ["--train.epochs", "3", "--data.dt-ms", "7"]
    line = refused("train", recipe(RECIPE), "--train.batch-size", "0", *given)
    assert line.startswith("ranvier: --train.batch-size: '0' is not allowed (")
    both = "mine.toml with --data.dt-ms: model."  # a time constant of the file is shorter than such a step
    assert refused("train", "mine.toml", *given).startswith(f"ranvier: {both}")
    search = ["sweep", "mine.toml", "--trials", "2", "--set", "train.epochs=1:3"]
    for wrong, begin in (
        ("train.batch_size=0", "--set train.batch_size=0: '0' is not allowed ("),
        ("train.epoch=3", "--set train.epoch=3: no such field"),
        ("train.batch_size=0:4", "--set train.batch_size=0:4: train.batch_size: 0 is not allowed ("),
        ("train.batch_size", "--set train.batch_size: is not allowed ("),
        ("data.dt_ms=7", "mine.toml with --set data.dt_ms=7: model."),
    ):
        assert refused(*search, "--set", wrong).startswith(f"ranvier: {begin}")
    # each of two is enough, the recipe alone is not at fault
    two = refused("train", "mine.toml", "--train.rate-min-hz", "5", "--train.rate-max-hz", "50")
    assert re.match(r"ranvier: mine\.toml with --train\.rate-(min|max)-hz: train\.rate_penalty: 0 is not allowed ", two)
    own = "ranvier: mine.toml: train.epochs: 0 is not allowed ("
    faults = RECIPE.replace("epochs = 1", "epochs = 0", 1).replace("dt_ms = ", "dt_ms = -", 1)
    assert refused("train", recipe(faults), "--data.dt-ms", "1").startswith(own)  # one of which the option mends
    for words in (["train", "--data.jitter", "0.1"], ["sweep", "--set", "data.jitter=0:0.1", "--trials", "2"]):
        line = refused(words[0], recipe(RECIPE.replace("epochs = 1", "epochs = 0", 1)), *words[1:])
        assert line.startswith(own)


def test_a_mistyped_kind_names_its_file(refused: Refused) -> None:
    for kind in ("detectors", "coincidence"):
        line = refused("train", recipe(RECIPE.replace(f'"{kind}"', f'"{kind}s"', 1)))
        assert line.startswith("ranvier: mine.toml: ")
        assert f".kind: '{kind}s' is not allowed" in line
    assert line == refused("sweep", "mine.toml", "--set", "train.epochs=1:3", "--trials", "2")


@pytest.mark.parametrize("option", ["--model.kind", "--data.kind", "--extends", "--name"])
def test_what_only_a_file_sets_is_told_apart_from_a_mistyped_option(refused: Refused, option: str) -> None:
    for words in ([option, "convolutional"], [f"{option}=convolutional"]):
        line = refused("train", "folder", *words)
        assert line.startswith(f"ranvier: {option}: is set in a recipe's file")


@pytest.mark.parametrize("name", ["my recipe", "../mine", "mine?"])
def test_a_name_that_is_no_word_is_not_called_empty(refused: Refused, name: str) -> None:
    line = refused("train", recipe(RECIPE.replace('"mine"', f'"{name}"', 1)))
    assert f"name: {name!r} is not allowed" in line
    assert "(not empty)" not in line


@pytest.mark.parametrize("section", ["data", "model", "train"])
@pytest.mark.parametrize("value", ["3", '"text"', "[1, 2]"])
def test_a_recipe_file_with_a_value_for_a_section(refused: Refused, section: str, value: str) -> None:
    head, *sections = re.split(r"(?m)^(?=\[)", RECIPE)
    rest = [text for text in sections if not text.startswith(f"[{section}]")]
    assert len(rest) == 2
    line = refused("train", recipe(f"{section} = {value}\n{head}{''.join(rest)}"))
    assert line.startswith(f"ranvier: mine.toml: {section}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name = ", ["mine.toml", "not TOML"]),
        (b"name = 'a'\nname = 'b'\n", ["mine.toml", "not TOML"]),
        (b"name = '\xff\xfe'\n", ["mine.toml", "not TOML"]),
        (b"\x89HDF\r\n\x1a\n\0\0", ["mine.toml", "not TOML"]),
        (b"", ["name", "missing"]),
    ],
)
def test_a_file_that_is_no_recipe(refused: Refused, work: Path, content: bytes, said: list[str]) -> None:
    (work / "mine.toml").write_bytes(content)
    line = refused("train", "mine.toml")
    for part in said:
        assert part in line


@pytest.mark.parametrize(("name", "said"), [("nowhere.toml", "No such file"), ("folder.toml", "Is a directory")])
def test_a_recipe_file_that_cannot_be_read(refused: Refused, work: Path, name: str, said: str) -> None:
    (work / "folder.toml").mkdir()
    line = refused("train", name)
    assert name in line
    assert said in line


@pytest.mark.parametrize("root", ["nowhere", "empty", "file"])
def test_train_names_a_folder_without_recording(refused: Refused, work: Path, root: str) -> None:
    (work / "empty").mkdir()
    (work / "file").touch()
    line = refused("train", "shd", "--data-root", root)
    assert str(work / root) in line
    assert "shd_train.h5" in line
    assert ("shd_train.h5.gz" if root != "nowhere" else "--data-root") in line


def test_train_asks_for_the_folder_of_the_recording(refused: Refused) -> None:
    line = refused("train", "shd")
    assert "data.root" in line
    assert "--data-root FOLDER" in line


@pytest.mark.parametrize("named", [None, [3] * 6])
def test_leaving_speakers_out_needs_two_of_them(refused: Refused, tmp_path: Path, named: list[int] | None) -> None:
    root = spoken(tmp_path / "root" / "shd_train.h5", speakers=named).parent
    line = refused("train", "shd", "--data-root", root, "--data.validation", "leave-one-speaker-out", cached=True)
    assert "data.validation" in line
    assert "two speakers or more" in line


RECORDINGS: dict[str, tuple[Damage, list[str]]] = {
    "cut": (cut, ["not a whole HDF5 file"]),
    "empty": (empty, ["not a whole HDF5 file"]),
    "garbage": (garbage, ["not a whole HDF5 file"]),
    "broken": (broken_header("labels"), ["not a whole HDF5 file"]),
    "no labels": (without("labels"), ["'labels' is missing", "spikes/times, spikes/units and labels are needed"]),
    "no times": (without("spikes/times"), ["'spikes/times' is missing"]),
    "a row of times": (numbers("spikes/times", np.zeros(6)), ["spikes/times", "one list of numbers per clip allowed"]),
    "labels of floats": (numbers("labels", np.zeros(6)), ["labels", "float64", "one whole number per clip allowed"]),
    "fewer labels": (numbers("labels", np.zeros(5, int)), ["labels has 5 clips", "equal allowed"]),
    "a time of NaN": (
        clip("spikes/times", 2, np.full(20, np.nan)),
        ["spikes/times[2][0] is nan", "finite, 0 s or later"],
    ),
    "a negative time": (clip("spikes/times", 1, np.full(20, -1.0)), ["spikes/times[1][0] is -1", "0 s or later"]),
    "a unit too high": (clip("spikes/units", 0, np.full(20, 700)), ["spikes/units[0][0] is 700", "0 ... 699 allowed"]),
    "a time too few": (clip("spikes/times", 5, np.zeros(19)), ["clip 5 has 19 times and 20 units", "equal allowed"]),
}


@pytest.mark.parametrize(("damage", "said"), RECORDINGS.values(), ids=RECORDINGS.keys())
def test_train_names_a_damaged_recording(refused: Refused, work: Path, damage: Damage, said: list[str]) -> None:
    file = spoken(work / "root" / "shd_train.h5")
    damage(file)
    line = refused("train", "shd", "--data-root", "root", "--data.validation-speakers", "11")
    for part in [str(file), *said]:
        assert part in line


def test_the_paper_protocol_names_a_damaged_test_recording(refused: Refused, work: Path) -> None:
    file = spoken(work / "root" / "shd_train.h5").with_name("shd_test.h5")
    garbage(file)
    line = refused("train", "shd", "--data-root", "root", "--protocol", "paper", cached=True)
    assert str(file) in line
    assert "not a whole HDF5 file" in line


def run_folder(folder: Path) -> Path:
    """A run that was stopped before its first epoch ended."""
    make_folder(folder, config_values(build_config(tomllib.loads(RECIPE))), force=False)
    return folder


@pytest.mark.parametrize("there", ["run", "empty", "file"])
def test_train_does_not_touch_what_is_there(refused: Refused, work: Path, there: str) -> None:
    run_folder(work / "run")
    (work / "empty").mkdir()
    (work / "file").write_text("mine")
    line = refused("train", recipe(), "--out", there)
    assert line.startswith(f"ranvier: {there}: ")
    if there != "file":
        assert "--force" in line
        assert "--resume" in line


@pytest.mark.parametrize(
    "foreign", [{"thesis.txt": "years"}, {"config.toml": "title = 'mine'\n", "thesis.txt": "years"}]
)
def test_force_does_not_replace_what_is_no_run(refused: Refused, work: Path, foreign: dict[str, str]) -> None:
    (work / "mine").mkdir()
    for name, text in foreign.items():
        (work / "mine" / name).write_text(text)
    line = refused("train", recipe(), "--out", "mine", "--force")
    assert line.startswith("ranvier: mine: ")
    assert "--force" in line


def test_force_does_not_replace_a_file(refused: Refused, work: Path) -> None:
    (work / "file").write_text("mine")
    assert "ranvier: file: " in refused("train", recipe(), "--out", "file", "--force")


def test_force_keeps_the_older_run_while_the_new_one_is_impossible(refused: Refused, work: Path) -> None:
    run_folder(work / "run")
    assert "nowhere" in refused("train", "shd", "--data-root", "nowhere", "--out", "run", "--force")


def test_force_does_not_go_through_a_link(refused: Refused, work: Path) -> None:
    run_folder(work / "run")
    (work / "link").symlink_to("run")
    line = refused("train", recipe(), "--out", "link", "--force")
    assert line.startswith("ranvier: link: ")
    assert "None" not in line


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("file/run", "not a folder"),
        ("file/deep/run", "not a folder"),
        ("/proc/run", "/proc"),
        ("/proc/deep/run", "/proc"),
        ("a" * 300, "too long"),
    ],
)
def test_a_folder_that_cannot_be_made(refused: Refused, work: Path, out: str, said: str) -> None:
    (work / "file").write_text("mine")
    line = refused("train", recipe(), "--out", out)
    assert line.startswith(f"ranvier: {out}: ")
    assert said in line


@pytest.mark.parametrize("folder", ["nowhere", "empty", "mine", "file"])
def test_only_a_run_can_be_resumed(refused: Refused, work: Path, folder: str) -> None:
    (work / "empty").mkdir()
    (work / "mine").mkdir()
    (work / "mine" / "thesis.txt").write_text("years")
    (work / "file").touch()
    line = refused("train", "--resume", folder)
    assert line.startswith(f"ranvier: {folder}: ")
    assert "config.toml" in line


@pytest.mark.parametrize("more", [["--train.epochs", "3"], ["--out", "other"], ["--force"]])
def test_resume_goes_alone(refused: Refused, work: Path, more: list[str]) -> None:
    run_folder(work / "run")
    assert "--resume" in refused("train", "--resume", "run", *more)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[train]", "[train", []),
        ("epochs = 1\n", "epochs = 0\n", ["train.epochs", "0", "1 ... 100000"]),
        ("epochs = 1\n", "epochs = 1\nepoch = 2\n", ["train.epoch", "no such field"]),
        ("epochs = 1\n", "", ["train.epochs", "missing"]),
        ("[data]", "[date]", ["date: no such field", "data"]),
        ("\n", "\0", []),
    ],
)
def test_resume_names_a_damaged_config(refused: Refused, work: Path, old: str, new: str, said: list[str]) -> None:
    file = run_folder(work / "run") / "config.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    line = refused("train", "--resume", "run")
    for part in ["run/config.toml", *said]:
        assert part in line


def checkpoint_of(content: Any) -> Damage:
    return lambda path: torch.save(content, path)


def cut_checkpoint(path: Path) -> None:
    torch.save({"model": torch.zeros(1000)}, path)
    cut(path)


@pytest.mark.parametrize(
    "damage",
    [empty, garbage, cut_checkpoint, checkpoint_of([1, 2]), checkpoint_of({}), checkpoint_of({"model": {}})],
    ids=["empty", "garbage", "cut", "a list", "nothing in it", "no weights in it"],
)
def test_resume_names_a_damaged_checkpoint(refused: Refused, work: Path, damage: Damage) -> None:
    run_folder(work / "run")
    (work / "run" / "checkpoint").mkdir()
    damage(work / "run" / "checkpoint" / "last.pt")
    assert "run/checkpoint/last.pt: " in refused("train", "--resume", "run")


@pytest.mark.parametrize("text", ["", '{"recipe": "coinc', "[]", "\0\0\0"])
def test_resume_names_a_damaged_result(refused: Refused, work: Path, text: str) -> None:
    run_folder(work / "run")
    (work / "run" / "result.json").write_text(text)
    assert "run/result.json: " in refused("train", "--resume", "run")


def test_resume_names_a_recording_that_has_gone(refused: Refused, work: Path) -> None:
    values = {**load_values("shd"), "data": {**load_values("shd")["data"], "root": str(work / "gone")}}
    make_folder(work / "run", config_values(build_config(values)), force=False)
    line = refused("train", "--resume", "run")
    assert str(work / "gone") in line
    assert "shd_train.h5" in line


def order_network() -> Network:
    """Tells by delays alone whether channel 0 or channel 1 spiked first, two steps before the other."""
    one = np.ones
    detectors = dense_layer(
        weight=one((1, 2, 2), np.float32),
        delay_steps=np.array([[[2, 0], [0, 2]]], np.int16),
        bias=np.zeros(2, np.float32),
        decay=np.zeros(2, np.float32),
        threshold=np.full(2, 1.5, np.float32),
        max_delay=2,
    )
    votes = dense_layer(
        weight=4 * np.eye(2, dtype=np.float32)[None],
        delay_steps=np.zeros((1, 2, 2), np.int16),
        bias=np.zeros(2, np.float32),
        decay=np.full(2, 0.9, np.float32),
        threshold=np.full(2, np.inf, np.float32),
        max_delay=0,
    )
    return chained(10.0, (detectors, votes), ("first", "second"), Input(2), Decoding(tail_steps=5))


# which channel is first; clip 5 is labelled wrong
FIRST = [0, 1, 0, 0, 1, 0]
LABELS = [0, 1, 0, 0, 1, 1]


@pytest.fixture
def network(work: Path) -> Path:
    file = work / "network.safetensors"
    order_network().write(file)
    return file


@pytest.fixture
def orders(work: Path) -> Path:
    file = work / "orders.h5"
    times = [np.array([0.105, 0.125])] * 6
    units = [np.array([first, 1 - first]) for first in FIRST]
    write_recording(file, times, units, np.array(LABELS), classes=("first", "second"))
    return file


def test_eval_tells_what_the_engine_does(
    network: Path, orders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", str(network), "--data", str(orders), "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert err == ""

    dataset = read_recording(orders, Grid(2, 1, 10.0), cache=tmp_path / "another")
    runs = [Engine(order_network()).run(dataset.clip(number), int(dataset.lengths[number])) for number in range(6)]
    assert [result.prediction for result in runs] == FIRST
    confusion = np.zeros((2, 2), int)
    np.add.at(confusion, (LABELS, [result.prediction for result in runs]), 1)
    assert told["confusion"] == confusion.tolist() == [[3, 0], [1, 2]]
    assert told["classes"] == ["first", "second"]
    assert told["worst_pairs"] == [{"true": "second", "predicted": "first", "clips": 1}]
    assert told["spikes_per_neuron_and_clip"] == [sum(len(result.spikes[0]) for result in runs) / 6 / 2] == [0.5]
    assert (told["accuracy"]["correct"], told["accuracy"]["clips"]) == (5, 6)
    assert told["accuracy"]["value"] == pytest.approx(5 / 6)
    # Wilson's interval of 5 in 6
    assert told["accuracy"]["low"] == pytest.approx(0.4365, abs=1e-4)
    assert told["accuracy"]["high"] == pytest.approx(0.9699, abs=1e-4)


def test_eval_needs_no_cache(
    monkeypatch: pytest.MonkeyPatch, work: Path, network: Path, orders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = []
    (work / "file").touch()
    for cache in (work / "cache", work / "file" / "cache"):
        monkeypatch.setenv("RANVIER_CACHE", str(cache))
        assert main(["eval", str(network), "--data", str(orders)]) == 0
        printed.append(capsys.readouterr())
    assert printed[0] == printed[1]


def test_eval_shows_tables(network: Path, orders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(network), "--data", str(orders)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for part in ("83.33%", "43.65 ... 96.99", "commonest mistakes", "layer 1 0.50"):
        assert part in out


@pytest.mark.parametrize(
    ("dt_ms", "expected", "spikes"),
    [
        (10.0, Input(2), 0.5),
        (12.0, Input(2), 0.5),
        (12.0, Input(2, alignment="first_event"), 0.0),  # steps 0 and 1, where the detectors wait for two
        (20.0, Input(2), 0.0),
        (10.0, Input(4, pool=2), 0.0),  # both channels are one source
    ],
)
def test_eval_counts_as_the_network_says(
    work: Path, orders: Path, capsys: pytest.CaptureFixture[str], dt_ms: float, expected: Input, spikes: float
) -> None:
    made = order_network()
    Network(dt_ms, made.layers, made.classes, expected, made.decoding).write(work / "other.safetensors")
    assert main(["eval", "other.safetensors", "--data", str(orders), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["spikes_per_neuron_and_clip"] == [spikes]


def tensors_and_header(file: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    with safe_open(file, framework="numpy") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
        header: dict[str, Any] = json.loads(opened.metadata()["ranvier"])
    header.pop("sha256", None)  # or it would be all that is found
    return tensors, header


def tensor(name: str, place: tuple[int, ...], value: float) -> Damage:
    """Change one value of a tensor, the file being whole."""

    def damage(file: Path) -> None:
        tensors, header = tensors_and_header(file)
        tensors[name] = tensors[name].copy()
        tensors[name][place] = value
        save_file(tensors, file, {"ranvier": json.dumps(header)})

    return damage


def header(**changes: Any) -> Damage:
    """Change some of the header; None takes a field away."""

    def damage(file: Path) -> None:
        tensors, before = tensors_and_header(file)
        after = {name: value for name, value in {**before, **changes}.items() if value is not None}
        save_file(tensors, file, {"ranvier": json.dumps(after)})

    return damage


def no_header(file: Path) -> None:
    save_file(tensors_and_header(file)[0], file)


def no_weights(file: Path) -> None:
    tensors, kept = tensors_and_header(file)
    del tensors["layers.1.inputs.0.weight"]
    save_file(tensors, file, {"ranvier": json.dumps(kept)})


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def fewer_layers(file: Path) -> None:
    tensors, kept = tensors_and_header(file)
    save_file(tensors, file, {"ranvier": json.dumps({**kept, "layers": kept["layers"][:1]})})


def half_a_step_of_delay(file: Path) -> None:
    tensors, kept = tensors_and_header(file)
    kept["layers"][0]["inputs"][0]["max_delay"] = 2.5
    save_file(tensors, file, {"ranvier": json.dumps(kept)})


NETWORKS: dict[str, tuple[Damage, list[str]]] = {
    "missing": (Path.unlink, ["no such network file"]),
    "a folder": (a_folder, ["network.safetensors/network.safetensors: no such network file"]),
    "empty": (empty, ["not a whole safetensors file"]),
    "cut": (cut, ["not a whole safetensors file"]),
    "garbage": (garbage, ["not a whole safetensors file"]),
    "not a network": (no_header, ["not a Ranvier network"]),
    "newer": (header(format_version=4), ["format version 4", "reads 1 ... 3"]),
    "no weights": (no_weights, ["layers.1.inputs.0.weight", "missing"]),
    "NaN weight": (
        tensor("layers.0.inputs.0.weight", (0, 1, 0), np.nan),
        ["layers.0.inputs.0.weight", "NaN", "finite"],
    ),
    "infinite bias": (tensor("layers.1.bias", (0,), np.inf), ["layers.1.bias", "infinite", "finite"]),
    "NaN decay": (tensor("layers.0.neuron.decay", (0,), np.nan), ["layers.0.neuron.decay", "NaN"]),
    "long delay": (tensor("layers.0.inputs.0.delay_steps", (0, 0, 0), 3), ["layers.0.inputs.0.delay_steps", "0 ... 2"]),
    "NaN step": (header(dt_ms=float("nan")), ["dt_ms", "nan", "1e-06"]),
    "a step of text": (header(dt_ms="long"), ["dt_ms", "'long'"]),
    "no classes": (header(classes=None), ["classes", "missing"]),
    "too many classes": (header(classes=["a", "b", "c"]), ["classes", "3 names for 2"]),
    "too few layers": (fewer_layers, ["layers.1", "not known"]),
    "half a step of delay": (half_a_step_of_delay, ["max_delay", "2.5"]),
    "half a step of silence": (header(decoding={"tail_steps": 2.5, "tail": "clip"}), ["tail_steps", "2.5"]),
    "half a channel": (header(input={"channels": 2, "pool": 1.5, "alignment": "zero"}), ["pool", "1.5"]),
}


@pytest.mark.parametrize(("damage", "said"), NETWORKS.values(), ids=NETWORKS.keys())
def test_eval_names_a_network_that_will_not_do(
    refused: Refused, network: Path, orders: Path, damage: Damage, said: list[str]
) -> None:
    damage(network)
    line = refused("eval", network, "--data", orders)
    for part in [str(network), *said]:
        assert part in line


ORDERS: dict[str, tuple[Damage, list[str]]] = {
    "missing": (Path.unlink, ["no such recording"]),
    "a folder": (a_folder, ["is a folder"]),
    "cut": (cut, ["not a whole HDF5 file"]),
    "empty": (empty, ["not a whole HDF5 file"]),
    "garbage": (garbage, ["not a whole HDF5 file"]),
    "broken": (broken_header("labels"), ["not a whole HDF5 file"]),
    "no units": (without("spikes/units"), ["'spikes/units' is missing"]),
    "a time of NaN": (clip("spikes/times", 4, np.array([0.5, np.nan])), ["spikes/times[4][1] is nan", "0 s or later"]),
    "a channel that the network lacks": (
        clip("spikes/units", 3, np.array([2, 1])),
        ["spikes/units[3][0] is 2", "0 ... 1"],
    ),
    "a long clip": (clip("spikes/times", 1, np.array([0.5, 660])), ["clip 1", "660", "0.66 s", "time_unit"]),
    "a label without class": (numbers("labels", np.array([0, 1, 2, 0, 0, 0])), ["labels[2] is 2", "0 ... 1 allowed"]),
    "more classes than the network": (
        numbers("extra/keys", np.array([b"a", b"b", b"c"])),
        ["classes a, b, c", "first, second"],
    ),
}


@pytest.mark.parametrize(("damage", "said"), ORDERS.values(), ids=ORDERS.keys())
def test_eval_names_a_recording_that_will_not_do(
    refused: Refused, network: Path, orders: Path, damage: Damage, said: list[str]
) -> None:
    damage(orders)
    line = refused("eval", network, "--data", orders, cached="classes" in said[0])
    for part in [str(orders), *said]:
        assert part in line


def test_eval_names_a_label_that_the_network_has_no_class_for(refused: Refused, network: Path, orders: Path) -> None:
    without("extra")(orders)
    numbers("labels", np.array([0, 1, 2, 0, 0, 0]))(orders)
    line = refused("eval", network, "--data", orders)
    assert f"{orders}: labels[2] is 2 (0 ... 1 allowed)" in line


def test_ls_lists_every_recipe_and_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    recipes, networks, data_sets = (part.splitlines() for part in out.split("\n\n"))
    assert len(recipes) == 1 + len(recipe_names())
    for name in recipe_names():
        assert f"{name} " in out
        assert load_values(name)["summary"] in out
    assert len(networks) == 1 + len(pretrained_runs()) > 1
    for row, brought in zip(networks[1:], pretrained_runs(), strict=True):
        assert row.split()[0] == brought.name
        assert row.endswith(brought.licence)
    assert "94.2% of 400 test clips of unseen speakers;" in out
    assert "98.9% of 816 validation clips of seen speakers;" in out
    shown = "\n".join(data_sets[1:])
    for name in ("digits", "coincidence", "shd", "ssc", "gsc", "folder"):
        assert f" {name} " in shown


@pytest.mark.parametrize("name", ["coincidence", "shd"])
def test_a_copy_trains_like_the_recipe(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["cp", name, "mine.toml"]) == 0
    out, err = capsys.readouterr()
    assert (out.count("mine.toml"), err) == (2, "")
    assert listing(work) == {"mine.toml": recipe_text(name).encode()}
    assert accepted(monkeypatch, "mine.toml") == build_config(load_values(name))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["coincidence", "there.toml"], ["there.toml", "exists already"]),
        (["coincidence", "folder.toml"], ["folder.toml", "exists already"]),
        (
            ["coincidense", "new.toml"],
            [
                "'coincidense'",
                "did you mean coincidence?",
                "a name that ranvier ls lists, or a .toml file",
            ],
        ),
        (["there.toml", "new.toml"], ["'there.toml'", "a name that ranvier ls lists, or a .toml file"]),
        (["shd", "new.txt"], ["new.txt", ".toml"]),
        (["shd", "."], [".toml"]),
        (["shd", "nowhere/new.toml"], ["nowhere/new.toml", "No such file or directory"]),
        (["shd", "there.toml/new.toml"], ["there.toml/new.toml", "Not a directory"]),
        (["shd", "/proc/new.toml"], ["/proc/new.toml"]),
    ],
)
def test_cp_refuses(refused: Refused, work: Path, arguments: list[str], said: list[str]) -> None:
    (work / "there.toml").write_text("name = 'mine'")
    (work / "folder.toml").mkdir()
    line = refused("cp", *arguments)
    for part in said:
        assert part in line


class Accepted(BaseException):
    """The command would now train; no error, so nothing catches it."""


def accepted(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Config:
    """The configuration that ``ranvier train`` would train."""

    def train(config: Config, folder: Path, watcher: Any, *, force: bool = False) -> None:
        raise Accepted(config)

    monkeypatch.setattr("ranvier.recipes.train_run.train", train)
    with pytest.raises(Accepted) as end:
        main(["train", *arguments])
    config = end.value.args[0]
    assert isinstance(config, Config)
    return config


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--train.epochs", "5"], "train.epochs", 5),
        (["--train.epochs=5"], "train.epochs", 5),
        (["coincidence", "--train.weight-lr", "1e-3"], "train.weight_lr", 1e-3),
        (["--model.max-delay-ms", "0"], "model.max_delay_ms", 0.0),
        (["--model.delays", "fixed"], "model.delays", "fixed"),
        (["--model.delays", "none"], "model.delays", "none"),
        (["--compare", "fixed"], "compare", ("fixed",)),
        (["--compare", "none"], "compare", ("none",)),
        (["--compare", "none,fixed"], "compare", ("none", "fixed")),
        (["--compare", ""], "compare", ()),
        (["shd", "--data.validation", "none"], "data.validation", "none"),
        (["shd", "--data.validation-speakers", "3"], "data.validation_speakers", (3,)),
        (["shd", "--model.hidden", "64,32"], "model.hidden", (64, 32)),
        (["shd", "--protocol", "paper"], "protocol", "paper"),
        (["shd", "--data.root", "/somewhere"], "data.root", "/somewhere"),
        (["shd", "--train.init-from", "/somewhere"], "train.init_from", "/somewhere"),
        (["shd", "--train.init-from", "none"], "train.init_from", None),
    ],
)
def test_an_option_replaces_a_field(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], field: str, value: object
) -> None:
    found: Any = accepted(monkeypatch, *arguments)
    for name in field.split("."):
        found = getattr(found, name)
    assert found == value


def test_folders_are_kept_as_absolute_paths(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = accepted(monkeypatch, "shd", "--data-root", "recordings", "--train.init-from", "runs/shd")
    assert config.model_dump()["data"]["root"] == str(work / "recordings")
    assert config.train.init_from == str(work / "runs" / "shd")


@pytest.mark.parametrize("flag", ["--data-root", "--train.init-from"])
def test_a_folder_without_a_name_is_refused(work: Path, capsys: pytest.CaptureFixture[str], flag: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "shd", flag, ""])
    assert end.value.code == 2
    assert f"{flag}: names no" in capsys.readouterr().err
    assert listing(work) == {}


def test_force_replaces_an_older_run(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder(work / "run")
    (work / "run" / "metrics.jsonl").write_text("{}\n")

    def begin(_: Any, folder: Path, *others: Any) -> None:
        raise Accepted(folder)

    monkeypatch.setattr("ranvier.recipes.train_run._resume", begin)
    with pytest.raises(Accepted):
        main(["train", recipe(), "--train.seed", "7", "--out", "run", "--force"])
    assert sorted(listing(work)) == ["mine.toml", "run", "run/config.toml"]
    assert read_config(work / "run").train.seed == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--help"], ["train", "eval", "ls", "cp"]),
        (["train", "--help"], ["--out", "--force", "--resume", "digits"]),
        (["train", "shd", "--help"], ["--data-root", "'shd'"]),
        (["eval", "--help"], ["NETWORK", "--data", "--json", ".h5.gz"]),
        (["ls", "--help"], ["recipes"]),
        (["cp", "--help"], ["RECIPE", "FILE", "must not exist"]),
        (["--version"], [f"ranvier {ranvier.__version__}"]),
    ],
)
def test_help(work: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert end.value.code == 0
    assert err == ""
    for part in said:
        assert part in out
    assert listing(work) == {}


@pytest.mark.parametrize(("command", "hint"), [("trian", "did you mean train?"), ("xyz", "quantize")])
def test_a_mistyped_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str], command: str, hint: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "digits"])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ranvier: {command}: ")
    assert hint in line


@pytest.mark.parametrize("name", ["coincidence", "shd"])
def test_help_shows_every_field_with_its_default_and_unit(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit):
        main(["train", name, "--help"])
    blocks = re.split(r"\n +(?=--)", capsys.readouterr().out)
    shown = {block.split()[0]: " ".join(block.split()) for block in blocks}

    values = tomllib.loads(recipe_text(name))
    sections = ("data", "model", "train")
    fields = {key: value for key, value in values.items() if key not in ("name", "summary", *sections)}
    for section in sections:
        fields |= {f"{section}.{key}": value for key, value in values[section].items() if key != "kind"}
    assert len(fields) > 25
    for field, value in fields.items():
        text = shown["--" + field.replace("_", "-")]
        default = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        assert f"default: {default or 'empty'})" in text
        assert ("[ms" in text) == field.endswith("_ms"), field


def started(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ranvier", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "did you mean train?"),
        (["train", "shd", "--data-root", "root"], "root/shd_train.h5: not a whole HDF5 file"),
        (["eval", "nowhere.safetensors", "--data", "root/shd_train.h5"], "nowhere.safetensors: no such network file"),
    ],
)
def test_the_process_ends_with_2_and_one_line(work: Path, arguments: list[str], said: str) -> None:
    (work / "root").mkdir()
    (work / "root" / "shd_train.h5").touch()
    before = listing(work)
    done = started(*arguments)
    assert done.returncode == 2
    assert_one_line(done.stdout, done.stderr)
    assert said in done.stderr
    assert listing(work) == before


def test_eval_never_imports_torch(tmp_path: Path, network: Path, orders: Path) -> None:
    fake = tmp_path / "path" / "torch"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text(
        "from pathlib import Path\n"
        "Path(__file__).with_name('imported').touch()\n"
        "raise ImportError('torch is not here')\n"
    )
    path = os.pathsep.join([str(fake.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = started("eval", network, "--data", orders, "--json", PYTHONPATH=path)
    assert done.stderr == ""
    assert done.returncode == 0
    assert json.loads(done.stdout)["accuracy"]["correct"] == 5
    assert not (fake / "imported").exists()

    # the same path does keep torch from a command that needs it
    done = started("train", recipe(), PYTHONPATH=path)
    assert "torch is not here" in done.stderr
    assert (fake / "imported").exists()
