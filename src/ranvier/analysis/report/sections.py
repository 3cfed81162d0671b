"""The parts of a run's report, each for somebody who sees such a thing for the first time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from ranvier.analysis.report.accuracy import SPLITS, accuracy_section, main_accuracy
from ranvier.analysis.report.cost import cost_section, processor, rates_section, settings_section, spikes_per_clip
from ranvier.analysis.report.drawings import MOST_CLASSES, SCATTER_SYNAPSES, STRONGEST, evenly
from ranvier.analysis.report.markup import details, duration, figure, percent, section, table, text
from ranvier.analysis.report.run_report import Observed, RunReport, is_filtered

_MOST_ROWS = 300
LEFT_OUT = '<p class="note">Left out here to keep this file small; the report of this run alone has it.</p>'


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
        _learning(report, run),
        _travel(report, data, run),
        _delays(report, data, run),
        _strength(report, data, run),
        _confusion(report, data, run),
        rates_section(report, data, run),
        cost_section(report, run),
        settings_section(report, run),
    ]
    return "".join(parts)


def _head(report: RunReport, *, alone: bool) -> str:
    story = "".join(f"<p>{text(sentence)}</p>" for sentence in report.story)
    notes = "".join(f'<p class="note">{text(note)}</p>' for note in report.notes)
    name = f'<p class="eyebrow">Ranvier report</p><h1>{text(report.name)}</h1>' if alone else ""
    return f'<header>{name}<div class="story">{story}</div>{_key(report)}{notes}</header>'


def _key(report: RunReport) -> str:
    """The few numbers to remember."""
    cards = []
    headline = main_accuracy(report)
    if headline is not None:
        name, accuracy = headline
        between = f"95% interval {100 * accuracy['low']:.1f} … {percent(accuracy['high'])}"
        cards.append((percent(accuracy["value"]), f"right on {accuracy['clips']:,} {SPLITS[name]}", between))
    if report.result is not None:
        parameters = report.result["parameters"]
        cards.append((f"{parameters:,}", "learned numbers", "the network's parameters"))
        epochs = f"{report.result['epochs']} epochs"
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


def _learning(report: RunReport, run: int) -> str:
    if not report.rows:
        return section("learning", run, "How it learned", "<p>No epoch has been finished.</p>")
    names = {
        "loss": "loss",
        "train_accuracy": "training",
        "validation_accuracy": "validation",
        "seen_accuracy": "voices heard",
        "sigma_ms": "σ (ms)",
        "seconds": "seconds",
    }
    there = [name for name in names if any(name in row for row in report.rows)]
    told = "every epoch" if len(report.rows) <= _MOST_ROWS else f"{_MOST_ROWS} of {len(report.rows)} epochs"

    def cell(name: str, value: Any) -> str:
        return "" if value is None else percent(value) if name.endswith("accuracy") else f"{value:.4g}"

    kept = evenly(len(report.rows), _MOST_ROWS)
    rows = [
        [row["epoch"], *(cell(name, row.get(name)) for name in there)] for row in (report.rows[place] for place in kept)
    ]
    shrinks = (
        " σ is the width of the blur through which a delay is learned: wide at first, so that a delay feels where "
        "spikes are; in the end a delay is one exact step."
        if "sigma_ms" in there
        else ""
    )
    return section(
        "learning",
        run,
        "How it learned",
        figure(
            "learning",
            run,
            "Curves over the epochs: share of clips that were right, loss"
            + (", and width σ of the delays' blur." if "sigma_ms" in there else "."),
            "An epoch is a pass over all training clips. They are heard while the network still changes, and with some "
            "neurons silenced, so their curve may lie below that of validation. Dashed line: the epoch that was "
            f"kept.{shrinks}",
            _slider("epoch", "Epoch"),
        ),
        details(f"Table: {told}", table(told, ["epoch", *(names[name] for name in there)], rows)),
    )


def _slider(name: str, label: str, *, play: bool = False) -> str:
    button = '<button type="button" data-control="play">Play</button>' if play else ""
    return (
        f'<div class="controls">{button}<label>{text(label)} '
        f'<input type="range" data-control="{name}" min="0" max="0" value="0" step="1"></label><output></output></div>'
    )


def _travel(report: RunReport, data: Mapping[str, Any], run: int) -> str:
    title = "How spikes travel"
    if "clips" in data.get("left_out", ()):
        return section("travel", run, title, LEFT_OUT)
    if "clips" not in data:
        return section("travel", run, title, "<p>No clips were at hand to look at.</p>")
    dense = "frames" in data["clips"][0]
    top = "the input, stronger where its numbers are larger" if dense else "the input's spikes"
    lasts = (
        " Synapses go on hearing a spike of a hidden neuron after it has arrived, ever more weakly; an arrow shows "
        "where that begins."
        if report.network is not None and is_filtered(report.network)
        else ""
    )
    controls = (
        '<div class="controls"><label>Clip <select data-control="clip"></select></label>'
        '<label>Follow a neuron of <select data-control="layer"></select></label></div>'
        + _slider("neuron", "Neuron")
        + _slider("time", "Time", play=True)
    )
    return section(
        "travel",
        run,
        title,
        figure(
            "travel",
            run,
            "Spikes of every layer over time, one row per neuron; arrows from the chosen neuron's spikes to where and "
            "when they arrive in the next layer; at the bottom what the network says.",
            f"From top to bottom: {top}, the spikes of each hidden layer, and the output, stronger where the network "
            "says that class. Move the time: a spike of the chosen neuron leaves when it is fired and arrives at each "
            "target one delay later, so the farther an arrow reaches to the right, the longer its delay. Drawn are the "
            f"neuron's {STRONGEST} strongest synapses at most: solid arrows push their target towards a spike, dashed "
            "ones hold it back. A ring marks an arrival, filled where the target fires in that very step. Click a "
            f"spike to follow its neuron.{lasts}",
            controls,
        ),
    )


def _delays(report: RunReport, data: Mapping[str, Any], run: int) -> str:
    layers = data.get("delays", {}).get("layers", [])
    if not layers:
        why = "The network is not finished." if report.network is None else "This network has no delays."
        return section("delays", run, "What became of the delays", f"<p>{why}</p>")
    dt_ms, epochs = data["dt"], data["delays"]["epoch"]
    learned = report.settings.get("model.delays") == "learned"
    if epochs:
        caption = (
            "How many synapses have which delay. Move the epoch: delays begin spread evenly over all lengths, and "
            "training moves each on its own. Grey outline: after the first epoch recorded."
        )
    elif learned:
        caption = (
            "How many synapses of the finished network have which delay. This run did not record its delays while it "
            "trained, so there is nothing to move here; runs made since do."
        )
    else:
        caption = "How many synapses have which delay. They were drawn at random and not learned."
    width = layers[0]["width"]
    same = all(layer["width"] == width for layer in layers)
    final = zip_longest(*(layer["counts"][-1] for layer in layers), fillvalue="")
    rows = [[f"{place * width * dt_ms:g} ms", *counts] for place, counts in enumerate(final)]
    names = [layer["name"] for layer in layers]
    return section(
        "delays",
        run,
        "What became of the delays",
        figure(
            "delays",
            run,
            "A histogram of delays for every layer of synapses.",
            caption,
            _slider("epoch", "Epoch") if epochs else "",
        ),
        details("Table: synapses by delay", table("Synapses by delay, at the end", ["delay", *names], rows))
        if same
        else "",
    )


def _strength(report: RunReport, data: Mapping[str, Any], run: int) -> str:
    title = "Delay and strength"
    if "scatter" in data.get("left_out", ()):
        return section("strength", run, title, LEFT_OUT)
    if not data.get("scatter"):
        return ""
    parts = "; ".join(
        f"{layer['name']}: {min(SCATTER_SYNAPSES, layer['synapses']):,} of {layer['synapses']:,}"
        for layer in data["scatter"]
    )
    return section(
        "strength",
        run,
        title,
        figure(
            "strength",
            run,
            "Weight of synapses against their delay, for every layer, and the mean strength at each delay.",
            "A dot is a synapse: to the right its delay, up its weight (below zero it holds its target back). The "
            "lines are the mean strength (size of the weight) of all synapses with that delay, drawn above and below "
            "zero: where they part, those delays matter more. Dots are a random sample, drawn from a fixed seed "
            f"({parts}), and spread a little within their step.",
        ),
    )


def _confusion(report: RunReport, data: Mapping[str, Any], run: int) -> str:
    observed = report.observed
    title = "What it mistakes for what"
    if observed is None:
        return section("confusion", run, title, "<p>No clips were at hand to look at.</p>")
    classes = report.classes
    right = int(np.trace(observed.confusion))
    share = "" if observed.clips == observed.there else f", evenly picked from {observed.there:,}"
    intro = (
        f"<p>The frozen network, run event by event on {observed.clips:,} {text(_where(observed))}{share}: "
        f"{right:,} right ({percent(right / observed.clips)}).</p>"
    )
    wrong = observed.confusion * (1 - np.eye(len(observed.confusion), dtype=np.int64))
    order = [place for place in np.argsort(-wrong, axis=None, kind="stable")[:10] if wrong.flat[place] > 0]
    pairs = [
        [classes[int(place) // len(classes)], classes[int(place) % len(classes)], int(wrong.flat[place])]
        for place in order
    ]
    mistakes = table("Commonest mistakes", ["class", "taken for", "clips"], pairs) if pairs else "<p>No mistakes.</p>"
    if "confusion" in data.get("left_out", ()):
        return section("confusion", run, title, intro, LEFT_OUT, mistakes)
    if len(classes) > MOST_CLASSES:
        many = f"<p>{len(classes)} classes are too many to draw.</p>"
        return section("confusion", run, title, intro, many, details("Commonest mistakes", mistakes, opened=True))
    numbers = [[name, *counts] for name, counts in zip(classes, observed.confusion.tolist(), strict=True)]
    return section(
        "confusion",
        run,
        title,
        intro,
        figure(
            "confusion",
            run,
            "A square for every pair of true class (row) and answer (column), stronger where clips are more.",
            "Rows: the true class. Columns: what the network answered. On the diagonal it is right, squares beside it "
            "are mistakes. Point at a square, or use the arrow keys, to read it.",
        ),
        details("Commonest mistakes", mistakes, opened=True),
        details("Table: all counts", table("Rows: true class. Columns: answer.", ["", *classes], numbers)),
    )


def _where(observed: Observed) -> str:
    return SPLITS.get(observed.split, "training clips" if observed.split == "train" else f"clips of {observed.split}")
