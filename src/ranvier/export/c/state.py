"""The state of a network in C: one struct, whose size is known."""

from __future__ import annotations

from dataclasses import dataclass

from ranvier.export.c.layout import LayerLayout, Layout
from ranvier.network import AdaptiveLIF, Scores

_BYTES = {"uint64_t": 8, "float": 4, "int32_t": 4, "uint32_t": 4, "uint16_t": 2}

_UNITS: dict[Scores, str] = {
    "softmax": "a sum of shares", "sum": "a sum of voltages", "max": "the highest voltage", "last": "the last voltage",
    "count": "how many spikes",
}  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A member of the struct: ``count`` values of a type; 0 is a single one that is no array."""

    type: str
    name: str
    count: int
    words: str

    @property
    def nbytes(self) -> int:
        return _BYTES[self.type] * max(self.count, 1)

    def declaration(self) -> str:
        length = f"[{self.count}]" if self.count else ""
        return f"    {self.type} {self.name}{length}; /* {self.words} */"


def members(plan: Layout) -> list[Member]:
    """All members, those of large alignment first, so that nothing lies between them."""
    integer, classes = plan.network.integer, len(plan.network.classes)
    kind = plan.network.decoding.scores
    unit = "32768 for a share of 1 in one time step" if integer and kind == "softmax" else _UNITS[kind]
    found = [
        Member("uint64_t" if integer else "float", "scores", classes, f"of each class, {unit}"),
        Member("uint32_t", "tail", 0, "time steps of the tail that are done"),
    ]
    if kind == "softmax":
        found.append(Member("uint16_t" if integer else "float", "shares", classes, "softmax of the last time step"))
    for layer in plan.layers:
        found += _members(layer)
    return sorted(found, key=lambda member: -_BYTES[member.type])


def _members(layout: LayerLayout) -> list[Member]:
    layer = layout.layer
    number, name, targets = "int32_t" if layer.integer else "float", layer.name, layer.targets
    found = [
        Member(number, f"{name}_current", layout.slots * targets, f"ring of {layout.slots} time steps"),
        Member("uint32_t", f"{name}_now", 0, "where this time step's currents begin"),
        Member(number, f"{name}_voltage", targets, "after reset" if layer.spikes else "of each class"),
    ]
    if isinstance(layer.neuron, AdaptiveLIF):
        found.append(Member(number, f"{name}_adaptation", targets, "what is taken off the current"))
        if layer.neuron.euler == "forward":
            found.append(Member(number, f"{name}_fired", targets, "1 after a spike"))
    if layout.trace is not None:
        found.append(Member(number, f"{name}_trace", targets, "what other layers receive"))
    if layer.spikes:
        found.append(Member("uint16_t", f"{name}_spikes", targets, "neurons that spiked in the last time step, rising"))
        found.append(Member("uint16_t", f"{name}_spike_count", 0, "how many they are"))
    return found


def state_bytes(plan: Layout) -> int:
    """Size of the struct."""
    found = members(plan)
    alignment = _BYTES[found[0].type]
    return -(-sum(member.nbytes for member in found) // alignment) * alignment
