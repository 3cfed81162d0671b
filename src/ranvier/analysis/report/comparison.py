"""Several runs side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ranvier.analysis.report.accuracy import (
    between,
    chance,
    few_speakers,
    interval_bar,
    last_accuracy,
    main_accuracy,
    main_interval,
    over_speakers_cell,
)
from ranvier.analysis.report.against_best import best_run, difference, result_of
from ranvier.analysis.report.clips import listed, part_name
from ranvier.analysis.report.markup import LEFT_OUT, duration, figure, percent, section, stacked, table, text
from ranvier.analysis.report.run_report import RunReport, learns_delays
from ranvier.analysis.report.sections import run_sections

_SAME = ("name", "summary", "data.root")  # words, and where a recording lies
_FEW = 5  # differences that are named in a sentence
_OF_LEARNING = ("train.sigma_", "train.delay_lr_ms", "model.kernel")  # mean nothing where no delay is learned
_OF_DELAYS = ("model.max_delay_ms", "model.delay_type")  # mean nothing where there is none
_NONE = "–"
_LIST = re.compile(r"[\w.-]+(,[\w.-]+)+")


def setting(report: RunReport, field: str) -> str:
    """A field as a reader wants it: lists in words, and a dash for what has no effect in this run."""
    without = report.settings.get("model.delays") == "none"
    if (not learns_delays(report) and field.startswith(_OF_LEARNING)) or (without and field in _OF_DELAYS):
        return _NONE
    value = report.settings.get(field, _NONE)
    if field == "model.incoming" and value == "none":
        return "all"  # "none" would read as no synapses
    return listed(value.split(",")) if _LIST.fullmatch(value) else value


def differences(reports: Sequence[RunReport]) -> list[str]:
    """Fields of the configuration that are not the same in all runs."""
    fields = dict.fromkeys(field for report in reports for field in report.settings)
    return [field for field in fields if field not in _SAME and len({setting(r, field) for r in reports} - {_NONE}) > 1]


def comparison(reports: Sequence[RunReport], data: Sequence[Mapping[str, Any]]) -> str:
    """What came of it, a table, what differs, the learning curves over each other, then each run for itself."""
    fields = differences(reports)
    told = listed(fields) if 0 < len(fields) <= _FEW else f"{len(fields) or 'no'} fields of their configuration"
    head = (
        f'<header><p class="eyebrow">Ranvier report</p><h1>{len(reports)} runs compared</h1>'
        f'<div class="story"><p class="lead">{text(result_of(reports))}</p><p>They differ in {text(told)}.</p></div>'
        "</header>"
    )

    def alone(place: int) -> str:
        if "delays" in data[place].get("left_out", ()):
            return LEFT_OUT
        return run_sections(reports[place], data[place], place, alone=False)

    each = "".join(
        f'<details class="run" id="run{place}"><summary>{text(report.name)}</summary>{alone(place)}</details>'
        for place, report in enumerate(reports)
    )
    return f"{head}{_table(reports)}{_fields(reports, fields)}{_curves(reports)}<h2>Each run for itself</h2>{each}"


def _curves(reports: Sequence[RunReport]) -> str:
    names = {part_name(report.settings, "validation") for report in reports}
    name = names.pop() if len(names) == 1 else "validation clips"
    return section(
        "comparison-curves",
        0,
        "How they learned",
        figure(
            "overlay",
            0,
            "Accuracy and loss of every run over the epochs, in one chart each.",
            f"Above, accuracy on {name}, or on training clips where a run has no others; below, loss on training "
            "clips. A dot marks the epoch that was kept. The run that is right most often is highlighted first.",
            '<div class="controls"><label>Highlight <select data-control="highlight"></select></label></div>',
        ),
    )


def _fields(reports: Sequence[RunReport], fields: Sequence[str]) -> str:
    """Every field that differs; a row for each run where they are few."""
    if not fields:
        return ""
    title = "What differs"
    if len(fields) <= _FEW:
        rows: list[list[str | tuple[str, str]]] = [
            [text(report.name), *(text(setting(report, field)) for field in fields)] for report in reports
        ]
        told = stacked(title, ["run", *map(text, fields)], rows, kind="words")
    else:
        columns = [[field, *(setting(report, field) for report in reports)] for field in fields]
        told = table(title, ["field", *(report.name for report in reports)], columns, kind="words")
    return section(
        "comparison-fields",
        0,
        title,
        told,
        '<p class="caption">Fields of the recipe, as <code>ranvier train RECIPE --help</code> explains them. – stands '
        "for a field that has no effect in that run, or that it does not have.</p>",
    )


def _table(reports: Sequence[RunReport]) -> str:
    axis = _axis(reports)
    ends = "".join(f"<span>{100 * end:.0f}%</span>" for end in axis)
    best = best_run(reports)
    rows = [_row(report, place, axis, best) for place, report in enumerate(reports)]
    head: list[str | tuple[str, str]] = [
        "run",
        ("graph ends", ends),
        "right",
        "95% interval",
        "difference to the best, points",
        "parameters, training",
    ]
    if best is None:
        head.pop(4)
    return section(
        "comparison-table",
        0,
        "How often they are right",
        stacked("How often the runs are right", head, rows, kind="accuracy runs"),
        *(f'<p class="caption">{told}</p>' for told in _caption(reports, best) if told),
    )


def _row(
    report: RunReport, place: int, axis: tuple[float, float], best: RunReport | None
) -> list[str | tuple[str, str]]:
    name = f'<a href="#run{place}">{text(report.name)}</a>'
    main = main_accuracy(report)
    if main is None or report.result is None:
        empty = ["", ""] if best is None else ["", "", ""]
        return [name, ("graph", ""), f"{len(report.rows)} of {report.epochs} epochs", *empty]
    part, accuracy = main
    last = _last(report)
    more = [] if best is not None else [f"of {accuracy['clips']:,} {part_name(report.settings, part)}"]
    if last is not None:
        more.append(f"last epoch {percent(last)}")
    cells: list[str | tuple[str, str]] = [
        name,
        ("graph", interval_bar(accuracy, chance(report), axis)),
        f"<strong>{percent(accuracy['value'])}</strong><small>{text('; '.join(more))}</small>",
        _intervals(accuracy),
    ]
    if best is not None:
        cells.append(_difference(report, best))
    cells.append(f"{report.result['parameters']:,}<small>{text(duration(report.result['seconds']))}</small>")
    return cells


def _intervals(accuracy: Mapping[str, Any]) -> str:
    """Over speakers where they are unseen, with the clips' under it."""
    over = over_speakers_cell(accuracy)
    return f"{over}<small>clips&#x27; interval {between(accuracy)}</small>" if over else between(accuracy)


def _last(report: RunReport) -> float | None:
    """The last epoch's accuracy, where the run's own is of the clips that its epoch was chosen on."""
    main = main_accuracy(report)
    chosen_on = "test" if report.settings.get("protocol") == "paper" else "validation"
    return last_accuracy(report) if main is not None and main[0] == chosen_on else None


def _difference(report: RunReport, best: RunReport) -> str:
    if report is best:
        return "the best"
    apart = difference(report, best)
    if apart is None or apart.half is None:
        return "not known"
    low, high = apart.value - apart.half, apart.value + apart.half
    return f"{_signed(apart.value)}<small>{_signed(low)} … {_signed(high)}</small>"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _axis(reports: Sequence[RunReport]) -> tuple[float, float]:
    """From a round share below all intervals to one above."""
    known = [main[1] for report in reports if (main := main_accuracy(report)) is not None]
    if not known:
        return 0.0, 1.0
    low = min(min(one["low"], main_interval(one)["low"]) for one in known)
    high = max(max(one["high"], main_interval(one)["high"]) for one in known)
    step = 0.05 if high - low > 0.1 else 0.02
    return max(0.0, math.floor(low / step) * step), min(1.0, math.ceil(high / step) * step)


def _caption(reports: Sequence[RunReport], best: RunReport | None) -> Iterator[str]:
    """Paragraphs of HTML."""
    low, high = _axis(reports)
    guesses = {guess for report in reports if (guess := chance(report)) is not None}
    drawn = ", the short grey line guessing" if any(low <= guess <= high for guess in guesses) else ""
    bars = f'<span class="with-graph">A bar is the 95% interval, its upright mark the accuracy itself{drawn}. </span>'
    where = "Accuracies on different clips cannot be compared."
    if best is not None and (main := main_accuracy(best)) is not None:
        where = f"All are of the same {main[1]['clips']:,} {part_name(best.settings, main[0])}."
    yield (
        f"{bars}{text(where)} The clips&#x27; 95% interval (Wilson's formula) tells how well so many clips pin the "
        "share down, for one training each; it says nothing of other seeds, nor of other speakers: where the speakers "
        "are unseen, the interval over them (Student's t) stands first."
    )
    if any(_last(report) is not None for report in reports):
        yield (
            "The epoch that is kept is the best of many on the clips that it is chosen on, so the accuracy on those is "
            "optimistic; the last epoch's, on the same clips, stands beside it."
        )
    if best is not None:
        told = "The difference to the best is taken clip by clip, in percentage points"
        if best.observed is not None and best.observed.clips < best.observed.available:
            told += f", on {best.observed.clips:,} of the clips"
        yield (
            f"{told}; under it stands its 95% interval (Student's t, of paired differences). Where that holds 0, these "
            "clips do not tell the two apart. It leaves out that the best was picked on these very clips."
        )
        yield text(" ".join(few_speakers(best, shares=False)))
