"""README's installation and program are what they say, documents point to what is there, API pages are complete."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.recipes.reproduce import plan
from ranvier.recipes.tables import load_table, table_names

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
(PROGRAM,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
ROOMS = sorted(path.parent.name for path in (ROOT / "src" / "ranvier").glob("*/__init__.py"))


def test_the_two_commands_are_there_and_ci_runs_the_second() -> None:
    install, test, site = re.findall(r"^(pip .*)$", README, re.MULTILINE)
    assert install == "pip install -c constraints.txt . && ranvier train"
    assert test == 'pip install -c constraints.txt -e ".[test]" && pytest'
    assert site == 'pip install -c constraints.txt -e ".[docs]" && mkdocs serve'
    ci = (ROOT / ".ci" / "run").read_text()
    assert test.replace("pip install", "pip install -q") in ci
    assert site.replace("pip install", "pip install -q").replace("serve", "build --strict") in ci


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= 900


@pytest.mark.parametrize("seed", [0])
def test_the_program_runs_and_learns(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    import torch

    torch.manual_seed(seed)
    names: dict[str, Any] = {}
    assert len([line for line in PROGRAM.splitlines() if line.strip()]) == 15
    exec(PROGRAM, names)
    model, engine, x, labels = names["model"], names["Engine"](names["network"]), names["x"], names["labels"]
    assert (model.eval().scores(x).argmax(1) == labels).float().mean() > 0.95
    predictions = [engine.run(x[:, clip].numpy()).prediction for clip in range(20)]
    assert np.mean(np.array(predictions) == labels[:20].numpy()) > 0.9


def test_every_room_has_an_api_page_with_all_that_it_exports() -> None:
    pages = {path.stem: path.read_text() for path in (ROOT / "docs" / "api").glob("*.md")}
    assert set(pages) == {"ranvier", *ROOMS} - {"cli"}
    for room in pages.keys() - {"ranvier"}:
        package = import_module(f"ranvier.{room}")
        assert re.search(rf"^::: ranvier\.{room}$", pages[room], re.MULTILINE)
        modules = {path.stem for path in (ROOT / "src" / "ranvier" / room).iterdir()}
        for name in modules.intersection(package.__all__):  # mkdocstrings shows the module in place of what it holds
            assert re.search(rf"^::: ranvier\.{room}\.{name}\.(\w+\.)?{name}$", pages[room], re.MULTILINE), name


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_documents_point_to_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / target).exists(), target
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "@" not in re.sub(r"\S+@\S+", "", prose), "a number is missing"


def test_the_changelog_has_numerics() -> None:
    assert "### Numerics" in (ROOT / "CHANGELOG.md").read_text()


def test_the_page_on_tables_names_every_table_and_its_example_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reproduce.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == table_names()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.toml").write_text(example)
    runs = plan(load_table(str(tmp_path / "mine.toml")), tmp_path, seeds=1, overrides={})
    delays = [(run.row.name, f"{run.config.model.max_delay_ms:.0f} ms") for run in runs]
    assert len(delays) == 2
    assert all(name == delay for name, delay in delays)
