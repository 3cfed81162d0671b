"""A table of recipes over seeds: every run once, whoever runs it, and the table of what is there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranvier.analysis import figures
from ranvier.analysis.intervals import Mean, speaker_interval, wilson_interval
from ranvier.analysis.tables import as_csv, as_latex, as_markdown
from ranvier.data import DataError
from ranvier.files import write_text
from ranvier.locks import file_lock
from ranvier.recipes.config import Config, ConfigError, flat_values
from ranvier.recipes.fit import DivergedError, ProgressCallback, read_diverged
from ranvier.recipes.run_config import read_config
from ranvier.recipes.splits import build_splits, check_same_data
from ranvier.recipes.tables import Row, TableOfRecipes
from ranvier.recipes.train import resume, train
from ranvier.runs import BusyError, OverSpeakers, RunResult, SplitAccuracy, read_result

_LOOK_AGAIN_S = 2.0
HEADER = (
    "model", "published [%]", "ours [%] ± over seeds", "over speakers [%]", "clips' interval [%]", "clips",
    "seen speakers [%]", "seeds", "parameters", "seconds a run",
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

    def diverged(self) -> bool:
        """Whether the training came to NaN or infinity, where its settings would take it again."""
        return read_diverged(self.folder) is not None


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
        if key in faults or run.result() is not None or run.diverged():
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


def carry_out(runs: Sequence[Run], progress: ProgressCallback) -> None:
    """Finish every run that nobody has finished; what another process is at is waited for.

    Raises:
        ConfigError, DataError: a run cannot be trained; what is finished stays.
    """
    while True:
        worked, busy = False, False
        for run in runs:
            if run.result() is not None or run.diverged():
                continue
            run.folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                with file_lock(run.folder.with_name(f"{run.folder.name}.lock"), wait=False):
                    if run.result() is None:
                        with suppress(DivergedError):  # the run's folder says so, and so does the table
                            _carry_out(run, progress)
                    worked = True
            except (BlockingIOError, BusyError):
                busy = True
        if not busy:
            return
        if not worked:
            time.sleep(_LOOK_AGAIN_S)


def _carry_out(run: Run, progress: ProgressCallback) -> None:
    if (run.folder / "config.toml").exists():
        resume(run.folder, progress)
    else:
        train(run.config, run.folder, progress)


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


def cells(result: RowResult) -> list[str]:
    """A row as text, under :data:`HEADER`."""
    row = result.row
    published = "" if row.published is None else f"{row.published:.2f}"
    if row.published_interval is not None:
        published += f" ± {row.published_interval:.2f}"
    if not result.accuracy:
        return [result.name, published, result.missing or "not run yet", "", "", "", "", "0", "", ""]
    mean, seen = Mean.of(list(result.accuracy.values())), list(result.seen.values())
    low, high = wilson_interval(round(mean.value * result.clips), result.clips)
    return [
        result.name,
        published,
        _in_percent(mean),
        _of_speakers(result.over_speakers),
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{result.clips} {result.split}",
        _in_percent(Mean.of(seen)) if seen else "",
        str(mean.count) + (f" ({len(result.diverged)} diverged)" if result.diverged else ""),
        str(result.parameters),
        f"{result.seconds:.0f}",
    ]


def _of_speakers(over: OverSpeakers | None) -> str:
    if over is None:
        return ""
    if over.low is None or over.high is None:
        return "one speaker" if over.speakers == 1 else f"{over.speakers} alike"
    return f"{100 * over.low:.1f} to {100 * over.high:.1f} ({over.speakers})"


def _in_percent(mean: Mean) -> str:
    return f"{100 * mean.value:.2f}" + (f" ± {100 * mean.half:.2f}" if mean.half else "")


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
        if result.split != other.split:
            yield f"{result.name} and {other.name} are not compared: {result.split} clips, and {other.split} clips."
            continue
        mean = Mean.of([100 * (result.accuracy[seed] - other.accuracy[seed]) for seed in seeds])
        pair = f"{result.name} against {other.name}: {mean.value:+.2f} points"
        if mean.half is None:
            yield f"{pair} (one seed: no interval)."
        elif not mean.half:
            yield f"{pair} over {len(seeds)} seeds, the same in each (no interval): not distinguishable."
        else:
            verdict = "" if mean.distinguishable else ": not distinguishable"
            low, high = mean.value - mean.half, mean.value + mean.half
            yield f"{pair} [{low:+.2f}, {high:+.2f}] over {len(seeds)} seeds{verdict}."


def remarks(results: Sequence[RowResult]) -> Iterator[str]:
    """What a reader must know of single rows: seeds with and without a test set, and data that are not known."""
    for result in results:
        if result.tested:
            others = [seed for seed in result.accuracy if seed not in result.tested]
            yield (
                f"{result.name}: {_seeds(result.tested)} had a test file, {_seeds(others)} had none; all are given on "
                "validation clips."
            )
    there = [result for result in results if result.accuracy]
    unknown = [f"{result.name} ({_seeds(result.unknown_data)})" for result in there if result.unknown_data]
    if unknown:
        everything = all(len(result.unknown_data) == len(result.accuracy) for result in there)
        which = f"all {len(there)} rows" if everything and len(there) > 1 else ", ".join(unknown)
        yield f"Results without a fingerprint of their data, so whether they are the same is not known: {which}."


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def write_tables(title: str, results: Sequence[RowResult], folder: Path, command: str) -> None:
    """``table.md``, ``table.csv``, ``table.tex`` and ``table.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [cells(result) for result in results]
    notes = [f"Made by `{command}`. ± is the 95% t-interval over seeds; the clips' interval is Wilson's, at the mean."]
    if any(result.over_speakers is not None for result in results):
        notes.append(
            "over speakers: 95% t-interval over the unseen speakers' accuracies, each the mean over seeds (how many "
            "speakers); one speaker: no interval over speakers."
        )
    notes += remarks(results)
    if any(result.protocol == "paper" for result in results):
        notes.append("† epoch chosen on the test set, as published: optimistic.")
    if any(result.split == "validation" for result in results):
        notes.append("validation: the clips that the epoch was chosen on, the best of its epochs there.")
    if any(result.seen for result in results):
        notes.append("seen speakers: held-out clips of the speakers that were trained on.")
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
