"""A frozen network with synaptic delays, run in NEST. Needs NEST 3 and NumPy.

    python THIS.py clip.npy result.npz

``clip.npy`` holds ``[time, source]``, the size of the events in each time step. ``result.npz`` gets the spikes of each
layer that spikes as ``[spike, 2]`` (time step, neuron), by its name, and ``voltage [time, class]`` of a readout that
does not.

NEST needs a time step for every synapse, so each layer runs some steps after the layers before; time steps are counted
from each layer's own start.
"""

from __future__ import annotations

import base64
import io
import json
import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

NETWORK = ""
_NEVER = 1e300  # a threshold


@dataclass
class Built:
    """What stands in the NEST kernel.

    Attributes:
        inputs: a spike generator per source.
        biases: by the layer's number, a spike generator that fires in every time step, where there is a bias.
        populations: neurons, by the layer's name.
        recorders: spike recorders of the layers that spike, by name, and the multimeter of a readout that does not.
        shifts: time steps by which each layer runs late, by name.
    """

    inputs: Any
    biases: dict[int, Any]
    populations: dict[str, Any]
    recorders: dict[str, Any]
    shifts: dict[str, int]


def read_arrays(text: str) -> dict[str, Any]:
    """The arrays that this script holds."""
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as arrays:
        return dict(arrays)


def about(arrays: dict[str, Any]) -> dict[str, Any]:
    """Settings of the network."""
    settings: dict[str, Any] = json.loads(bytes(arrays["about"]))
    return settings


def shifts(arrays: dict[str, Any]) -> dict[str, int]:
    """Time steps by which each layer runs late, so that every synapse takes 1 or more.

    A synapse from a layer that is late by a onto one late by b takes ``delay_steps + b - a``.

    Raises:
        ValueError: a loop through several layers takes fewer time steps than layers.
    """
    layers = about(arrays)["layers"]
    late = {"input": 0} | {layer["name"]: 1 for layer in layers}
    for _ in range(len(layers) + 1):
        changed = None
        for number, layer in enumerate(layers):
            for place, source in enumerate(layer["connections"]):
                shortest = int(arrays[f"{number}.{place}.delay_steps"].min(initial=2**30))
                needed = late[source] + 1 - shortest
                if needed > late[layer["name"]]:
                    late[layer["name"]], changed = needed, f"layers.{number}.inputs.{place}"
        if changed is None:
            return late
    raise ValueError(f"{changed}: a loop through several layers, shorter than 1 time step for each (1 or more allowed)")


def time_constant(decay: float, h: float) -> float:
    """The tau in ms for which ``exp(-h / tau)`` is the decay, to the bit where a double gives that."""
    if decay <= 0:
        return h / 800
    if decay >= 1:
        return h * 2.0**60
    tau = best = -h / math.log(decay)
    for toward in (0.0, math.inf):
        tau = -h / math.log(decay)
        for _ in range(32):
            if abs(math.exp(-h / tau) - decay) < abs(math.exp(-h / best) - decay):
                best = tau
            tau = math.nextafter(tau, toward)
    return best


def build(arrays: dict[str, Any]) -> Built:
    """Reset NEST's kernel and put the network into it.

    Raises:
        ValueError: see :func:`shifts`.
    """
    import nest

    settings, late = about(arrays), shifts(arrays)
    nest.ResetKernel()
    nest.resolution = h = settings["dt_ms"]
    populations, recorders, biases = {}, {}, {}
    inputs = nest.Create("spike_generator", settings["sources"])
    for number, layer in enumerate(settings["layers"]):
        name, bias = layer["name"], arrays[f"{number}.bias"]
        threshold = arrays.get(f"{number}.threshold")
        taus = {decay: time_constant(decay, h) for decay in set(arrays[f"{number}.decay"].tolist())}
        values = {
            "tau_m": [taus[decay] for decay in arrays[f"{number}.decay"].tolist()],
            "V_th": [_NEVER] * len(bias) if threshold is None else threshold.tolist(),
        }
        rest = {"C_m": 1.0, "E_L": 0.0, "V_m": 0.0, "V_reset": 0.0, "t_ref": 0.0}
        populations[name] = nest.Create("iaf_psc_delta", len(bias), {**rest, **values})
        if threshold is None:
            recorders[name] = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": h})
            nest.Connect(recorders[name], populations[name])
        else:
            recorders[name] = nest.Create("spike_recorder")
            nest.Connect(populations[name], recorders[name])
        if bias.any():
            biases[number] = nest.Create("spike_generator")
            weights = {"weight": bias.reshape(-1, 1), "delay": h}
            nest.Connect(biases[number], populations[name], "all_to_all", weights)
    places = {"input": np.array(inputs.tolist())} | {name: np.array(p.tolist()) for name, p in populations.items()}
    for number, layer in enumerate(settings["layers"]):
        for place, source in enumerate(layer["connections"]):
            synapses = {key: arrays[f"{number}.{place}.{key}"] for key in ("source", "target", "weight", "delay_steps")}
            if len(synapses["weight"]):
                steps = synapses["delay_steps"] + late[layer["name"]] - late[source]
                nest.Connect(
                    places[source][synapses["source"]],
                    places[layer["name"]][synapses["target"]],
                    "one_to_one",
                    {"weight": synapses["weight"], "delay": steps * float(h)},
                )
    return Built(inputs, biases, populations, recorders, late)


def run(arrays: dict[str, Any], clip: Any) -> dict[str, Any]:
    """Run a clip ``[time, source]`` from silence, and its tail.

    Returns:
        Spikes ``[spike, 2]`` of each layer that spikes by its name, and ``voltage [time, class]`` of a readout that
        does not.
    """
    import nest

    settings, built = about(arrays), build(arrays)
    h, tail = settings["dt_ms"], settings["tail_steps"]
    names = [layer["name"] for layer in settings["layers"]]
    growing = settings["tail"] == "per_layer"
    steps = {name: len(clip) + tail * (number + 1 if growing else 1) for number, name in enumerate(names)}
    ends = {name: steps[name] + built.shifts[name] for name in names}
    # a generator's spike in NEST's step t + 1 is an event in time step t
    for source, generator in enumerate(built.inputs):
        times = np.flatnonzero(clip[:, source])
        sizes = clip[times, source].astype(np.float64)
        generator.set({"spike_times": _ms(times + 1, h), "spike_weights": sizes})
    for number, generator in built.biases.items():
        own = np.arange(steps[names[number]]) + built.shifts[names[number]]
        generator.set({"spike_times": _ms(own, h)})
    now = 0
    for name in sorted(names, key=lambda name: ends[name]):
        if ends[name] > now:
            nest.Simulate(float(_ms(np.array([ends[name] - now]), h)[0]))
            now = ends[name]
        # what a layer would still send after its own tail is not part of the clip
        built.populations[name].set({"V_th": _NEVER})
    nest.Simulate(nest.min_delay + h)  # a multimeter records a voltage one delay later
    return _results(built, names, steps, h)


def _ms(steps: Any, h: float) -> Any:
    return np.round(steps * h, 3)


def _results(built: Built, names: list[str], steps: dict[str, int], h: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        events = built.recorders[name].events
        neurons = events["senders"] - built.populations[name][0].global_id
        own = np.rint(events["times"] / h).astype(np.int64) - 1 - built.shifts[name]
        inside = (own >= 0) & (own < steps[name])
        order = np.lexsort((neurons[inside], own[inside]))
        if "V_m" in events:
            voltage = np.zeros((steps[name], len(built.populations[name])))
            voltage[own[inside], neurons[inside]] = events["V_m"][inside]
            found["voltage"] = voltage
        else:
            found[name] = np.stack([own[inside], neurons[inside]], 1)[order].astype(np.int64)
    return found


if __name__ == "__main__":
    np.savez_compressed(sys.argv[2], **run(read_arrays(NETWORK), np.load(sys.argv[1], allow_pickle=False)))
