"""What the command shows: progress while it works, tables when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ranvier.cli.text import plain_text, print_line

if TYPE_CHECKING:
    from ranvier.audio.encode import EncodeResult
    from ranvier.data.cache_contents import CacheEntry
    from ranvier.data.inspection import Inspection
    from ranvier.recipes.evaluation import Evaluation
    from ranvier.recipes.pretrained import PretrainedRun
    from ranvier.recipes.reproduce import RowResult
    from ranvier.recipes.sweep import Sweep, TrialResult
    from ranvier.runs import Accuracy, ProbeResult, RunResult

_MOST_TRIALS = 10  # of a sweep that are shown


def _percent(accuracy: Accuracy) -> str:
    return f"{100 * accuracy.low:.2f} ... {100 * accuracy.high:.2f}"


def _over_speakers(accuracy: Accuracy) -> str:
    """The interval over speakers, with how many there are; empty where they are not unseen."""
    over = getattr(accuracy, "over_speakers", None)
    if over is None:
        return ""
    if over.low is None:
        return "one speaker: none" if over.speakers == 1 else f"{over.speakers} alike: none"
    return f"{100 * over.low:.1f} ... {100 * over.high:.1f} ({over.speakers})"


def accuracy_table(title: str, rows: Sequence[tuple[str, Accuracy]]) -> Table:
    """A row for each accuracy; the interval over speakers has a column where there is one."""
    columns = {
        "": [name for name, _ in rows],
        "accuracy": [f"{100 * accuracy.value:.2f}%" for _, accuracy in rows],
        "over speakers": [_over_speakers(accuracy) for _, accuracy in rows],
        "clips' interval": [_percent(accuracy) for _, accuracy in rows],
        "clips": [str(accuracy.clips) for _, accuracy in rows],
    }
    shown = {name: cells for name, cells in columns.items() if name != "over speakers" or any(cells)}
    table = Table(title=plain_text(title), title_justify="left")
    for name in shown:
        table.add_column(name, justify="right" if name else "left")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*map(plain_text, row))  # names are the user's: no markup
    return table


_SPLITS = {"validation": "validation", "seen": "seen speakers, held-out clips", "test": "test"}
_DELAYS = {
    "learned": "delays learned",
    "fixed": "delays random, frozen",
    "none": "no delays",
    "dense": "every delay with its own weight",
}


def show_result(result: RunResult, folder: Path) -> None:
    """The tables at the end of a training, and where everything is."""
    console = Console()
    rows: list[tuple[str, Accuracy]] = []
    if result.before_rounding is not None:
        rows.append(("validation, delays not rounded", result.before_rounding))
    for split, accuracy in result.accuracy.items():
        rows.append((_SPLITS.get(split, split), accuracy))
        if split == "validation":
            rows += [(f"  speaker {speaker}", one) for speaker, one in accuracy.speakers.items()]
    if result.left_out:
        print_line(console, f"{len(result.left_out)} files were left out or hold no events: result.json says why")
    folds = {speaker: fold.accuracy.get("validation") for speaker, fold in result.folds.items()}
    rows += [(f"  speaker {speaker}, left out", one) for speaker, one in folds.items() if one is not None]
    console.print(accuracy_table(f"{result.recipe}, seed {result.seed}", rows))
    over = [one for _, accuracy in rows if (one := getattr(accuracy, "over_speakers", None)) is not None]
    if over:
        alone = "; one speaker: no interval over speakers" if any(one.speakers == 1 for one in over) else ""
        console.print(
            "over speakers: 95% t-interval over the unseen speakers' accuracies (how many speakers); clips' interval: "
            f"95% Wilson, of these speakers' clips{alone}",
            highlight=False,
        )
    for note in result.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    if result.comparison:
        split = "test" if "test" in result.accuracy else "validation"
        trainings = {result.delays: result.accuracy, **{name: one.accuracy for name, one in result.comparison.items()}}
        parts = [(_DELAYS.get(name, name), one[split]) for name, one in trainings.items() if split in one]
        console.print(accuracy_table(f"what the delays are worth ({split})", parts))
    if (found := result.delays_found) is not None:
        print_line(
            console,
            f"{found.found} of {found.decisive} decisive delays found within ±1 step "
            f"({found.at_start} before training)",
        )
    if (init := result.init_from) is not None:
        known = f"its output neurons for {', '.join(init.classes)}" if init.classes else "new output neurons"
        share = init.interpolation
        kept = f", and averaged with it at the end ({100 * share:g}% of it)" if share else ""
        print_line(console, f"started from {init.run} ({init.recipe}), with {known}{kept}")
    if result.protocol == "paper":
        console.print("epoch chosen on the test set, as published: this accuracy is optimistic", style="yellow")
    seconds = result.seconds + sum(one.seconds for one in result.comparison.values())
    best = "-" if result.best_epoch is None else result.best_epoch
    print_line(
        console,
        f"{result.parameters:,} parameters, epoch {best} of {result.epochs} chosen, {seconds:.0f} s of training",
    )
    print_line(console, f"run: {folder}")
    if (folder / "report.html").exists():
        print_line(console, f"report: {folder / 'report.html'}")


def show_evaluation(evaluation: Evaluation, title: str) -> None:
    """Accuracy, the commonest mistakes, and how much the neurons spike."""
    console = Console()
    console.print(accuracy_table(title, [("accuracy", evaluation.accuracy)]))
    pairs = Table(title="commonest mistakes", title_justify="left")
    for name in ("class", "taken for", "clips"):
        pairs.add_column(name)
    for true, predicted, clips in evaluation.worst_pairs():
        pairs.add_row(plain_text(true), plain_text(predicted), str(clips))
    console.print(pairs if pairs.row_count else "no mistakes")
    if evaluation.spikes_per_neuron:  # none in a network without hidden layers
        rates = ", ".join(f"layer {i} {rate:.2f}" for i, rate in enumerate(evaluation.spikes_per_neuron, 1))
        print_line(console, f"mean spikes per neuron and clip: {rates}")
    if evaluation.by_number:
        print_line(console, "classes were matched by number: the recording or the network does not name them")


def show_names(summaries: Mapping[str, str]) -> None:
    """Names and what they are."""
    table = Table(box=None, show_header=False)
    for name, summary in summaries.items():
        table.add_row(plain_text(name), plain_text(summary))
    Console().print(table)


def show_pretrained(runs: Sequence[PretrainedRun]) -> None:
    """A line for each run of the package: accuracy, on how many clips, of whom, and licence."""
    console = Console()
    width = max(len(run.name) for run in runs)
    for run in runs:
        accuracy = run.result.accuracy
        split = next((split for split in ("test", "validation", "seen") if split in accuracy), None)
        known = "not tested"
        if split is not None:
            found = accuracy[split]
            known = f"{100 * found.value:.1f}% of {found.clips} {split} clips"
            if found.speakers:
                known += f" of {'seen' if found.over_speakers is None else 'unseen'} speakers"
        print_line(console, f" {run.name:<{width}}  {known}; {run.licence}")


def show_step_cost(cost: Mapping[str, Any]) -> None:
    """Where the time of a training step goes, and how its delayed currents are computed."""
    console = Console()
    settings = cost["settings"]
    print_line(
        console,
        f"a training step of 140-{settings['hidden']}-{settings['hidden']}-20: {settings['time']} steps of time, "
        f"{settings['batch']} clips, longest delay {settings['max_delay']} steps",
    )
    table = Table()
    for name, justify in (("", "left"), ("ms", "right"), ("share", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for part in ("forward", "backward", "optimiser"):
        table.add_row(part, f"{1000 * cost[part]:.1f}", f"{100 * cost[part] / cost['seconds']:.0f}%")
    table.add_row("step", f"{1000 * cost['seconds']:.1f}", "")
    console.print(table)
    for layer in cost["layers"]:
        text = f"{layer['sources']} → {layer['targets']}: {layer['plan']} ({layer['why']})"
        print_line(console, text)
    peak = "not known here" if cost["peak_mb"] is None else f"{cost['peak_mb']:.0f} MB"
    print_line(
        console,
        f"median of {settings['repeats']} steps; memory at most {peak}; {cost['machine']}, {cost['threads']} threads, "
        f"torch {cost['versions']['torch']}",
    )


_OURS = "ours [%] ± over seeds"
_SHOWN = {
    "model": "model", "published [%]": "published", _OURS: "ours [%]", "over speakers [%]": "speakers",
    "clips' interval [%]": "clips'", "seen speakers [%]": "seen", "seeds": "seeds",
}  # fmt: skip
"""Columns of a table of recipes that a terminal has room for, and what they are called there; the files have all."""


def show_table(title: str, results: Sequence[RowResult], folder: Path) -> None:
    """A table of recipes, the comparisons it makes, and why rows are empty."""
    from ranvier.recipes.reproduce import HEADER
    from ranvier.recipes.table_text import cells, comparisons, remarks

    console = Console()
    table = Table(title=plain_text(title), title_justify="left", box=None, pad_edge=False)
    rows = []
    for result in results:
        row = dict(zip(HEADER, cells(result), strict=True))
        if result.missing:
            row[_OURS] = "no data"
        rows.append(row)
    filled = {heading: name for heading, name in _SHOWN.items() if any(row[heading] for row in rows)}
    for name in filled.values():
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=name != "model")
    for row in rows:
        table.add_row(*(plain_text(row[heading].replace(" to ", "-")) for heading in filled))
    console.print(table)
    for clips in dict.fromkeys(f"{result.clips} {result.split}" for result in results if result.accuracy):
        seen = "; seen: held-out clips of speakers trained on" if any(result.seen for result in results) else ""
        over = any(result.over_speakers is not None for result in results)
        speakers = "; speakers: t-interval over the unseen speakers (how many)" if over else ""
        print_line(console, f"accuracy on {clips} clips, ± over seeds{speakers}; clips': Wilson's interval{seen}")
    for remark in remarks(results):
        print_line(console, remark)
    for sentence in comparisons(results):
        print_line(console, sentence)
    if any(result.protocol == "paper" for result in results):
        print_line(console, "† epoch chosen on the test set, as published: optimistic")
    if any(not (result.accuracy or result.missing or result.diverged) for result in results):
        print_line(console, f"not run yet: no finished run in {folder}")
    for reason in dict.fromkeys(result.missing for result in results if result.missing):
        print_line(console, f"no data: {reason}")
    if (folder / "table.md").exists():
        print_line(console, f"table.md, .csv, .tex, .png, and every run: {folder}")


def show_sweep(sweep: Sweep, results: Sequence[TrialResult]) -> None:
    """The best trials, and where everything is."""
    from ranvier.recipes.sweep import best_trial
    from ranvier.recipes.sweep_text import cells, header

    console = Console()
    states = [one.state for one in results]
    counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    table = Table(title=f"trials: {counted}", title_justify="left", box=None, pad_edge=False)
    for name in header(sweep)[:-3]:
        table.add_column(name.rpartition(".")[2], justify="right")
    ranked = sorted((one for one in results if one.state == "finished"), key=lambda one: -(one.accuracy or 0.0))
    for one in ranked[:_MOST_TRIALS]:
        table.add_row(*map(plain_text, cells(sweep, one)[:-3]))
    console.print(table)
    if best_trial(results) is None:
        return
    print_line(console, "the best of several is optimistic: train it again and test it")
    print_line(console, f"trials.csv, sweep.png, best.toml, and every run: {sweep.folder}")
    print_line(console, f"ranvier train {sweep.folder / 'best.toml'}")


def show_probe(found: Sequence[ProbeResult], what: str, figure: Path | None) -> None:
    """A network's accuracy under each disturbance."""
    from ranvier.analysis.intervals import describe_gain

    console = Console()
    console.print(accuracy_table(what, [(result.name, result.accuracy) for result in found]))
    if (gain := describe_gain(found)) is not None:
        print_line(console, gain)
    if figure is not None:
        print_line(console, f"figure: {figure}")


def show_encoded(encoded: EncodeResult, most: int = 10) -> None:
    """What became of the sound files."""
    console = Console()
    classes = f"{len(encoded.classes)} classes, " if encoded.classes else ""
    speakers = f"{len(encoded.speakers)} speakers, " if encoded.speakers else ""
    print_line(
        console,
        f"{encoded.file} written: {encoded.clips} clips, {classes}{speakers}"
        f"{encoded.spikes / encoded.clips:,.0f} spikes a clip ({encoded.naming})",
    )
    if encoded.left_out:
        print_line(console, f"{len(encoded.left_out)} files were left out:")
        for _, reason in encoded.left_out[:most]:
            print_line(console, f"  {reason}")
        if len(encoded.left_out) > most:
            print_line(console, f"  ... and {len(encoded.left_out) - most} more")
    for note in encoded.notes:
        print_line(console, f"note: {note}")


def show_cache(folder: Path, entries: Sequence[CacheEntry]) -> None:
    """What the cache holds."""
    console = Console()
    table = Table(box=None, pad_edge=False)
    for name, justify in (("file", "left"), ("MB", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for entry in entries:
        table.add_row(plain_text(entry.path.name), f"{entry.size / 1e6:,.1f}", plain_text(entry.content))
    if entries:
        console.print(table)
    print_line(console, f"{folder}: {len(entries)} entries, {sum(entry.size for entry in entries) / 1e6:,.1f} MB")


def show_inspection(inspection: Inspection, most: int = 40) -> None:
    """What a recording holds, and what is wrong with it."""
    console = Console()
    print_line(console, f"{inspection.path}: {inspection.clips} clips")
    table = Table(box=None, show_header=True)
    for column in ("", "smallest", "median", "mean", "largest"):
        table.add_column(column, justify="left" if not column else "right")
    for name, spread, form in (
        ("duration, s", inspection.duration_s, "{:.3f}"),
        ("spikes per clip", inspection.spikes, "{:,.0f}"),
    ):
        if spread is not None:
            values = (spread.smallest, spread.median, spread.mean, spread.largest)
            table.add_row(name, *(form.format(value) for value in values))
    console.print(table)
    if inspection.channels:
        print_line(
            console,
            f"{inspection.channels} channels with spikes, {inspection.first_channel} ... {inspection.last_channel}"
            f"; {len(inspection.silent)} silent clips",
        )
    for title, parts in (("classes", inspection.classes), ("speakers", inspection.speakers)):
        if parts:
            named = ", ".join(f"{member} {clips}" for member, clips in parts[:most])
            rest = f", ... and {len(parts) - most} more" if len(parts) > most else ""
            print_line(console, f"{len(parts)} {title}: {named}{rest}")
    for note in inspection.notes:
        print_line(console, f"note: {note}")
    for fault in inspection.faults:
        print_line(console, f"fault: {fault}")
    if not inspection.faults:
        console.print("no faults")
