"""The results of a table as text, files and a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ranvier.analysis import figures
from ranvier.analysis.intervals import Mean, wilson_interval
from ranvier.analysis.tables import as_csv, as_latex, as_markdown
from ranvier.files import write_text
from ranvier.recipes.reproduce import HEADER, RowResult
from ranvier.recipes.run_cost import RunCost
from ranvier.runs import OverSpeakers


def cells(result: RowResult) -> list[str]:
    """A row as text, under :data:`HEADER`."""
    row = result.row
    published = "" if row.published is None else f"{row.published:.2f}"
    if row.published_interval is not None:
        published += f" ± {row.published_interval:.2f}"
    if not result.accuracy:
        return [result.name, published, result.missing or "not run yet", "", "", "", "", "0", *[""] * 6]
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
        *_costs(result.cost),
        f"{result.seconds:.0f}",
    ]


def _costs(cost: RunCost | None) -> list[str]:
    if cost is None:
        return [""] * 4
    operations = "" if cost.operations is None else f"{cost.operations:.0f}"
    return [f"{cost.synapses:.0f}", f"{cost.spikes:.0f}", operations, f"{cost.buffer_bytes / 1000:.1f}"]


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
            yield f"{pair} over {len(seeds)} seeds, the same in each (no interval): no significant difference."
        else:
            verdict = "" if mean.distinguishable else ": no significant difference"
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
