"""Figures of networks and what they do."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engine import Engine, Events
from ranvier.escape import escape_controls
from ranvier.files import write_atomically
from ranvier.network import Network
from ranvier.runs import Accuracy, ProbeResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BEFORE, _AFTER, _INK = "#9aa5b1", "#d1495b", "#2e4057"


def _figure(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Figure, NDArray[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # drawn without a screen, whatever the user's backend is
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a PNG; see :func:`ranvier.files.write_atomically`."""
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _name(name: str) -> str:
    """A name as matplotlib draws it: no formula, letters that no font in use has as ``\\u6c34``.

    The fonts are those of ``font.family`` in matplotlibrc, DejaVu Sans alone by default.
    """
    from matplotlib import font_manager

    families = font_manager.FontProperties().get_family()
    properties = [font_manager.FontProperties(family=[family]) for family in families]
    fonts = [font_manager.get_font(font_manager.findfont(one)) for one in properties]
    drawn = "".join(
        letter if any(font.get_char_index(ord(letter)) for font in fonts) else letter.encode("unicode_escape").decode()
        for letter in escape_controls(name)
    )
    return drawn.replace("$", r"\$")


def plot_delays(
    before: Sequence[NDArray[Any]], after: Sequence[NDArray[Any]], dt_ms: float, names: Sequence[str] | None = None
) -> Figure:
    """Delays of every layer before and after training: how they are spread, and how far they moved.

    Args:
        before, after: per layer, or per connection, delays in steps, of one shape.
        dt_ms: length of a step in ms.
        names: of these; None means ``layer 1``, ``layer 2``, ...
    """
    names = names or [f"layer {number}" for number in range(1, len(after) + 1)]
    named = zip(names, before, after, strict=True)
    shown = [each for each in named if max(delays.max(initial=0) for delays in each[1:]) > 0]
    figure, axes = _figure(2, max(1, len(shown)), 3.4 * max(1, len(shown)), 5.2)
    for column, (name, b, a) in enumerate(shown):
        longest = float(max(b.max(), a.max()))
        edges = (np.arange(int(np.ceil(longest)) + 2) - 0.5) * dt_ms
        spread, moved = axes[:, column]
        spread.hist(b.ravel() * dt_ms, edges, color=_BEFORE, label="before")
        spread.hist(a.ravel() * dt_ms, edges, color=_AFTER, histtype="step", linewidth=1.6, label="after")
        spread.set(title=f"{_name(name)}: {a.size:,} delays", xlabel="delay (ms)", ylabel="synapses")
        far = a.astype(np.int64) - b
        edges = (np.arange(far.min(), far.max() + 2) - 0.5) * dt_ms
        moved.hist(far.ravel() * dt_ms, edges, color=_INK)
        moved.set(xlabel="moved by (ms)", ylabel="synapses", title=f"mean move {np.abs(far).mean() * dt_ms:.3g} ms")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    return figure


def plot_detectors(
    before: NDArray[Any], after: NDArray[Any], offsets: NDArray[Any], dt_ms: float, most: int = 4
) -> Figure:
    """When a pattern's spikes reach its detector, before and after training: learned delays make them meet.

    Args:
        before, after: ``[class, channel]`` delays of each class's detector, in steps.
        offsets: ``[class, channel]`` when each channel fires in the class's pattern, in steps.
        dt_ms: length of a step in ms.
        most: classes shown.
    """
    shown = min(most, len(offsets))
    figure, axes = _figure(3, shown, 2.6 * shown + 0.6, 6.0, sharex=True, sharey=True)
    channels = np.arange(offsets.shape[1])
    rows = (
        ("spikes sent", np.zeros_like(before), _INK),
        ("spikes arriving,\nrandom delays", before, _BEFORE),
        ("spikes arriving,\nlearned delays", after, _AFTER),
    )
    for row, (title, delay, colour) in enumerate(rows):
        for pattern in range(shown):
            ax = axes[row, pattern]
            ax.scatter(
                (offsets[pattern] + delay[pattern]) * dt_ms, channels, s=60, marker="|", color=colour, linewidth=2
            )
            ax.grid(axis="x", color="#e5e8eb", linewidth=0.6)
            ax.set_axisbelow(True)
            if row == 0:
                ax.set_title(f"pattern {pattern}")
            if row == len(rows) - 1:
                ax.set_xlabel("time (ms)")
        axes[row, 0].set_ylabel(f"{title}\n\nchannel")
    return figure


def plot_probe(probes: Sequence[ProbeResult], chance: float) -> Figure:
    """Accuracy under each disturbance, with its interval: single ones as bars, jitter and deletion as curves.

    Args:
        probes: the undisturbed network, each disturbance, and the control where there is one, in blue.
        chance: accuracy of guessing, in [0, 1].
    """
    single = [one for one in probes if one.amount is None]
    wider = 0.8 * sum(one.kind == "control" for one in single)
    figure, axes = _figure(1, 3, 11.0 + wider, 3.6, sharey=True, width_ratios=(1.4 + 0.3 * wider, 1, 1))
    value, error = _percent([one.accuracy for one in single])
    colours = [{"nothing": _AFTER, "control": _INK}.get(one.kind, _BEFORE) for one in single]
    axes[0, 0].bar(range(len(single)), value, yerr=error, color=colours, capsize=3)
    axes[0, 0].set_xticks(range(len(single)), [textwrap.fill(one.name, 14) for one in single], fontsize=8)
    axes[0, 0].set(ylabel="accuracy (%)", ylim=(0, 100))
    whole = next(one for one in probes if one.kind == "nothing")
    for ax, kind, label, scale in (
        (axes[0, 1], "jitter", "events moved by (ms, standard deviation)", 1),
        (axes[0, 2], "deletion", "events deleted (%)", 100),
    ):
        curve = [whole, *(one for one in probes if one.kind == kind)]
        value, error = _percent([one.accuracy for one in curve])
        ax.errorbar([scale * (one.amount or 0.0) for one in curve], value, error, color=_AFTER, marker="o", capsize=3)
        ax.set(xlabel=label)
    for ax in axes.flat:
        ax.axhline(100 * chance, color=_INK, linewidth=0.8, linestyle=":")
    # beside the last panel, where nothing is drawn
    axes[0, 2].annotate("chance", (1.03, 100 * chance), xycoords=("axes fraction", "data"), va="center")
    return figure


def plot_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracies of a table's rows: a ring for each seed, the mean with its 95% t-interval, what was published.

    Args:
        title: of the table.
        rows: from top to bottom, mappings with ``name``, ``accuracies [seed]``, ``mean``, ``half`` (None with one
            seed), ``published`` and ``published_half`` (None where there is none); accuracies in %. A row without
            accuracies keeps its place.
    """
    figure, axes = _figure(1, 1, 8.0, 1.4 + 0.42 * len(rows))
    ax = axes[0, 0]
    for place, row in enumerate(rows):
        if row["published"] is not None:
            ax.errorbar(
                row["published"], place + 0.22, xerr=row["published_half"], color=_BEFORE, marker="D", markersize=5,
                capsize=3, linestyle="none", label="published",
            )  # fmt: skip
        if not row["accuracies"]:
            ax.annotate("not run", (0.01, place), xycoords=("axes fraction", "data"), va="center", color=_BEFORE)
            continue
        ax.scatter(
            row["accuracies"], [place] * len(row["accuracies"]), s=30, facecolors="none", edgecolors=_INK,
            linewidths=1.1, zorder=2, label="a seed",
        )  # fmt: skip
        ax.errorbar(
            row["mean"], place, xerr=row["half"], color=_AFTER, marker="|", markersize=13, markeredgewidth=2, capsize=4,
            linestyle="none", zorder=3, label="mean" if row["half"] is None else "mean, 95% t-interval over seeds",
        )  # fmt: skip
    ax.set(title=_name(title), xlabel="accuracy (%)", ylim=(len(rows) - 0.5, -0.5))
    ax.set_yticks(range(len(rows)), [_name(row["name"]) for row in rows])
    ax.grid(axis="x", color=_BEFORE, alpha=0.35, linewidth=0.7)
    shown = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    if shown:
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def plot_sweep(fields: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracy over what was drawn: a panel for each field, a disc for each finished trial and a ring for a pruned one.

    Args:
        fields: mappings with ``name``, ``share`` of the accuracy that it decides (None where that is not known),
            ``values [trial]``, ``choices`` (all values that there are, as text; empty for numbers), ``log``,
            ``accuracies [trial]`` in %, ``finished [trial]``.
    """
    columns = min(3, len(fields))
    rows = -(-len(fields) // columns)
    figure, axes = _figure(rows, columns, 3.7 * columns, 3.2 * rows, sharey=True)
    for ax in axes.flat[len(fields) :]:
        ax.set_visible(False)
    for ax, field in zip(axes.flat, fields, strict=False):
        places = field["values"]
        if choices := list(field["choices"]):
            places = [choices.index(str(value)) for value in places]
            ax.set_xticks(range(len(choices)), [textwrap.fill(_name(one), 14) for one in choices], fontsize=8)
            ax.set_xlim(-0.5, len(choices) - 0.5)
        elif field["log"]:
            ax.set_xscale("log")
        colours = [_AFTER if finished else "none" for finished in field["finished"]]
        ax.scatter(places, field["accuracies"], s=26, facecolors=colours, edgecolors=_AFTER, linewidths=1)
        share = "" if field["share"] is None else f"importance {100 * field['share']:.0f}%"
        ax.set(xlabel=_name(field["name"]), title=share)
    for ax in axes[:, 0]:
        ax.set_ylabel("validation accuracy (%)")
    return figure


def _percent(accuracies: Sequence[Accuracy]) -> tuple[list[float], NDArray[np.float64]]:
    """Values and the distances to the ends of their intervals, in percent."""
    value = np.array([one.value for one in accuracies])
    low, high = (np.array([getattr(one, end) for one in accuracies]) for end in ("low", "high"))
    return (100 * value).tolist(), 100 * np.stack([value - low, high - value])


def plot_raster(network: Network, events: Events | NDArray[Any], length: int, label: str) -> Figure:
    """One clip through the layers of a frozen network: input, hidden spikes, output voltages or counted spikes.

    Args:
        network: what runs.
        events, length: the clip, as :meth:`ranvier.engine.Engine.run` takes it.
        label: name of the clip's class.
    """
    result = Engine(network).run(events, length)
    figure, axes = _figure(len(network.layers) + 1, 1, 8.0, 2.0 * (len(network.layers) + 1), sharex=True)
    rasters: list[tuple[str, NDArray[Any], NDArray[Any], int]] = []
    if isinstance(events, np.ndarray):  # real numbers: every cell has one
        top = axes[0, 0]
        grid_ms = np.arange(len(events) + 1) * network.dt_ms
        top.pcolormesh(grid_ms, np.arange(events.shape[1] + 1), events.T, cmap="Greys", rasterized=True)
        top.set(ylabel="input")
        inputs = f"{len(events)} frames"
    else:
        rasters.append(("input", events[0], events[1], network.sources))
        inputs = f"{len(events[0]):,} input events"
    for number, (spikes, layer) in enumerate(zip(result.spikes, network.layers, strict=False), 1):
        rasters.append((f"hidden layer {number}", spikes[:, 0], spikes[:, 1], layer.targets))
    for ax, (name, when, where, neurons) in zip(axes[-1 - len(rasters) : -1, 0], rasters, strict=True):
        spike_ms = np.asarray(when) * network.dt_ms
        if neurons <= 32:
            ax.vlines(spike_ms, where - 0.4, where + 0.4, color=_INK, linewidth=1.2)  # a mark is lower than its row
        else:
            ax.scatter(spike_ms, where, s=7, marker=".", color=_INK, linewidth=0)
        ax.set(ylabel=name, ylim=(-0.7, neurons - 0.3))
    last, time_ms = axes[-1, 0], np.arange(len(result.voltage)) * network.dt_ms
    counts = network.decoding.scores == "count"
    drawn = result.voltage.cumsum(0) if counts else result.voltage
    for neuron, name in enumerate(network.classes):
        chosen = neuron == result.prediction
        last.plot(
            time_ms,
            drawn[:, neuron],
            color=_AFTER if chosen else _BEFORE,
            linewidth=1.8 if chosen else 0.7,
            zorder=2 if chosen else 1,
            label=f"says {_name(name)}" if chosen else None,
        )
    last.axvline(length * network.dt_ms, color=_INK, linestyle=":", linewidth=1)
    last.annotate(" clip ends", (length * network.dt_ms, 1), xycoords=("data", "axes fraction"), va="top", fontsize=8)
    last.set(ylabel="output spikes so far" if counts else "output voltage", xlabel="time (ms)")
    last.legend(frameon=False, loc="upper left")
    axes[0, 0].set_title(f"a clip of class {_name(label)}: {inputs}, through the frozen network")
    return figure
