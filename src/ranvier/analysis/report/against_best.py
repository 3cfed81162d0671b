"""The best of several runs, and how far the others are from it on the same clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ranvier.analysis.intervals import Mean, speaker_interval
from ranvier.analysis.report.accuracy import between, chance, main_accuracy
from ranvier.analysis.report.clips import in_words, listed, part_phrase, speakers_of
from ranvier.analysis.report.markup import percent
from ranvier.analysis.report.run_report import RunReport

_SAME_SOUND = ("data.root", "data.pool", "data.dt_ms", "data.alignment", "data.input", "data.ear_seed")
_MOST_NAMES = 5


def best_run(reports: Sequence[RunReport]) -> RunReport | None:
    """The run that is most often right; None where the runs were measured on different clips, or only one was."""
    measured = [report for report in reports if main_accuracy(report) is not None]
    if len(measured) < 2 or not all(on_same_clips(measured[0], report) for report in measured[1:]):
        return None
    return max(measured, key=_share)


def on_same_clips(one: RunReport, other: RunReport) -> bool:
    """Whether their accuracies are of the same clips, as far as the runs tell."""
    mine, others = main_accuracy(one), main_accuracy(other)
    if mine is None or others is None or (mine[0], mine[1]["clips"]) != (others[0], others[1]["clips"]):
        return False
    if one.observed is not None and other.observed is not None and one.observed.split == other.observed.split:
        return _are_paired(one, other)
    return _division(one) == _division(other)


def _division(report: RunReport) -> dict[str, str]:
    """How the data were divided: what they are and how they are counted does not matter."""
    return {k: v for k, v in report.settings.items() if k.startswith("data.") and k not in _SAME_SOUND}


def _are_paired(one: RunReport, other: RunReport) -> bool:
    mine, others = one.observed, other.observed
    if mine is None or others is None:
        return False
    return (mine.split, mine.fingerprint) == (others.split, others.fingerprint) and _division(one) == _division(other)


def difference(report: RunReport, best: RunReport) -> Mean | None:
    """How much more often it is right than the best, mean over the clips that both ran on; None where there are none.

    Each clip gives 1, 0 or -1; the interval is that of their mean (:class:`Mean`), as in a paired t-test.
    """
    if report is best or report.observed is None or best.observed is None or not _are_paired(report, best):
        return None
    return Mean.of((report.observed.right.astype(np.int64) - best.observed.right).tolist())


def told_apart(report: RunReport, best: RunReport) -> bool:
    """Whether it is worse than the best by more than chance in the clips explains."""
    apart = difference(report, best)
    if apart is not None and apart.half:
        return apart.distinguishable and apart.value < 0
    mine, its = main_accuracy(report), main_accuracy(best)
    return mine is not None and its is not None and bool(mine[1]["high"] < its[1]["low"])


def result_of(reports: Sequence[RunReport]) -> str:
    """The comparison in a few sentences."""
    measured = [report for report in reports if main_accuracy(report) is not None]
    waiting = len(reports) - len(measured)
    still = f" {in_words(waiting).capitalize()} of the runs cannot be counted yet." if waiting else ""
    best = best_run(reports)
    if best is None:
        if len(measured) < 2:
            return f"There is nothing to compare yet.{still}"
        low, high = (percent(pick(map(_share, measured))) for pick in (min, max))
        return (
            f"The runs were measured on different clips, so none is the best; they are right on {low} to {high}."
            f"{_pooled(measured)}{still}"
        )
    main = main_accuracy(best)
    assert main is not None  # or it would not be the best
    guess, others = chance(best), [report for report in measured if report is not best]
    against = "" if guess is None else f" (guessing: {percent(guess)})"
    shares = [_share(report) for report in others]
    low, high = percent(min(shares)), percent(max(shares))
    who = "The other is" if len(others) == 1 else "The others are"
    rest = f"{who} right on {low if low == high else f'{low} to {high}'}"
    return (
        f"The best of {in_words(len(measured))} is {best.name}: right on {percent(_share(best))} of "
        f"{part_phrase(best, main[0], main[1]['clips'])}{against}. {rest}. {_apart(others, best)}; "
        f"another seed may change the order.{still}"
    )


def _pooled(reports: Sequence[RunReport]) -> str:
    """The mean over speakers where each run has left out one of its own."""
    shares: dict[str, float] = {}
    for report in reports:
        part, accuracy = main_accuracy(report) or ("", {})
        speakers = list(speakers_of(report, part))
        if accuracy.get("over_speakers") is None or len(speakers) != 1 or speakers[0] in shares:
            return ""
        shares[speakers[0]] = accuracy["value"]
    over = speaker_interval(shares.values())
    if over.low is None:
        return ""
    return (
        f" Each is of one unseen speaker; over the {in_words(over.speakers)} the mean is {percent(over.value)}, with a "
        f"95% interval (Student's t) of {between(over.model_dump())}."
    )


def _apart(others: Sequence[RunReport], best: RunReport) -> str:
    close = [report.name for report in others if not told_apart(report, best)]
    if not close:
        each = "it is" if len(others) == 1 else "each of them is"
        return (
            f"On these clips {each} worse by more than the clips' chance explains, but the best was picked on the very "
            "same clips"
        )
    named = listed(close) if len(close) <= _MOST_NAMES else f"{in_words(len(close))} of them"
    return f"On these clips {named} cannot be told apart from the best"


def _share(report: RunReport) -> float:
    main = main_accuracy(report)
    return -1.0 if main is None else float(main[1]["value"])
