"""A run from its recipe to its result: fit, freeze, test, compare, draw."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ranvier.analysis import figures
from ranvier.analysis.delays import found_delays
from ranvier.analysis.intervals import Accuracy, OverSpeakers
from ranvier.corpora.splits import Splits
from ranvier.data import SpikeDataset, Subset, write_dataset
from ranvier.models import Feedforward, freeze
from ranvier.network import Network
from ranvier.recipes.build import build_input, build_model
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.evaluate import Evaluation, evaluate
from ranvier.recipes.fit import DivergedError, Fitted, Watcher, fit, predict
from ranvier.recipes.observed import keep_observed, observe
from ranvier.recipes.provenance import git_commit, machine, versions
from ranvier.recipes.report import OWN, write_report
from ranvier.recipes.run_folder import (
    check_folder,
    load_or_run,
    make_folder,
    move_data,
    read_config,
    run_lock,
    write_result,
)
from ranvier.recipes.sections import FeedforwardModel
from ranvier.recipes.splits import build_splits, check_same_data
from ranvier.recipes.start import check_start
from ranvier.recipes.trackers import check_tracker, tracked

_MOST_SPEAKERS = 20  # an accuracy for each is told up to so many


def train(config: Config, folder: Path, watcher: Watcher, *, force: bool = False) -> dict[str, Any]:
    """Train a recipe in a new folder.

    Args:
        config: what to train.
        folder: is made; holds everything that the run leaves.
        watcher: is told how it goes.
        force: replace an older run of that name.

    Returns:
        The result, as ``result.json`` holds it.

    Raises:
        ConfigError: the recipe or the folder will not do; nothing has been written.
        DataError: the data are not there or damaged; nothing has been written.
        DivergedError: see :func:`ranvier.recipes.fit.fit`; ``network.safetensors`` is of the best epoch before, if one
            had ended.
    """
    check_folder(folder, force=force)
    config = config.model_copy(update={"data": config.data.resolved()})
    splits = _check_data(config, folder, watcher)
    if (folder / "config.toml").exists():
        with run_lock(folder):
            make_folder(folder, config, force=force)
    else:
        make_folder(folder, config, force=force)
    with run_lock(folder):
        return _resume(config, folder, watcher, splits)


def resume(folder: Path, watcher: Watcher, *, data_root: Path | None = None) -> dict[str, Any]:
    """Continue a run to the end that it would have come to without the stop; a finished run only tells its result.

    Args:
        folder: of the run.
        watcher: is told how it goes.
        data_root: where its data are now, which the run then notes; None means where they were.

    Raises:
        ConfigError: the folder is not a run's, its checkpoint is damaged, another process is training it, or
            ``data_root`` holds other data.
        DataError: the data are not there.
    """
    config = read_config(folder, data_root)
    with run_lock(folder):
        if data_root is not None:
            _check_same_data(folder, data_root, watcher)
            move_data(folder, data_root)
        return _resume(config, folder, watcher, None)


def _check_same_data(folder: Path, data_root: Path, watcher: Watcher) -> None:
    """Compare the data with those of a training of the run that has begun; one is enough, they share the data."""
    for file in (folder / "config.toml", *folder.glob("*/config.toml")):
        saved = load_checkpoint(checkpoint_file(file.parent))
        if saved is not None:
            splits = build_splits(read_config(file.parent, data_root), progress=watcher.clips)
            if splits.fingerprint() != saved.get("data"):
                raise ConfigError(f"--data-root: {data_root} does not hold the data that {folder} was trained on")
            return


def _resume(config: Config, folder: Path, watcher: Watcher, splits: Splits | None) -> dict[str, Any]:
    """``splits`` are the run's where they have been read."""
    if config.leaves_each_speaker_out:
        return load_or_run(folder, lambda: _leave_one_speaker_out(config, folder, watcher))
    result = load_or_run(folder, lambda: _train_one(config, folder, watcher, config.name, splits))
    if config.compare and "comparison" not in result:
        result = {**result, "comparison": _compare(config, folder, watcher, result, splits)}
        write_result(folder, result)
        write_report([folder])
    return result


def _check_data(config: Config, folder: Path, watcher: Watcher) -> Splits | None:
    """Refuse data that the run could not be trained on; returns them, but not those of a series of trainings."""
    check_tracker(config)
    if config.leaves_each_speaker_out:
        splits = _whole(config, watcher)
        _speakers(splits.train)
    else:
        splits = build_splits(config, progress=watcher.clips)
        _check_incoming(config, splits)
    check_start(config, splits, folder)
    return None if config.leaves_each_speaker_out else splits


def _check_incoming(config: Config, splits: Splits) -> None:
    if not isinstance(config.model, FeedforwardModel) or config.model.incoming is None:
        return
    fewest = min(splits.train.dataset.sources, *config.model.hidden)
    if config.model.incoming > fewest:
        raise ConfigError(
            f"model.incoming: {config.model.incoming} is not allowed (1 ... {fewest}, the narrowest layer's neurons)"
        )


def _whole(config: Config, watcher: Watcher) -> Splits:
    """The data with nobody left out."""
    whole = config.model_copy(update={"data": config.data.undivided()})
    return build_splits(whole, progress=watcher.clips)


def _speakers(part: Subset) -> list[tuple[int, str]]:
    """Number and name of each."""
    speakers = np.unique(part.dataset.speakers[part.clips])
    if len(speakers) < 2 or -1 in speakers:
        raise ConfigError("data.validation: leave-one-speaker-out needs a recording that names two speakers or more")
    return list(zip(speakers.tolist(), part.by_speaker(), strict=True))


def _train_one(
    config: Config, folder: Path, watcher: Watcher, title: str, splits: Splits | None = None
) -> dict[str, Any]:
    with tracked(config, folder) as tracker:
        started = time.perf_counter()
        splits = splits or build_splits(config, progress=watcher.clips)
        try:
            fitted = fit(config, splits, folder, watcher, title, tracker.epoch)
        except DivergedError as error:
            error.args = (f"{folder}: {error}; {_keep_finite(config, splits, folder)}",)
            raise
        result = _finish(config, splits, fitted, folder, watcher)
        result["wall_seconds"] = round(time.perf_counter() - started, 1)
        result["finished"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
        chosen = {f"chosen_{name}_accuracy": part["value"] for name, part in result["accuracy"].items()}
        tracker.end(config.train.epochs, chosen)
        write_result(folder, result)  # before the report, on which nothing hangs
        write_report([folder])
    return result


def _keep_finite(config: Config, splits: Splits, folder: Path) -> str:
    """Write the network of the best epoch before a training diverged; returns what there is, in words."""
    state = load_checkpoint(checkpoint_file(folder))
    if state is None:
        return "no epoch ended before"
    model = build_model(config, splits, torch.Generator())
    model.load_state_dict(state["best"]["model"])
    try:
        _freeze(config, splits, model).write(folder / "network.safetensors")
    except ValueError:  # weights that are finite may be too large for what they are folded into
        return "the weights of the epochs before are too large to be frozen"
    return f"network.safetensors is of epoch {state['best']['epoch']}, the best before"


def _freeze(config: Config, splits: Splits, model: Feedforward) -> Network:
    classes = splits.train.dataset.classes
    return freeze(model, dt_ms=config.data.dt_ms, classes=classes, input=build_input(config))


def _finish(config: Config, splits: Splits, fitted: Fitted, folder: Path, watcher: Watcher) -> dict[str, Any]:
    """Freeze, test and draw what was fitted; returns the result."""
    network = _freeze(config, splits, fitted.model)
    network.write(folder / "network.safetensors")
    # training has ended: the one time that the test split is read
    test = splits.read_test()
    tested = None if test is None else evaluate(network, test.dataset, test.clips, progress=watcher.clips)
    before = fitted.delays_before
    _draw(folder, splits, network, before)
    if splits.example and test is not None and isinstance(test.dataset, SpikeDataset):
        write_dataset(folder / "test.h5", test.dataset, test.clips, pool=network.input.pool)
    shown = next((part, name) for name, part in _parts(splits, test).items() if name != "seen" and part is not None)
    keep_observed(folder, observe(network, *shown, evaluation=tested, progress=watcher.clips), OWN)
    return {
        **_describe(config, splits, fitted, test),
        "accuracy": _accuracies(splits, fitted.model, test, tested, config.train.padded_batch),
        "delays_found": _found(network, before, splits.offsets),
    }


def _parts(splits: Splits, test: Subset | None) -> dict[str, Subset | None]:
    return {"test": test, "validation": splits.validation, "seen": splits.seen, "train": splits.train}


def _describe(config: Config, splits: Splits, fitted: Fitted, test: Subset | None) -> dict[str, Any]:
    parts = _parts(splits, test)
    last_epoch = {name: value for name, value in fitted.last_epoch.items() if not isinstance(value, list)}
    chosen_on = "nothing (last epoch)" if splits.validation is None else "validation"
    return {
        "recipe": config.name,
        "seed": config.train.seed,
        "delays": config.model.delays,
        **({} if fitted.start is None else {"start": fitted.start}),
        "protocol": config.protocol,
        "epoch_chosen_on": "test (as published: optimistic)" if config.protocol == "paper" else chosen_on,
        "clips": {
            name: 0 if (part := parts[name]) is None else len(part) for name in ("train", "validation", "seen", "test")
        },
        "left_out": list(splits.left_out),
        "notes": list(splits.notes),
        "data": {**splits.fingerprints(), **({} if test is None else {"test": test.fingerprint()})},
        "parameters": fitted.model.parameter_count(),
        "epochs": config.train.epochs,
        "best_epoch": fitted.best_epoch,
        "last_epoch": last_epoch,
        "seconds": round(fitted.seconds, 1),
        "versions": versions(),
        "git_commit": git_commit(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
    }


def _accuracies(
    splits: Splits, model: Feedforward, test: Subset | None, tested: Evaluation | None, padded_batch: int | None
) -> dict[str, Any]:
    """Accuracy of the chosen epoch on every split that is there, by speaker too, and over speakers that are unseen."""
    accuracies: dict[str, Any] = {}
    for name, part in (("validation", splits.validation), ("seen", splits.seen)):
        if part is not None:
            right = predict(model, part, padded_batch=padded_batch) == part.dataset.labels[part.clips]
            accuracies[name] = _accuracy(splits, part, right)
    if test is not None and tested is not None:
        accuracies["test"] = _accuracy(splits, test, tested.predictions == test.dataset.labels[test.clips])
        accuracies["test"]["spikes_per_neuron_and_clip"] = [round(rate, 4) for rate in tested.spikes_per_neuron]
    return accuracies


def _accuracy(splits: Splits, part: Subset, right: NDArray[np.bool_]) -> dict[str, Any]:
    accuracy = Accuracy.of(right).as_dict()
    speakers = {name: Accuracy.of(right[theirs]) for name, theirs in part.by_speaker().items()}
    if 0 < len(speakers) <= _MOST_SPEAKERS:
        accuracy["speakers"] = {name: one.as_dict() for name, one in speakers.items()}
    if splits.unseen(part):
        accuracy["over_speakers"] = OverSpeakers.of(one.value for one in speakers.values()).as_dict()
    return accuracy


def _found(network: Network, before: list[NDArray[Any]], offsets: NDArray[Any] | None) -> dict[str, int] | None:
    if offsets is None:
        return None
    after = network.layers[0].delay_steps[0]
    found, at_start = (int(found_delays(delays, offsets).sum()) for delays in (after, before[0][0]))
    return {"found": found, "at_start": at_start, "decisive": offsets.size}


def _draw(folder: Path, splits: Splits, network: Network, before: list[NDArray[Any]]) -> None:
    if splits.offsets is None:
        # a weight of 0 is no synapse
        there = [layer.weight != 0 for layer in network.layers]
        begun = [delays[mask] for delays, mask in zip(before, there, strict=True)]
        after = [layer.delay_steps[mask] for layer, mask in zip(network.layers, there, strict=True)]
        figures.save(figures.plot_delays(begun, after, network.dt_ms), folder / "delays.png")
    else:
        drawn = figures.plot_detectors(before[0][0], network.layers[0].delay_steps[0], splits.offsets, network.dt_ms)
        figures.save(drawn, folder / "delays.png")
    part = splits.validation or splits.train
    clip, dataset = int(part.clips[0]), part.dataset
    label = dataset.classes[dataset.labels[clip]]
    raster = figures.plot_raster(network, dataset.clip(clip), int(dataset.lengths[clip]), label)
    figures.save(raster, folder / "raster.png")


def _variant(config: Config, **changes: Mapping[str, Any]) -> Config:
    """The recipe with some fields of some sections replaced, and nothing to compare with."""
    sections = {name: getattr(config, name).model_copy(update=dict(fields)) for name, fields in changes.items()}
    return config.model_copy(update={**sections, "compare": ()})


def _part_run(
    config: Config, folder: Path, watcher: Watcher, title: str, splits: Splits | None = None
) -> dict[str, Any]:
    if not (folder / "config.toml").exists():
        make_folder(folder, config, force=folder.exists())
    with run_lock(folder):
        return load_or_run(folder, lambda: _train_one(config, folder, watcher, title, splits))


def _compare(
    config: Config, folder: Path, watcher: Watcher, learned: dict[str, Any], splits: Splits | None
) -> dict[str, Any]:
    results = {config.model.delays: learned}
    for delays in config.compare:
        weight_lr = config.compare_weight_lr or config.train.weight_lr
        variant = _variant(config, model={"delays": delays}, train={"weight_lr": weight_lr})
        results[delays] = _part_run(variant, folder / delays, watcher, f"{config.name}, delays {delays}", splits)
        check_same_data(folder, learned, folder / delays, results[delays])
    return {
        name: {key: result[key] for key in ("accuracy", "parameters", "seconds")} for name, result in results.items()
    }


def _leave_one_speaker_out(config: Config, folder: Path, watcher: Watcher) -> dict[str, Any]:
    folds: dict[str, dict[str, Any]] = {}
    places: list[Path] = []
    for number, speaker in _speakers(_whole(config, watcher).train):
        data = config.data.without_speaker(number, speaker)
        fold = config.model_copy(update={"data": data, "compare": ()})
        places.append(folder / (f"speaker-{speaker}" if speaker.isalnum() else f"speaker-{number}"))
        folds[speaker] = _part_run(fold, places[-1], watcher, f"{config.name}, speaker {speaker} left out")
        one = next(iter(folds.values()))
        check_same_data(places[0], one, places[-1], folds[speaker], only=("dataset",))
    write_report([folder])
    accuracies = [fold["accuracy"]["validation"] for fold in folds.values()]
    right, clips = (sum(accuracy[name] for accuracy in accuracies) for name in ("correct", "clips"))
    over_speakers = OverSpeakers.of(accuracy["value"] for accuracy in accuracies)
    return {
        "recipe": config.name,
        "seed": config.train.seed,
        "protocol": config.protocol,
        "epoch_chosen_on": "validation, in each fold",
        **({"data": {"dataset": one["data"]["dataset"]}} if one.get("data") else {}),
        "folds": folds,
        "mean_over_speakers": over_speakers.value,
        "accuracy": {
            "validation": {**Accuracy.of(np.arange(clips) < right).as_dict(), "over_speakers": over_speakers.as_dict()}
        },
        "parameters": one["parameters"],
        "epochs": config.train.epochs,
        "seconds": round(sum(fold["seconds"] for fold in folds.values()), 1),
        "versions": versions(),
        "git_commit": git_commit(),
        "machine": machine(),
    }
