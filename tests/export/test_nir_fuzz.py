"""Thousands of damaged NIR graphs and files: each is read or refused with one error, soon and in little memory."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.engine import Engine
from ranvier.export import ExportError, from_nir, targets
from ranvier.export.nir_file import read_file, unpack
from ranvier.export.nir_worker import parse
from ranvier.network import Decoding, Input, Network, NetworkError
from tests.drawn import Exact, connection
from tests.fuzzing import SHARE, changed_fields, damaged, fuzz, in_own_process

FILES = {
    kind: round(files * SHARE) for kind, files in (("bytes", 400), ("fields", 800), ("numbers", 800), ("edges", 800))
}
NUMBERS = np.array([np.nan, np.inf, -1.0, 0.0, 1e-320, 1e308, 1e-3, 4097.0])


def _arrays(value: Any) -> list[tuple[dict[str, Any], str]]:
    """Every array within mappings, by the mapping that holds it and its key."""
    found = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            found += _arrays(inner)
        elif isinstance(inner, np.ndarray) and inner.dtype.kind == "f":
            found.append((value, key))
    return found


def changed_numbers(graph: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    """A copy in which one to three arrays have another value, shape or type."""
    made = copy.deepcopy(graph)
    arrays = _arrays(made)
    for _ in range(generator.integers(1, 4)):
        inside, key = arrays[generator.integers(len(arrays))]
        array = inside[key]
        kind = generator.integers(5)
        with np.errstate(over="ignore"):
            other = NUMBERS[generator.integers(len(NUMBERS))].astype(array.dtype)
        if kind == 0 and array.size:
            array.flat[generator.integers(array.size)] = other
        elif kind == 1:
            array[...] = other
        elif kind == 2:
            inside[key] = array.ravel()[:-1]
        elif kind == 3:
            inside[key] = array.T if generator.integers(2) else array[None]
        else:
            inside[key] = array.astype(("complex64", "U8", "int8", "bool", "object")[generator.integers(5)])
    return made


def changed_edges(graph: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    """A copy in which edges are added between any nodes, removed or turned around."""
    made = copy.deepcopy(graph)
    names, edges = list(made["nodes"]), made["edges"]
    for _ in range(generator.integers(1, 6)):
        kind = generator.integers(3)
        place = int(generator.integers(len(edges)))
        if kind == 0:
            edges.append((names[generator.integers(len(names))], names[generator.integers(len(names))]))
        elif kind == 1:
            del edges[place]
        else:
            edges[place] = edges[place][::-1]
    return made


def _parsed_in_a_fork(file: Path) -> dict[str, Any]:
    """As :func:`read_file`, without a new Python for each of thousands of files."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0.3)  # a damaged file can make HDF5 loop
        with os.fdopen(write_end, "wb") as out:
            out.write(parse(str(file)))
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        content = answer.read()
    if os.waitpid(child, 0)[1] != 0:
        raise ExportError("crashed")
    return unpack(content)


def small() -> Network:
    """A loop, a skip and two synapses a pair in 20 nodes or so."""
    numbers, one = Exact(np.random.default_rng(0)), (1, 1, 1)
    inputs = [
        connection(numbers, "input", (1, 3, 2), delays=one),
        connection(numbers, "a", (2, 3, 3), delays=one, shortest=1),
    ]
    last = [connection(numbers, "a", (1, 2, 3), delays=(1, 1, 3)), connection(numbers, "input", (1, 2, 2), delays=one)]
    layers = (numbers.layer("a", inputs, last=False), numbers.layer("readout", last, last=True))
    return Network(4.0, layers, ("x", "y"), Input(2), Decoding(3))


def _plain(network: Network, folder: Path, *, ours: bool) -> dict[str, Any]:
    """The mappings of a network's file; without our metadata if it should be a stranger's."""
    file = folder / "whole.nir"
    targets()["nir"].write(network, file)
    graph = read_file(file)
    graph["edges"] = [tuple(edge) for edge in graph["edges"].tolist()]
    if not ours:
        del graph["metadata"]
        for node in graph["nodes"].values():
            node.pop("metadata", None)
    return graph


def fuzz_graph(folder: str, kind: str, ours: str) -> None:
    file, network = Path(folder) / f"{kind}.nir", small()
    graph = _plain(network, Path(folder), ours=ours == "ours")
    raw = (Path(folder) / "whole.nir").read_bytes()

    def changed(generator: np.random.Generator) -> bytes:
        if kind == "bytes":
            return damaged(raw, generator)
        change = {"fields": changed_fields, "numbers": changed_numbers, "edges": changed_edges}[kind]
        return pickle.dumps(change(graph, generator))

    def read() -> None:
        made = _parsed_in_a_fork(file) if kind == "bytes" else pickle.loads(file.read_bytes())
        dt_ms = None if ours == "ours" else network.dt_ms
        with warnings.catch_warnings(action="error"):
            read = from_nir(made, dt_ms=dt_ms)
        Engine(read).run((np.array([0, 2]), np.array([0, 0]), np.ones(2)), 5)

    fuzz(file, changed, read, (ExportError, NetworkError), FILES[kind])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "ours"),
    [("bytes", "ours"), *((kind, ours) for kind in ("fields", "numbers", "edges") for ours in ("ours", "foreign"))],
)
def test_a_damaged_graph_is_read_or_refused(kind: str, ours: str, tmp_path: Path) -> None:
    counts = in_own_process("tests.export.test_nir_fuzz", "fuzz_graph", str(tmp_path), kind, ours)
    assert sum(counts.values()) == FILES[kind]
    assert counts["refused"] > 0.05 * FILES[kind]
    assert counts["read"] > 0.05 * FILES[kind]


def test_damaged_files_end_the_process_that_reads_them_alone(tmp_path: Path) -> None:
    targets()["nir"].write(small(), tmp_path / "whole.nir")
    raw, refused = (tmp_path / "whole.nir").read_bytes(), 0
    for seed in range(12):
        (tmp_path / "a.nir").write_bytes(damaged(raw, np.random.default_rng(seed)))
        try:
            from_nir(tmp_path / "a.nir")
        except (ExportError, NetworkError) as error:
            refused += str(tmp_path / "a.nir") in str(error)
    assert refused > 3
