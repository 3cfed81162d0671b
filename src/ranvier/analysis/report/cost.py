"""What a run costs, and how to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.report.markup import details, duration, facts, figure, section, several, table, text
from ranvier.analysis.report.run_report import RunReport, has_delays, is_filtered, layer_names
from ranvier.network import Layer, Network
from ranvier.runs import EvaluationRecord


def spikes_per_clip(observed: EvaluationRecord | None) -> float | None:
    """Of all hidden neurons together."""
    return None if observed is None else float(sum(rates.sum() for rates in observed.neuron_spikes))


def processor(report: RunReport) -> str:
    """Where it was trained, in short."""
    return str((report.result or {}).get("machine", "")).partition(", Linux")[0]


def rates_section(report: RunReport, data: Mapping[str, Any], run: int) -> str:
    """How often the neurons spike."""
    if not data.get("rates"):
        return ""
    observed, network = report.observed, report.network
    assert observed is not None
    assert network is not None
    rows = [
        [
            name,
            len(rates),
            f"{rates.mean():.2f}",
            f"{np.median(rates):.2f}",
            f"{rates.max():.2f}",
            int((rates == 0).sum()),
        ]
        for name, rates in zip(layer_names(network)[1:-1], observed.neuron_spikes, strict=True)
    ]
    head = ["layer", "neurons", "mean", "median", "largest", "silent neurons"]
    return section(
        "rates",
        run,
        "How much the neurons spike",
        figure(
            "rates",
            run,
            "A histogram of the neurons' mean spikes per clip, for every hidden layer.",
            "How many neurons spike how often in a clip, on average. Few spikes mean little energy on neuromorphic "
            "hardware; neurons that never spike in these clips (the grey bar, if any) do nothing here.",
        ),
        details("Table: spikes per clip", table("Mean spikes of a neuron in a clip", head, rows)),
    )


def cost_section(report: RunReport, run: int) -> str:
    """Parameters, time and spikes."""
    pairs: dict[str, str] = {}
    result, network, observed = report.result, report.network, report.observed
    if result is not None:
        pairs["parameters"] = f"{result['parameters']:,} learned numbers"
        each = result["seconds"] / max(1, result["epochs"])
        pairs["training"] = f"{duration(result['seconds'])}, {duration(each)} an epoch"
        if "wall_seconds" in result:
            pairs["whole run"] = f"{duration(result['wall_seconds'])}, with reading, testing and drawing"
    elif report.rows:
        pairs["training so far"] = (
            f"{duration(report.rows[-1]['seconds'])}, {len(report.rows)} of {report.epochs} epochs"
        )
    if network is not None:
        pairs["synapses"] = _synapses(report, network)
        if has_delays(network):
            longest = max(layer.max_delay for layer in network.layers)
            pairs["delays"] = f"0 to {longest * network.dt_ms:g} ms allowed, in whole steps of {network.dt_ms:g} ms"
    if observed is not None and network is not None:
        events = observed.source_events
        pairs["input per clip"] = "real numbers at every step" if events is None else f"{events.sum():,.0f} events"
        layers = [rates.sum() for rates in observed.neuron_spikes]
        pairs["spikes per clip"] = " + ".join(f"{total:,.0f}" for total in layers) + " in the hidden layers"
        if is_filtered(network):
            pairs["arrivals per clip"] = "not counted: a spike's trace arrives at every step after it, as a number"
        elif events is not None:
            arrivals = sum(
                float(rates @ _fan_out(layer))
                for rates, layer in zip([events, *observed.neuron_spikes], network.layers, strict=True)
            )
            pairs["arrivals per clip"] = (
                f"{arrivals:,.0f} (each spike through each of its synapses: additions on event-driven hardware)"
            )
    return section("cost", run, "What it costs", facts(pairs)) if pairs else ""


def _fan_out(layer: Layer) -> NDArray[np.int64]:
    """Synapses of every source ``[source]``; a weight of 0 is none."""
    return np.asarray(np.count_nonzero(layer.weight, axis=(0, 1)), np.int64)


_EACH = {
    "learned": "each with a learned weight and a learned delay",
    "fixed": "each with a learned weight and a delay that was not learned",
    "none": "each with a learned weight",
    "every": "each with a learned weight: between two connected neurons there is one for every delay",
}
_SHARED = {"axonal": "from one neuron", "dendritic": "to one neuron"}


def _synapses(report: RunReport, network: Network) -> str:
    """How many there are, and what each has."""
    numbers = [int(_fan_out(layer).sum()) for layer in network.layers]
    settings = report.settings
    each = _EACH.get(settings.get("model.delays", ""), "each with a weight")
    if settings.get("model.delays") in ("learned", "fixed") and settings.get("model.delay_type") in _SHARED:
        each += f"; synapses {_SHARED[settings['model.delay_type']]} share their delay"
    if settings.get("model.kind") == "detectors":
        # the last layer only counts votes
        return f"{sum(numbers[:-1]):,}, {each}; besides, {numbers[-1]:,} fixed ones that count the detectors' votes"
    return f"{sum(numbers):,}, {each}"


def settings_section(report: RunReport, run: int) -> str:
    """The command, where it ran, and the whole configuration."""
    result = report.result or {}
    origin = {}
    if result:
        commit = result.get("git_commit")
        threads = f", {several(result['threads'], 'thread')}" if "threads" in result else ""
        origin["machine"] = f"{result['machine']}{threads}"
        origin["commit"] = "not known" if commit is None else commit.replace("+", " and changes since")
        origin["versions"] = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
        origin["seed"] = f"{result['seed']} (where its random numbers start)"
        if "finished" in result:
            origin["finished"] = str(result["finished"]).replace("T", " ").replace("Z", " UTC")
    left_out = result.get("left_out") or []
    recipe = str(report.settings.get("data.kind", "digits"))
    rows = list(report.settings.items())
    return section(
        "settings",
        run,
        "How to make it again",
        f"<pre><code>{text(report.command)}</code></pre>",
        facts(origin) if origin else "",
        '<p class="caption">What the fields mean is told by <code>ranvier train RECIPE --help</code>, for example '
        f"<code>ranvier train {text(recipe)} --help</code>.</p>",
        details("The whole configuration", table("Every field of the recipe", ["field", "value"], rows, kind="words")),
        details(
            f"{len(left_out)} sound files were left out",
            table("Why", ["reason"], [[r] for r in left_out], kind="words"),
        )
        if left_out
        else "",
    )
