"""What a report is made of: plain values and arrays, and the frozen network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ranvier.network import Network
from ranvier.runs import EvaluationRecord


@dataclass(frozen=True, eq=False)
class RunReport:
    """A run, as it is told.

    Attributes:
        name: of the run.
        story: what was trained, sentence after sentence, for somebody who knows nothing of it.
        command: makes the run again.
        settings: its resolved configuration, by dotted name.
        epochs: passes over the clips that were asked for.
        rows: a mapping per epoch, as ``metrics.jsonl`` holds them.
        result: as ``result.json`` holds it; None while the run is not finished.
        network: the frozen network; None where there is none.
        observed: what it did with clips; None where there were none at hand.
        notes: what is missing and why.
    """

    name: str
    story: Sequence[str]
    command: str
    settings: Mapping[str, str]
    epochs: int
    rows: Sequence[Mapping[str, Any]]
    result: Mapping[str, Any] | None
    network: Network | None
    observed: EvaluationRecord | None
    notes: Sequence[str] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty without a network."""
        return () if self.network is None else self.network.classes

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose network was kept."""
        return None if self.result is None else self.result.get("best_epoch")


def learns_delays(report: RunReport) -> bool:
    """Whether the delays are learned; else they stay as they were drawn, are all there at once, or there are none."""
    return report.settings.get("model.delays") == "learned"


def starts_at_random(report: RunReport) -> bool:
    """Whether weights and delays were drawn when the training began; else they came from another run."""
    return report.settings.get("train.start", "none") == "none"


def has_delays(network: Network) -> bool:
    """Whether any spike is delayed at all."""
    return any(layer.max_delay > 0 for layer in network.layers)


def is_filtered(network: Network) -> bool:
    """Whether a layer hears traces of spikes instead of spikes."""
    return any(layer.synapse_decay is not None for layer in network.layers)


def layer_names(network: Network) -> list[str]:
    """Of the input and every layer, as the report calls them."""
    hidden = [f"hidden layer {number}" for number in range(1, len(network.layers))]
    return ["input", *(hidden if len(hidden) > 1 else ["hidden layer"] * len(hidden)), "output"]


def connection_names(network: Network) -> list[str]:
    """Of every layer's synapses: from where to where."""
    names = [name.replace("hidden layer", "hidden") for name in layer_names(network)]
    return [f"{before} → {after}" for before, after in pairwise(names)]
