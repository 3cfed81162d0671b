"""Brian 2 (Stimberg et al. 2019, doi 10.7554/eLife.47314): neurons, synapses with delays, in a script."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ranvier.export import brian2_script
from ranvier.export.nest_script import shifts
from ranvier.export.scripts import Arrays, described, write_script
from ranvier.export.target import ExportError, Target
from ranvier.network import Network


def to_brian2(network: Network) -> Arrays:
    """The network as the arrays of which :func:`ranvier.export.brian2_script.run` builds it and runs clips.

    A neuron is ``v = decay * v + bias``, then every arriving spike's weight, then the threshold, then the reset to 0:
    ``synapses.pre.when = "after_groups"`` and ``synapses.delay = delay_steps * dt``. In Brian's order a spike acts in
    the step after its own at the earliest, so that a layer of a chain runs one step after the one before.

    Args:
        network: of ``Dense``, ``Sparse``, ``Conv``, ``LIF`` and ``Integrator``, with spikes between the layers.

    Raises:
        ExportError: a part has no counterpart, or a loop through several layers is shorter than a time step for each.
    """
    arrays = described(network, "Brian 2")
    try:
        late = shifts(arrays)
    except ValueError as error:
        place, _, fault = str(error).partition(": ")
        raise ExportError(place, fault=fault) from None
    return {**arrays, "shifts": np.frombuffer(json.dumps(late).encode(), np.uint8)}


def _write(network: Network, path: Path) -> None:
    write_script(brian2_script, to_brian2(network), path)


TARGET = Target("brian2", "a Python script that runs the network in Brian 2", ".py", _write)
