"""Several runs side by side: the best, how far the others are from it on the same clips, and what differs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ranvier.analysis.intervals import Mean, speaker_interval
from ranvier.analysis.report.accuracy import AccuracyRow, last_accuracy, main_accuracy, speakers_of, split_name
from ranvier.analysis.report.run_report import RunReport
from ranvier.runs import OverSpeakers

NO_EFFECT = "–"
_SAME = ("name", "summary", "compare", "compare_weight_lr", "data.root")  # nothing that changes a training
_OF_LEARNING = ("train.sigma_", "train.delay_lr_ms", "model.kernel")  # mean nothing where no delay is learned
_OF_DELAYS = ("model.max_delay_ms", "model.delay_type")  # mean nothing where there is none


@dataclass(frozen=True)
class ComparedRun:
    """A run in the table.

    Attributes:
        report: the run.
        is_best: whether it is the best.
        row: its accuracy; None while there is none.
        measured_on: its clips, in words.
        last: accuracy of its last epoch, where the kept one was chosen on the same clips.
        difference: to the best, clip by clip; None where that is not known.
    """

    report: RunReport
    is_best: bool
    row: AccuracyRow | None
    measured_on: str
    last: float | None
    difference: Mean | None


@dataclass(frozen=True)
class Comparison:
    """All of it.

    Attributes:
        runs: in their order.
        best: the run with the highest accuracy; None where the runs were measured on different clips, or one was.
        close: names of those without a significant difference to the best.
        axis: of the bars, shares.
        fields: that are not the same in all runs, each with a text for every run.
        pooled: over speakers, where each run has left out one of its own.
    """

    runs: Sequence[ComparedRun]
    best: RunReport | None
    close: Sequence[str]
    axis: tuple[float, float]
    fields: Sequence[tuple[str, Sequence[str]]]
    pooled: OverSpeakers | None


def compare(reports: Sequence[RunReport]) -> Comparison:
    """Compare two runs or more."""
    best = best_run(reports)
    runs = []
    for report in reports:
        main = main_accuracy(report)
        row = None if main is None else AccuracyRow(report.name, main[1], main[1].over_speakers)
        where = "" if main is None else f"{main[1].clips:,} {split_name(report.settings, main[0])}"
        chosen_on = "test" if report.settings.published else "validation"
        last = last_accuracy(report) if main is not None and main[0] == chosen_on else None
        runs.append(
            ComparedRun(report, report is best, row, where, last, None if best is None else difference(report, best))
        )
    others = [one for one in runs if best is not None and one.row is not None and one.report is not best]
    close = [one.report.name for one in others if best is not None and not is_worse(one.report, best)]
    rows = [one.row for one in runs if one.row is not None]
    return Comparison(runs, best, close, _axis(rows), differences(reports), _pooled(reports))


def best_run(reports: Sequence[RunReport]) -> RunReport | None:
    """The run of the highest accuracy; None where the runs were measured on different clips, or only one was."""
    measured = [report for report in reports if main_accuracy(report) is not None]
    if len(measured) < 2 or not all(on_same_clips(measured[0], report) for report in measured[1:]):
        return None
    return max(measured, key=lambda report: -1.0 if (main := main_accuracy(report)) is None else main[1].value)


def on_same_clips(one: RunReport, other: RunReport) -> bool:
    """Whether their accuracies are of the same clips, as far as the runs say."""
    mine, others = main_accuracy(one), main_accuracy(other)
    if mine is None or others is None or (mine[0], mine[1].clips) != (others[0], others[1].clips):
        return False
    if one.record is not None and other.record is not None and one.record.split == other.record.split:
        return _are_paired(one, other)
    return one.settings.division == other.settings.division


def _are_paired(one: RunReport, other: RunReport) -> bool:
    mine, others = one.record, other.record
    if mine is None or others is None or (mine.split, mine.fingerprint) != (others.split, others.fingerprint):
        return False
    return one.settings.division == other.settings.division


def difference(report: RunReport, best: RunReport) -> Mean | None:
    """How much higher its accuracy is than the best's, mean over the clips that both ran on; None without such clips.

    Each clip gives 1, 0 or -1; the interval is that of their mean (:class:`Mean`), as in a paired t-test.
    """
    if report is best or report.record is None or best.record is None or not _are_paired(report, best):
        return None
    return Mean.of((report.record.right.astype(np.int64) - best.record.right).tolist())


def is_worse(report: RunReport, best: RunReport) -> bool:
    """Whether it is worse than the best by more than chance in the clips explains."""
    apart = difference(report, best)
    if apart is not None and apart.half:
        return apart.distinguishable and apart.value < 0
    mine, its = main_accuracy(report), main_accuracy(best)
    return mine is not None and its is not None and mine[1].high < its[1].low


def differences(reports: Sequence[RunReport]) -> list[tuple[str, list[str]]]:
    """Fields of the configuration that are not the same in all runs, with a text for every run."""
    texts = [dict(report.settings.fields) for report in reports]
    found = []
    for field in dict.fromkeys(field for each in texts for field in each):
        values = [
            NO_EFFECT if _is_idle(report, field) else each.get(field, NO_EFFECT)
            for report, each in zip(reports, texts, strict=True)
        ]
        if field not in _SAME and len(set(values) - {NO_EFFECT}) > 1:
            found.append((field, values))
    return found


def _is_idle(report: RunReport, field: str) -> bool:
    """Whether a field has no effect in this run."""
    delays = report.settings.delays
    return (delays != "learned" and field.startswith(_OF_LEARNING)) or (delays == "none" and field in _OF_DELAYS)


def _axis(rows: Sequence[AccuracyRow]) -> tuple[float, float]:
    """From a round share below all intervals to one above."""
    if not rows:
        return 0.0, 1.0
    low = min(min(row.accuracy.low, row.interval[0]) for row in rows)
    high = max(max(row.accuracy.high, row.interval[1]) for row in rows)
    step = 0.05 if high - low > 0.1 else 0.02
    return max(0.0, math.floor(low / step) * step), min(1.0, math.ceil(high / step) * step)


def _pooled(reports: Sequence[RunReport]) -> OverSpeakers | None:
    shares: dict[str, float] = {}
    for report in reports:
        main = main_accuracy(report)
        speakers = [] if main is None else list(speakers_of(report, main[0]))
        if main is None or main[1].over_speakers is None or len(speakers) != 1 or speakers[0] in shares:
            return None
        shares[speakers[0]] = main[1].value
    return speaker_interval(shares.values()) if len(shares) > 1 else None
