"""How often a run is right, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ranvier.analysis.intervals import wilson_interval
from ranvier.analysis.report.clips import PARTS, in_words, over_speakers, part_name, speakers_heard, speakers_of
from ranvier.analysis.report.markup import percent, section, text
from ranvier.analysis.report.run_report import RunReport

_DELAYS = {
    "learned": "delays learned",
    "fixed": "delays random, frozen",
    "none": "no delays",
    "every": "every delay with its own weight",
}
_FEW_SPEAKERS = 20


def main_accuracy(report: RunReport) -> tuple[str, Mapping[str, Any]] | None:
    """The accuracy that counts most, and of which part of the clips."""
    return next(iter(accuracies(report)), None)


def accuracies(report: RunReport) -> list[tuple[str, Mapping[str, Any]]]:
    """Of every part of the clips that there is, what counts most first; over speakers too where they are unseen."""
    known = (report.result or {}).get("accuracy", {})
    # as published, the epoch is chosen on the test clips: they are one part under two names
    twice = report.settings.get("protocol") == "paper" and "test" in known
    found = []
    for part in PARTS:
        if part in known and not (twice and part == "validation"):
            over = over_speakers(report, part)
            found.append((part, known[part] if over is None else {**known[part], "over_speakers": over}))
    return found


def chance(report: RunReport) -> float | None:
    """How often guessing would be right."""
    return 1 / len(report.classes) if report.classes else None


def accuracy_section(report: RunReport, run: int) -> str:
    """A row for every part, speaker and comparison."""
    rows = list(_accuracy_rows(report))
    if not rows:
        why = "The training has not finished." if report.result is None else "No clips were held out."
        return section("accuracy", run, "How often it is right", f"<p>{why}</p>")
    guess = chance(report)
    some = any("over_speakers" in accuracy for _, _, accuracy in rows)
    lines = []
    for depth, name, accuracy in rows:
        over = f"<td>{over_speakers_cell(accuracy)}</td>" if some else ""
        lines.append(
            f'<tr class="depth{depth}"><th scope="row">{text(name)}</th>'
            f'<td class="graph">{interval_bar(accuracy, guess)}</td>'
            f"<td>{percent(accuracy['value'])}</td>{over}<td>{between(accuracy)}</td>"
            f"<td>{accuracy['clips']:,}</td></tr>"
        )
    drawn = "The bar is the interval" + (" over speakers where there is one, else the clips'" if some else "")
    drawn += ", the upright mark the accuracy itself"
    bars = f'<span class="with-graph">{drawn}{"" if guess is None else "; the short grey line is guessing"}. </span>'
    return section(
        "accuracy",
        run,
        "How often it is right",
        '<div class="scroll"><table class="accuracy"><thead><tr><th scope="col">measured on</th>'
        '<th class="graph ends" scope="col"><span>0%</span><span>100%</span></th><th scope="col">right</th>'
        + ('<th scope="col">95% over speakers</th>' if some else "")
        + '<th scope="col">clips&#x27; 95% interval</th><th scope="col">clips</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>",
        f'<p class="caption">{bars}{text(_interval(report))}</p>',
        *(f'<p class="caption">{text(told)}</p>' for told in (" ".join(few_speakers(report)), chosen(report)) if told),
    )


def _interval(report: RunReport) -> str:
    guess = chance(report)
    return (
        "The clips' 95% interval (Wilson's formula) tells how well so many clips pin the share down: of 100 such "
        "intervals about 95 hold the true one. It is of this one training and of the speakers of these clips; another "
        "seed gives another network, of which it says nothing."
    ) + ("" if guess is None else f" Guessing would get {percent(guess)}.")


def few_speakers(report: RunReport, *, shares: bool = True) -> Iterator[str]:
    """What the interval leaves out where the clips are of a few speakers, with their ``shares`` if wanted."""
    main = main_accuracy(report)
    speakers = {} if main is None else speakers_of(report, main[0])
    if main is None or not 0 < len(speakers) <= _FEW_SPEAKERS or speakers_heard(report.settings, main[0]) == "heard":
        return
    name = part_name(report.settings, main[0]).partition(" (")[0]
    if len(speakers) == 1:
        yield (
            f"The {name} are all of one speaker and alike: another speaker may well lie outside the clips' interval, "
            "and one speaker gives no interval over speakers."
        )
        return
    known = [right / clips for right, clips in speakers.values()]
    between_them = f" (these {in_words(len(known))} lie between {percent(min(known))} and {percent(max(known))})"
    yield (
        f"The {name} are of {in_words(len(speakers))} speakers only, and clips of one speaker are alike: another "
        f"speaker may well lie outside the clips' interval{between_them if shares else ''}."
    )
    over = main[1].get("over_speakers")
    if over is not None and over.get("low") is not None:
        yield (
            f"Over speakers the mean is {percent(over['value'])}, and its 95% interval (Student's t over the "
            f"{in_words(over['speakers'])} accuracies) {between(over)}."
        )


def chosen(report: RunReport) -> str:
    """Which epoch's network was kept, and what that does to the accuracy it was chosen by."""
    result = report.result or {}
    best, last = result.get("best_epoch"), result.get("epochs")
    untested = result.get("clips", {}).get("test") == 0
    test = " There were no test clips, so no number here is a test result." if untested else ""
    if best is None:
        return test
    ends = last_accuracy(report)
    if result.get("epoch_chosen_on") != "validation" and result.get("protocol") != "paper":
        return f"The network is that of the last epoch, {best}.{test}"
    name = part_name(report.settings, "validation").partition(" (")[0]
    how = f"The network is that of epoch {best}, the best of {last} on the {name}"
    if best == last:
        how += ", which was also the last"
    elif ends is not None:
        how += f"; that of the last epoch, {last}, got {percent(ends)} of them right"
    published = " (chosen on the test clips, as published)" if result.get("protocol") == "paper" else ""
    unchosen = "" if published or "test" not in result.get("accuracy", {}) else "; that on the test clips is not"
    optimistic = f"so its accuracy on the {name} is optimistic{published}{unchosen}"
    return f"{how}. The best of many is a lucky one, {optimistic}.{test}"


def last_accuracy(report: RunReport) -> float | None:
    """Of the last epoch's network, on the clips that the kept epoch was chosen on."""
    if report.result is None or not report.rows or report.rows[-1]["epoch"] != report.result.get("epochs"):
        return None
    value = report.rows[-1].get("validation_accuracy")
    return None if value is None else float(value)


def _accuracy_rows(report: RunReport) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Depth, name and accuracy of every part and speaker."""
    result = report.result or {}
    for part, accuracy in accuracies(report):
        yield 0, part_name(report.settings, part), accuracy
        speakers = speakers_of(report, part)
        if len(speakers) > 1:
            known = {name: _of(*counts) for name, counts in speakers.items()}
            for speaker, one in sorted(known.items(), key=lambda item: -item[1]["value"]):
                yield 1, f"speaker {speaker}", one
    for name, part in result.get("comparison", {}).items():
        of = next((part["accuracy"][split] for split in PARTS if split in part["accuracy"]), None)
        if of is not None and name != result.get("delays"):
            yield 0, f"for comparison: {_DELAYS.get(name, name)}", of


def _of(right: int, clips: int) -> dict[str, Any]:
    low, high = wilson_interval(right, clips)
    return {"value": right / clips, "low": low, "high": high, "clips": clips}


def between(accuracy: Mapping[str, Any]) -> str:
    """The interval in words."""
    return f"{100 * accuracy['low']:.1f} … {100 * accuracy['high']:.1f}%"


def main_interval(accuracy: Mapping[str, Any]) -> Mapping[str, Any]:
    """What holds ``low`` and ``high`` of the interval that counts: over speakers where it is there, else the clips'."""
    over = accuracy.get("over_speakers")
    return accuracy if over is None or over.get("low") is None else over


def over_speakers_cell(accuracy: Mapping[str, Any]) -> str:
    """The interval over speakers in words; empty where the accuracy has none."""
    over = accuracy.get("over_speakers")
    if over is None:
        return ""
    if over.get("low") is None:
        return "none (one speaker)" if over["speakers"] == 1 else f"none ({in_words(over['speakers'])} speakers alike)"
    return between(over)


def intervals_in_words(accuracy: Mapping[str, Any]) -> str:
    """What interval is of what, in a line."""
    over = over_speakers_cell(accuracy)
    of_clips = f"95% interval {between(accuracy)}"
    return f"95% interval over speakers {over}; clips' {of_clips}" if over else of_clips


def interval_bar(
    accuracy: Mapping[str, Any], guess: float | None = None, axis: tuple[float, float] = (0.0, 1.0)
) -> str:
    """The interval as a bar, over speakers where it is there, and the accuracy as a mark; the axis is of shares."""
    start, end = axis

    def place(share: float) -> float:
        return 100 * min(1.0, max(0.0, (share - start) / (end - start)))

    interval = main_interval(accuracy)
    low, high, value = place(interval["low"]), place(interval["high"]), place(accuracy["value"])
    line = "" if guess is None or not start <= guess <= end else f'<i class="chance" style="left:{place(guess):.2f}%">'
    return (
        f'<span class="bar" aria-hidden="true">{line}{"</i>" if line else ""}'
        f'<i class="span" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
        f'<i class="mark" style="left:{value:.2f}%"></i></span>'
    )
