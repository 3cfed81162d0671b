"""What the page draws, as plain values: small integers are packed, long series thinned, samples drawn from a seed."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.report.accuracy import main_accuracy, split_name
from ranvier.analysis.report.run_report import RunReport, connection_names, connections, is_undelayed, layer_names
from ranvier.engine import Engine
from ranvier.network import Connection, Network, Scores, Synapses
from ranvier.runs import EpochRow, Example

SCATTER_SYNAPSES = 2000  # a layer's, at most
STRONGEST = 8  # synapses of a neuron that can be followed; half of that to each layer where there are several
MOST_CLASSES = 60  # of a confusion matrix that is still drawn
_MOST_EPOCHS, _MOST_FRAMES, _MOST_BINS, _MOST_EVENTS = 600, 100, 64, 15_000
_TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_CURVES = ("loss", "train_accuracy", "validation_accuracy", "seen_accuracy", "sigma_ms")


def drawings(report: RunReport) -> dict[str, Any]:
    """Everything that is drawn of one run; what is not known is left out."""
    data: dict[str, Any] = {
        "name": report.name,
        "best": report.best_epoch,
        "curves": _curves(report.rows),
        "named": {f"{one}_accuracy": split_name(report.settings, one) for one in ("validation", "train", "seen")},
    }
    main = main_accuracy(report)
    if main is not None:
        data["right"] = number(main[1].value)
    if report.settings.sigma_start_ms is not None and "sigma_ms" in data["curves"]:
        data["began"] = number(report.settings.sigma_start_ms)
    network, record = report.network, report.record
    if network is None:
        return data
    sizes = [network.input.sources, *(layer.targets for layer in network.layers)]
    named = zip(layer_names(network), sizes, strict=True)
    delayed = [
        (name, connection)
        for name, connection in zip(connection_names(network), connections(network), strict=True)
        if connection.max_delay > 0 and not is_undelayed(network, connection)
    ]
    generator = np.random.default_rng(0)
    data |= {
        "dt": network.dt_ms,
        "longest": max(layer.max_delay for layer in network.layers),
        "layers": [{"name": name, "neurons": neurons} for name, neurons in named],
        "classes": list(network.classes),
        "scores": network.decoding.scores,
        "delays": _delay_frames(report, delayed),
        "scatter": [{"name": name, **_scatter(connection, generator)} for name, connection in delayed],
    }
    if report.input_hz is not None:
        data["ticks"] = _frequency_ticks(report.input_hz)
    if record is None:
        return data
    if len(network.classes) <= MOST_CLASSES:
        data["confusion"] = record.confusion.tolist()
    hidden = zip(layer_names(network)[1:-1], record.neuron_spikes, strict=True)
    data["rates"] = [{"name": name, **_spread(rates)} for name, rates in hidden]
    if record.examples:
        data["synapses"] = _followed(network)
        engine = Engine(network)
        data["clips"] = [_clip(engine, example) for example in record.examples]
    return data


def _frequency_ticks(input_hz: NDArray[np.float64]) -> list[list[Any]]:
    """Round frequencies, with where they lie among the sources."""
    order = np.argsort(input_hz)
    there = [hz for hz in _TICKS_HZ if input_hz.min() <= hz <= input_hz.max()]
    places = np.interp(np.log(there), np.log(input_hz[order]), np.arange(len(input_hz))[order])
    return [
        [number(place), f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz"]
        for hz, place in zip(there, places, strict=True)
    ]


def number(value: Any, digits: int = 5) -> float | None:
    """A number that JSON can hold: None for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{float(value):.{digits}g}")


def _packed(values: NDArray[Any], kind: str) -> str:
    """Base64 of little-endian integers, which the page unpacks."""
    return base64.b64encode(np.ascontiguousarray(values, np.dtype(kind)).tobytes()).decode()


def evenly(many: int, most: int) -> list[int]:
    """Up to ``most`` of 0 ... many - 1, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, many - 1, min(many, most))}) if many else []


def _curves(rows: Sequence[EpochRow]) -> dict[str, Any]:
    kept = [rows[place] for place in evenly(len(rows), _MOST_EPOCHS)]
    there = [name for name in _CURVES if any(getattr(row, name) is not None for row in kept)]
    return {
        "epoch": [row.epoch for row in kept],
        **{name: [number(getattr(row, name)) for row in kept] for name in there},
    }


def _delay_frames(report: RunReport, delayed: list[tuple[str, Connection]]) -> dict[str, Any]:
    """Histograms of delays by epoch, in bins of whole steps; the frozen network's alone where none were recorded."""
    recorded = [row for row in report.rows if delayed and len(row.delay_histograms or ()) == len(delayed)]
    frames = [recorded[place] for place in evenly(len(recorded), _MOST_FRAMES)]
    best = next((row for row in recorded if row.epoch == report.best_epoch), None)
    if best is not None and best not in frames:
        frames = sorted([*frames, best], key=lambda row: row.epoch)
    layers = []
    for place, (name, connection) in enumerate(delayed):
        final = np.bincount(connection.delays(), minlength=connection.max_delay + 1)
        counts = [np.asarray((row.delay_histograms or ())[place]) for row in frames] or [final]
        longest = max(map(len, [final, *counts]))  # recurrent delays may become longer
        counts = [np.pad(c, (0, longest - len(c))) for c in counts]
        width = _bin_width(longest)
        layers.append(
            {
                "name": name,
                "width": width,
                "counts": [_binned(c, width) for c in counts],
                "mean": [number(c @ np.arange(len(c)) / max(1, c.sum()), 4) for c in counts],
            }
        )
    return {"epoch": [row.epoch for row in frames], "layers": layers}


def _bin_width(steps: int) -> int:
    return -(-steps // _MOST_BINS)


def _binned(counts: NDArray[Any], width: int) -> list[Any]:
    padded = np.pad(counts, (0, -len(counts) % width))
    totals: list[Any] = padded.reshape(-1, width).sum(1).tolist()
    return totals


def _scatter(connection: Connection, generator: np.random.Generator) -> dict[str, Any]:
    _, _, weight, delay = connection.synapses()
    size = min(SCATTER_SYNAPSES, weight.size)
    chosen = np.sort(generator.choice(weight.size, size, replace=False))
    # points within a step are spread over its width, so that they do not hide each other
    place = np.clip(delay[chosen] + generator.uniform(-0.4, 0.4, size), 0, None)
    largest = float(np.abs(weight).max(initial=0.0)) or 1.0
    steps = connection.max_delay + 1
    width = _bin_width(steps)
    total = _binned(np.bincount(delay, minlength=steps), width)
    strength = _binned(np.bincount(delay, np.abs(weight), minlength=steps), width)
    return {
        "longest": connection.max_delay,
        "largest": number(largest),
        "place": _packed(np.round(place * 65535 / steps), "<u2"),
        "weight": _packed(np.round(weight[chosen] / largest * 32767), "<i2"),
        "width": width,
        "strength": [number(s / n, 4) if n else None for s, n in zip(strength, total, strict=True)],
        "synapses": int(weight.size),
    }


def _spread(rates: NDArray[np.float64]) -> dict[str, Any]:
    """How many neurons spike how often."""
    top = float(rates.max(initial=0.0)) or 1.0
    counts, _ = np.histogram(rates[rates > 0], bins=24, range=(0, top))
    return {
        "top": number(top),
        "counts": [int(count) for count in counts],
        "silent": int((rates == 0).sum()),
        "mean": number(rates.mean()),
    }


def _followed(network: Network) -> list[dict[str, Any]]:
    """The strongest synapses from each layer to each, with their places, 0 for the input."""
    place = {name: number for number, name in enumerate(["input", *(layer.name for layer in network.layers)])}
    between: dict[tuple[str, str], list[Connection]] = {}  # a dense convolution is a connection for each delay
    for layer in network.layers:
        for connection in layer.inputs:
            between.setdefault((connection.source, layer.name), []).append(connection)
    synapses = {
        ends: Synapses(*map(np.concatenate, zip(*(c.synapses() for c in them), strict=True)))
        for ends, them in between.items()
    }
    largest: dict[str, float] = {}
    for (source, _), each in synapses.items():
        largest[source] = max(largest.get(source, 0.0), float(np.abs(each.weight).max(initial=0.0)))
    kept = STRONGEST if len(between) == len(network.layers) else STRONGEST // 2
    return [
        {
            "from": place[source],
            "to": place[target],
            **_strongest(each, between[source, target][0].sources, kept, largest[source] or 1.0),
        }
        for (source, target), each in synapses.items()
    ]


def _strongest(synapses: Synapses, sources: int, kept: int, largest: float) -> dict[str, Any]:
    """Of every source, its strongest synapses: target, delay in steps, and weight in 127ths of the largest."""
    order = np.lexsort((-np.abs(synapses.weight), synapses.source))
    source, target, weight, delay = (values[order] for values in synapses)
    rank = np.arange(len(source)) - np.searchsorted(source, source)
    there = rank < kept
    place = source[there], rank[there]
    shape = (sources, kept)
    targets, delays, strong = (np.zeros(shape, values.dtype) for values in (target, delay, weight))
    targets[place], delays[place], strong[place] = target[there], delay[there], weight[there]
    return {
        "kept": kept,
        "target": _packed(targets, "<u2"),
        "delay": _packed(delays, "<u2"),
        # 0 stands for no synapse, so what is there is never rounded to it
        "weight": _packed(np.sign(strong) * np.maximum(np.round(np.abs(strong) / largest * 127), 1), "<i2"),
    }


def _shares(voltage: NDArray[Any], scores: Scores) -> NDArray[Any]:
    """What scores are made of, from 0 to 1 ``[step, class]``: softmax, spikes, or the voltage between the clip's lowest
    and highest."""
    if scores == "count":
        return voltage
    if scores == "softmax":
        share = np.exp(voltage - voltage.max(1, keepdims=True))
        return np.asarray(share / share.sum(1, keepdims=True))
    low, high = float(voltage.min()), float(voltage.max())
    return np.asarray((voltage - low) / ((high - low) or 1.0))


def _clip(engine: Engine, example: Example) -> dict[str, Any]:
    network = engine.network
    result = engine.run(example.events, example.length)
    clip: dict[str, Any] = {
        "label": network.classes[example.label],
        "speaker": example.speaker,
        "said": network.classes[result.prediction],
        "length": example.length,
        "steps": len(result.voltage),
        "share": _packed(np.round(_shares(result.voltage, network.decoding.scores) * 255), "<u1"),
    }
    rasters = [(raster[:, 0], raster[:, 1]) for raster in result.spikes]
    if isinstance(example.events, np.ndarray):
        frames = example.events.astype(np.float64)
        low, high = float(frames.min(initial=0.0)), float(frames.max(initial=0.0))
        clip["frames"] = _packed(np.round((frames - low) / ((high - low) or 1.0) * 255), "<u1")
        rasters.insert(0, (np.empty(0, np.int64), np.empty(0, np.int64)))
    else:
        rasters.insert(0, (np.asarray(example.events[0]), np.asarray(example.events[1])))
    clip["rasters"] = []
    for step, neuron in rasters:
        kept = evenly(len(step), _MOST_EVENTS)
        clip["rasters"].append(
            {"step": _packed(step[kept], "<u2"), "neuron": _packed(neuron[kept], "<u2"), "of": len(step)}
        )
    return clip
