"""A table of recipes over seeds: every run once, whoever runs it, and the table of what is there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranvier.analysis import figures
from ranvier.analysis.intervals import Mean, wilson_interval
from ranvier.analysis.tables import as_csv, as_latex, as_markdown
from ranvier.data import DataError
from ranvier.data.lock import file_lock
from ranvier.files import write_text
from ranvier.recipes.config import Config, ConfigError, flat_values
from ranvier.recipes.fit import Watcher
from ranvier.recipes.run_folder import BusyError, read_config, read_result
from ranvier.recipes.splits import build_splits
from ranvier.recipes.tables import Row, TableOfRecipes
from ranvier.recipes.train import resume, train

_LOOK_AGAIN_S = 2.0
HEADER = (
    "model", "published [%]", "ours [%]", "95% of the clips", "clips", "heard voices [%]", "seeds", "parameters",
    "seconds a run",
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

    def result(self) -> dict[str, Any] | None:
        """What came out, or None while it is not finished."""
        return read_result(self.folder)


@dataclass(frozen=True)
class RowResult:
    """What is there of a row.

    Attributes:
        row: the row.
        protocol: ``honest`` or ``paper``.
        accuracy: by seed, in [0, 1].
        split: what it was measured on.
        clips: clips in that split.
        heard: by seed, accuracy on held-out clips of the speakers that were trained on, where they were kept apart.
        parameters: learned by the network.
        seconds: of training, the mean over runs.
        missing: why there is nothing; None if there is something or will be.
    """

    row: Row
    protocol: str
    accuracy: Mapping[int, float] = field(default_factory=dict)
    split: str = ""
    clips: int = 0
    heard: Mapping[int, float] = field(default_factory=dict)
    parameters: int = 0
    seconds: float = 0.0
    missing: str | None = None

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


def find_missing(runs: Sequence[Run], watcher: Watcher) -> dict[str, str]:
    """Why a row cannot be run, by the recipe's data: what is not on the machine, and how to get it."""
    faults: dict[str, str] = {}
    for run in runs:
        key = data_key(run)
        if key in faults or run.result() is not None:
            continue
        try:
            build_splits(run.config, progress=watcher.clips)
            faults[key] = ""
        except (ConfigError, DataError) as error:
            faults[key] = str(error)
    return {key: fault for key, fault in faults.items() if fault}


def data_key(run: Run) -> str:
    """The same for runs on the same data."""
    return run.config.protocol + run.config.data.model_dump_json()


def carry_out(runs: Sequence[Run], watcher: Watcher) -> None:
    """Finish every run that nobody has finished; what another process is at is waited for.

    Raises:
        ConfigError, DataError: a run cannot be trained; what is finished stays.
    """
    while True:
        worked, busy = False, False
        for run in runs:
            if run.result() is not None:
                continue
            run.folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                with file_lock(run.folder.with_name(f"{run.folder.name}.lock"), wait=False):
                    if run.result() is None:
                        _carry_out(run, watcher)
                    worked = True
            except (BlockingIOError, BusyError):
                busy = True
        if not busy:
            return
        if not worked:
            time.sleep(_LOOK_AGAIN_S)


def _carry_out(run: Run, watcher: Watcher) -> None:
    if (run.folder / "config.toml").exists():
        resume(run.folder, watcher)
    else:
        train(run.config, run.folder, watcher)


def collect(runs: Sequence[Run], missing: Mapping[str, str]) -> list[RowResult]:
    """What is there, row by row."""
    rows: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        rows.setdefault((run.row.name, run.protocol), []).append(run)
    return [_collect(of_row, missing) for of_row in rows.values()]


def _collect(runs: Sequence[Run], missing: Mapping[str, str]) -> RowResult:
    results = {run.seed: result for run in runs if (result := run.result()) is not None}
    row, protocol = runs[0].row, runs[0].protocol
    if not results:
        return RowResult(row, protocol, missing=missing.get(data_key(runs[0])))
    first = next(iter(results.values()))
    split = "test" if "test" in first["accuracy"] else "validation"
    return RowResult(
        row,
        protocol,
        {seed: result["accuracy"][split]["value"] for seed, result in results.items()},
        split,
        first["accuracy"][split]["clips"],
        {seed: result["accuracy"]["seen"]["value"] for seed, result in results.items() if "seen" in result["accuracy"]},
        first["parameters"],
        sum(result["seconds"] for result in results.values()) / len(results),
    )


def cells(result: RowResult) -> list[str]:
    """A row as text, under :data:`HEADER`."""
    row = result.row
    published = "" if row.published is None else f"{row.published:.2f}"
    if row.published_interval is not None:
        published += f" ± {row.published_interval:.2f}"
    if not result.accuracy:
        return [result.name, published, result.missing or "not run yet", "", "", "", "0", "", ""]
    mean, heard = Mean.of(list(result.accuracy.values())), list(result.heard.values())
    low, high = wilson_interval(round(mean.value * result.clips), result.clips)
    return [
        result.name,
        published,
        _in_percent(mean),
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{result.clips} {result.split}",
        _in_percent(Mean.of(heard)) if heard else "",
        str(mean.count),
        str(result.parameters),
        f"{result.seconds:.0f}",
    ]


def _in_percent(mean: Mean) -> str:
    return f"{100 * mean.value:.2f}" + ("" if mean.half is None else f" ± {100 * mean.half:.2f}")


def comparisons(results: Sequence[RowResult]) -> Iterator[str]:
    """A sentence for each row that is compared with another, over the seeds that both have."""
    by_name = {(result.row.name, result.protocol): result for result in results}
    for result in results:
        other = by_name.get((result.row.against or "", result.protocol))
        if other is None:
            continue
        seeds = sorted(set(result.accuracy) & set(other.accuracy))
        if not seeds:
            continue
        mean = Mean.of([100 * (result.accuracy[seed] - other.accuracy[seed]) for seed in seeds])
        pair = f"{result.name} against {other.name}: {mean.value:+.2f} points"
        if mean.half is None:
            yield f"{pair} (one seed: no interval)."
        else:
            verdict = "" if mean.distinguishable else ": not distinguishable"
            low, high = mean.value - mean.half, mean.value + mean.half
            yield f"{pair} [{low:+.2f}, {high:+.2f}] over {len(seeds)} seeds{verdict}."


def write_tables(title: str, results: Sequence[RowResult], folder: Path, command: str) -> None:
    """``table.md``, ``table.csv``, ``table.tex`` and ``table.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [cells(result) for result in results]
    notes = [
        f"Made by `{command}`. ± is the 95% t-interval over seeds; the interval of the clips is Wilson's, at the mean."
    ]
    if any(result.protocol == "paper" for result in results):
        notes.append("† epoch chosen on the test set, as published: optimistic.")
    if any(result.split == "validation" for result in results):
        notes.append("validation: the clips that the epoch was chosen on, the best of its epochs there.")
    if any(result.heard for result in results):
        notes.append("heard voices: held-out clips of the speakers that were trained on.")
    said = [f"- {sentence}" for sentence in comparisons(results)]
    text = f"# {title}\n\n{as_markdown(HEADER, rows)}\n" + "\n\n".join([*notes, "\n".join(said)]).rstrip() + "\n"
    write_text(folder / "table.md", text)
    write_text(folder / "table.csv", as_csv(HEADER, rows))
    write_text(folder / "table.tex", as_latex(HEADER, rows))
    figures.save(figures.plot_table(title, [_drawn(result) for result in results]), folder / "table.png")


def _drawn(result: RowResult) -> dict[str, Any]:
    accuracies = [100 * value for value in result.accuracy.values()]
    mean = Mean.of(accuracies) if accuracies else None
    return {
        "name": result.name,
        "accuracies": accuracies,
        "mean": mean and mean.value,
        "half": mean and mean.half,
        "published": result.row.published,
        "published_half": result.row.published_interval,
    }
