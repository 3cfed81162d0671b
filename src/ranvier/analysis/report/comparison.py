"""Several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranvier.analysis.report.accuracy import interval_bar, main_accuracy
from ranvier.analysis.report.clips import part_name
from ranvier.analysis.report.markup import LEFT_OUT, duration, figure, percent, section, table, text
from ranvier.analysis.report.run_report import RunReport
from ranvier.analysis.report.sections import run_sections

_SAME = ("name", "summary", "data.root")  # words, and where a recording lies
_FEW = 5  # differences that are named in a sentence


def differences(reports: Sequence[RunReport]) -> list[str]:
    """Fields of the configuration that are not the same in all runs."""
    fields = dict.fromkeys(field for report in reports for field in report.settings)
    return [field for field in fields if field not in _SAME and len({r.settings.get(field, "") for r in reports}) > 1]


def comparison(reports: Sequence[RunReport], data: Sequence[Mapping[str, Any]]) -> str:
    """A table, the learning curves over each other, then each run for itself."""
    fields = differences(reports)
    told = ", ".join(fields) if 0 < len(fields) <= _FEW else f"{len(fields) or 'no'} fields of their configuration"
    head = (
        f'<header><p class="eyebrow">Ranvier report</p><h1>{len(reports)} runs compared</h1>'
        f'<div class="story"><p>They differ in {text(told)}.</p></div></header>'
    )
    curves = section(
        "comparison-curves",
        0,
        "How they learned",
        figure(
            "overlay",
            0,
            "Accuracy and loss of every run over the epochs, in one chart each.",
            "Accuracy on validation clips (where a run has none: on training clips), and loss on training clips.",
            '<div class="controls"><label>Highlight <select data-control="highlight"></select></label></div>',
        ),
    )

    def alone(place: int) -> str:
        if "delays" in data[place].get("left_out", ()):
            return LEFT_OUT
        return run_sections(reports[place], data[place], place, alone=False)

    each = "".join(
        f'<details class="run" id="run{place}"><summary>{text(report.name)}</summary>{alone(place)}</details>'
        for place, report in enumerate(reports)
    )
    return f"{head}{_table(reports)}{_fields(reports, fields)}{curves}<h2>Each run for itself</h2>{each}"


def _fields(reports: Sequence[RunReport], fields: Sequence[str]) -> str:
    """Every field that differs, a column for each run."""
    if not fields:
        return ""
    rows = [[field, *(report.settings.get(field, "–") for report in reports)] for field in fields]
    return section(
        "comparison-fields",
        0,
        "What differs",
        table("What differs", ["field", *(report.name for report in reports)], rows, kind="words"),
    )


def _table(reports: Sequence[RunReport]) -> str:
    lines = []
    for place, report in enumerate(reports):
        best = main_accuracy(report)
        if best is None:
            cells = f'<td class="graph"></td><td>{len(report.rows)} of {report.epochs} epochs</td><td></td><td></td>'
        else:
            split, accuracy = best
            between = f"{100 * accuracy['low']:.1f} … {100 * accuracy['high']:.1f}%"
            name = text(part_name(report.settings, split))
            cells = (
                f'<td class="graph">{interval_bar(accuracy)}</td><td>{percent(accuracy["value"])}'
                f"<small>{name}, {accuracy['clips']:,}</small></td><td>{between}</td>"
            )
            assert report.result is not None
            cells += (
                f"<td>{report.result['parameters']:,}<small>{text(duration(report.result['seconds']))}</small></td>"
            )
        lines.append(
            f'<tr class="depth0"><th scope="row"><a href="#run{place}">{text(report.name)}</a></th>{cells}</tr>'
        )
    return section(
        "comparison-table",
        0,
        "How often they are right",
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of the runs"><table class="accuracy runs">'
        '<thead><tr><th scope="col">run</th><th class="graph" scope="col">0 … 100%</th><th scope="col">right</th>'
        '<th scope="col">95% interval</th><th scope="col">parameters, training</th>'
        f"</tr></thead><tbody>{''.join(lines)}</tbody></table></div>",
        '<p class="caption">A bar is the 95% interval that this number of clips allows (Wilson), for one training. '
        "Where the intervals of two runs overlap widely, nothing says that one is better. Accuracies on different "
        "clips cannot be compared.</p>",
    )
