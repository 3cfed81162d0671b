"""How spikes travel through a network: clips to look at, with what there is to see in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ranvier.analysis.report.drawings import STRONGEST
from ranvier.analysis.report.markup import LEFT_OUT, figure, section, slider
from ranvier.analysis.report.run_report import RunReport, has_delays, is_filtered


def travel_section(report: RunReport, data: Mapping[str, Any], run: int) -> str:
    """Spikes of every layer over time, and the way of one neuron's."""
    title = "How spikes travel"
    if "clips" in data.get("left_out", ()):
        return section("travel", run, title, LEFT_OUT)
    if "clips" not in data:
        return section("travel", run, title, "<p>No clips were at hand to look at.</p>")
    dense = "frames" in data["clips"][0]
    controls = (
        '<div class="controls"><label>Clip <select data-control="clip"></select></label>'
        '<label>Follow a neuron of <select data-control="layer"></select></label></div>'
        + slider("neuron", "Neuron")
        + slider("time", "Time", play=True)
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
            "\n".join(_caption(report, dense=dense)),
            controls,
        ),
    )


def _caption(report: RunReport, *, dense: bool) -> Iterator[str]:
    """Paragraphs."""
    network = report.network
    top = "the input, stronger where its numbers are larger" if dense else "the input's spikes"
    lines = (
        f"From top to bottom: {top}, the spikes of each hidden layer, and the output, stronger where the network says "
        "that class. Neurons are numbered from 0, and the slider passes over those that are silent in this clip."
    )
    if network is not None and network.decoding.tail_steps:
        late = ", in which late spikes still arrive" if has_delays(network) else ""
        lines += f" After the dotted line the clip has ended, and the network goes on for a while in silence{late}."
    yield lines
    if network is not None and has_delays(network):
        moves = (
            "Move the time: a spike of the chosen neuron leaves when it is fired and arrives at each target one delay "
            "later, so the farther an arrow reaches to the right, the longer its delay."
        )
    else:
        moves = "Move the time: this network has no delays, so a spike arrives in the step in which it is fired."
    moves += (
        f" Drawn are the neuron's {STRONGEST} strongest synapses at most, thicker where they are stronger: solid "
        "arrows push their target towards a spike, dashed ones hold it back. A ring marks an arrival, filled where the "
        "target fires in that very step. Of many spikes the older ones are pale. Click or tap a spike to follow its "
        "neuron."
    )
    if network is not None and is_filtered(network):
        moves += (
            " Synapses go on hearing a spike of a hidden neuron after it has arrived, ever more weakly; an arrow shows "
            "where that begins."
        )
    yield moves
    yield (
        "At each step the output divides one vote among the classes, by its neurons' voltages (a softmax); the answer "
        "is the class with the largest total at the end. Red: the class with the largest total so far. Bold: that "
        "class and the right one."
    )
