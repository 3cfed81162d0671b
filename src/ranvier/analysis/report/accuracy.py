"""How often a run is right, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ranvier.analysis.intervals import wilson_interval
from ranvier.analysis.report.markup import percent, section, text
from ranvier.analysis.report.run_report import RunReport

SPLITS = {"test": "test clips", "validation": "validation clips", "seen": "held-out clips of voices it heard"}
_DELAYS = {
    "learned": "delays learned",
    "fixed": "delays random, frozen",
    "none": "no delays",
    "every": "every delay with its own weight",
}


def main_accuracy(report: RunReport) -> tuple[str, Mapping[str, Any]] | None:
    """The accuracy that counts most, and of which split."""
    accuracy = (report.result or {}).get("accuracy", {})
    return next(((name, accuracy[name]) for name in SPLITS if name in accuracy), None)


def accuracy_section(report: RunReport, run: int) -> str:
    """A row for every split, speaker and comparison."""
    rows = list(_accuracy_rows(report))
    if not rows:
        why = "The training has not finished." if report.result is None else "No clips were held out."
        return section("accuracy", run, "How often it is right", f"<p>{why}</p>")
    chance = 1 / len(report.classes) if report.classes else None
    lines = []
    for depth, name, accuracy in rows:
        between = f"{100 * accuracy['low']:.1f} … {100 * accuracy['high']:.1f}%"
        lines.append(
            f'<tr class="depth{depth}"><th scope="row">{text(name)}</th>'
            f'<td class="graph">{interval_bar(accuracy, chance)}</td>'
            f"<td>{percent(accuracy['value'])}</td><td>{between}</td><td>{accuracy['clips']:,}</td></tr>"
        )
    guess = "" if chance is None else f" Guessing would get {percent(chance)}."
    thin = "" if chance is None else '<span class="with-graph"> The thin line marks it.</span>'
    return section(
        "accuracy",
        run,
        "How often it is right",
        '<div class="scroll"><table class="accuracy"><thead><tr><th scope="col">measured on</th>'
        '<th class="graph" scope="col">0 … 100%</th><th scope="col">right</th><th scope="col">95% interval</th>'
        '<th scope="col">clips</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>",
        '<p class="caption">The 95% interval is what this number of clips allows (Wilson), for this one training; it '
        f"says nothing of other seeds.{text(guess)}{thin} {text(_chosen(report))}</p>",
    )


def _chosen(report: RunReport) -> str:
    result = report.result or {}
    best = result.get("best_epoch")
    if best is None:
        return ""
    if result.get("protocol") == "paper":
        return (
            f"The network is that of epoch {best}, chosen on the test clips as published: its accuracy is optimistic."
        )
    if result.get("epoch_chosen_on") == "validation":
        return f"The network is that of epoch {best}, the best on validation clips, so theirs is a little optimistic."
    return f"The network is that of the last epoch, {best}."


def _accuracy_rows(report: RunReport) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Depth, name and accuracy of every split and speaker."""
    result = report.result or {}
    for name in SPLITS:
        accuracy = result.get("accuracy", {}).get(name)
        if accuracy is None:
            continue
        yield 0, SPLITS.get(name, name), accuracy
        speakers = accuracy.get("speakers", {})
        observed = report.observed
        if not speakers and observed is not None and observed.split == name:
            speakers = {speaker: _of(right, clips) for speaker, (right, clips) in observed.speakers.items()}
        if len(speakers) > 1:
            for speaker, part in sorted(speakers.items(), key=lambda item: -item[1]["value"]):
                yield 1, f"speaker {speaker}" if speaker.isdigit() else speaker, part
    for name, part in result.get("comparison", {}).items():
        of = next((part["accuracy"][split] for split in SPLITS if split in part["accuracy"]), None)
        if of is not None and name != result.get("delays"):
            yield 0, f"for comparison: {_DELAYS.get(name, name)}", of


def _of(right: int, clips: int) -> dict[str, Any]:
    low, high = wilson_interval(right, clips)
    return {"value": right / clips, "low": low, "high": high, "clips": clips}


def interval_bar(accuracy: Mapping[str, Any], chance: float | None = None) -> str:
    """The interval as a bar, the accuracy as a dot on it, from 0 to 100%."""
    low, high, value = (100 * accuracy[name] for name in ("low", "high", "value"))
    mark = "" if chance is None else f'<i class="chance" style="left:{100 * chance:.2f}%"></i>'
    return (
        f'<span class="bar" aria-hidden="true">{mark}'
        f'<i class="span" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
        f'<i class="dot" style="left:{value:.2f}%"></i></span>'
    )
