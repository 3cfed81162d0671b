"""A data set of an installed package: the one file that CONTRIBUTING.md shows, found by its entry point."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w

from ranvier.cli import main
from ranvier.corpora import corpus_class, corpus_names
from ranvier.network import Network
from ranvier.recipes.build import build_input
from ranvier.recipes.config import ConfigError, build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.train_run import train
from tests.recipes.conftest import Quiet

GUIDE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a data set\n")[2]
(MODULE,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
(ENTRY,) = re.findall(r"^[\w-]+ = \"first_of_two:\w+\"$", GUIDE, re.MULTILINE)
KIND = "first-of-two"
SOURCE = {"kind": KIND, "dt_ms": 5.0, "gap_ms": 20.0, "clips": 40}
SMALL = {
    "model.hidden": "8", "model.max_delay_ms": "50", "train.epochs": "1", "train.batch_size": "8",
    "train.sigma_start_ms": "10", "train.sigma_end_ms": "3",
}  # fmt: skip

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a module and a package's entry point where an installation would."""

    def put(entry: str, name: str = "first-of-two", module: str = "first_of_two", source: str = MODULE) -> None:
        site = tmp_path / name
        about = site / f"{name.replace('-', '_')}-1.0.dist-info"
        about.mkdir(parents=True)
        (site / f"{module}.py").write_text(source, encoding="utf-8")
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        entry = entry.replace('"', "")
        (about / "entry_points.txt").write_text(f"[ranvier.corpora]\n{entry}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, module, raising=False)

    return put


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    return folder


def write_recipe(file: Path) -> Path:
    values = load_values("digits") | {"name": "mine", "summary": "the order of two spikes", "data": SOURCE}
    file.write_text(tomli_w.dumps(values), encoding="utf-8")
    return file


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def test_it_trains_in_python(install: Install, work: Path) -> None:
    install(ENTRY)
    assert KIND in corpus_names()
    config = build_config(load_values("digits") | {"data": SOURCE}, {**SMALL, "data.clips": "30"})
    assert type(config.data) is corpus_class(KIND)
    assert (build_input(config).channels, config.data.dt_ms) == (2, 5.0)
    result = train(config, work / "run", Quiet())
    assert result.clips == {"train": 30, "validation": 30, "seen": 0, "test": 30}
    assert Network.read(work / "run" / "network.safetensors").classes == ("left first", "right first")


def test_it_trains_from_the_command_line(install: Install, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(ENTRY)
    recipe = str(write_recipe(work / "mine.toml"))
    assert main(["ls"]) == 0
    assert re.search(rf"^ {KIND} +Two channels fire once each", capsys.readouterr().out, re.MULTILINE)
    with pytest.raises(SystemExit) as end:
        main(["train", recipe, "--help"])
    assert end.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--data.gap-ms MS time between the two spikes [ms] (a number, above 0; default: 20.0)" in said

    options = [word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert main(["train", recipe, *options, "--data.seed", "3", "--out", "run"]) == 0
    assert json.loads((work / "run" / "result.json").read_text(encoding="utf-8"))["clips"]["test"] == 40
    assert (work / "run" / "report.html").exists()
    assert main(["train", "--resume", "run"]) == 0
    assert main(["eval", "run/network.safetensors", "--data", "run/test.h5", "--json"]) == 0
    assert main(["probe", "run", "--json"]) == 0
    assert main(["report", "run"]) == 0


def test_its_fields_are_checked_like_our_own(install: Install, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(ENTRY)
    recipe = str(write_recipe(work / "mine.toml"))
    assert "data.clips: '1' is not allowed (a whole number, 2 or more)" in fails(
        capsys, "train", recipe, "--data.clips", "1"
    )
    text = Path(recipe).read_text(encoding="utf-8")
    Path(recipe).write_text(text.replace("gap_ms", "gab_ms"), encoding="utf-8")
    assert "data.gab_ms: no such field (did you mean data.gap_ms?)" in fails(capsys, "train", recipe)
    assert "--data.gab-ms" in fails(capsys, "train", "digits", "--data.gab-ms", "2")
    assert "protocol: 'paper' is not allowed" in fails(
        capsys, "train", str(write_recipe(work / "mine.toml")), "--protocol", "paper"
    )
    assert sorted(path.name for path in work.iterdir()) == ["mine.toml"]


def test_without_its_package_it_is_not_known(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, "train", str(write_recipe(work / "mine.toml")))
    assert (
        f"data.kind: '{KIND}' is not allowed (digits, coincidence, localisation, motion, shd, ssc, gsc, psmnist, "
        "wisdm, folder)" in line
    )


@pytest.mark.parametrize(
    ("change", "entry", "said"),
    [
        (("", ""), "first-of-two = nowhere:FirstOfTwo", "cannot be imported (ModuleNotFoundError"),
        (("", ""), "first-of-two = first_of_two:Second", "cannot be imported (AttributeError"),
        (("", ""), "first-of-two = first_of_two:Grid", "is no data set (a subclass of ranvier.corpora.Corpus allowed)"),
        (('Literal["first-of-two"]', 'Literal["other"]'), ENTRY, "(Literal['first-of-two'] allowed)"),
        (('Literal["first-of-two"]', "str"), ENTRY, "(Literal['first-of-two'] allowed)"),
        (("def splits(", "def split("), ENTRY, "lacks splits"),
        (("    dt_ms: float", "    step_ms: float"), ENTRY, "lacks dt_ms"),
        (("from pydantic", "1 / 0\nfrom pydantic"), ENTRY, "(ZeroDivisionError: division by zero)"),
    ],
)
def test_a_faulty_one_is_named_and_the_others_work(
    install: Install,
    work: Path,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, str],
    entry: str,
    said: str,
) -> None:
    install(entry, source=MODULE.replace(*change) if change[0] else MODULE)
    line = fails(capsys, "train", str(write_recipe(work / "mine.toml")))
    assert f"data.kind: '{KIND}' of first-of-two (" in line
    assert said in line
    assert main(["ls"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert said in shown
    assert "Google Speech Commands" in shown


def test_two_packages_of_one_name_are_refused_and_our_own_names_stay_ours(install: Install, work: Path) -> None:
    install(ENTRY)
    install("first-of-two = second:FirstOfTwo\nshd = second:FirstOfTwo", "another", "second")
    with pytest.raises(ConfigError, match=r"'first-of-two' is brought by another and first-of-two"):
        corpus_class(KIND)
    assert corpus_class("shd").__module__ == "ranvier.corpora.shd"
    assert corpus_names().count("shd") == 1
