"""Which values of a recipe go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.corpora.section import check_length
from ranvier.errors import ConfigError
from ranvier.recipes.adaptation import check_adaptation
from ranvier.recipes.comparison import compared_with
from ranvier.recipes.conversions import DCLS_FLOOR, decay, recurrent_init_steps, steps
from ranvier.recipes.sections import ConvolutionalModel, DetectorModel, FeedforwardModel

if TYPE_CHECKING:
    from ranvier.recipes.config import Config

LONGEST_DELAY = 32767  # steps, as int16 holds them
LOWEST_SIGMA = 0.12  # steps, as ops/dense has it, which loads torch
_LEARNED_DECAY = (1e-6, 1 - 1e-6)  # beyond, the sigmoid that it is learned through is flat


def check_consistency(config: Config) -> None:
    """Check what single fields do not say.

    Raises:
        ConfigError: values do not go together, or not with the time step; the message names one and what is allowed.
    """
    decay(config)
    if isinstance(config.model, DetectorModel | ConvolutionalModel):
        decay(config, "model.readout_tau_ms")
    if isinstance(config.model, DetectorModel) and config.model.scores == "count":
        raise ConfigError("model.scores: count is not allowed with model.kind = detectors (softmax, sum, max, last)")
    if steps(config, "model.max_delay_ms") > LONGEST_DELAY:
        longest_ms = LONGEST_DELAY * config.data.dt_ms
        raise ConfigError(f"model.max_delay_ms: {config.model.max_delay_ms:g} is not allowed (0 ... {longest_ms:g} ms)")
    if isinstance(config.model, FeedforwardModel):
        _check_synapses(config.model)
        _check_recurrence(config, config.model)
        _check_decays(config, config.model)
        _check_bits(config.model)
        check_adaptation(config.model, config.data.dt_ms)
    if "fixed" in config.compare and getattr(config.model, "init_delay", "uniform") == "shortest":
        raise ConfigError("compare: fixed is not allowed with model.init_delay = shortest (delays would all be alike)")
    _check_sigma(config)
    _check_rates(config)
    _check_wiring(config)
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
        _check_pictures(config, config.model)
    _check_augmentation(config)
    for delays in config.compare:
        try:
            check_consistency(compared_with(config, delays))
        except ConfigError as error:
            raise ConfigError(f"compare: {delays} is not allowed here ({error})") from None


def _check_augmentation(config: Config) -> None:
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


def _check_sigma(config: Config) -> None:
    learned = getattr(config.model, "learn_sigma", "none")
    if learned != "none" and config.model.delays != "learned":
        raise ConfigError(
            f"model.learn_sigma: {learned} is not allowed with model.delays = {config.model.delays} (none)"
        )
    longest_ms, start_ms = config.model.max_delay_ms + config.data.dt_ms, config.train.sigma_start_ms
    if learned != "none" and config.model.max_delay_ms > 0 and start_ms > longest_ms:
        raise ConfigError(
            f"train.sigma_start_ms: {start_ms:g} is not allowed with model.learn_sigma = {learned} (up to "
            f"{longest_ms:g} ms, a time step more than the longest delay)"
        )
    if learned == "synapse" and config.train.rewire == "rigl":
        raise ConfigError("model.learn_sigma: synapse is not allowed with train.rewire = rigl (none, layer)")
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
    if model.init_delay == "shortest" and model.max_init_delay_ms is not None:
        raise ConfigError("model.max_init_delay_ms: is not allowed with model.init_delay = shortest (none)")
    if model.delays == "dense":
        for name, needed in (("synapses_per_pair", 1), ("delay_type", "synaptic")):
            if (given := getattr(model, name)) != needed:
                raise ConfigError(f"model.{name}: {given} is not allowed where every delay has its weight ({needed})")


def _check_bits(model: FeedforwardModel) -> None:
    """What :func:`ranvier.network.quantize` refuses is refused before the training."""
    if model.delays == "none" and model.delay_bits is not None:
        raise ConfigError(f"model.delay_bits: {model.delay_bits} is not allowed with model.delays = none (none)")
    for name, off in (("weight_bits", "none"), ("delay_bits", None)):
        if (given := getattr(model, name)) == off:
            continue
        for other, allowed in (
            ("neuron", ("lif", "plif")),
            ("reset", ("zero",)),
            ("recurrent", ("none",)),
            ("synapse_tau_ms", (None,)),
            ("scores", ("softmax", "count")),
        ):
            if (value := getattr(model, other)) not in allowed:
                words = ", ".join("none" if each is None else each for each in allowed)
                raise ConfigError(f"model.{other}: {value} is not allowed with model.{name} = {given} ({words})")
    if model.weight_bits != "none" and model.skip != "none":  # all weights to a neuron have one step
        raise ConfigError(
            f"model.skip: {model.skip} is not allowed with model.weight_bits = {model.weight_bits} (none)"
        )


def _check_pictures(config: Config, model: ConvolutionalModel) -> None:
    if config.data.picture is None:
        raise ConfigError(f"model.kind: {model.kind} is not allowed with data of {config.data.kind} (data of pictures)")
    if model.kernel_size % 2 == 0:
        raise ConfigError(f"model.kernel_size: {model.kernel_size} is not allowed (an odd number)")


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
    if model.recurrent == "undelayed" and model.recurrent_max_init_delay_ms is not None:
        raise ConfigError("model.recurrent_max_init_delay_ms: is not allowed with model.recurrent = undelayed (none)")
    if model.recurrent == "undelayed" or model.delays == "none":
        return
    if not 1 <= recurrent_init_steps(config, model) <= LONGEST_DELAY:
        dt_ms = config.data.dt_ms
        name = "max_delay_ms" if model.recurrent_max_init_delay_ms is None else "recurrent_max_init_delay_ms"
        raise ConfigError(
            f"model.{name}: {getattr(model, name):g} is not allowed where recurrent delays start from one step to "
            f"here ({dt_ms:g} ... {LONGEST_DELAY * dt_ms:g} ms)"
        )


def _check_wiring(config: Config) -> None:
    train, model = config.train, config.model
    name = "prune" if train.prune != "none" else "rewire"
    kind = getattr(train, name)
    for field, of in (("prune_start", "prune"), ("prune_end", "prune"), ("rewire_steps", "rewire")):
        off = type(train).model_fields[field].default
        if getattr(train, of) == "none" and (given := getattr(train, field)) != off:
            raise ConfigError(f"train.{field}: {given} is not allowed without train.{of} ({off})")
    if kind == "none":
        if train.density < 1:
            raise ConfigError(
                f"train.density: {train.density:g} is not allowed without train.prune or train.rewire (1)"
            )
        return
    if train.density == 1:
        raise ConfigError(f"train.density: 1 is not allowed with train.{name} = {kind} (above 0, below 1)")
    if isinstance(model, DetectorModel):
        raise ConfigError(f"train.{name}: {kind} is not allowed with model.kind = detectors (none)")
    if train.rewire != "none":
        for other, off in (("prune", "none"), ("ema_decay", 0), ("init_interpolation", 0)):
            if (given := getattr(train, other)) != off:
                raise ConfigError(f"train.rewire: {train.rewire} is not allowed with train.{other} = {given} ({off})")
    if train.prune_start >= train.prune_end:
        raise ConfigError(
            f"train.prune_start: {train.prune_start:g} is not allowed with train.prune_end = {train.prune_end:g} "
            "(below it)"
        )
    if train.prune in ("delay", "joint") and model.delays == "none":
        raise ConfigError(f"train.prune: {train.prune} is not allowed with model.delays = none (none, magnitude)")


def _check_rates(config: Config) -> None:
    train, highest_hz = config.train, 1000 / config.data.dt_ms
    if train.rate_penalty == 0 and (train.rate_min_hz, train.rate_max_hz) != (0, None):
        raise ConfigError("train.rate_penalty: 0 is not allowed with rate_min_hz or rate_max_hz (above 0)")
    if train.rate_penalty > 0 and (train.rate_min_hz, train.rate_max_hz) == (0, None):
        raise ConfigError("train.rate_penalty: is not allowed without rate_min_hz or rate_max_hz (0 without)")
    limit_hz = highest_hz if train.rate_max_hz is None else min(train.rate_max_hz, highest_hz)
    if train.rate_min_hz > limit_hz:
        raise ConfigError(f"train.rate_min_hz: {train.rate_min_hz:g} is not allowed (0 ... {limit_hz:g} Hz)")


def _check_decays(config: Config, model: FeedforwardModel) -> None:
    if model.synapse_tau_ms is None and model.learn_synapse_tau:
        raise ConfigError("model.learn_synapse_tau: true is not allowed without model.synapse_tau_ms, where it starts")
    for name in ("learn_tau", "learn_threshold", "reset"):
        if getattr(model, name) not in ("none", "zero") and model.neuron not in ("lif", "plif"):
            raise ConfigError(f"model.{name}: is not allowed with model.neuron = {model.neuron} (lif and plif have it)")
    decays = [("model.tau_ms", model.learned_tau != "none")]
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
