"""What every section of a recipe is made of: frozen values with ranges, and the types of their fields."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ranvier.errors import ConfigError

LONGEST_CLIP = 1_000_000  # time steps; no batch of longer ones fits into memory


def split_text(value: object) -> object:
    """``256, 256`` on the command line is a list, as is ``256,``, and ``empty`` one without anything."""
    if not isinstance(value, str):
        return value
    text = value.strip().removesuffix(",").strip()
    return [] if text in ("", "empty") else [part.strip() for part in text.split(",")]


def number_as_text(value: object) -> object:
    """A whole number as text; TOML distinguishes ``35`` and ``"35"``."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _none(value: object) -> object:
    return None if value == "none" else value


def _absolute(value: str | None) -> str | None:
    return str(Path(value).absolute()) if value else value


def _names(value: object) -> object:
    """Text stays whole: a name may hold commas, and only with the list of names can it be split (``split_names``)."""
    if isinstance(value, str):
        return [value] if split_text(value) else []
    return [number_as_text(part) for part in value] if isinstance(value, list | tuple) else value


# leaves out a value that a recipe has; TOML has no null
OptionalText = Annotated[str | None, BeforeValidator(_none)]
# a relative path is one from the working directory, in a .toml file too; a run is used from other folders
OptionalPath = Annotated[str | None, BeforeValidator(_none), AfterValidator(_absolute)]
OptionalNumber = Annotated[float | None, BeforeValidator(_none)]
OptionalInteger = Annotated[int | None, BeforeValidator(_none)]
Integers = Annotated[tuple[int, ...], BeforeValidator(split_text)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Sizes = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(split_text)]


class Section(BaseModel):
    """A part of a recipe: frozen, an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def time_steps(field: str, value_ms: float, dt_ms: float) -> int:
    """Milliseconds as whole time steps.

    Args:
        field: dotted name, for the message.
        value_ms: what it holds [ms].
        dt_ms: length of a time step [ms].

    Raises:
        ConfigError: it is not a whole number of time steps.
    """
    count = value_ms / dt_ms
    if not math.isclose(count, round(count), abs_tol=1e-6):
        raise ConfigError(f"{field}: {value_ms:g} ms is not a whole number of {dt_ms:g} ms steps")
    return round(count)


def check_length(field: str, value_ms: float, dt_ms: float) -> None:
    """Refuse a time that no clip can last.

    Raises:
        ConfigError: it is not a whole number of time steps, or more than ``LONGEST_CLIP``.
    """
    if time_steps(field, value_ms, dt_ms) > LONGEST_CLIP:
        longest_ms = LONGEST_CLIP * dt_ms
        raise ConfigError(f"{field}: {value_ms:g} is not allowed (at most {longest_ms:g} ms, {LONGEST_CLIP} steps)")
