"""What the network of a finished run costs on the clips that its report is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ranvier.analysis.report.run_report import connections, operations_per_clip
from ranvier.engine.cost import ring_bytes
from ranvier.network import Network
from ranvier.recipes.report import OWN
from ranvier.runs import read_record


@dataclass(frozen=True)
class RunCost:
    """Of a network, means over clips.

    Attributes:
        spikes: of its hidden neurons, per clip.
        operations: synaptic operations per clip; None where inputs, or what layers send, are numbers.
        synapses: with a weight other than 0; of a convolution at every place of its kernel.
        buffer_bytes: post-side rings, as :class:`ranvier.engine.LayerCost` has them.
    """

    spikes: float
    operations: float | None
    buffer_bytes: float
    synapses: float

    @classmethod
    def mean(cls, costs: Sequence[RunCost]) -> RunCost | None:
        """The mean over runs; None of none."""
        if not costs:
            return None
        operations = [cost.operations for cost in costs if cost.operations is not None]
        return cls(
            sum(cost.spikes for cost in costs) / len(costs),
            sum(operations) / len(operations) if len(operations) == len(costs) else None,
            sum(cost.buffer_bytes for cost in costs) / len(costs),
            sum(cost.synapses for cost in costs) / len(costs),
        )


def run_cost(folder: Path) -> RunCost | None:
    """Of a finished run; None where its folder does not hold its network and what that did with its clips."""
    file = folder / "network.safetensors"
    record = read_record(folder, OWN) if file.exists() else None
    if record is None:
        return None
    network = Network.read(file)
    rings = sum(ring_bytes(layer) for layer in network.layers)
    spikes = float(sum(counts.sum() for counts in record.neuron_spikes))
    synapses = sum(each.synapse_count for each in connections(network))
    return RunCost(spikes, operations_per_clip(network, record), rings, synapses)
