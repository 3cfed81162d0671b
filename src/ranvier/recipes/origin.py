"""Where a value of a recipe comes from that is not allowed: its file, the command line, or both together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranvier.recipes.config import Config, ConfigError, build_config


def build_given(
    values: Mapping[str, Any], given: Mapping[str, Any], *, place: str, options: Mapping[str, str]
) -> Config:
    """:func:`ranvier.recipes.config.build_config` for a command, whose errors name what the user wrote.

    Args:
        values: of the recipe.
        given: fields to replace, by dotted name.
        place: name or file of the recipe; begins what is wrong with its own values.
        options: what gave a field on the command line, by dotted name, as ``--train.epochs``; fields of ``given`` that
            are not there were not asked for.

    Raises:
        ConfigError: as :func:`build_config`; it begins with the option whose value is not allowed; else with the place,
            and the options without which its values would be.
    """
    try:
        return build_config(values, given)
    except ConfigError as error:
        text = str(error)
        field, _, fault = text.partition(": ")
        if field in options and field in given:
            raise ConfigError(options[field], fault=fault) from None
        at_fault = [options[name] for name in _at_fault(values, given, options, text)]
        with_options = f" with {' and '.join(at_fault)}" if at_fault else ""
        raise ConfigError(f"{place}{with_options}: {text}") from None


def _at_fault(values: Mapping[str, Any], given: Mapping[str, Any], options: Mapping[str, str], text: str) -> list[str]:
    """Fields of a smallest set of options that leads to this error; none where the recipe alone does."""
    at_fault, kept = [], dict(given)
    for name in [name for name in options if name in given]:
        fewer = {other: value for other, value in kept.items() if other != name}
        without = _fault(values, fewer)
        if without == text:
            kept = fewer
        elif not without.startswith(f"{name}: "):  # else the recipe's own value is wrong too, which hides the rest
            at_fault.append(name)
    return at_fault


def _fault(values: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """What is wrong with the values, in words."""
    try:
        build_config(values, given)
    except ConfigError as error:
        return str(error)
    return ""
