"""The folders of runs as one HTML file: ``ranvier report``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.report import ReportSettings, RunReport, render
from ranvier.audio.ear.frequency import characteristic_hz
from ranvier.data import DataError, Subset, read_recording
from ranvier.data.class_names import with_classes
from ranvier.data.recording import CHANNELS
from ranvier.errors import RuleError
from ranvier.files import write_text
from ranvier.names import natural_order
from ranvier.network import Input, Network
from ranvier.recipes.config import Config, ConfigError, build_config, flat_values
from ranvier.recipes.describe import describe_run
from ranvier.recipes.evaluation import grid_of
from ranvier.recipes.observe import observe
from ranvier.recipes.pretrained import is_pretrained
from ranvier.recipes.recipe_files import load_values, recipe_names
from ranvier.recipes.run_config import read_config
from ranvier.recipes.splits import build_splits
from ranvier.runs import EvaluationRecord, read_metrics, read_probe, read_record, read_result, write_record

OWN = "the run's own"  # clips, as its configuration divides them
_LONGEST_COMMAND = 8  # options; a longer command takes the run's config.toml instead

_SAME_SOUND = ("data.root", "data.pool", "data.dt_ms", "data.alignment", "data.input", "data.ear_seed")
_NUMBERED = re.compile(r"(seed|speaker)-(\w+)")

Progress = Callable[[int, int], None] | None


def write_report(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    data: Path | None = None,
    data_root: Path | None = None,
    progress: Progress = None,
) -> Path:
    """Write one HTML file about a run, or comparing several.

    Args:
        folders: of the runs; one whose trainings leave each speaker out stands for all of them.
        out: the file; None means ``report.html`` in the only folder, or here for several.
        data: recording in SHD's format to run the networks on; None takes the run's own test clips, else its
            validation clips. What came of it is kept beside the run.
        data_root: where the runs' data are now; None means where they were.
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
    reports = [
        read_run(run, name, data=data, data_root=data_root, progress=progress)
        for run, name in zip(runs, run_names(runs), strict=True)
    ]
    write_text(file, render(reports))
    return file


def run_names(runs: Sequence[Path]) -> list[str]:
    """Names of runs: their folders without what is common to all; a seed or a speaker after its parent."""
    places = [run.parts for run in runs]
    if len(places) == 1:
        places = [places[0][-2:] if _NUMBERED.fullmatch(places[0][-1]) else places[0][-1:]]
    else:
        for end in (0, -1):
            while all(len(place) > 1 for place in places) and len({place[end] for place in places}) == 1:
                places = [place[1:] if end == 0 else place[:-1] for place in places]
    return [_name(place) for place in places]


def _name(place: Sequence[str]) -> str:
    """``a/b/seed-0`` as ``a/b, seed 0``."""
    numbered = _NUMBERED.fullmatch(place[-1])
    if numbered is None:
        return "/".join(place)
    return ", ".join([*filter(None, ["/".join(place[:-1])]), " ".join(numbered.groups())])


def trainings(folder: Path) -> list[Path]:
    """The folder itself, or those of its trainings where each speaker was left out in turn.

    Raises:
        ConfigError: it is not a run's.
    """
    config = read_config(folder)
    if not config.leaves_each_speaker_out:
        return [folder]
    folds = sorted(folder.glob("speaker-*/config.toml"), key=lambda file: natural_order(file.parent.name))
    return [file.parent for file in folds] or [folder]


def read_run(
    folder: Path, name: str, *, data: Path | None = None, data_root: Path | None = None, progress: Progress = None
) -> RunReport:
    """Everything that is shown of a run under that name; the rest is as in :func:`write_report`."""
    config, result, rows = read_config(folder, data_root), read_result(folder), read_metrics(folder)
    file = folder / "network.safetensors"
    network = Network.read(file) if file.exists() else None
    notes = [] if result is None else list(result.notes)
    record = None
    if network is None:
        notes.append(f"The training has not finished: {len(rows)} of {config.train.epochs} epochs are done.")
    else:
        try:
            record = _record(folder, config, network, data, progress)
        except (RuleError, OSError) as error:
            if data is not None:
                raise
            notes.append(f"The run's clips were not at hand ({error}); ranvier report RUN --data FILE takes others.")
    return RunReport(
        name=name,
        description=describe_run(config, result, network),
        command=command(config),
        settings=report_settings(config),
        rows=rows,
        result=result,
        network=network,
        record=record,
        probe=None if network is None else read_probe(folder),
        input_hz=None if network is None else _input_hz(config, network.input),
        notes=notes,
    )


def report_settings(config: Config) -> ReportSettings:
    """What the report has to know of a configuration."""
    data, published, fields = config.data, config.protocol == "paper", tuple(flat_values(config).items())
    by_speaker = {
        "validation": data.unseen_validation_speakers and not published,
        "test": data.unseen_test_speakers,
    }
    learned = config.model.delays == "learned"
    return ReportSettings(
        recipe=data.kind,
        delays=config.model.delays,
        epochs=config.train.epochs,
        seed=config.train.seed,
        published=published,
        unseen=frozenset(split for split, held_out in by_speaker.items() if held_out),
        sigma_start_ms=config.train.sigma_start_ms if learned else None,
        initialised=config.train.init_from is not None,
        division=tuple(pair for pair in fields if pair[0].startswith("data.") and pair[0] not in _SAME_SOUND),
        fields=fields,
    )


def _input_hz(config: Config, inputs: Input) -> NDArray[np.float64] | None:
    """Characteristic frequency of every input, the geometric mean of the channels it pools, where an ear made them."""
    if not config.data.from_ear or inputs.channels != CHANNELS:
        return None
    starts = np.arange(0, CHANNELS, inputs.pool)
    logs = np.add.reduceat(np.log(characteristic_hz(CHANNELS)), starts)
    return np.asarray(np.exp(logs / np.diff([*starts, CHANNELS])))


def _record(folder: Path, config: Config, network: Network, data: Path | None, progress: Progress) -> EvaluationRecord:
    which = OWN
    if data is not None:
        about = data.stat()
        which = f"{data.absolute()} {about.st_size} {about.st_mtime_ns}"
    kept = read_record(folder, which)
    if kept is not None and kept.complete:
        return kept
    try:
        part, split = (
            _own_clips(folder, config, network, progress) if data is None else _recorded(data, network, progress)
        )
    except (RuleError, OSError):
        if kept is None:
            raise
        return kept  # the clips have gone, and it lacks little
    record = observe(network, part, split, progress=progress)
    if not is_pretrained(folder):
        write_record(folder, record, which)
    return record


def _own_clips(folder: Path, config: Config, network: Network, progress: Progress) -> tuple[Subset, str]:
    """The test clips if there are any, else those of validation, else those it was trained on."""
    try:
        splits = build_splits(config, progress=progress)
        # training has ended, or there would be no network
        parts = {"test": splits.read_test(), "validation": splits.validation, "train": splits.train}
    except (RuleError, OSError):
        if not (folder / "test.h5").exists():
            raise
        parts = {"test": _recorded(folder / "test.h5", network, progress)[0]}
    return next((part, split) for split, part in parts.items() if part is not None and len(part))


def _recorded(file: Path, network: Network, progress: Progress) -> tuple[Subset, str]:
    """Every clip of a recording, and what to call them."""
    dataset = read_recording(file, grid_of(network), classes=len(network.classes), progress=progress)
    try:
        by_number = with_classes(dataset, network.classes)[1]
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    return Subset.every(dataset), f"{file.name} (classes by number)" if by_number else file.name


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
