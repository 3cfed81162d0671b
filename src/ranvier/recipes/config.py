"""Recipes as plain values: milliseconds here, steps everywhere else, converted once, here."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError
from pydantic.fields import FieldInfo

from ranvier.corpora.corpus import Corpus
from ranvier.corpora.registry import corpus_class, read_corpus
from ranvier.corpora.section import OptionalNumber, Section, check_length, split_text, time_steps
from ranvier.errors import ConfigError as ConfigError
from ranvier.recipes.sections import MODELS, AugmentConfig, ConvolutionalModel, FeedforwardModel, Model, TrainConfig

DCLS_FLOOR = 0.27  # steps that the dcls package adds to the width of a Gaussian tap
LONGEST_DELAY = 32767  # steps, as int16 holds them
LOWEST_SIGMA = 0.12  # steps, as ops/dense has it, which loads torch
_LEARNED_DECAY = (1e-6, 1 - 1e-6)  # beyond, the sigmoid that it is learned through is flat


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
    model: Model = Field(discriminator="kind")
    train: TrainConfig
    augment: AugmentConfig = Field(
        default_factory=lambda: AugmentConfig.model_validate({}), description="changes to training clips"
    )

    @property
    def leaves_each_speaker_out(self) -> bool:
        """Whether it is a series of trainings, each with another speaker held out; ``paper`` has its own validation."""
        return self.data.leave_one_speaker_out and self.protocol == "honest"


def steps(config: Config, field: str) -> int:
    """A field in ms as whole steps, for example ``steps(config, "model.max_delay_ms")``.

    Raises:
        ConfigError: it is not a whole number of steps.
    """
    section, _, name = field.partition(".")
    return time_steps(field, getattr(getattr(config, section), name), config.data.dt_ms)


def recurrent_init_steps(config: Config, model: FeedforwardModel) -> float:
    """Longest recurrent delay at the start, in steps."""
    given_ms = model.recurrent_max_init_delay_ms
    return (model.max_delay_ms if given_ms is None else given_ms) / config.data.dt_ms


def decay(config: Config, field: str = "model.tau_ms") -> float:
    """Share of the voltage, or of a synapse's trace, kept per step, by the recipe's rule.

    Raises:
        ConfigError: the Euler rule with tau below a step would turn its sign.
    """
    dt_ms, tau_ms = config.data.dt_ms, getattr(config.model, field.partition(".")[2])
    if config.model.leak_rule == "exp":
        return float(math.exp(-dt_ms / tau_ms))
    if tau_ms < dt_ms:
        raise ConfigError(f"{field}: {tau_ms:g} is not allowed with the euler rule ({dt_ms:g} ms or more, one step)")
    return float(1 - dt_ms / tau_ms)


def sigma_steps(config: Config, progress: float) -> float:
    """Width of a tap after a share ``progress`` in [0, 1] of the training, by :func:`ranvier.nn.sigma.width_after`.

    With the schedule ``dcls`` the part above 0.27 steps, which the dcls package adds to the width that it holds, goes
    exponentially. Where schedules go by epochs, the share over which the width shrinks is cut to whole epochs; none
    keeps the start.
    """
    from ranvier.nn.sigma import width_after  # loads torch, which a recipe's values do without

    train = config.train
    start, end, fraction = train.sigma_start_ms, train.sigma_end_ms, train.sigma_fraction
    if train.schedule_per == "epoch":
        fraction = math.floor(train.epochs * fraction) / train.epochs
    share = progress / fraction if fraction > 0 else 0.0
    if train.sigma_schedule == "dcls":
        floor = DCLS_FLOOR * config.data.dt_ms
        width_ms = floor + width_after(share, start - floor, end - floor, "exponential")
    else:
        width_ms = width_after(share, start, end, train.sigma_schedule)
    return width_ms / config.data.dt_ms


def build_config(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Config:
    """Check a recipe's values, with some replaced.

    Args:
        values: nested, as TOML gives them.
        overrides: by dotted name, for example ``{"train.epochs": "5"}``; strings are converted.

    Raises:
        ConfigError: a field is unknown, missing or out of range; the message names it and what is allowed.
    """
    nested = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for dotted, value in (overrides or {}).items():
        *sections, name = dotted.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    try:
        config = Config.model_validate(nested)
    except ValidationError as error:
        raise ConfigError(_explain(error, nested)) from None
    decay(config)
    if not isinstance(config.model, FeedforwardModel):
        decay(config, "model.readout_tau_ms")
    if steps(config, "model.max_delay_ms") > LONGEST_DELAY:
        longest_ms = LONGEST_DELAY * config.data.dt_ms
        raise ConfigError(f"model.max_delay_ms: {config.model.max_delay_ms:g} is not allowed (0 ... {longest_ms:g} ms)")
    if isinstance(config.model, FeedforwardModel):
        _check_synapses(config.model)
        _check_recurrence(config, config.model)
        _check_decays(config, config.model)
    _check_sigma(config)
    if config.train.init_from is not None and config.compare:
        raise ConfigError(
            "compare: is not allowed with train.init_from (empty; what it compares with starts at random)"
        )
    if config.train.init_from is None and config.train.init_interpolation > 0:
        raise ConfigError(
            f"train.init_interpolation: {config.train.init_interpolation:g} is not allowed without train.init_from (0)"
        )
    _check_lengths(config)
    config.data.check()
    if isinstance(config.model, ConvolutionalModel):
        config.model.check(config.data)
    augment = config.augment
    for mask, longest in (("channel_mask", "channel_mask_channels"), ("time_mask", "time_mask_ms")):
        if getattr(augment, f"{mask}_probability") > 0 and not getattr(augment, longest):
            raise ConfigError(f"augment.{longest}: 0 is not allowed where augment.{mask}_probability is above 0")
    if config.data.frames:
        for name, off in (("blend_probability", 0), ("keep_probability", 1), ("jitter_ms", 0)):
            if getattr(augment, name) != off:
                raise ConfigError(
                    f"augment.{name}: {getattr(augment, name):g} is not allowed for frames ({off}, spikes only)"
                )
    if not config.data.zero_is_silence:
        silent = ("shift_channels", "shift_ms", "channel_mask_probability", "time_mask_probability")
        if loud := [name for name in silent if getattr(augment, name)]:
            raise ConfigError(
                f"augment.{loud[0]}: is not allowed with these data (0; what it leaves empty would not be silence)"
            )
    return config


def _check_sigma(config: Config) -> None:
    if config.train.sigma_schedule == "dcls":
        floor_ms = DCLS_FLOOR * config.data.dt_ms
        for field in ("sigma_start_ms", "sigma_end_ms"):
            if not (width_ms := getattr(config.train, field)) > floor_ms:
                raise ConfigError(
                    f"train.{field}: {width_ms:g} is not allowed with sigma_schedule = dcls (above {floor_ms:g} ms)"
                )
    if config.model.delays == "learned" and getattr(config.model, "kernel", "gaussian") == "gaussian":
        lowest_ms = LOWEST_SIGMA * config.data.dt_ms
        for name in ("sigma_start_ms", "sigma_end_ms"):
            if (given := getattr(config.train, name)) < lowest_ms * (1 - 1e-9):
                raise ConfigError(f"train.{name}: {given:g} is not allowed ({lowest_ms:g} ms or more, 0.12 steps)")


def _check_lengths(config: Config) -> None:
    for section, name in (("model", "tail_ms"), ("augment", "shift_ms"), ("augment", "time_mask_ms")):
        check_length(f"{section}.{name}", getattr(getattr(config, section), name), config.data.dt_ms)


def _check_synapses(model: FeedforwardModel) -> None:
    if model.delays == "dense":
        for name, needed in (("synapses_per_pair", 1), ("delay_type", "synaptic")):
            if (given := getattr(model, name)) != needed:
                raise ConfigError(f"model.{name}: {given} is not allowed where every delay has its weight ({needed})")


def _check_recurrence(config: Config, model: FeedforwardModel) -> None:
    if model.recurrent == "none":
        for name, off in (("recurrent_max_init_delay_ms", None), ("recurrent_dropout", 0.0)):
            if (given := getattr(model, name)) != off:
                raise ConfigError(f"model.{name}: {given:g} is not allowed without model.recurrent")
        return
    if model.synapse_tau_ms is not None:
        raise ConfigError(f"model.recurrent: {model.recurrent} is not allowed with model.synapse_tau_ms (none)")
    if model.delays == "dense":
        raise ConfigError(f"model.recurrent: {model.recurrent} is not allowed where every delay has its weight (none)")
    if model.recurrent == "undelayed" or model.delays == "none":
        return
    if not 1 <= recurrent_init_steps(config, model) <= LONGEST_DELAY:
        dt_ms = config.data.dt_ms
        name = "max_delay_ms" if model.recurrent_max_init_delay_ms is None else "recurrent_max_init_delay_ms"
        raise ConfigError(
            f"model.{name}: {getattr(model, name):g} is not allowed where recurrent delays start from one step to "
            f"here ({dt_ms:g} ... {LONGEST_DELAY * dt_ms:g} ms)"
        )


def _check_decays(config: Config, model: FeedforwardModel) -> None:
    if model.synapse_tau_ms is None and model.learn_synapse_tau:
        raise ConfigError("model.learn_synapse_tau: true is not allowed without model.synapse_tau_ms, where it starts")
    decays = [("model.tau_ms", model.neuron == "plif")]
    if model.synapse_tau_ms is not None:
        decays.append(("model.synapse_tau_ms", model.learn_synapse_tau))
    low, high = _LEARNED_DECAY
    for field, learned in decays:
        kept = decay(config, field)
        if learned and not low <= kept <= high:
            tau_ms = getattr(model, field.partition(".")[2])
            raise ConfigError(
                f"{field}: {tau_ms:g} is not allowed where it is learned: a step keeps {kept:g} ({low:g} ... {high:g})"
            )


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


def allowed(field: FieldInfo) -> str:
    """What a field may be, in words: its range or its choices."""
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
    kind = "a whole number" if field.annotation in (int, int | None) else ""
    if field.annotation in (float, float | None):
        kind = "a number"
    if field.annotation == tuple[str, ...]:
        kind = "names with commas between; a name that holds commas is tried first, in quotes for the shell"
    elif get_origin(field.annotation) is tuple:
        kind = "whole numbers with commas between"
        bounds = "each 1 or more" if field.annotation != tuple[int, ...] else ""
    bounds = f"{low} ... {high}" if low and high else f"{low} or more" if low and low[0].isdigit() else low or high
    return ", ".join(part for part in [kind, bounds, *text] if part)


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
    if not isinstance(kind, str) or kind not in MODELS:
        given = "missing" if kind is None else f"{kind!r} is not allowed"
        raise ConfigError(f"{name}.kind: {given} ({', '.join(MODELS)})")
    return MODELS[kind]


def _choices(annotation: Any) -> list[str]:
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if get_origin(annotation) is tuple:
        return _choices(get_args(annotation)[0])
    return []


def _explain(error: ValidationError, values: Mapping[str, Any]) -> str:
    """The first fault in one line: field, value, what is allowed."""
    # an unknown name explains a missing one
    faults = sorted(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
    fault = faults[0]
    # pydantic names the kind of model as well; users do not
    place = [str(part) for part in fault["loc"] if part not in MODELS]
    while place and place[-1].isdigit():
        place.pop()  # an element of a list: name the list
    dotted = ".".join(place)
    fields = dict(settings(values))
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(dotted, fields, 1, 0.5)
        return f"{dotted}: no such field" + (f" (did you mean {near[0]}?)" if near else "")
    if fault["type"] == "missing":
        return f"{dotted}: missing" + (f" ({allowed(fields[dotted])})" if dotted in fields else "")
    if dotted in fields:
        rule = allowed(fields[dotted]) or fault["msg"].removeprefix("Value error, ")
        return f"{dotted}: {_shortened(repr(fault['input']))} is not allowed ({rule})"
    return f"{dotted}: {fault['msg']}"


def _shortened(text: str, most: int = 100) -> str:
    return text if len(text) <= most else f"{text[: most - 4]} ..."
