"""The picture of the rooms, the table below it, the import contract and the code's own imports say the same."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ranvier"
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## The rooms\n")[2]
_WORDS_FROM = 44  # column of the picture from which on rooms are described


def picture() -> list[set[str]]:
    """Rooms of every line that has any, from above."""
    drawn = re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)[0]
    lines = [re.findall(r"[a-z]+", line[:_WORDS_FROM]) for line in drawn.splitlines()]
    return [set(line) for line in lines if line]


def table() -> dict[str, set[str]]:
    """What a room imports of the others, by the table."""
    return {
        room: set(re.findall(r"\w+", imports))
        for room, imports in re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", TEXT, re.MULTILINE)
    }


def contract() -> tuple[list[set[str]], list[str]]:
    """Layers from above, and the imports that they leave out."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (layers,) = (one for one in linter["contracts"] if one["type"] == "layers")
    assert layers["exhaustive"]
    return [set(re.findall(r"\w+", layer)) for layer in layers["layers"]], layers.get("ignore_imports", [])


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What every room imports of the others, by its code."""
    graph = grimp.build_graph("ranvier")
    found: dict[str, set[str]] = {}
    ignored = [line.replace("**", "*") for line in contract()[1]]
    for module in graph.modules - {"ranvier"}:
        room = module.split(".")[1]
        others = found.setdefault(room, set())
        for other in graph.find_modules_directly_imported_by(module) - {"ranvier"}:
            if not any(fnmatch(f"{module} -> {other}", line) for line in ignored):
                others |= {other.split(".")[1]} - {room}
    return found


def test_the_picture_shows_every_room_and_no_other() -> None:
    there = {path.stem for path in PACKAGE.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"}
    assert set().union(*picture()) == there - {"__init__", "__main__"}


def test_the_picture_has_the_contracts_rows() -> None:
    assert [{"__main__"}, *picture()] == contract()[0]


def test_the_table_says_what_the_code_imports(imports: dict[str, set[str]]) -> None:
    *rows, lowest = picture()
    assert set(table()) == set().union(*rows)
    assert table() == {room: imports[room] - lowest for room in table()}


def test_imports_go_down_the_picture(imports: dict[str, set[str]]) -> None:
    row = {room: number for number, rooms in enumerate(picture()) for room in rooms}
    for room in row:
        for other in imports[room]:
            lowest = row[room] == len(picture()) - 1  # its modules may use one another
            assert row[room] < row[other] or lowest, f"{room} imports {other}"


def test_data_sets_and_networks_do_not_import_one_another(imports: dict[str, set[str]]) -> None:
    data_sets, networks = {"corpora", "audio", "data"}, {"models", "nn", "ops", "analysis", "engine", "network"}
    for room in data_sets:
        assert not imports[room] & networks
    for room in networks:
        assert not imports[room] & data_sets
