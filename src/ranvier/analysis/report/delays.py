"""The delays of a run: how they are spread, how they moved, and how strong the synapses are that have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from ranvier.analysis.report.clips import listed
from ranvier.analysis.report.drawings import SCATTER_SYNAPSES
from ranvier.analysis.report.markup import LEFT_OUT, details, figure, section, slider, table
from ranvier.analysis.report.run_report import RunReport, learns_delays, starts_at_random

_MOVE = {
    "axonal": "those of one sending neuron together",
    "dendritic": "those of one receiving neuron together",
}


def delays_section(report: RunReport, data: Mapping[str, Any], run: int) -> str:
    """Histograms of delays, by epoch where they were recorded."""
    title = "What became of the delays" if learns_delays(report) else "The delays"
    layers = data.get("delays", {}).get("layers", [])
    if not layers:
        why = "The network is not finished." if report.network is None else "This network has no delays."
        return section("delays", run, title, f"<p>{why}</p>")
    dt_ms, epochs = data["dt"], data["delays"]["epoch"]
    width = layers[0]["width"]
    same = all(layer["width"] == width for layer in layers)
    final = zip_longest(*(layer["counts"][-1] for layer in layers), fillvalue="")
    rows = [[_bin(place, width, dt_ms), *counts] for place, counts in enumerate(final)]
    when = f"after epoch {epochs[-1]}" if epochs else "of the finished network"
    return section(
        "delays",
        run,
        title,
        figure(
            "delays",
            run,
            "A histogram of delays for every layer of synapses.",
            " ".join(_caption(report, epochs, [layer["name"] for layer in layers], width)),
            slider("epoch", "Epoch") if epochs else "",
        ),
        details(
            "Table: synapses by delay",
            table(f"Synapses by delay, {when}", ["delay", *(layer["name"] for layer in layers)], rows),
        )
        if same
        else "",
    )


def _bin(place: int, width: int, dt_ms: float) -> str:
    first = f"{place * width * dt_ms:g}"
    return f"{first} ms" if width == 1 else f"{first} to {((place + 1) * width - 1) * dt_ms:g} ms"


def _caption(report: RunReport, epochs: Sequence[int], names: Sequence[str], width: int) -> Iterator[str]:
    yield "How many synapses have which delay."
    delays = report.settings.get("model.delays")
    if delays == "every":
        yield "Every two connected neurons have a synapse for each delay, so there are equally many of all."
    elif not learns_delays(report):
        first = "drawn at random" if starts_at_random(report) else "taken over from another run"
        yield f"They were {first} and not learned."
    elif not epochs:
        yield (
            "This run did not record its delays while it trained, so there is nothing to move here; runs made since do."
        )
    else:
        together = _MOVE.get(report.settings.get("model.delay_type", ""), "each on its own")
        drawn = starts_at_random(report)
        first = "drawn at random, all lengths equally likely" if drawn else "as the other run left them"
        yield f"Move the epoch: delays begin {first}, and training moves them, {together}."
        if width == 1 and drawn:
            yield "Rounded to whole steps, the shortest and the longest begin about half as full as the others."
        if len(epochs) > 1:
            yield f"Grey outline: after epoch {epochs[0]}."
        yield from _moved(report, names)


def _moved(report: RunReport, names: Sequence[str]) -> Iterator[str]:
    """How far, where the run has recorded it."""
    row = next((row for row in report.rows if row["epoch"] == report.best_epoch), {})
    moved = row.get("delay_moved_ms", ())
    if len(moved) == len(names):
        far = [f"{_ms(median)} ms ({name})" for name, median in zip(names, moved, strict=True)]
        yield (
            f"By epoch {row['epoch']}, the one kept, half of the synapses had moved from where they began by more than "
            f"{listed(far)}."
        )


def _ms(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def strength_section(report: RunReport, data: Mapping[str, Any], run: int) -> str:
    """Weights against delays."""
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
            "zero. Where they are far from zero, synapses of that delay are strong; flat lines mean that they are "
            "about equally strong at all delays. Dots are a random sample, the same whenever the report is made "
            f"({parts}), and spread a little within their step.",
        ),
    )
