"""What ``result.json`` and ``metrics.jsonl`` may hold: the types and ranges of every field that anything reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from reprlib import repr as short
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ranvier.recipes.config import ConfigError

_MOST = 2**53
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Clips = Annotated[int, Field(ge=1, le=_MOST)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
_WHOLE = ("recipe", "seed", "protocol", "accuracy", "parameters", "epochs", "seconds", "versions", "machine")


class _Values(BaseModel):
    # fields that are not known are somebody else's
    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")


class _Counted(_Values):
    value: Share
    low: Share
    high: Share
    correct: Count
    clips: Clips

    @model_validator(mode="after")
    def _within(self) -> _Counted:
        if self.correct > self.clips:
            raise ValueError(f"correct: {self.correct} of {self.clips} clips")
        return self


class _OverSpeakers(_Values):
    value: Share
    low: Share | None
    high: Share | None
    speakers: Count


class _Accuracy(_Values):
    value: Share
    low: Share
    high: Share
    correct: Count | None = None
    clips: Clips
    speakers: dict[str, _Counted] = {}
    over_speakers: _OverSpeakers | None = None
    spikes_per_neuron_and_clip: list[Annotated[float, Field(ge=0, le=_MOST)]] = []


class _Part(_Values):
    accuracy: dict[str, _Accuracy]
    parameters: Count
    seconds: Seconds


class _FoldAccuracy(_Values):
    validation: _Counted


class _Fold(_Values):
    accuracy: _FoldAccuracy
    parameters: Count
    seconds: Seconds


class _Start(_Values):
    run: str
    recipe: str | None = None
    classes: list[str]
    trained_on: list[str] = []
    share: Share | None = None


class _Found(_Values):
    found: Count
    at_start: Count
    decisive: Count


class _Result(_Values):
    accuracy: dict[str, _Accuracy]
    recipe: str = ""
    seed: int = 0
    delays: str = ""
    protocol: str = ""
    epoch_chosen_on: str = ""
    clips: dict[str, Count] = {}
    left_out: list[str] = []
    notes: list[str] = []
    data: dict[str, str] = {}
    parameters: Count = 0
    epochs: Count = 0
    best_epoch: Count | None = None
    last_epoch: dict[str, Any] = {}
    seconds: Seconds = 0
    wall_seconds: Seconds = 0
    finished: str = ""
    versions: dict[str, str] = {}
    git_commit: str | None = None
    machine: str = ""
    threads: Count = 0
    start: _Start | None = None
    delays_found: _Found | None = None
    comparison: dict[str, _Part] = {}
    folds: dict[str, _Fold] = {}
    mean_over_speakers: Share = 0


class _Row(_Values):
    model_config = ConfigDict(strict=True, allow_inf_nan=True, extra="allow")  # a training may diverge

    epoch: Annotated[int, Field(ge=1, le=_MOST)]
    seconds: Seconds
    loss: float | None = None
    train_accuracy: Share | None = None
    validation_accuracy: Share | None = None
    seen_accuracy: Share | None = None
    sigma_ms: float | None = None
    weight_lr: float | None = None
    delay_lr_ms: float | None = None
    delay_histograms: list[list[Count]] = []
    delay_moved_ms: list[float | None] = []


def parse_json(text: str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError, RecursionError: it is no JSON, or has names that are no text (halves of surrogate pairs).
    """
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def check_result(result: Any) -> dict[str, Any]:
    """The values of a ``result.json``, as they are.

    Raises:
        ConfigError: a field has another type or range; the message names it, without the file.
    """
    return _check(_Result, result)


def check_whole(result: Mapping[str, Any]) -> None:
    """Refuse a result without a field that every training writes.

    Raises:
        ConfigError: names the first that is missing, without the file.
    """
    missing = next((name for name in _WHOLE if name not in result), None)
    if missing is not None:
        raise ConfigError(f"{missing}: is missing")


def check_row(row: Any) -> dict[str, Any]:
    """The values of a line of ``metrics.jsonl``, as they are; raises as :func:`check_result`."""
    return _check(_Row, row)


def _check(model: type[_Values], values: Any) -> dict[str, Any]:
    try:
        model.model_validate(values)
    except (ValidationError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise ConfigError("is nested too deeply") from None
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        told = "" if first["type"] == "missing" else f": {short(first['input'])}"
        raise ConfigError(f"{place or 'content'}{told}: {first['msg'][:200]}") from None
    valid: dict[str, Any] = values
    return valid
