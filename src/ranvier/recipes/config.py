"""Recipes as plain values, in milliseconds."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError
from pydantic.fields import FieldInfo

from ranvier.corpora.corpus import Corpus
from ranvier.corpora.registry import corpus_class, read_corpus
from ranvier.corpora.section import OptionalNumber, Section, split_text
from ranvier.errors import ConfigError as ConfigError
from ranvier.recipes.consistency import check_consistency
from ranvier.recipes.sections import AugmentConfig, ConvolutionalModel, DetectorModel, FeedforwardModel, TrainConfig


class Config(Section):
    """A recipe."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$", description="name of the recipe")
    summary: str = Field(description="what it is, in a line")
    protocol: Literal["honest", "paper"] = Field(
        "honest",
        description="honest: the epoch is chosen on validation, test is read once after training; "
        "paper: chosen on the test set, as published (the result is marked)",
    )
    compare: Annotated[tuple[Literal["fixed", "none"], ...], BeforeValidator(split_text)] = Field(
        (),
        description="also train with random frozen delays (fixed), without delays (none), both (fixed,none), or "
        "neither (empty)",
    )
    compare_weight_lr: OptionalNumber = Field(
        None, gt=0, description="peak of the weights' learning rate in the comparisons, none for train.weight_lr"
    )
    tracker: Literal["none", "tensorboard", "trackio", "wandb"] = Field(
        "none", description="where the metrics go besides metrics.jsonl, a package that you install"
    )
    data: Annotated[SerializeAsAny[Corpus], BeforeValidator(read_corpus)]
    model: FeedforwardModel | DetectorModel | ConvolutionalModel = Field(discriminator="kind")
    train: TrainConfig
    augment: AugmentConfig = Field(
        default_factory=lambda: AugmentConfig.model_validate({}), description="changes to training clips"
    )

    @property
    def leaves_each_speaker_out(self) -> bool:
        """Whether it is a series of trainings, each with another speaker held out; ``paper`` has its own validation."""
        return self.data.leave_one_speaker_out and self.protocol == "honest"


def build_config(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Config:
    """Check a recipe's values, with some replaced.

    Args:
        values: nested, as TOML gives them; text is no number here.
        overrides: by dotted name, for example ``{"train.epochs": "5"}``; strings are converted.

    Raises:
        ConfigError: a field is unknown, missing or out of range; the message names it and what is allowed.
    """
    nested = replaced(values, overrides or {})
    for name, value in nested.items():
        _check_section(name, value)
    try:
        config = Config.model_validate(nested)
    except ValidationError as error:
        raise ConfigError(_explain(error, nested, overrides or {})) from None
    _check_types(nested, overrides or {})
    check_consistency(config)
    return config


def replaced(values: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with some replaced, by dotted name; the values themselves stay as they are.

    Raises:
        ConfigError: a name goes on behind a field, or behind a section that is none.
    """
    nested = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for dotted, value in fields.items():
        *sections, name = dotted.split(".")
        place = nested
        for depth, section in enumerate(sections, 1):
            inner = place.setdefault(section, {})
            if not isinstance(inner, dict):
                _check_section(section, inner)
                raise ConfigError(f"{dotted}: no such field (did you mean {'.'.join(sections[:depth])}?)")
            place = inner
        place[name] = value
    return nested


def by_dotted_name(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with those of nested tables by dotted name, as ``train.epochs = 3`` without quotes is one in TOML."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        inner = by_dotted_name(value) if isinstance(value, Mapping) else None
        flat.update({name: value} if inner is None else {f"{name}.{key}": one for key, one in inner.items()})
    return flat


def _check_section(name: str, value: Any) -> None:
    """Refuse a value where a section is to be."""
    if name in _SECTIONS and not isinstance(value, Mapping):
        raise ConfigError(f"{name}: {_shortened(repr(value))} is not allowed (a section with fields: {name}.FIELD)")


def _check_types(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Refuse text, and true and false, where a recipe's file is to hold numbers; pydantic would convert them."""
    for dotted, field in settings(values):
        section, _, name = dotted.rpartition(".")
        place = values.get(section, {}) if section else values
        if dotted in overrides or name not in place:
            continue
        value, wanted = place[name], field.annotation
        if wanted is bool:
            fits = isinstance(value, bool)
        elif wanted in (int, float, int | None, float | None):
            fits = not isinstance(value, str | bool) or (value == "none" and wanted not in (int, float))
        elif get_origin(wanted) is tuple and wanted != tuple[str, ...] and not _choices(wanted):
            fits = not isinstance(value, str) and not any(isinstance(part, str | bool) for part in value)
        else:
            continue
        if not fits:
            raise ConfigError(f"{dotted}: {_shortened(repr(value))} is not allowed ({allowed(field, file=True)})")


def flat_values(config: Config) -> dict[str, str]:
    """Every field as the command line would have it, by dotted name."""
    flat: dict[str, str] = {}
    for name, value in config.model_dump(mode="json").items():
        fields = {f"{name}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {name: value}
        flat.update((field, _as_text(v)) for field, v in fields.items())
    return flat


def _as_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "empty"
    return str(value)


def settings(values: Mapping[str, Any]) -> Iterator[tuple[str, FieldInfo]]:
    """Every field that can be set for a recipe, by dotted name."""
    for name, field in Config.model_fields.items():
        section = _section(name, values)
        if section is None:
            yield name, field
        else:
            yield from ((f"{name}.{inner}", info) for inner, info in section.model_fields.items() if inner != "kind")


def allowed(field: FieldInfo, *, file: bool = False) -> str:
    """What a field may be, in words: its range or its choices; a list as the command line has it, or a ``file``."""
    choices = _choices(field.annotation)
    if choices:
        return ", ".join(choices)
    low, high, text = "", "", []
    for rule in field.metadata:
        for sign, attribute in (("", "ge"), ("above ", "gt")):
            if (bound := getattr(rule, attribute, None)) is not None:
                low = f"{sign}{bound:g}"
        for sign, attribute in (("", "le"), ("below ", "lt")):
            if (bound := getattr(rule, attribute, None)) is not None:
                high = f"{sign}{bound:g}"
        if getattr(rule, "min_length", None) is not None:
            text.append("not empty")
        if getattr(rule, "pattern", None) is not None:
            text.append("letters, digits, _ . -")
    bounds = f"{low} ... {high}" if low and high else f"{low} or more" if low and low[0].isdigit() else low or high
    kind = "a whole number" if field.annotation in (int, int | None) else ""
    if field.annotation in (float, float | None):
        kind = "a number"
    if field.annotation == tuple[str, ...]:
        kind = "names with commas between; a name that holds commas is tried first, in quotes for the shell"
        kind = 'names in brackets, as ["Jane", "John"]' if file else kind
    elif get_origin(field.annotation) is tuple:
        kind = f"whole numbers {'in brackets, as [256, 256]' if file else 'with commas between'}"
        bounds = "each 1 or more" if field.annotation != tuple[int, ...] else ""
    return ", ".join(part for part in [kind, bounds, *text] if part)


_LONGEST = 300  # of a message that names several fields
_SECTIONS = ("data", "model", "train", "augment")
_MODELS: dict[str, type[Section]] = {
    "feedforward": FeedforwardModel,
    "detectors": DetectorModel,
    "convolutional": ConvolutionalModel,
}


def _section(name: str, values: Mapping[str, Any]) -> type[Section] | None:
    sections: dict[str, type[Section]] = {"train": TrainConfig, "augment": AugmentConfig}
    if name not in ("data", "model"):
        return sections.get(name)
    section = values.get(name)
    if not isinstance(section, Mapping):
        return None
    kind = section.get("kind")
    if name == "data":
        return corpus_class(kind)
    if not isinstance(kind, str) or kind not in _MODELS:
        given = "missing" if kind is None else f"{kind!r} is not allowed"
        raise ConfigError(f"{name}.kind: {given} ({', '.join(_MODELS)})")
    return _MODELS[kind]


def _choices(annotation: Any) -> list[str]:
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if get_origin(annotation) is tuple:
        return _choices(get_args(annotation)[0])
    return []


def _explain(error: ValidationError, values: Mapping[str, Any], overrides: Mapping[str, Any]) -> str:
    """The first fault in one line: field, value, what is allowed; or all fields that are missing."""
    # an unknown name explains a missing one
    faults = sorted(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
    fault = faults[0]
    dotted = _place(fault["loc"])
    fields = dict(settings(values))
    if fault["type"] == "extra_forbidden":
        known = fields if "." in dotted else Config.model_fields
        near = difflib.get_close_matches(dotted, known, 1, 0.5)
        return f"{dotted}: no such field" + (f" (did you mean {near[0]}?)" if near else "")
    if fault["type"] == "missing":
        return _explain_missing([_place(one["loc"]) for one in faults if one["type"] == "missing"], fields)
    if dotted in fields:
        rule = allowed(fields[dotted], file=dotted not in overrides) or fault["msg"].removeprefix("Value error, ")
        return f"{dotted}: {_shortened(repr(fault['input']))} is not allowed ({rule})"
    return f"{dotted}: {fault['msg']}"


def _place(location: tuple[int | str, ...]) -> str:
    """The dotted name of where pydantic found a fault."""
    # pydantic names the kind of model as well; users do not
    place = [str(part) for part in location if part not in _MODELS]
    while place and place[-1].isdigit():
        place.pop()  # an element of a list: name the list
    return ".".join(place)


def _explain_missing(names: Sequence[str], fields: Mapping[str, FieldInfo]) -> str:
    """With what each may be, or their names alone where that is long."""
    rules = {name: f" ({allowed(fields[name], file=True)})" if name in fields else "" for name in names}
    each = "; ".join(f"{name}: missing{rule}" for name, rule in rules.items())
    return each if len(names) == 1 or len(each) <= _LONGEST else f"{', '.join(names)}: missing"


def _shortened(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:96]} ..."
