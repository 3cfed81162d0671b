"""Accuracies of a run with their intervals, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ranvier.analysis.intervals import speaker_interval, wilson_interval
from ranvier.analysis.report.run_report import ReportSettings, RunReport
from ranvier.runs import Accuracy, OverSpeakers, SplitAccuracy

SPLITS = ("test", "validation", "seen")  # what counts most first
_NAMES = {"train": "training clips", "validation": "validation clips", "test": "test clips", "seen": "held-out clips"}
DELAYS = {
    "learned": "learned delays",
    "fixed": "random delays, not learned",
    "none": "no delays",
    "dense": "a weight for every delay",
}


@dataclass(frozen=True)
class AccuracyRow:
    """An accuracy to be shown.

    Attributes:
        name: what it was measured on.
        accuracy: with the interval of its clips.
        over: interval over speakers, where these are unseen.
        depth: 1 for a part of the row above.
        muted: drawn in grey.
    """

    name: str
    accuracy: Accuracy
    over: OverSpeakers | None = None
    depth: int = 0
    muted: bool = False

    @property
    def interval(self) -> tuple[float, float]:
        """The one that counts: over speakers where it is there, else the clips'."""
        if self.over is None or self.over.low is None or self.over.high is None:
            return self.accuracy.low, self.accuracy.high
        return self.over.low, self.over.high

    def bar(self, axis: tuple[float, float] = (0.0, 1.0)) -> tuple[float, float, float]:
        """Left end and width of the interval, and the accuracy, in % of an axis."""

        def place(share: float) -> float:
            return 100 * min(1.0, max(0.0, (share - axis[0]) / (axis[1] - axis[0])))

        low, high = map(place, self.interval)
        return low, high - low, place(self.accuracy.value)


def split_name(settings: ReportSettings, split: str) -> str:
    """Of some clips, the same everywhere on the page."""
    if split == "validation" and settings.published:
        split = "test"
    if split not in _NAMES:
        return f"clips of {split}"
    who = "seen speakers" if split == "seen" else "unseen speakers" if split in settings.unseen else ""
    return f"{_NAMES[split]} ({who})" if who else _NAMES[split]


def split_accuracies(report: RunReport) -> list[tuple[str, SplitAccuracy]]:
    """Of every split that there is, what counts most first; over speakers too where they are unseen."""
    known = {} if report.result is None else report.result.accuracy
    # as published, the epoch is chosen on the test clips: they are one split under two names
    twice = report.settings.published and "test" in known
    found = []
    for split in SPLITS:
        if split in known and not (twice and split == "validation"):
            one = known[split]
            speakers = speakers_of(report, split)
            if one.over_speakers is None and split in report.settings.unseen and speakers:  # an older result
                shares = (accuracy.value for accuracy in speakers.values())
                one = one.model_copy(update={"over_speakers": speaker_interval(shares)})
            found.append((split, one))
    return found


def main_accuracy(report: RunReport) -> tuple[str, SplitAccuracy] | None:
    """The accuracy that counts most, and its split."""
    return next(iter(split_accuracies(report)), None)


def speakers_of(report: RunReport, split: str) -> dict[str, Accuracy]:
    """By speaker, as far as that is known."""
    known = None if report.result is None else report.result.accuracy.get(split)
    if known is not None and known.speakers:
        return known.speakers
    if report.record is None or report.record.split != split:
        return {}
    return {name: _accuracy(*counts) for name, counts in report.record.speakers.items()}


def _accuracy(correct: int, clips: int) -> Accuracy:
    low, high = wilson_interval(correct, clips)
    return Accuracy(value=correct / clips, low=low, high=high, correct=correct, clips=clips)


def accuracy_rows(report: RunReport) -> Iterator[AccuracyRow]:
    """Every split with its speakers, best first, and the trainings that it is compared with."""
    for split, accuracy in split_accuracies(report):
        yield AccuracyRow(split_name(report.settings, split), accuracy, accuracy.over_speakers)
        speakers = speakers_of(report, split)
        if len(speakers) > 1:
            for name, one in sorted(speakers.items(), key=lambda item: -item[1].value):
                yield AccuracyRow(f"speaker {name}", one, depth=1, muted=True)
    for delays, part in ({} if report.result is None else report.result.comparison).items():
        found = next((part.accuracy[split] for split in SPLITS if split in part.accuracy), None)
        if found is not None:
            yield AccuracyRow(f"for comparison: {DELAYS.get(delays, delays)}", found, found.over_speakers, muted=True)


def probe_rows(report: RunReport) -> list[AccuracyRow]:
    """The undisturbed network first, then in grey each disturbance, and the control if there was one."""
    results = () if report.probe is None else report.probe.results
    return [
        AccuracyRow(
            one.name, one.accuracy, depth=int(one.kind != "nothing" and one.gain is None), muted=one.kind != "nothing"
        )
        for one in results
    ]


def last_accuracy(report: RunReport) -> float | None:
    """Of the last epoch's network, on the clips that the kept epoch was chosen on."""
    if report.result is None or not report.rows or report.rows[-1].epoch != report.result.epochs:
        return None
    return report.rows[-1].validation_accuracy
