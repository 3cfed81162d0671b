"""A table of recipes over seeds: which runs it has, and the table of what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranvier.analysis.intervals import Mean, speaker_interval
from ranvier.data import DataError
from ranvier.recipes.config import Config, ConfigError, flat_values
from ranvier.recipes.diverged import read_diverged
from ranvier.recipes.fit import ProgressCallback
from ranvier.recipes.run_config import read_config
from ranvier.recipes.run_cost import RunCost, run_cost
from ranvier.recipes.splits import build_splits, check_same_data
from ranvier.recipes.tables import Row, TableOfRecipes
from ranvier.runs import OverSpeakers, RunResult, SplitAccuracy, read_result

HEADER = (
    "model", "published [%]", "ours [%] ± over seeds", "over speakers [%]", "clips' interval [%]", "clips",
    "seen speakers [%]", "seeds", "parameters", "synapses", "spikes a clip", "synaptic operations a clip",
    "delay buffers [kB]", "seconds a run",
)  # fmt: skip

_MARK = {"honest": "", "paper": " †"}


@dataclass(frozen=True)
class Run:
    """One training of a table."""

    row: Row
    protocol: str
    seed: int
    config: Config
    folder: Path

    def result(self) -> RunResult | None:
        """What came out, or None while it is not finished."""
        return read_result(self.folder)

    def is_finished(self) -> bool:
        """Whether there is nothing more to train."""
        return self.result() is not None or self.diverged()

    def diverged(self) -> bool:
        """Whether the training came to NaN or infinity, where its settings would take it again."""
        parts = [file.parent for file in self.folder.glob("*/diverged.json")]  # of a run of several trainings
        return any(read_diverged(folder) is not None for folder in (self.folder, *parts))


@dataclass(frozen=True)
class RowResult:
    """What is there of a row.

    Attributes:
        row: the row.
        protocol: ``honest`` or ``paper``.
        accuracy: by seed, in [0, 1].
        split: what it was measured on.
        clips: clips in that split.
        seen: by seed, accuracy on held-out clips of the speakers that were trained on, where they were kept apart.
        parameters: learned by the network.
        seconds: of training, the mean over runs.
        cost: of the networks, the mean over runs; None where the runs' folders do not say it.
        over_speakers: of the speakers' accuracies, each the mean over seeds; None where they are not unseen.
        tested: seeds that had a test set, where others had none, so that all count on validation clips.
        unknown_data: seeds whose results do not say what their data were.
        missing: why there is nothing; None if there is something or will be.
        diverged: seeds whose training came to NaN or infinity.
    """

    row: Row
    protocol: str
    accuracy: Mapping[int, float] = field(default_factory=dict)
    split: str = ""
    clips: int = 0
    seen: Mapping[int, float] = field(default_factory=dict)
    parameters: int = 0
    seconds: float = 0.0
    cost: RunCost | None = None
    over_speakers: OverSpeakers | None = None
    tested: Sequence[int] = ()
    unknown_data: Sequence[int] = ()
    missing: str | None = None
    diverged: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The row's name, marked where the epoch was chosen on the test set."""
        return self.row.name + _MARK[self.protocol]


def plan(
    table: TableOfRecipes,
    folder: Path,
    *,
    seeds: int,
    overrides: Mapping[str, Any],
    protocols: Sequence[str] = ("honest",),
) -> list[Run]:
    """Every run of a table, first seeds first.

    Raises:
        ConfigError: a recipe does not allow an override, or a run in the folder was made by other settings.
    """
    if seeds < 1:
        raise ConfigError(f"seeds: {seeds} is not allowed (1 or more)")
    runs = []
    for seed in range(seeds):
        for row in table.rows:
            for protocol in protocols:
                config = row.config(seed, {**overrides, "protocol": protocol})
                name = row.folder + ("" if protocol == "honest" else f"-{protocol}")
                run = Run(row, protocol, seed, config, folder / name / f"seed-{seed}")
                _check_same(run)
                runs.append(run)
    return runs


def _check_same(run: Run) -> None:
    if not (run.folder / "config.toml").exists():
        return
    there, here = (flat_values(config) for config in (read_config(run.folder), run.config))
    for name in {**there, **here}:
        if name not in ("data.root", "tracker") and there.get(name) != here.get(name):
            raise ConfigError(
                f"{run.folder}: was run with {name} = {there.get(name)}, not {here.get(name)} (--out another folder)"
            )


def find_missing(runs: Sequence[Run], progress: ProgressCallback) -> dict[str, str]:
    """Why a row cannot be run, by the recipe's data: what is not on the machine, and how to get it.

    Raises:
        ConfigError: the data are not those that finished runs of the table were trained on.
    """
    faults: dict[str, str] = {}
    for run in runs:
        key = data_key(run)
        if key in faults or run.is_finished():
            continue
        try:
            splits = build_splits(run.config, progress=progress.clips)
            faults[key] = ""
        except (ConfigError, DataError) as error:
            faults[key] = str(error)
            continue
        for other in runs:
            if data_key(other) == key and (result := other.result()) is not None:
                check_same_data(run.folder, splits.fingerprints(), other.folder, result.data)
    return {key: fault for key, fault in faults.items() if fault}


def data_key(run: Run) -> str:
    """The same for runs on the same data."""
    return run.config.protocol + run.config.data.model_dump_json()


def collect(runs: Sequence[Run], missing: Mapping[str, str]) -> list[RowResult]:
    """What is there, row by row.

    Raises:
        ConfigError: two runs that should be of the same data are not; both are named.
    """
    rows: dict[tuple[str, str], list[Run]] = {}
    results: dict[Path, RunResult] = {}
    of_same_data: dict[str, list[Path]] = {}
    for run in runs:
        rows.setdefault((run.row.name, run.protocol), []).append(run)
        result = run.result()
        if result is None:
            continue
        others = of_same_data.setdefault(data_key(run), [])
        for other in others:
            check_same_data(other, results[other].data, run.folder, result.data)
        others.append(run.folder)
        results[run.folder] = result
    return [_collect(of_row, results, missing) for of_row in rows.values()]


def _collect(runs: Sequence[Run], known: Mapping[Path, RunResult], missing: Mapping[str, str]) -> RowResult:
    results = {run.seed: known[run.folder] for run in runs if run.folder in known}
    row, protocol = runs[0].row, runs[0].protocol
    diverged = tuple(run.seed for run in runs if run.diverged())
    if not results:
        nothing = "diverged" if diverged else missing.get(data_key(runs[0]))
        return RowResult(row, protocol, missing=nothing, diverged=diverged)
    has = {name: [seed for seed, r in results.items() if name in r.accuracy] for name in ("test", "validation")}
    split = next((name for name, seeds in has.items() if len(seeds) == len(results)), None)
    if split is None:
        nothing = "its seeds were not all measured on test clips, nor on validation clips"
        return RowResult(row, protocol, missing=nothing, diverged=diverged)
    accuracies = {seed: result.accuracy[split] for seed, result in results.items()}
    first = next(iter(accuracies.values()))
    held_out = split == "validation" and runs[0].config.data.unseen_validation_speakers
    return RowResult(
        row,
        protocol,
        {seed: accuracy.value for seed, accuracy in accuracies.items()},
        split,
        first.clips,
        {seed: result.accuracy["seen"].value for seed, result in results.items() if "seen" in result.accuracy},
        next(iter(results.values())).parameters,
        sum(result.seconds for result in results.values()) / len(results),
        RunCost.mean([cost for run in runs if run.folder in known and (cost := run_cost(run.folder)) is not None]),
        # results from before they had an interval over speakers list the speakers
        _over_speakers(list(accuracies.values())) if first.over_speakers is not None or held_out else None,
        has["test"] if split == "validation" else (),
        [seed for seed, result in results.items() if not result.data],
        diverged=diverged,
    )


def _over_speakers(accuracies: Sequence[SplitAccuracy]) -> OverSpeakers | None:
    """Over the speakers' means over the seeds; where there are too many to be listed, the seeds' intervals averaged."""
    listed = [accuracy.speakers for accuracy in accuracies]
    if all(listed):
        names = dict.fromkeys(name for speakers in listed for name in speakers)
        by_name = {name: [speakers[name].value for speakers in listed if name in speakers] for name in names}
        return speaker_interval(Mean.of(values).value for values in by_name.values())
    overs = [accuracy.over_speakers for accuracy in accuracies if accuracy.over_speakers is not None]
    if not overs:
        return None
    value = Mean.of([over.value for over in overs]).value
    lows, highs = ([getattr(over, end) for over in overs] for end in ("low", "high"))
    if None in lows or None in highs:
        return OverSpeakers(value=value, speakers=overs[0].speakers)
    return OverSpeakers(value=value, low=Mean.of(lows).value, high=Mean.of(highs).value, speakers=overs[0].speakers)
