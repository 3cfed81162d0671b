"""A run from its recipe to its result: fit, freeze, test, compare, draw."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ranvier.analysis.intervals import clip_accuracy, speaker_interval
from ranvier.corpora.splits import Splits
from ranvier.data import SpikeDataset, Subset, write_dataset
from ranvier.models import Stack, freeze
from ranvier.network import Network
from ranvier.recipes.accuracies import split_accuracies
from ranvier.recipes.build import build_input, build_model, check_convolutions
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint
from ranvier.recipes.comparison import compared_with
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.device import find_device
from ranvier.recipes.diverged import DivergedError
from ranvier.recipes.evaluation import evaluate
from ranvier.recipes.fit import FitResult, ProgressCallback, Silent, fit
from ranvier.recipes.initialise import check_init
from ranvier.recipes.observe import observe
from ranvier.recipes.pretrained import find_run, is_pretrained
from ranvier.recipes.report import OWN, write_report
from ranvier.recipes.rounding import accuracy_before_rounding
from ranvier.recipes.run_config import config_values, move_data, read_config
from ranvier.recipes.run_figures import count_found_delays, draw_figures
from ranvier.recipes.sections import ConvolutionalModel
from ranvier.recipes.splits import build_splits, check_same_data
from ranvier.recipes.trackers import check_tracker, tracked
from ranvier.recipes.wiring import check_wiring
from ranvier.runs import (
    ComparedTraining,
    RunResult,
    SplitAccuracy,
    check_folder,
    make_folder,
    read_result,
    run_lock,
    write_record,
    write_result,
)
from ranvier.runs.provenance import git_commit, machine, versions


def train(
    config: Config,
    folder: Path,
    progress: ProgressCallback | None = None,
    *,
    force: bool = False,
    read_test: bool = True,
) -> RunResult:
    """Train a recipe in a new folder.

    Args:
        config: what to train.
        folder: is made; holds everything that the run leaves.
        progress: called while it goes on; None shows nothing.
        force: replace an older run of that name.
        read_test: read the test split after training; without it the result has no test accuracy.

    Raises:
        ConfigError: the recipe or the folder will not do; nothing has been written.
        DataError: the data are not there or damaged; nothing has been written.
        DivergedError: see :func:`ranvier.recipes.fit.fit`; ``network.safetensors`` is of the best epoch before, if one
            had ended.
    """
    progress = progress or Silent()
    check_folder(folder, force=force)
    config = config.model_copy(update={"data": config.data.resolved()})
    splits = _check_data(config, folder, progress)
    if splits is not None and not read_test:
        splits = replace(splits, read_test=lambda: None)
    if (folder / "config.toml").exists():
        with run_lock(folder):
            make_folder(folder, config_values(config), force=force)
    else:
        make_folder(folder, config_values(config), force=force)
    with run_lock(folder):
        return _resume(config, folder, progress, splits)


def resume(
    folder: Path,
    progress: ProgressCallback | None = None,
    *,
    data_root: Path | None = None,
    read_test: bool = True,
) -> RunResult:
    """Resume a run bit-exactly; of a finished run only the result is returned.

    Args:
        folder: of the run.
        progress: called while it goes on; None shows nothing.
        data_root: where its data are now, which the run then notes; None means where they were.
        read_test: as for :func:`train`.

    Raises:
        ConfigError: the folder is not a run's, its checkpoint is damaged, another process is training it, or
            ``data_root`` holds other data.
        DataError: the data are not there.
    """
    if is_pretrained(find_run(os.fspath(folder))):
        raise ConfigError(
            f"--resume: {folder} comes with the package and is finished (a run's folder allowed; --train.init-from "
            f"{folder.name} trains from it)"
        )
    progress, config = progress or Silent(), read_config(folder, data_root)
    with run_lock(folder):
        if data_root is not None:
            _check_same_data(folder, data_root, progress)
            move_data(folder, data_root)
        splits = None
        if not (read_test or config.leaves_each_speaker_out):
            splits = replace(build_splits(config, progress=progress.clips), read_test=lambda: None)
        return _resume(config, folder, progress, splits)


def _check_same_data(folder: Path, data_root: Path, progress: ProgressCallback) -> None:
    """Compare the data with those of a training of the run that has begun; one is enough, they share the data."""
    for file in (folder / "config.toml", *folder.glob("*/config.toml")):
        saved = load_checkpoint(checkpoint_file(file.parent))
        if saved is not None:
            splits = build_splits(read_config(file.parent, data_root), progress=progress.clips)
            if splits.fingerprint() != saved.get("data"):
                raise ConfigError(f"--data-root: {data_root} does not hold the data that {folder} was trained on")
            return


def _resume(config: Config, folder: Path, progress: ProgressCallback, splits: Splits | None) -> RunResult:
    """Whatever is not there yet; the result of the run comes last, so it is written once.

    ``splits`` are the run's where they have been read.
    """
    result = read_result(folder)
    alone = not config.compare or config.leaves_each_speaker_out
    if result is not None and (alone or result.comparison):
        return result
    if config.leaves_each_speaker_out:
        result = _leave_one_speaker_out(config, folder, progress)
    else:
        compared = _compare(config, folder, progress, splits)
        if result is None:  # else of a version that compared afterwards
            result = _train_one(config, folder, progress, config.name, splits)
        for delays, other in compared.items():
            check_same_data(folder, result.data, folder / delays, other.data)
        kept = {
            name: ComparedTraining(accuracy=one.accuracy, parameters=one.parameters, seconds=one.seconds)
            for name, one in compared.items()
        }
        result = result.model_copy(update={"comparison": kept})
    write_result(folder, result)
    write_report([folder])
    return result


def _check_data(config: Config, folder: Path, progress: ProgressCallback) -> Splits | None:
    """Refuse data that the run could not be trained on; returns them, but not those of a series of trainings."""
    check_tracker(config)
    find_device(config.train.device)
    if config.leaves_each_speaker_out:
        splits = _whole(config, progress)
        _speakers(splits.train)
    else:
        splits = build_splits(config, progress=progress.clips)
        check_wiring(config, splits)
        if isinstance(config.model, ConvolutionalModel):
            check_convolutions(config, splits)
    check_init(config, splits, folder)
    return None if config.leaves_each_speaker_out else splits


def _whole(config: Config, progress: ProgressCallback) -> Splits:
    """The data with nobody left out."""
    whole = config.model_copy(update={"data": config.data.undivided()})
    return build_splits(whole, progress=progress.clips)


def _speakers(part: Subset) -> list[tuple[int, str]]:
    """Number and name of each."""
    speakers = np.unique(part.dataset.speakers[part.clips])
    if len(speakers) < 2 or -1 in speakers:
        raise ConfigError("data.validation: leave-one-speaker-out needs a recording that names two speakers or more")
    return list(zip(speakers.tolist(), part.by_speaker(), strict=True))


def _train_one(
    config: Config, folder: Path, progress: ProgressCallback, title: str, splits: Splits | None = None
) -> RunResult:
    with tracked(config, folder) as tracker:
        started = time.perf_counter()
        splits = splits or build_splits(config, progress=progress.clips)
        try:
            fitted = fit(config, splits, folder, progress, title, tracker.epoch)
        except DivergedError as error:
            error.args = (f"{folder}: {error}; {_keep_finite(config, splits, folder)}",)
            raise
        result = _finish(config, splits, fitted, folder, progress, started)
        tracker.end(result)
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


def _freeze(config: Config, splits: Splits, model: Stack) -> Network:
    classes = splits.train.dataset.classes
    return freeze(model, dt_ms=config.data.dt_ms, classes=classes, input=build_input(config))


def _finish(
    config: Config, splits: Splits, fitted: FitResult, folder: Path, progress: ProgressCallback, started: float
) -> RunResult:
    """Freeze, test and draw what was fitted."""
    network = _freeze(config, splits, fitted.model)
    network.write(folder / "network.safetensors")
    # training has ended: the one time that the test split is read
    test = splits.read_test()
    tested = None if test is None else evaluate(network, test.dataset, test.clips, progress=progress.clips)
    before = fitted.delays_before
    draw_figures(folder, splits, network, before, [one.synapse_delays().numpy() for one in fitted.model.delay_layers])
    if splits.example and test is not None and isinstance(test.dataset, SpikeDataset):
        write_dataset(folder / "test.h5", test.dataset, test.clips, pool=network.input.pool)
    parts = _parts(splits, test)
    shown = next((part, name) for name, part in parts.items() if name != "seen" and part is not None)
    write_record(folder, observe(network, *shown, evaluation=tested, progress=progress.clips), OWN)
    chosen_on: Literal["validation", "test", "nothing"]
    chosen_on = "nothing" if splits.validation is None else "test" if config.protocol == "paper" else "validation"
    return RunResult(
        recipe=config.name,
        seed=config.train.seed,
        delays=config.model.delays,
        protocol=config.protocol,
        epoch_chosen_on=chosen_on,
        accuracy=split_accuracies(splits, fitted.model, test, tested, config.train.padded_batch),
        before_rounding=accuracy_before_rounding(fitted.model, splits, config.train.padded_batch),
        clips={name: 0 if (part := parts[name]) is None else len(part) for name in parts},
        left_out=tuple(splits.left_out),
        notes=tuple(splits.notes),
        data={**splits.fingerprints(), **({} if test is None else {"test": test.fingerprint()})},
        parameters=fitted.model.parameter_count(),
        epochs=config.train.epochs,
        best_epoch=fitted.best_epoch,
        seconds=round(fitted.seconds, 1),
        wall_seconds=round(time.perf_counter() - started, 1),
        finished=datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        versions=versions(),
        git_commit=git_commit(),
        machine=machine(),
        threads=torch.get_num_threads(),
        device=fitted.device,
        init_from=fitted.init_from,
        delays_found=count_found_delays(network, before, splits.offsets),
    )


def _parts(splits: Splits, test: Subset | None) -> dict[str, Subset | None]:
    return {"test": test, "validation": splits.validation, "seen": splits.seen, "train": splits.train}


def _part_run(
    config: Config, folder: Path, progress: ProgressCallback, title: str, splits: Splits | None = None
) -> RunResult:
    if not (folder / "config.toml").exists():
        make_folder(folder, config_values(config), force=folder.exists())
    with run_lock(folder):
        result = read_result(folder)
        if result is None:
            result = _train_one(config, folder, progress, title, splits)
            write_result(folder, result)
            write_report([folder])
        return result


def _compare(config: Config, folder: Path, progress: ProgressCallback, splits: Splits | None) -> dict[str, RunResult]:
    """The trainings with other kinds of delays."""
    results: dict[str, RunResult] = {}
    for delays in config.compare:
        title = f"{config.name}, delays {delays}"
        results[delays] = _part_run(compared_with(config, delays), folder / delays, progress, title, splits)
    return results


def _leave_one_speaker_out(config: Config, folder: Path, progress: ProgressCallback) -> RunResult:
    folds: dict[str, RunResult] = {}
    places: list[Path] = []
    for number, speaker in _speakers(_whole(config, progress).train):
        data = config.data.without_speaker(number, speaker)
        fold = config.model_copy(update={"data": data, "compare": ()})
        places.append(folder / (f"speaker-{speaker}" if speaker.isalnum() else f"speaker-{number}"))
        folds[speaker] = _part_run(fold, places[-1], progress, f"{config.name}, speaker {speaker} left out")
        one = next(iter(folds.values()))
        check_same_data(places[0], one.data, places[-1], folds[speaker].data, only=("dataset",))
    accuracies = [fold.accuracy["validation"] for fold in folds.values()]
    right, clips = sum(one.correct for one in accuracies), sum(one.clips for one in accuracies)
    over_speakers = speaker_interval(one.value for one in accuracies)
    whole = SplitAccuracy(**clip_accuracy(np.arange(clips) < right).model_dump(), over_speakers=over_speakers)
    return RunResult(
        recipe=config.name,
        seed=config.train.seed,
        delays=config.model.delays,
        protocol=config.protocol,
        epoch_chosen_on="validation",
        accuracy={"validation": whole},
        data={"dataset": one.data["dataset"]} if one.data else {},
        parameters=one.parameters,
        epochs=config.train.epochs,
        seconds=round(sum(fold.seconds for fold in folds.values()), 1),
        versions=versions(),
        git_commit=git_commit(),
        machine=machine(),
        folds=folds,
    )
