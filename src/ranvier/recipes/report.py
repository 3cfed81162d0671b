"""A run's folder as a page to read: ``ranvier report``."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.report import Observed, RunReport, render
from ranvier.data import DataError, Grid, read_recording
from ranvier.network import Network
from ranvier.recipes.config import Config, ConfigError, build_config, flat_values, load_values, recipe_names
from ranvier.recipes.metrics import read_metrics
from ranvier.recipes.observed import keep_observed, kept_observed, observe
from ranvier.recipes.run_folder import read_config, read_result, write_whole
from ranvier.recipes.sections import DetectorModel, DigitsData, FeedforwardModel
from ranvier.recipes.splits import Part, build_splits

OWN = "the run's own"  # clips, as its configuration divides them
_LONGEST_COMMAND = 8  # options; a longer command takes the run's config.toml instead

Progress = Callable[[int, int], None] | None


def write_report(
    folders: Sequence[Path], out: Path | None = None, *, data: Path | None = None, progress: Progress = None
) -> Path:
    """Write one HTML file about a run, or comparing several.

    Args:
        folders: of the runs; one whose trainings leave each speaker out stands for all of them.
        out: the file; None means ``report.html`` in the only folder, or here for several.
        data: recording in SHD's format to run the networks on; None takes the run's own test clips, else its
            validation clips. What came of it is kept beside the run.
        progress: called with (clips run, clips in all).

    Returns:
        The file that was written.

    Raises:
        ConfigError: a folder is not a run's.
        DataError, NetworkError: a file is damaged.
    """
    file = out or (folders[0] if len(folders) == 1 else Path()) / "report.html"
    if file.is_dir():
        raise ConfigError(f"--out: {file} is a folder (a file's name is needed)")
    runs = list(dict.fromkeys(run.resolve() for folder in folders for run in trainings(folder)))
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run) for run in runs]
    reports = [read_run(run, name, data=data, progress=progress) for run, name in zip(runs, names, strict=True)]
    write_whole(file, render(reports))
    return file


def trainings(folder: Path) -> list[Path]:
    """The folder itself, or those of its trainings where each speaker was left out in turn.

    Raises:
        ConfigError: it is not a run's.
    """
    config = read_config(folder)
    if getattr(config.data, "validation", None) != "leave-one-speaker-out" or config.protocol == "paper":
        return [folder]
    folds = sorted(folder.glob("speaker-*/config.toml"), key=lambda file: (len(file.parent.name), file.parent.name))
    return [file.parent for file in folds] or [folder]


def read_run(folder: Path, name: str, *, data: Path | None = None, progress: Progress = None) -> RunReport:
    """Everything that a report tells of a run under that name; the rest is as in :func:`write_report`."""
    config, result, rows = read_config(folder), read_result(folder), read_metrics(folder)
    file = folder / "network.safetensors"
    network = Network.read(file) if file.exists() else None
    notes: list[str] = []
    observed = None
    if network is None:
        notes.append(f"The training has not finished: {len(rows)} of {config.train.epochs} epochs are done.")
    else:
        try:
            observed = _observed(folder, config, network, data, progress)
        except (DataError, ConfigError, OSError) as error:
            if data is not None:
                raise
            notes.append(
                f"The run's clips were not at hand ({error}), so there is nothing of what the network does with them. "
                "ranvier report RUN --data FILE takes clips from a recording."
            )
    return RunReport(
        name=name,
        story=_story(config, network, result),
        command=command(config),
        settings=flat_values(config),
        epochs=config.train.epochs,
        rows=rows,
        result=result,
        network=network,
        observed=observed,
        notes=notes,
    )


def _observed(folder: Path, config: Config, network: Network, data: Path | None, progress: Progress) -> Observed:
    which = OWN
    if data is not None:
        about = data.stat()
        which = f"{data.absolute()} {about.st_size} {about.st_mtime_ns}"
    observed = kept_observed(folder, which)
    if observed is None:
        if data is None:
            part, split = _own_clips(folder, config, network, progress)
        else:
            part, split = _recorded(data, network, progress), data.name
        observed = observe(network, part, split, progress=progress)
        keep_observed(folder, observed, which)
    return observed


def _own_clips(folder: Path, config: Config, network: Network, progress: Progress) -> tuple[Part, str]:
    """The test clips if there are any, else those of validation, else those it was trained on."""
    try:
        splits = build_splits(config, progress=progress)
        # training has ended, or there would be no network
        parts = {"test": splits.read_test(), "validation": splits.validation, "train": splits.train}
    except (DataError, ConfigError, OSError):
        if not (folder / "test.h5").exists():
            raise
        parts = {"test": _recorded(folder / "test.h5", network, progress)}
    return next((part, split) for split, part in parts.items() if part is not None and len(part))


def _recorded(file: Path, network: Network, progress: Progress) -> Part:
    grid = Grid(network.input.channels, network.input.pool, network.dt_ms, network.input.alignment)
    dataset = read_recording(file, grid, classes=len(network.classes), progress=progress)
    return Part(dataset, np.arange(len(dataset)))


_FEW = {2: "two", 3: "three", 4: "four"}
_TASKS = {
    "digits": "which digit a voice says, zero to nine in English and German; the voices are synthetic",
    "coincidence": "in which order channels fire",
    "shd": "which digit a voice says, zero to nine in English and German (Spiking Heidelberg Digits)",
    "ssc": "which word a voice says (Spiking Speech Commands)",
    "gsc": "which word a voice says (Google Speech Commands)",
    "folder": "which class a recording belongs to",
}


def _story(config: Config, network: Network | None, result: dict[str, Any] | None) -> list[str]:
    """What was trained, for somebody who knows nothing of it."""
    model, data = config.model, config.data
    neurons = "one detector neuron per class"
    if not isinstance(model, DetectorModel):
        neurons = _layers(model.hidden)
    ends = "" if network is None else f", {network.input.sources} inputs and {len(network.classes)} classes"
    learns = "has learned" if result is not None else "is learning"
    sentences = [
        f"A network of spiking neurons ({neurons}{ends}) {learns} to tell {_TASKS[data.kind]}. "
        + {
            "learned": "Besides the strength of every synapse it learned its delay: how long a spike is on its way, "
            f"0 to {model.max_delay_ms:g} ms in steps of {data.dt_ms:g} ms.",
            "fixed": "It learned the strength of every synapse; their delays, "
            f"0 to {model.max_delay_ms:g} ms, stayed as they were drawn at random.",
            "none": "It learned the strength of every synapse; there are no delays: a spike arrives at once.",
            "every": "Between two neurons there is a synapse for every delay, "
            f"0 to {model.max_delay_ms:g} ms in steps of {data.dt_ms:g} ms; it learned the strength of each.",
        }[model.delays]
    ]
    if isinstance(model, FeedforwardModel):
        sentences += _memory(model, network)
    clips = (result or {}).get("clips", {})
    if clips:
        passes = f"{config.train.epochs} times" if config.train.epochs > 1 else "once"
        sentence = f"It heard {clips['train']:,} training clips {passes}."
        if clips.get("validation") and config.protocol != "paper":
            sentence += f" {clips['validation']:,} others decided which of its epochs is kept."
        if clips.get("test"):
            strange = " of voices it had never heard" if isinstance(data, DigitsData) else ""
            sentence += f" At the end it was tested once, on {clips['test']:,} clips{strange}."
        sentences.append(sentence)
    return sentences


def _memory(model: FeedforwardModel, network: Network | None) -> list[str]:
    """What is out of the ordinary about how its neurons and synapses remember."""

    def kept(decays: Sequence[NDArray[np.float32] | None]) -> str:
        shares = [f"{100 * float(decay[0]):.3g}%" for decay in decays if decay is not None]
        return f"{', '.join(shares[:-1])} and {shares[-1]}" if len(set(shares)) > 1 else shares[0]

    layers = [] if network is None else list(network.layers)
    sentences = []
    if model.neuron == "plif":
        end = f": in the end {kept([layer.decay for layer in layers])} from step to step" if layers else ""
        sentences.append(f"Each layer also learned how much of their voltage its neurons keep{end}.")
    if model.synapse_tau_ms is not None:
        how = "a share that each hidden layer learned" if model.learn_synapse_tau else "a fixed share"
        traces = [layer.synapse_decay for layer in layers[:-1]]
        end = f" ({kept(traces)})" if layers else ""
        sentences.append(
            "What a hidden neuron sends on is not its spikes but their trace: each spike adds one to it, and in every "
            f"step without a spike {how} of it is kept{end}."
        )
    return sentences


def _layers(sizes: Sequence[int]) -> str:
    if len(sizes) == 1:
        return f"one hidden layer of {sizes[0]:,} neurons"
    if len(set(sizes)) == 1:
        return f"{_FEW.get(len(sizes), len(sizes))} hidden layers of {sizes[0]:,} neurons each"
    return f"hidden layers of {', '.join(f'{size:,}' for size in sizes)} neurons"


def command(config: Config) -> str:
    """What trains the same again: the recipe with what differs from it, or the run's own ``config.toml``."""
    fallback = "ranvier train RUN/config.toml"
    if config.name not in recipe_names():
        return fallback
    usual, here = flat_values(build_config(load_values(config.name))), flat_values(config)
    changed = {field: value for field, value in here.items() if usual.get(field) != value and field != "summary"}
    if len(changed) > _LONGEST_COMMAND or usual.keys() != here.keys():
        return fallback
    words = ["ranvier", "train", config.name]
    for field, value in changed.items():
        words += ["--data-root" if field == "data.root" else "--" + field.replace("_", "-"), value]
    return shlex.join(words)
