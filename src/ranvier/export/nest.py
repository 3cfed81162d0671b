"""NEST 3: ``iaf_psc_delta`` neurons and static synapses with delays (Gewaltig & Diesmann 2007)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ranvier.export import nest_script
from ranvier.export.nest_script import Built
from ranvier.export.scripts import Arrays, described, write_script
from ranvier.export.target import ExportError, Target, needed
from ranvier.network import Network

_TICS_PER_MS = 1000  # NEST's own


def to_nest(network: Network) -> Built:
    """Reset NEST's kernel and build the network in it.

    A neuron is an ``iaf_psc_delta`` with ``exp(-h / tau_m)`` = decay, ``V_reset = E_L = 0`` and ``t_ref = 0``, in a
    resolution h of one time step. NEST needs a step for every synapse, so that a layer of a chain runs one step after
    the one before and its synapses have ``delay = (delay_steps + 1) h``. A bias is a spike generator that fires in
    every step. :func:`ranvier.export.nest_script.run` runs clips; the spikes are the engine's, as voltages are the same
    but for rounding in double precision.

    Args:
        network: of ``Dense``, ``Sparse``, ``Conv``, ``LIF`` and ``Integrator``, with spikes between the layers.
            ``dt_ms`` is a multiple of 0.001 ms.

    Returns:
        Generators, populations and recorders, and the steps by which each layer is late. Spikes of a time step t of
        the input are due at ``(t + 1) h``; a layer's own time step t is at ``(t + 1 + shifts[name]) h``.

    Raises:
        ExportError: a part has no counterpart, a loop through several layers is shorter than a time step for each, or
            ``nest`` is not installed.
    """
    arrays = nest_arrays(network)
    needed("nest", "nest")
    return nest_script.build(arrays)


def nest_arrays(network: Network) -> Arrays:
    """What :mod:`ranvier.export.nest_script` builds a network of.

    Raises:
        ExportError: as :func:`to_nest`.
    """
    arrays = described(network, "NEST")
    tics = network.dt_ms * _TICS_PER_MS
    if abs(tics - np.rint(tics)) > 1e-6 or tics < 1:
        raise ExportError("dt_ms", network.dt_ms, "a multiple of 0.001 ms in NEST")
    try:
        nest_script.shifts(arrays)
    except ValueError as error:
        place, _, fault = str(error).partition(": ")
        raise ExportError(place, fault=fault) from None
    return arrays


def _write(network: Network, path: Path) -> None:
    write_script(nest_script, nest_arrays(network), path)


TARGET = Target("nest", "a Python script that runs the network in NEST", ".py", _write)
