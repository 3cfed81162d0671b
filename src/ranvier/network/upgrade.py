"""Network files of formats 1 and 2, in the terms of format 3."""

from __future__ import annotations

from reprlib import repr as short
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.network.rules import require

_TRACE = "synapse_decay"


def upgrade(header: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and tensors in the terms of format 3; those of format 3 as they are.

    In formats 1 and 2 a layer was one dense connection from the layer before, onto neurons whose threshold was
    infinite in a readout; format 2 added ``synapse_decay``, the decay of a trace.

    Raises:
        NetworkError, KeyError, TypeError: the header is not of its format.
    """
    version = header["format_version"]
    if version >= 3:
        return header, tensors
    settings = header["layers"]
    require(isinstance(settings, list), f"layers: {short(settings)} is not allowed (a list)")
    left, source = dict(tensors), "input"
    layers, arrays = [], {}
    for number, values in enumerate(settings):
        where = f"layers.{number}"
        require(values["reset"] == "hard", f"{where}.reset: {short(values['reset'])} is not allowed (hard)")
        traced = f"{where}.{_TRACE}" in left
        require(not traced or version == 2, f"{where}.{_TRACE}: is not allowed in format version 1 (2 or above)")
        threshold = left.pop(f"{where}.threshold")
        readout = threshold.dtype.kind == "f" and bool(np.isposinf(threshold).all())
        name = "readout" if readout else f"hidden_{number + 1}"
        if not readout:
            arrays[f"{where}.neuron.threshold"] = threshold
        arrays[f"{where}.bias"] = left.pop(f"{where}.bias")
        arrays[f"{where}.neuron.decay"] = left.pop(f"{where}.decay")
        arrays[f"{where}.inputs.0.weight"] = left.pop(f"{where}.weight")
        arrays[f"{where}.inputs.0.delay_steps"] = left.pop(f"{where}.delay_steps")
        if traced:
            arrays[f"{where}.output.decay"] = left.pop(f"{where}.{_TRACE}")
        layers.append(
            {
                "name": name,
                "inputs": [{"kind": "dense", "source": source, "max_delay": values["max_delay"]}],
                "neuron": {"kind": "integrator" if readout else "lif"},
                "output": {"kind": "trace"} if traced else None,
            }
        )
        source = name
    require(not left, f"{short(next(iter(left), ''))}: a tensor of that name is not known")
    header = {name: value for name, value in header.items() if name not in ("readout", "layers")} | {
        "decoding": header["readout"],
        "layers": layers,
    }
    return header, arrays
