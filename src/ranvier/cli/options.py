"""Command-line options of ``ranvier train``, made from the recipe's own fields."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranvier.recipes.config import ConfigError, allowed, settings
from ranvier.recipes.pretrained import find_run, is_pretrained


@dataclass(frozen=True)
class TrainOptions:
    """The parser of ``ranvier train`` for one recipe."""

    parser: argparse.ArgumentParser
    names: dict[str, str]

    @property
    def flags(self) -> dict[str, str]:
        """The option of each field."""
        return {field: flag for flag, field in reversed(self.names.items())}

    def parse(self, given: list[str]) -> tuple[argparse.Namespace, dict[str, str]]:
        """The command's own options, and the recipe's fields to replace by dotted name."""
        options, unknown = self.parser.parse_known_args(given)
        for word in unknown:
            if not word.startswith("-"):
                self.parser.error(f"{word!r} is one word too many: RECIPE comes first, then options")
            name = word.partition("=")[0]
            if name.removeprefix("--") in ("extends", "name", "summary", "data.kind", "model.kind"):
                self.parser.error(f"{name}: is set in a recipe's file alone (ranvier cp RECIPE FILE writes one)")
            near = difflib.get_close_matches(name, [*self.names, "--resume", "--force", "--out"], 1, 0.5)
            self.parser.error(f"{name}: no such option" + (f" (did you mean {near[0]}?)" if near else ""))
        overrides = {field: getattr(options, field) for field in self.names.values()}
        given_fields = {field: value for field, value in overrides.items() if value is not None}
        if (root := given_fields.get("data.root")) is not None and root != "none":
            if not root:
                self.parser.error("--data-root: names no folder")
            given_fields["data.root"] = str(Path(root).absolute())  # a run can be continued from anywhere
        if (start := given_fields.get("train.init_from")) is not None and start != "none":
            try:
                place = find_run(start)
            except ConfigError as error:
                self.parser.error(f"--train.init-from: {error}")
            given_fields["train.init_from"] = start if is_pretrained(place) else str(place.absolute())
        return options, given_fields


def train_options(make: type[argparse.ArgumentParser], recipe: str, values: Mapping[str, Any]) -> TrainOptions:
    """Options for every field of a recipe; help shows its default, unit and range. Values stay text until checked."""
    parser = make(
        prog="ranvier train",
        usage="ranvier train [RECIPE] [options]",
        description=f"Train a recipe by name (ranvier ls) or from a .toml file. These are the fields of {recipe!r}; "
        "without RECIPE it is digits.",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, metavar="RUN", help="folder to make (default: runs/NAME, or the next free)")
    parser.add_argument("--force", action="store_true", help="replace an older run in that folder")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="continue a stopped run to the same end")
    names: dict[str, str] = {}
    groups: dict[str, Any] = {}
    for field, info in settings(values):
        section, _, name = field.rpartition(".")
        if field in ("name", "summary"):
            continue
        if section not in groups:
            groups[section] = parser.add_argument_group(section or "recipe")
        flag = "--" + field.replace("_", "-")
        flags = ["--data-root", flag] if field == "data.root" else [flag]
        given = values.get(section) if section else values
        default = given.get(name, info.default) if isinstance(given, Mapping) else info.default
        if isinstance(default, list | tuple):
            default = ",".join(map(str, default)) or "empty"
        if isinstance(default, bool):
            default = str(default).lower()
        rule = allowed(info)
        text = f"{info.description} ({rule + '; ' if rule else ''}default: {'not set' if default is None else default})"
        metavar = name.split("_")[-1].upper() if name else field.upper()
        groups[section].add_argument(*flags, dest=field, metavar=metavar, help=text.replace("%", "%%"))
        names.update(dict.fromkeys(flags, field))
    return TrainOptions(parser, names)
