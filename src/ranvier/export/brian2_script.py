"""A frozen network with synaptic delays, run in Brian 2. Needs Brian 2 and NumPy.

    python THIS.py clip.npy result.npz

``clip.npy`` holds ``[time, source]``, the size of the events in each time step. ``result.npz`` gets the spikes of each
layer that spikes as ``[spike, 2]`` (time step, neuron), by its name, and ``voltage [time, class]`` of a readout that
does not.

Spikes act after the voltages have decayed and before the thresholds are looked at, in the step after the one that they
were made in, so each layer runs some steps after the layers before; time steps are counted from its own start.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from typing import Any

import numpy as np

NETWORK = ""
_NEURON = """
v : 1
decay : 1 (constant)
bias : 1 (constant)
v_th : 1 (constant)
first_step : integer (constant)
end_step : integer (constant)
"""


def read_arrays(text: str) -> dict[str, Any]:
    """The arrays that this script holds."""
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as arrays:
        return dict(arrays)


def about(arrays: dict[str, Any]) -> dict[str, Any]:
    """Settings of the network."""
    settings: dict[str, Any] = json.loads(bytes(arrays["about"]))
    return settings


def neurons(brian2: Any, arrays: dict[str, Any], number: int, start: int, stop: int) -> Any:
    """The neurons of a layer, which run from Brian's step ``start`` to before ``stop``."""
    decay, threshold = arrays[f"{number}.decay"], arrays.get(f"{number}.threshold")
    spikes = "v >= v_th and t_in_timesteps < end_step"
    settings = {} if threshold is None else {"threshold": spikes, "reset": "v = 0"}
    group = brian2.NeuronGroup(len(decay), _NEURON, name=f"layer_{number}", **settings)
    group.decay, group.bias, group.first_step, group.end_step = decay, arrays[f"{number}.bias"], start, stop
    if threshold is not None:
        group.v_th = threshold
    group.run_regularly("v = decay * v + bias * int(t_in_timesteps >= first_step)", when="groups")
    return group


def events(brian2: Any, clip: Any, h: Any) -> tuple[Any, Any, Any]:
    """A generator with a line for every source and size of an event, and each line's source and size."""
    times, sources = np.nonzero(clip)
    sizes = clip[times, sources].astype(np.float64)
    lines, line = np.unique(np.stack([sources, sizes]), axis=1, return_inverse=True)
    count = max(lines.shape[1], 1)
    generator = brian2.SpikeGeneratorGroup(count, line.ravel(), times * h, name="events")
    return generator, lines[0].astype(int), lines[1]


def connect(brian2: Any, source: Any, target: Any, synapses: tuple[Any, Any, Any, Any], h: Any) -> Any:
    """Synapses: source, target, weight and delay in Brian's steps, each an array."""
    made = brian2.Synapses(source, target, "w : 1", on_pre="v_post += w")
    made.connect(i=synapses[0], j=synapses[1])
    made.w = synapses[2]
    made.delay = synapses[3] * h
    made.pre.when = "after_groups"
    return made


def run(arrays: dict[str, Any], clip: Any) -> dict[str, Any]:
    """Run a clip ``[time, source]`` from silence, and its tail.

    Returns:
        Spikes ``[spike, 2]`` of each layer that spikes by its name, and ``voltage [time, class]`` of a readout that
        does not.
    """
    import brian2

    brian2.start_scope()
    brian2.prefs.codegen.target = "numpy"
    settings, late = about(arrays), json.loads(bytes(arrays["shifts"]))
    h, tail, layers = settings["dt_ms"] * brian2.ms, settings["tail_steps"], settings["layers"]
    brian2.defaultclock.dt = h
    growing = settings["tail"] == "per_layer"
    steps = [len(clip) + tail * (number + 1 if growing else 1) for number in range(len(layers))]
    ends = [steps[number] + late[layer["name"]] for number, layer in enumerate(layers)]
    generator, line_source, line_size = events(brian2, clip, h)
    groups = {layer["name"]: neurons(brian2, arrays, n, late[layer["name"]], ends[n]) for n, layer in enumerate(layers)}
    made: list[Any] = [generator, *groups.values()]
    for number, layer in enumerate(layers):
        for place, source in enumerate(layer["connections"]):
            keys = ("source", "target", "weight", "delay_steps")
            pre, post, weight, delay = (arrays[f"{number}.{place}.{key}"] for key in keys)
            if source == "input":  # an event acts with its size
                line, synapse = np.nonzero(line_source[:, None] == pre)
                pre, post, delay = line, post[synapse], delay[synapse]
                weight = weight[synapse] * line_size[line]
            if len(pre):
                delay = delay + late[layer["name"]] - late[source] - 1
                before = generator if source == "input" else groups[source]
                made.append(connect(brian2, before, groups[layer["name"]], (pre, post, weight, delay), h))
    spiking = [layer["name"] for number, layer in enumerate(layers) if f"{number}.threshold" in arrays]
    spikes = {name: brian2.SpikeMonitor(groups[name]) for name in spiking}
    readout = layers[-1]["name"]
    voltage = brian2.StateMonitor(groups[readout], "v", record=True, when="thresholds")
    brian2.Network(*made, *spikes.values(), voltage).run(max(ends) * h)
    found = {} if readout in spikes else {"voltage": np.array(voltage.v).T[late[readout] : ends[-1]]}
    for number, (name, monitor) in enumerate(spikes.items()):
        own = np.rint(np.array(monitor.t / h)).astype(np.int64) - late[name]
        raster = np.stack([own, np.array(monitor.i, np.int64)], 1)[(own >= 0) & (own < steps[number])]
        found[name] = raster[np.lexsort((raster[:, 1], raster[:, 0]))]
    return found


if __name__ == "__main__":
    np.savez_compressed(sys.argv[2], **run(read_arrays(NETWORK), np.load(sys.argv[1], allow_pickle=False)))
