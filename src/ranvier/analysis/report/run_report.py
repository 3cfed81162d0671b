"""What a report is made of: typed values, arrays, and the frozen network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranvier.engine.cost import summed, synaptic_operations
from ranvier.network import Connection, Network, Scores
from ranvier.runs import EpochRow, EvaluationRecord, ProbeRecord, RunResult


@dataclass(frozen=True)
class ReportSettings:
    """What the report has to know of a run's configuration.

    Attributes:
        recipe: name of a recipe of the same kind, for ``ranvier train RECIPE --help``.
        delays: ``learned``, ``fixed``, ``none``, or ``every``.
        epochs: passes over the training clips that were asked for.
        seed: of the training.
        published: the epoch is chosen on the test clips, as published.
        unseen: splits whose speakers are in no training clip.
        sigma_start_ms: width of the delays' kernel at the start; None where no delay is learned.
        initialised: the training started from another network.
        division: fields that decide which clips are in which split, with their values as text.
        fields: every field with its value as text, to be printed.
    """

    recipe: str
    delays: str
    epochs: int
    seed: int
    published: bool = False
    unseen: frozenset[str] = frozenset()
    sigma_start_ms: float | None = None
    initialised: bool = False
    division: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class RunReport:
    """A run, as it is shown.

    Attributes:
        name: of the run.
        description: what was trained, in a few sentences.
        command: makes the run again.
        settings: of its configuration.
        rows: of the epochs that are done.
        result: None while the run is not finished.
        network: the frozen network; None where there is none.
        record: what it did with clips; None where there were none at hand.
        probe: its accuracy under disturbances; None where that was not measured.
        input_hz: ``[source]`` characteristic frequencies; None where the inputs are no places of an ear.
        notes: what is missing and why.
    """

    name: str
    description: Sequence[str]
    command: str
    settings: ReportSettings
    rows: Sequence[EpochRow]
    result: RunResult | None = None
    network: Network | None = None
    record: EvaluationRecord | None = None
    probe: ProbeRecord | None = None
    input_hz: NDArray[np.float64] | None = None
    notes: Sequence[str] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty without a network."""
        return () if self.network is None else self.network.classes

    @property
    def chance(self) -> float | None:
        """Accuracy of guessing."""
        return 1 / len(self.classes) if self.classes else None

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose network was kept."""
        return None if self.result is None else self.result.best_epoch

    @property
    def synapses(self) -> list[int]:
        """Of every connection; a weight of 0 is none."""
        return [] if self.network is None else [each.synapse_count for each in connections(self.network)]

    @property
    def longest_ms(self) -> float:
        """The longest delay that the network may have."""
        return 0.0 if self.network is None else self.network.max_delay * self.network.dt_ms

    @property
    def filtered(self) -> bool:
        """Whether a layer receives traces of spikes instead of spikes."""
        return self.network is not None and _is_filtered(self.network)

    @property
    def scores(self) -> Scores | None:
        """What class scores are; None without a network."""
        return None if self.network is None else self.network.decoding.scores

    @property
    def operations(self) -> float | None:
        """Synaptic operations per clip; None where that is not known or inputs are numbers."""
        if self.network is None or self.record is None:
            return None
        return operations_per_clip(self.network, self.record)


def _is_filtered(network: Network) -> bool:
    return any(layer.output is not None for layer in network.layers)


def operations_per_clip(network: Network, record: EvaluationRecord) -> float | None:
    """Synaptic operations of all layers; None where inputs, or what layers send, are numbers."""
    layers = zip(network.layers, record.neuron_spikes, strict=False)  # the readout sends nothing
    sent = {layer.name: spikes for layer, spikes in layers}
    if record.source_events is not None:
        sent["input"] = record.source_events
    return summed(synaptic_operations(network, sent))


def connections(network: Network) -> list[Connection]:
    """Of all layers, from input to readout."""
    return [connection for layer in network.layers for connection in layer.inputs]


def is_undelayed(network: Network, connection: Connection) -> bool:
    """Whether it is recurrent, each of its delays the shortest that there can be: one time step."""
    own = any(connection is each and each.source == layer.name for layer in network.layers for each in layer.inputs)
    return own and connection.max_delay == 1


def layer_names(network: Network) -> list[str]:
    """Of the input and every layer, as the report calls them."""
    hidden = [f"hidden layer {number}" for number in range(1, len(network.layers))]
    return ["input", *(hidden if len(hidden) > 1 else ["hidden layer"] * len(hidden)), "output"]


def connection_names(network: Network) -> list[str]:
    """Of every connection's synapses: from where to where."""
    shown = [name.replace("hidden layer", "hidden") for name in layer_names(network)]
    names = dict(zip(["input", *(layer.name for layer in network.layers)], shown, strict=True))
    return [f"{names[each.source]} → {names[layer.name]}" for layer in network.layers for each in layer.inputs]
