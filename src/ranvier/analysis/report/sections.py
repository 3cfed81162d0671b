"""The parts of a run's report, each for somebody who sees such a thing for the first time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ranvier.analysis.report.accuracy import accuracy_section, chance, intervals_in_words, main_accuracy
from ranvier.analysis.report.clips import listed, part_name, part_phrase
from ranvier.analysis.report.cost import cost_section, processor, rates_section, settings_section, spikes_per_clip
from ranvier.analysis.report.delays import delays_section, strength_section
from ranvier.analysis.report.learning import learning_section
from ranvier.analysis.report.markup import duration, percent, several, text
from ranvier.analysis.report.mistakes import mistakes_section
from ranvier.analysis.report.run_report import RunReport, has_delays
from ranvier.analysis.report.travel import travel_section


def run_sections(report: RunReport, data: Mapping[str, Any], run: int, *, alone: bool = True) -> str:
    """Everything about one run.

    Args:
        report: the run.
        data: its drawings.
        run: its place on the page.
        alone: the page is about this run only, so it bears its name.
    """
    parts = [
        _head(report, alone=alone),
        accuracy_section(report, run),
        learning_section(report, run),
        travel_section(report, data, run),
        delays_section(report, data, run),
        strength_section(report, data, run),
        mistakes_section(report, data, run),
        rates_section(report, data, run),
        cost_section(report, run),
        settings_section(report, run),
    ]
    return "".join(parts)


def _head(report: RunReport, *, alone: bool) -> str:
    lead = "".join(f'<p class="{kind}">{text(words)}</p>' for kind, words in _takeaway(report))
    story = "".join(f"<p>{text(sentence)}</p>" for sentence in report.story)
    notes = "".join(f'<p class="note">{text(note)}</p>' for note in report.notes)
    name = f'<p class="eyebrow">Ranvier report{_date(report)}</p><h1>{text(report.name)}</h1>' if alone else ""
    return f'<header>{name}<div class="story">{lead}{story}</div>{_key(report)}{notes}</header>'


def _date(report: RunReport) -> str:
    """The day on which the training ended, where the result has it."""
    finished = (report.result or {}).get("finished")
    return "" if finished is None else f", trained until {text(str(finished)[:10])}"


def _takeaway(report: RunReport) -> Iterator[tuple[str, str]]:
    """The whole page in a few words: how well, on what, against chance; and what there is to see."""
    main, guess = main_accuracy(report), chance(report)
    if main is not None:
        part, accuracy = main
        right = f"{percent(accuracy['value'])} of {part_phrase(report, part, accuracy['clips'])}"
        classes = several(len(report.classes), "class", "classes")
        against = "" if guess is None else f"; guessing among its {classes} would be right on {percent(guess)}"
        yield "lead", f"This network is right on {right}{against}."
    elif report.result is not None:
        yield "lead", "No clips were held out, so how often this network is right on new clips is not known."
    seen = ["how it learned"] if report.rows else []
    if report.observed is not None and report.observed.examples:
        seen.append("how spikes travel through it")
    if report.network is not None and has_delays(report.network):
        seen.append("its delays")
    if report.observed is not None:
        seen.append("what it mistakes for what")
    if report.network is not None:
        seen.append("what it costs")
    if seen:
        yield "contents", f"Below: {listed(seen)}."


def _key(report: RunReport) -> str:
    """The few numbers to remember."""
    cards = []
    main = main_accuracy(report)
    if main is not None:
        part, accuracy = main
        name = part_name(report.settings, part)
        cards.append(
            (
                percent(accuracy["value"]),
                f"right on {accuracy['clips']:,} {name}",
                intervals_in_words(accuracy),
            )
        )
    if report.result is not None:
        parameters = report.result["parameters"]
        cards.append((f"{parameters:,}", "learned numbers", "the network's parameters"))
        epochs = several(report.result["epochs"], "epoch")
        cards.append((duration(report.result["seconds"]), "of training", f"{epochs}, {processor(report)}"))
    spikes = spikes_per_clip(report.observed)
    if spikes is not None:
        cards.append(
            (f"{spikes:,.0f}" if spikes >= 10 else f"{spikes:.1f}", "spikes per clip", "of all hidden neurons together")
        )
    return (
        '<ul class="key">'
        + "".join(
            f"<li><strong>{text(big)}</strong> <span>{text(what)}</span> <small>{text(more)}</small></li>"
            for big, what, more in cards
        )
        + "</ul>"
        if cards
        else ""
    )
