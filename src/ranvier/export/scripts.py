"""Networks as self-contained scripts: code of ours that imports nothing of ours, with the network's arrays in it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from textwrap import wrap
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.parts import check_plain
from ranvier.export.target import ExportError
from ranvier.files import write_text
from ranvier.network import LIF, Network

Arrays = dict[str, NDArray[Any]]
_EMPTY = 'NETWORK = ""'


def described(network: Network, target: str) -> Arrays:
    """A network of ``Dense``, ``Sparse``, ``Conv``, ``LIF`` and ``Integrator`` as named arrays, for a script.

    ``about`` is JSON: ``dt_ms``, ``sources``, ``tail_steps``, ``tail``, ``classes`` and the layers' ``name`` and
    ``connections`` (name of the source). ``L.bias``, ``L.decay``, ``L.threshold`` (of a layer that spikes) are
    float64 ``[target]``; ``L.N.source``, ``.target``, ``.weight`` and ``.delay_steps`` are the synapses of connection N
    of layer L.

    Raises:
        ExportError: a part is another.
    """
    check_plain(network, target, conv=True)
    arrays: Arrays = {}
    for number, layer in enumerate(network.layers):
        arrays[f"{number}.bias"] = layer.bias.astype(np.float64)
        arrays[f"{number}.decay"] = layer.neuron.arrays()["decay"].astype(np.float64)
        if isinstance(layer.neuron, LIF):
            arrays[f"{number}.threshold"] = layer.neuron.threshold.astype(np.float64)
        for place, connection in enumerate(layer.inputs):
            for name, values in connection.synapses()._asdict().items():
                arrays[f"{number}.{place}.{name}"] = values.astype("f8" if name == "weight" else "i4")
    layers = [{"name": layer.name, "connections": [made.source for made in layer.inputs]} for layer in network.layers]
    about = {
        "dt_ms": network.dt_ms,
        "sources": network.sources,
        "tail_steps": network.decoding.tail_steps,
        "tail": network.decoding.tail,
        "classes": list(network.classes),
        "layers": layers,
    }
    return {"about": np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays}


def write_script(module: ModuleType, arrays: Arrays, path: Path) -> None:
    """The module's own source with the arrays in it, whole or not at all."""
    content, named = io.BytesIO(), dict[str, Any](arrays)
    np.savez_compressed(content, **named)
    lines = wrap(base64.b64encode(content.getvalue()).decode(), 116)
    assert module.__file__ is not None
    source = Path(module.__file__).read_text(encoding="utf-8")
    if source.count(_EMPTY) != 1:
        raise ExportError(module.__name__, fault="has no place for the network")
    write_text(path, source.replace(_EMPTY, "\n".join(['NETWORK = """', *lines, '"""'])))
