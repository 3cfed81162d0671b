"""A training that starts from a network that has been trained before instead of at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ranvier.corpora.splits import Splits, joint_fingerprint
from ranvier.data.class_names import match_classes
from ranvier.errors import RuleError
from ranvier.models import Stack
from ranvier.network import Network
from ranvier.nn.pruning import synapses_at
from ranvier.recipes.adaptation import adaptation
from ranvier.recipes.build import build_input, build_model
from ranvier.recipes.checkpoint import checkpoint_file, init_file, load_checkpoint, save_checkpoint
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.conversions import steps
from ranvier.recipes.pretrained import MODEL_FILE, find_run, is_pretrained
from ranvier.recipes.run_config import read_config
from ranvier.recipes.sections import FeedforwardModel
from ranvier.runs import RunResult, read_result

_OWN = (
    "sigma",
    "threshold",
    "decay",
    "_extra_state",
)  # these follow from the recipe unless they are learned
_READOUT = "linear."
_READOUT_DECAY = "readout.parametrizations.decay.original"  # one, or one for each class


@dataclass(frozen=True, eq=False)
class _Other:
    """A finished training: its recipe, the chosen epoch's model, and where it is from.

    Attributes:
        name: as the recipe has it.
        folder: of the run.
        data: what it was trained on, by :meth:`Splits.fingerprint`.
        trained_on: kinds of data that the runs from which this one comes were trained on, besides its own.
    """

    name: str
    folder: Path
    config: Config
    model: dict[str, Tensor]
    classes: tuple[str, ...]
    data: str
    trained_on: tuple[str, ...]
    about: dict[str, Any]


def check_init(config: Config, splits: Splits, folder: Path) -> None:
    """Refuse a start that will not do, before anything is written.

    Args:
        config: names the run to start from, or none.
        splits: what is trained on.
        folder: of the new run.

    Raises:
        ConfigError: there is no such run, it is not finished or it is ``folder`` itself; its network is of another
            form; or it was trained on the same recording divided otherwise, maybe on this run's test clips.
    """
    if config.train.init_from is None:
        return
    other = _read(config.train.init_from)
    theirs = other.folder.resolve()
    if folder.resolve() in (theirs, *theirs.parents):
        raise _refused(other, "is the folder that this run would replace (--out names another)")
    _, taken = _begun(other, config, splits)
    _check_share(config, splits, taken)


def initial_state(config: Config, splits: Splits, folder: Path) -> dict[str, Any] | None:
    """What a run in ``folder`` starts from, the same each time that it is asked; None: at random.

    Weights, delays and batch norm are those of the chosen epoch of the run ``config.train.init_from``; the output
    neurons of classes that it does not have begin at random, by the seed. It is kept in the folder, so that the other
    run may change or go.

    Returns:
        ``model``: as ``load_state_dict`` takes it. ``about``: for ``result.json``.

    Raises:
        ConfigError: see :func:`check_init`.
    """
    if config.train.init_from is None:
        return None
    file = init_file(folder)
    start = load_checkpoint(file)
    if start is None:
        other = _read(config.train.init_from)
        model, taken = _begun(other, config, splits)
        start = {"model": model, "about": {**other.about, "classes": taken, "trained_on": _trained_on(other, config)}}
        save_checkpoint(file, start)
    try:
        _check_share(config, splits, start["about"]["classes"])
        if not isinstance(start["model"], dict):
            raise TypeError("model")
    except (KeyError, TypeError):
        raise ConfigError(f"{file}: is of another Ranvier, or damaged") from None
    return start


def _read(start: str) -> _Other:
    try:
        folder = find_run(start)
        if not folder.exists():
            raise ConfigError(f"{start}: is not there (a run's folder, or the name of a run of the package)")
        config, result = read_config(folder), read_result(folder)
    except RuleError as error:
        raise ConfigError(f"train.init_from: {error}") from None
    if result is None or not (folder / "network.safetensors").exists():
        raise ConfigError(
            f"train.init_from: {folder}: is no single finished training (a run's folder with its checkpoint)"
        )
    model, data = _state(folder, result)
    run = start if is_pretrained(folder) else str(folder)
    about = {"run": run, **{name: getattr(result, name) for name in ("recipe", "seed", "best_epoch", "git_commit")}}
    classes = Network.read(folder / "network.safetensors").classes
    trained_on = () if result.init_from is None else result.init_from.trained_on
    return _Other(start, folder, config, model, tuple(classes), data, trained_on, about)


def _state(folder: Path, result: RunResult) -> tuple[dict[str, Tensor], str]:
    """The model of the chosen epoch, and the fingerprint of what it was trained on."""
    file = folder / MODEL_FILE
    if file.exists():  # a run that comes with the package, or a copy of it
        try:
            return load_file(file), joint_fingerprint(result.data)
        except (SafetensorError, OSError):
            raise ConfigError(f"train.init_from: {file}: is damaged") from None
    file = checkpoint_file(folder)
    state = load_checkpoint(file)
    if state is None:
        raise ConfigError(
            f"train.init_from: {folder}: is no single finished training (a run's folder with its checkpoint)"
        )
    try:
        return state["best"]["model"], state["data"]
    except (KeyError, TypeError):
        raise ConfigError(f"train.init_from: {file}: is of another Ranvier, or damaged") from None


def _refused(other: _Other, why: str) -> ConfigError:
    return ConfigError(f"train.init_from: {other.name}: {why}")


def _begun(other: _Other, config: Config, splits: Splits) -> tuple[dict[str, Tensor], list[str]]:
    """The state that a model begins with, and the classes whose output neurons were taken."""
    _check_form(other, config)
    _check_division(other, config, splits)
    model = build_model(config, splits, torch.Generator().manual_seed(config.train.seed))
    state, taken = _with(model, other, splits.train.dataset.classes)
    _check_density(model, state, other, config)
    return state, taken


def _check_density(model: Stack, state: dict[str, Tensor], other: _Other, config: Config) -> None:
    """A network gets no synapses back that were taken away before."""
    if config.train.prune == config.train.rewire == "none":
        return
    model.load_state_dict(state)
    there = [(layer, int(layer.weight_mask.sum())) for layer in model.delay_layers if layer.weight_mask is not None]
    if there and all(count < synapses_at(layer, config.train.density) for layer, count in there):
        shares = [count / synapses_at(layer, 1.0) for layer, count in there]
        listed = ", ".join(f"{100 * share:.3g}%" for share in shares)
        raise ConfigError(
            f"train.density: {config.train.density:g} is not allowed with train.init_from = {other.name}, whose layers "
            f"from input to readout have {listed} of their synapses (up to {_rounded_down(max(shares)):g}: none come "
            "back; a layer with fewer keeps those)"
        )


def _rounded_down(share: float) -> float:
    """To three significant digits, so that what a message allows is allowed."""
    places = 2 - math.floor(math.log10(share))
    return math.floor(round(share * 10.0**places, 6)) / 10.0**places


def _check_share(config: Config, splits: Splits, taken: Sequence[str]) -> None:
    """Output neurons that began at random are nothing to keep a share of."""
    new = [name for name in splits.train.dataset.classes if name not in taken]
    if config.train.init_interpolation > 0 and new:
        raise ConfigError(
            f"train.init_interpolation: {config.train.init_interpolation:g} is not allowed where the start does not "
            f"know a class, here {new[0]} (0, or data without that class)"
        )


def _check_form(other: _Other, config: Config) -> None:
    theirs, ours = other.config.model, config.model
    if not isinstance(ours, FeedforwardModel) or not isinstance(theirs, FeedforwardModel):
        raise _refused(other, f"model.kind is {theirs.kind}, here {ours.kind} (feedforward in both)")
    forms = [
        {
            "input": "{0.channels} channels, pooled by {0.pool}".format(build_input(each)),
            "data.dt_ms": f"{each.data.dt_ms:g}",
            "model.hidden": ",".join(map(str, model.hidden)),
            "model.synapses_per_pair": model.synapses_per_pair,
            "model.delay_type": model.delay_type,
            "model.fan_in": model.fan_in,
            "model.skip": model.skip,
            "model.neuron": model.neuron,
            "model.recurrent": "undelayed" if model.recurrent != "none" and model.delays == "none" else model.recurrent,
            "model.batch_norm": str(model.batch_norm).lower(),
            "model.reset": model.reset,
            "model.learn_tau": model.learned_tau,
            "model.learn_threshold": model.learn_threshold,
            "model.learn_sigma": model.learn_sigma,
            "model.adlif": adaptation(model, each.data.dt_ms) if model.neuron == "adlif" else None,
            "model.learn_synapse_tau": model.learn_synapse_tau,
            "a delay for every weight": model.delays == "dense",
        }
        for each, model in ((other.config, theirs), (config, ours))
    ]
    for name, of_theirs in forms[0].items():
        if of_theirs != forms[1][name]:
            raise _refused(other, f"{name} is {of_theirs} there and {forms[1][name]} here (it must be the same)")
    longest, allowed = (
        0 if each.model.delays == "none" else steps(each, "model.max_delay_ms") for each in (other.config, config)
    )
    if longest > allowed:
        dt_ms = config.data.dt_ms
        raise _refused(
            other, f"delays there are up to {longest * dt_ms:g} ms, here up to {allowed * dt_ms:g} (as long, or longer)"
        )


def _check_division(other: _Other, config: Config, splits: Splits) -> None:
    """A network that was trained on the test clips would make the test worthless."""
    if config.data.kind in other.trained_on:
        raise _refused(
            other, f"was trained on data of recipe {config.data.kind}, maybe on what is held out here (start elsewhere)"
        )
    # where each speaker is left out, each training is divided in another way
    divided = config.leaves_each_speaker_out or other.data != splits.fingerprint()
    if divided and _same_recording(other.config, config):
        places = [each.data.location for each in (other.config, config)]
        which = f"data of recipe {config.data.kind}" if None in places else f"the same recording, {places[1]},"
        raise _refused(
            other,
            f"was trained on {which} divided otherwise, maybe on what this run is tested on (divide it alike, or start "
            "from a run on other recordings)",
        )


def _same_recording(theirs: Config, ours: Config) -> bool:
    """By its place; by its kind where a place is not known, as in a run that comes with the package."""
    one, other = (each.data.location for each in (theirs, ours))
    if one is None or other is None:
        return theirs.data.kind == ours.data.kind
    return Path(one).resolve() == Path(other).resolve()


def _trained_on(other: _Other, config: Config) -> list[str]:
    """Kinds of data that a run started from ``other`` comes from, besides its own.

    The place of a run of the package is not known, so its kind is remembered; if that is this run's own kind, both have
    the same clips in the same parts.
    """
    placeless = other.config.data.location is None and not _same_recording(other.config, config)
    return sorted({*other.trained_on, *([other.config.data.kind] if placeless else [])})


def _with(model: Stack, other: _Other, classes: Sequence[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The model's state with all that the other run's has for it."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    learned = {name for name, _ in model.named_parameters()}
    places = match_classes(other.classes, classes, numerals=True, partial=True).places
    pairs = [(row, int(place)) for row, place in enumerate(places) if place >= 0]
    for name in other.model:  # a pruned network stays pruned
        weight = state.get(name.removesuffix("_mask"))
        if name.endswith(".weight_mask") and weight is not None:
            state[name] = torch.ones_like(weight, dtype=torch.bool)
    for name, tensor in state.items():
        if name.rpartition(".")[2] in _OWN and name not in learned:
            continue
        if name not in other.model:
            raise _refused(other, f"its checkpoint is of another Ranvier ({name} is missing)")
        theirs = other.model[name]
        if not isinstance(theirs, Tensor) or theirs.dim() != tensor.dim():
            raise _refused(other, f"its checkpoint is damaged ({name})")
        if name == _READOUT_DECAY and tensor.dim() and len(theirs) == len(other.classes):
            for ours, row in pairs:
                tensor[ours] = theirs[row]
        elif name.startswith(_READOUT) and (*tensor.shape[-2:-1], *theirs.shape[-2:-1]) == (
            len(classes),
            len(other.classes),
        ):  # has a row for each class
            for ours, row in pairs:
                tensor[..., ours, :] = theirs[..., row, :]
        elif theirs.shape != tensor.shape:
            raise _refused(other, f"its checkpoint is damaged ({name}: {[*theirs.shape]}, not {[*tensor.shape]})")
        else:
            tensor.copy_(theirs)
    return state, [classes[ours] for ours, _ in pairs]
