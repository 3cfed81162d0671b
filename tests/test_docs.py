"""The README's installation and programs are what they say, and documents point to what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ranvier.recipes.reproduce import plan
from ranvier.recipes.tables import load_table, table_names

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_two_commands_are_there_and_ci_runs_the_second() -> None:
    install, test = re.findall(r"^    (pip .*)$", README, re.MULTILINE)
    assert install == "pip install -c constraints.txt . && ranvier train"
    assert test == 'pip install -c constraints.txt -e ".[test]" && pytest'
    assert test.replace("pip install", "pip install -q") in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_programs_run_and_learn(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    import torch

    torch.manual_seed(seed)
    names: dict[str, object] = {}
    train, freeze = PROGRAMS
    assert len([line for line in train.splitlines() if line.strip()]) == 12
    exec(train, names)
    model, x, labels = (names[name] for name in ("model", "x", "labels"))
    assert callable(getattr(model, "eval", None))
    accuracy = (model.eval().scores(x).argmax(1) == labels).float().mean()  # type: ignore[attr-defined]
    assert accuracy > 0.95
    exec(freeze, names)
    assert (tmp_path / "gap.safetensors").exists()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_documents_point_to_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (ROOT / target).exists(), target
    assert "@" not in re.sub(r"\S+@\S+", "", text), "a number is missing"


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
