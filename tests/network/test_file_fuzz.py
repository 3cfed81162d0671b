"""Thousands of damaged network files: each is read or refused with a NetworkError, soon and in little memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier.engine import Engine
from ranvier.network import Dense, Network, NetworkError, Sparse
from tests.fuzzing import SHARE, changed_fields, damaged, fuzz, in_own_process, json_text
from tests.network.test_file import make

FILES = round(1500 * SHARE)


def fuzz_network(folder: str, kind: str) -> None:
    file = Path(folder) / "network.safetensors"
    network = make(traced=True)
    (last,) = network.layers[-1].inputs
    assert isinstance(last, Dense)
    replace(network, layers=(*network.layers[:-1], replace(network.layers[-1], inputs=(Sparse.of(last),)))).write(file)
    raw = file.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    outer, body = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    header = json.loads(outer["__metadata__"]["ranvier"])
    del header["sha256"]  # a file that was made to harm has the hash of its content, or none

    def changed(generator: np.random.Generator) -> bytes:
        if kind == "bytes":
            return damaged(raw, generator)
        inner, around, tensors = header, outer, body
        if kind == "fields":
            inner = changed_fields(header, generator)
        elif kind == "tensors":
            around = changed_fields(outer, generator)
        else:
            tensors = damaged(body, generator)
            tensors = tensors[: len(body)].ljust(len(body), b"\0")
        if isinstance(around.get("__metadata__"), dict):
            around = {**around, "__metadata__": {**around["__metadata__"], "ranvier": json_text(inner, generator)}}
        text = json.dumps(around).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + tensors

    def read() -> None:
        network = Network.read(file)
        Engine(network).run((np.array([0, 2]), np.array([0, 3]), np.ones(2)), 5)
        network.write(file)
        assert Network.read(file).classes == network.classes

    fuzz(file, changed, read, (NetworkError,), FILES)


@pytest.mark.parametrize("kind", ["bytes", "fields", "tensors", "numbers"])
def test_a_damaged_network_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    counts = in_own_process("tests.network.test_file_fuzz", "fuzz_network", str(tmp_path), kind)
    assert sum(counts.values()) == FILES
    assert counts["refused"] > 0.3 * FILES
    assert (counts["read"] > 0) == (kind != "bytes")  # the hash finds what no rule does
