"""What a sweep draws: fields of a recipe with ranges or choices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ranvier.recipes.config import Config, ConfigError, build_config, settings
from ranvier.recipes.origin import build_given
from ranvier.recipes.recipe_files import names_file

if TYPE_CHECKING:
    from optuna import Trial

_KINDS = "log:LO:HI, LO:HI, choice:a|b|c, or a value"
_OWN = ("name", "summary", "protocol", "compare", "compare_weight_lr", "train.seed")  # not for a sweep to change
_BETWEEN = 0.381966  # of the way from LO to HI: no round number of a range with round ends


@dataclass(frozen=True)
class Dimension:
    """A field that is drawn anew for each trial.

    Attributes:
        field: dotted name.
        text: what was asked for, ``log:1e-4:1e-1``.
        low, high: the ends, which may be drawn; without meaning for choices.
        log: uniform in the logarithm.
        whole: only whole numbers.
        choices: what is drawn from, as the command line would have it; empty for a range.
    """

    field: str
    text: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()

    def suggest(self, trial: Trial) -> float | str:
        """A value of a trial, the same one each time."""
        if self.choices:
            return str(trial.suggest_categorical(self.field, self.choices))
        if self.whole:
            return trial.suggest_int(self.field, round(self.low), round(self.high), log=self.log)
        return trial.suggest_float(self.field, self.low, self.high, log=self.log)

    def samples(self) -> list[float | str]:
        """Values that tell whether the recipe allows the range: its ends and one between, or all choices."""
        if self.choices:
            return list(self.choices)
        between = self.low + _BETWEEN * (self.high - self.low)
        return [round(value) if self.whole else value for value in (self.low, between, self.high)]


def read_space(
    values: Mapping[str, Any],
    texts: Sequence[str],
    overrides: Mapping[str, Any] | None = None,
    *,
    place: str = "recipe",
) -> tuple[Config, tuple[Dimension, ...]]:
    """The recipe with what is the same in all trials, and what is drawn.

    Args:
        values: of the recipe.
        texts: ``FIELD=log:LO:HI``, ``FIELD=LO:HI`` (uniform), ``FIELD=choice:a|b|c`` or ``FIELD=VALUE``; the last one
            of a field counts.
        overrides: more fields that are the same in all trials, by dotted name: ``data.root``, of ``--data-root``.
        place: name or file of the recipe, for messages.

    Raises:
        ConfigError: a field is unknown, or a value is out of its range; the message names it, what gave it and what is
            allowed.
    """
    with names_file(place):
        known = dict(settings(values))
    fixed: dict[str, Any] = dict(overrides or {})
    drawn: dict[str, Dimension] = {}
    options = {"data.root": "--data-root"}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not value or field in _OWN:
            raise ConfigError(f"--set {text}: is not allowed (FIELD={_KINDS}; not {', '.join(_OWN)})")
        options[field] = f"--set {text}"
        fixed.pop(field, None)
        drawn.pop(field, None)
        is_text = field in known and known[field].annotation in (str, str | None)  # cuda:1, C:\\data
        if value.startswith(("log:", "choice:")) or (":" in value and not is_text):
            drawn[field] = _dimension(text, field, value, known)
        else:
            fixed[field] = value
    if not drawn:
        raise ConfigError(f"--set: nothing to draw (one or more of FIELD={_KINDS.removesuffix(', or a value')})")
    config = build_given(values, {**fixed, "compare": ()}, place=place, options=options)
    for dimension in drawn.values():
        for sample in dimension.samples():
            try:
                build_config(values, {**fixed, "compare": (), dimension.field: sample})
            except ConfigError as error:
                raise ConfigError(f"--set {dimension.field}={dimension.text}: {error}") from None
    return config, tuple(drawn.values())


def _dimension(text: str, field: str, value: str, known: Mapping[str, Any]) -> Dimension:
    if value.startswith("choice:"):
        choices = tuple(value.removeprefix("choice:").split("|"))
        if "" in choices or len(set(choices)) < len(choices):
            raise ConfigError(f"--set {text}: is not allowed (choice:a|b|c, each once)")
        return Dimension(field, value, choices=choices)
    log = value.startswith("log:")
    whole = field in known and known[field].annotation in (int, int | None)
    if field in known and not whole and known[field].annotation not in (float, float | None):
        raise ConfigError(f"--set {text}: is not allowed ({field} is no number: choice:a|b|c)")
    try:
        low, high = (float(end) for end in value.removeprefix("log:").split(":"))
    except ValueError:
        raise ConfigError(f"--set {text}: is not allowed ({_KINDS})") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high and (low > 0 or not log)):
        raise ConfigError(f"--set {text}: is not allowed (LO below HI{', LO above 0' if log else ''})")
    if whole and not (low.is_integer() and high.is_integer()):
        raise ConfigError(f"--set {text}: is not allowed (whole numbers)")
    return Dimension(field, value, low, high, log, whole)
