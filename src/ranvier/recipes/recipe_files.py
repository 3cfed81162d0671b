"""The recipes that come with Ranvier, and those of files."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from ranvier.errors import ConfigError as ConfigError


def recipe_names() -> list[str]:
    """Names of the recipes that come with Ranvier."""
    return sorted(Path(entry.name).stem for entry in _recipes().iterdir() if entry.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The TOML of a recipe that comes with Ranvier, as it is written.

    Raises:
        ConfigError: there is none of that name; the message suggests the nearest.
    """
    if name not in recipe_names():
        near = difflib.get_close_matches(name, recipe_names(), 1, 0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"recipe {name!r} is not known ({hint}a name that ranvier ls lists, or a .toml file)")
    return str((_recipes() / f"{name}.toml").read_text(encoding="utf-8"))


def load_values(recipe: str) -> dict[str, Any]:
    """The values of a recipe by name, or of a ``.toml`` file, unchecked.

    A recipe with ``extends = "NAME"`` has all that the recipe of that name has, and what it says itself on top; where
    it says another ``data.kind`` or ``model.kind``, fields that this kind does not have are not inherited.

    Raises:
        ConfigError: no such recipe or file, or not TOML.
    """
    values = _read_values(recipe)
    base = values.pop("extends", None)
    if base is None:
        return values
    if base not in recipe_names() or base == recipe:
        raise ConfigError(f"{recipe}: extends: {base!r} is not allowed (a name that ranvier ls lists)")
    with names_file(recipe):
        return _merged(load_values(base), values)


@contextmanager
def names_file(recipe: str) -> Iterator[None]:
    """Put the name of a recipe's file before what is wrong with its values."""
    try:
        yield
    except ConfigError as error:
        raise (ConfigError(f"{recipe}: {error}") if recipe.endswith(".toml") else error) from None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = {
        **below,
        **{
            key: {**below[key], **value}
            if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
            else value
            for key, value in above.items()
        },
    }
    for name in ("data", "model"):
        own = above.get(name)
        if isinstance(own, Mapping) and own.get("kind", below[name]["kind"]) != below[name]["kind"]:
            from ranvier.recipes.config import settings

            known = {f"{name}.kind", *dict(settings({name: own}))}
            merged[name] = {key: merged[name][key] for key in merged[name] if key in own or f"{name}.{key}" in known}
    return merged


def _read_values(recipe: str) -> dict[str, Any]:
    if not recipe.endswith(".toml"):
        return tomllib.loads(recipe_text(recipe))
    try:
        return tomllib.loads(Path(recipe).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"recipe {recipe}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {recipe}: not TOML ({error})") from None


def _recipes() -> Any:
    return resources.files("ranvier.recipes") / "configs"
