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
from ranvier.analysis.intervals import Accuracy
from ranvier.data import write_recording
from ranvier.models import Feedforward, freeze
from ranvier.network import Network
from ranvier.recipes.build import build_input
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.evaluate import Evaluation, evaluate
from ranvier.recipes.fit import Fitted, Watcher, fit, predict
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
from ranvier.recipes.sections import FeedforwardModel, FolderData
from ranvier.recipes.splits import Part, Splits, build_splits
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
    """
    check_folder(folder, force=force)
    _check_data(config, folder, watcher)
    if (folder / "config.toml").exists():
        with run_lock(folder):
            make_folder(folder, config, force=force)
    else:
        make_folder(folder, config, force=force)
    return resume(folder, watcher)


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
        return _resume(config, folder, watcher)


def _check_same_data(folder: Path, data_root: Path, watcher: Watcher) -> None:
    """Compare the data with those of a training of the run that has begun; one is enough, they share the data."""
    for file in (folder / "config.toml", *folder.glob("*/config.toml")):
        saved = load_checkpoint(checkpoint_file(file.parent))
        if saved is not None:
            splits = build_splits(read_config(file.parent, data_root), progress=watcher.clips)
            if splits.fingerprint() != saved.get("data"):
                raise ConfigError(f"--data-root: {data_root} does not hold the data that {folder} was trained on")
            return


def _resume(config: Config, folder: Path, watcher: Watcher) -> dict[str, Any]:
    if _leaves_speakers_out(config):
        return load_or_run(folder, lambda: _leave_one_speaker_out(config, folder, watcher))
    result = load_or_run(folder, lambda: _train_one(config, folder, watcher, config.name))
    if config.compare and "comparison" not in result:
        result = {**result, "comparison": _compare(config, folder, watcher, result)}
        write_result(folder, result)
        write_report([folder])
    return result


def _leaves_speakers_out(config: Config) -> bool:
    validation = getattr(config.data, "validation", None)
    return validation == "leave-one-speaker-out" and config.protocol == "honest"


def _check_data(config: Config, folder: Path, watcher: Watcher) -> None:
    check_tracker(config)
    if _leaves_speakers_out(config):
        splits = _whole(config, watcher)
        _speakers(splits.train)
    else:
        splits = build_splits(config, progress=watcher.clips)
        _check_incoming(config, splits)
    check_start(config, splits, folder)


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
    whole = config.model_copy(update={"data": config.data.model_copy(update={"validation": "none"})})
    return build_splits(whole, progress=watcher.clips)


def _speakers(part: Part) -> list[tuple[int, str]]:
    """Number and name of each."""
    speakers = np.unique(part.dataset.speakers[part.clips])
    if len(speakers) < 2 or -1 in speakers:
        raise ConfigError("data.validation: leave-one-speaker-out needs a recording that names two speakers or more")
    return [(int(speaker), _name(part, speaker)) for speaker in speakers]


def _name(part: Part, speaker: int) -> str:
    names = part.dataset.speaker_names
    return names[speaker] if names else str(speaker)


def _train_one(config: Config, folder: Path, watcher: Watcher, title: str) -> dict[str, Any]:
    with tracked(config, folder) as tracker:
        started = time.perf_counter()
        splits = build_splits(config, progress=watcher.clips)
        fitted = fit(config, splits, folder, watcher, title, tracker.epoch)
        result = _finish(config, splits, fitted, folder, watcher)
        result["wall_seconds"] = round(time.perf_counter() - started, 1)
        result["finished"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
        chosen = {f"chosen_{name}_accuracy": part["value"] for name, part in result["accuracy"].items()}
        tracker.end(config.train.epochs, chosen)
        write_result(folder, result)  # before the report, on which nothing hangs
        write_report([folder])
    return result


def _finish(config: Config, splits: Splits, fitted: Fitted, folder: Path, watcher: Watcher) -> dict[str, Any]:
    """Freeze, test and draw what was fitted; returns the result."""
    network = freeze(
        fitted.model, dt_ms=config.data.dt_ms, classes=splits.train.dataset.classes, input=build_input(config)
    )
    network.write(folder / "network.safetensors")
    # training has ended: the one time that the test split is read
    test = splits.read_test()
    tested = None if test is None else evaluate(network, test.dataset, test.clips, progress=watcher.clips)
    before = fitted.delays_before
    _draw(folder, splits, network, before)
    if splits.example and test is not None:
        _write_clips(folder / "test.h5", test, network.input.pool)
    shown = next((part, name) for name, part in _parts(splits, test).items() if name != "seen" and part is not None)
    keep_observed(folder, observe(network, *shown, evaluation=tested, progress=watcher.clips), OWN)
    return {
        **_describe(config, splits, fitted, test),
        "accuracy": _accuracies(splits, fitted.model, tested),
        "delays_found": _found(network, before, splits.offsets),
    }


def _parts(splits: Splits, test: Part | None) -> dict[str, Part | None]:
    return {"test": test, "validation": splits.validation, "seen": splits.seen, "train": splits.train}


def _describe(config: Config, splits: Splits, fitted: Fitted, test: Part | None) -> dict[str, Any]:
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


def _accuracies(splits: Splits, model: Feedforward, tested: Evaluation | None) -> dict[str, Any]:
    """Accuracy of the chosen epoch on every split that is there, on validation also by speaker."""
    accuracies: dict[str, Any] = {}
    for name, part in (("validation", splits.validation), ("seen", splits.seen)):
        if part is None:
            continue
        right = predict(model, part) == part.dataset.labels[part.clips]
        speaker = part.dataset.speakers[part.clips]
        accuracies[name] = Accuracy.of(right).as_dict()
        there = np.unique(speaker)
        if len(there) <= _MOST_SPEAKERS:
            accuracies[name]["speakers"] = {
                _name(part, s): Accuracy.of(right[speaker == s]).as_dict() for s in there if s >= 0
            }
    if tested is not None:
        accuracies["test"] = tested.accuracy.as_dict()
        accuracies["test"]["spikes_per_neuron_and_clip"] = [round(rate, 4) for rate in tested.spikes_per_neuron]
    return accuracies


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


def _write_clips(file: Path, part: Part, pool: int) -> None:
    """The test clips as a recording, so that ``ranvier eval`` has something to read."""
    times, units = [], []
    for clip in part.clips:
        step, source, count = part.dataset.clip(int(clip))
        # the middle of a step survives the rounding of float16 seconds
        times.append(np.repeat((step + 0.5) * part.dataset.dt_ms / 1000, count))
        units.append(np.repeat(source.astype(np.int64) * pool, count))
    write_recording(file, times, units, part.dataset.labels[part.clips], classes=part.dataset.classes)


def _variant(config: Config, **changes: Mapping[str, Any]) -> Config:
    """The recipe with some fields of some sections replaced, and nothing to compare with."""
    sections = {name: getattr(config, name).model_copy(update=dict(fields)) for name, fields in changes.items()}
    return config.model_copy(update={**sections, "compare": ()})


def _part_run(config: Config, folder: Path, watcher: Watcher, title: str) -> dict[str, Any]:
    if not (folder / "config.toml").exists():
        make_folder(folder, config, force=folder.exists())
    with run_lock(folder):
        return load_or_run(folder, lambda: _train_one(config, folder, watcher, title))


def _compare(config: Config, folder: Path, watcher: Watcher, learned: dict[str, Any]) -> dict[str, Any]:
    results = {config.model.delays: learned}
    for delays in config.compare:
        weight_lr = config.compare_weight_lr or config.train.weight_lr
        variant = _variant(config, model={"delays": delays}, train={"weight_lr": weight_lr})
        results[delays] = _part_run(variant, folder / delays, watcher, f"{config.name}, delays {delays}")
    return {
        name: {key: result[key] for key in ("accuracy", "parameters", "seconds")} for name, result in results.items()
    }


def _leave_one_speaker_out(config: Config, folder: Path, watcher: Watcher) -> dict[str, Any]:
    folds = {}
    for number, speaker in _speakers(_whole(config, watcher).train):
        held_out = speaker if isinstance(config.data, FolderData) else number
        fold = _variant(config, data={"validation": "speakers", "validation_speakers": (held_out,)})
        name = f"speaker-{speaker}" if speaker.isalnum() else f"speaker-{number}"
        folds[speaker] = _part_run(fold, folder / name, watcher, f"{config.name}, speaker {speaker} left out")
    write_report([folder])
    shares = [fold["accuracy"]["validation"]["value"] for fold in folds.values()]
    right = sum(fold["accuracy"]["validation"]["correct"] for fold in folds.values())
    clips = sum(fold["accuracy"]["validation"]["clips"] for fold in folds.values())
    return {
        "recipe": config.name,
        "seed": config.train.seed,
        "protocol": config.protocol,
        "epoch_chosen_on": "validation, in each fold",
        "folds": folds,
        "mean_over_speakers": float(np.mean(shares)),
        "accuracy": {"validation": Accuracy.of(np.arange(clips) < right).as_dict()},
        "parameters": next(iter(folds.values()))["parameters"],
        "epochs": config.train.epochs,
        "seconds": round(sum(fold["seconds"] for fold in folds.values()), 1),
        "versions": versions(),
        "git_commit": git_commit(),
        "machine": machine(),
    }
