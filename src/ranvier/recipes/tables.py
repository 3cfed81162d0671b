"""Tables of recipes: which rows a published table has, what was published, and which rows are compared."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError

from ranvier.corpora.section import Section
from ranvier.recipes.config import Config, ConfigError, by_dotted_name, replaced
from ranvier.recipes.origin import build_given
from ranvier.recipes.recipe_files import load_values

Fields = Annotated[dict[str, Any], AfterValidator(by_dotted_name)]


class Row(Section):
    """A recipe, with fields replaced, and what was published for it."""

    name: str = Field(min_length=1)
    recipe: str
    set: Fields = Field(default_factory=dict, description="fields of the recipe to replace, by dotted name")
    published: float | None = Field(default=None, description="accuracy [%]")
    published_interval: float | None = Field(default=None, description="half of its 95% interval over seeds [%]")
    against: str | None = Field(default=None, description="the row that it is compared with, seed by seed")
    _table: str = PrivateAttr("")  # its name, or file

    @property
    def folder(self) -> str:
        """A name for its runs' folder."""
        spelt = self.name.replace("σ", "sigma").lower()
        return "-".join("".join(c if c.isalnum() or c == "." else " " for c in spelt).split())

    def config(self, seed: int, overrides: dict[str, Any]) -> Config:
        """The recipe of a run; ``overrides`` come last.

        Raises:
            ConfigError: a field is unknown or out of range; it names table and row, the option that gave it, or both.
        """
        place = f"table {self._table}: {self.name}"
        try:
            values = replaced(load_values(self.recipe), self.set)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from None
        own = {"data.root": "--data-root", "protocol": "--protocol"}
        options = {name: own.get(name, f"--set {name}={value}") for name, value in overrides.items()}
        given = {**overrides, "compare": (), "train.seed": seed}
        return build_given(values, given, place=place, options=options)


class TableOfRecipes(Section):
    """A table's rows, from top to bottom."""

    title: str
    set: Fields = Field(default_factory=dict, description="fields to replace in every row, by dotted name")
    rows: tuple[Row, ...] = Field(min_length=1)

    def only(self, names: Sequence[str]) -> TableOfRecipes:
        """The table with the rows of these names; all of them if none is named.

        Raises:
            ConfigError: it has no row of such a name.
        """
        there = [row.name for row in self.rows]
        for name in names:
            if name not in there:
                raise ConfigError(f"--row: {name!r} is not allowed ({', '.join(map(repr, there))})")
        return self.model_copy(update={"rows": tuple(row for row in self.rows if not names or row.name in names)})


def table_names() -> list[str]:
    """Names of the tables that come with Ranvier."""
    return sorted(Path(entry.name).stem for entry in _tables().iterdir() if entry.name.endswith(".toml"))


def load_table(name: str) -> TableOfRecipes:
    """A table by name, or from a ``.toml`` file.

    Raises:
        ConfigError: there is none of that name, or it breaks a rule.
    """
    if name.endswith(".toml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"table {name}: {error.strerror}") from None
    elif name in table_names():
        text = (_tables() / f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise ConfigError(f"table {name!r} is not known (there are: {', '.join(table_names())}; or a .toml file)")
    try:
        table = TableOfRecipes.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"table {name}: not TOML ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"table {name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for key, names in (("name", [row.name for row in table.rows]), ("name", [row.folder for row in table.rows])):
        if len(set(names)) < len(names):
            raise ConfigError(f"table {name}: two rows have the same {key}")
    for row in table.rows:
        if row.against is not None and row.against not in {other.name for other in table.rows} - {row.name}:
            raise ConfigError(f"table {name}: {row.name}: against: there is no other row {row.against!r}")
    shared = tuple(row.model_copy(update={"set": {**table.set, **row.set}}) for row in table.rows)
    for row in shared:
        row._table = name
    return table.model_copy(update={"rows": shared})


def _tables() -> Any:
    return resources.files("ranvier.recipes") / "tables"
