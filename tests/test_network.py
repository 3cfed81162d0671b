"""The frozen network as a file: what goes in comes out, and damage is named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from ranvier.network import Input, Layer, Network, NetworkError, Readout


def make(branches: int = 2, hidden: int = 5, *, filtered: bool = False) -> Network:
    generator = np.random.default_rng(0)

    def layer(sources: int, targets: int, threshold: float) -> Layer:
        shape = (branches, targets, sources)
        return Layer(
            weight=generator.normal(size=shape).astype(np.float32),
            delay_steps=generator.integers(0, 8, shape).astype(np.int16),
            bias=generator.normal(size=targets).astype(np.float32),
            decay=np.full(targets, 0.3, np.float32),
            threshold=np.full(targets, threshold, np.float32),
            max_delay=7,
            synapse_decay=np.full(targets, 0.9, np.float32) if filtered and np.isfinite(threshold) else None,
        )

    return Network(
        dt_ms=10.0,
        layers=(layer(4, hidden, 1.0), layer(hidden, 3, np.inf)),
        classes=("eins", "zwei", "drei"),
        input=Input(channels=18, pool=5, alignment="first_event"),
        readout=Readout(tail_steps=4, tail="per_layer"),
    )


@pytest.mark.parametrize("filtered", [False, True])
def test_what_is_written_is_read(filtered: bool, tmp_path: Path) -> None:
    network = make(filtered=filtered)
    network.write(tmp_path / "n.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["n.safetensors"]
    again = Network.read(tmp_path / "n.safetensors")
    assert (again.dt_ms, again.classes, again.input, again.readout) == (
        network.dt_ms,
        network.classes,
        network.input,
        network.readout,
    )
    for mine, theirs in zip(network.layers, again.layers, strict=True):
        assert (mine.max_delay, mine.reset) == (theirs.max_delay, theirs.reset)
        for name in ("weight", "delay_steps", "bias", "decay", "threshold"):
            a, b = getattr(mine, name), getattr(theirs, name)
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    hidden, readout = again.layers
    assert readout.synapse_decay is None
    assert (hidden.synapse_decay is not None) == filtered
    if hidden.synapse_decay is not None:
        assert hidden.synapse_decay.dtype == np.float32
        assert hidden.synapse_decay.tolist() == [np.float32(0.9)] * 5


@pytest.mark.parametrize(("filtered", "version"), [(False, 1), (True, 2)])
def test_only_what_an_older_ranvier_would_misread_has_a_newer_format(
    filtered: bool, version: int, tmp_path: Path
) -> None:
    seen: list[int] = []
    edited(tmp_path, lambda tensors, header: seen.append(header["format_version"]), filtered=filtered)
    assert seen == [version]


def test_writing_is_reproducible(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make().write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_arrays_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        make().layers[0].weight[0, 0, 0] = 1
    trace = make(filtered=True).layers[0].synapse_decay
    assert trace is not None
    with pytest.raises(ValueError, match="read-only"):
        trace[0] = 1


def edited(tmp_path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None], *, filtered: bool = False) -> Path:
    """A network file whose tensors and header went through ``change``."""
    path = tmp_path / "n.safetensors"
    make(filtered=filtered).write(path)
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(json.loads(raw[8 : 8 + size])["__metadata__"]["ranvier"])
    del header["sha256"]
    tensors = {name: array.copy() for name, array in load(raw).items()}
    change(tensors, header)
    path.write_bytes(save(tensors, {"ranvier": json.dumps(header)}))
    return path


def fill(name: str, value: float) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda tensors, header: tensors[name].fill(value)


def put(name: str, value: float) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(tensors: dict[str, Any], header: dict[str, Any]) -> None:
        tensors[name].flat[0] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, h: h.update(format_version=3), r"format version 3 is not known \(this Ranvier reads 1 \.\.\. 2"),
        (lambda t, h: h.update(format_version=0), "format version 0"),
        (lambda t, h: h.update(format_version="1"), "format version '1' is not known"),
        (put("layers.0.weight", np.nan), r"layers\.0\.weight: NaN"),
        (put("layers.1.weight", np.inf), r"layers\.1\.weight: NaN or infinite"),
        (put("layers.0.bias", np.nan), r"layers\.0\.bias: NaN"),
        (put("layers.0.delay_steps", 8), r"layers\.0\.delay_steps: .*0 \.\.\. 7 steps allowed"),
        (put("layers.0.delay_steps", -1), r"layers\.0\.delay_steps: .*0 \.\.\. 7 steps allowed"),
        (put("layers.0.decay", 1.5), r"layers\.0\.decay"),
        (put("layers.0.decay", np.nan), r"layers\.0\.decay"),
        (put("layers.0.threshold", np.nan), r"layers\.0\.threshold"),
        (put("layers.0.threshold", np.inf), r"layers\.0\.threshold"),
        (put("layers.1.threshold", 1.0), r"layers\.1\.threshold"),
        (fill("layers.1.threshold", 1.0), r"layers\.1\.threshold: the last layer"),
        (fill("layers.0.threshold", np.inf), r"layers\.0\.threshold: the last layer"),
        (lambda t, h: t.pop("layers.1.bias"), r"layers\.1\.bias"),
        (lambda t, h: h.pop("readout"), "readout"),
        (lambda t, h: h.update(dt_ms=0), "dt_ms"),
        (lambda t, h: h.update(classes=["a"]), "classes"),
        (lambda t, h: h["input"].update(pool=6), "sources"),
        (lambda t, h: h["input"].update(alignment="middle"), "alignment"),
        (lambda t, h: h["readout"].update(tail_steps=-1), "tail_steps"),
        (lambda t, h: t.update({"layers.0.weight": t["layers.0.weight"].astype(np.float64)}), "dtype F64"),
        (lambda t, h: t.update({"layers.0.bias": t["layers.0.bias"][:2]}), r"bias: shape \(2,\)"),
        (lambda t, h: h["layers"][0].update(reset="soft"), "reset"),
        (lambda t, h: h["layers"].clear(), "layers"),
        (lambda t, h: h["layers"].pop(), r"layers\.1\..*not known"),
        (lambda t, h: h.update(dt_ms=[1, 2]), "dt_ms"),
        (lambda t, h: h.update(dt_ms=True), "dt_ms"),
        (lambda t, h: h.update(dt_ms=10**400), "dt_ms"),
        (lambda t, h: h.update(dt_ms=1e-300), "dt_ms"),
        (lambda t, h: h["input"].update(channels=18 * 10**30, pool=5 * 10**30), r"input\.channels"),
        (lambda t, h: h["readout"].update(tail_steps=65536), r"readout\.tail_steps"),
        (lambda t, h: h["readout"].update(tail_steps=4.0), r"readout\.tail_steps"),
        (lambda t, h: h["layers"][0].update(max_delay=7.0), r"layers\.0\.max_delay"),
        (lambda t, h: h.update(classes="abc"), "classes: 'abc'"),
        (lambda t, h: h.update(classes=["a", "b", 3]), "classes: number 2 is 3"),
        (lambda t, h: h.update(classes=["a", "", "c"]), "classes: number 1 is ''"),
        (lambda t, h: h.update(classes=["a", "b", "a"]), "classes: numbers 0 and 2"),
        (lambda t, h: h.update(classes=["e\u0301", "\u00e9", "c"]), "classes: numbers 0 and 1"),
        (lambda t, h: h.update(classes=["a", "b\n", "c"]), "classes: number 1"),
        (lambda t, h: h.update(classes=["a", "b\u202e", "c"]), "classes: number 1"),
        (lambda t, h: h.update(classes=["a", "b", "\ud800"]), "classes: number 2"),
        (lambda t, h: h.update(layers=7), "layers: 7"),
        (lambda t, h: h.update(input=[1]), "Input"),
        (lambda t, h: h.update(sha256="0" * 64), "sha256"),
        (lambda t, h: h.update(sha256=None), "sha256"),
        (lambda t, h: t.update({"layers.0.gate": t["layers.0.bias"]}), r"layers\.0\.gate.*not known"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Any, message: str) -> None:
    path = edited(tmp_path, change)
    with pytest.raises(NetworkError, match=message) as error:
        Network.read(path)
    assert str(path) in str(error.value)


TRACE = "layers.0.synapse_decay"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(TRACE, np.nan), r"layers\.0\.synapse_decay: values outside \[0, 1\] or NaN"),
        (put(TRACE, 1.1), r"layers\.0\.synapse_decay: values outside"),
        (put(TRACE, -0.1), r"layers\.0\.synapse_decay: values outside"),
        (lambda t, h: t.update({TRACE: t[TRACE][:2]}), r"synapse_decay: shape \(2,\) is not \[5\]"),
        (lambda t, h: t.update({TRACE: t[TRACE].astype(np.float64)}), "synapse_decay.: dtype F64"),
        (
            lambda t, h: t.update({"layers.1.synapse_decay": t["layers.1.decay"]}),
            r"layers\.1\.synapse_decay: not allowed in a readout",
        ),
        (lambda t, h: h.update(format_version=1), r"layers\.0\.synapse_decay: is not allowed in format version 1"),
    ],
)
def test_damage_to_a_filter_is_named(tmp_path: Path, change: Any, message: str) -> None:
    path = edited(tmp_path, change, filtered=True)
    with pytest.raises(NetworkError, match=message) as error:
        Network.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "[1, 2]", "{", '"ranvier"'])
def test_a_header_that_is_no_object_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    path.write_bytes(save({"x": np.zeros(3, np.float32)}, {"ranvier": text}))
    with pytest.raises(NetworkError, match="the header"):
        Network.read(path)


def test_a_changed_number_is_found_by_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    make().write(path)
    raw = bytearray(path.read_bytes())
    assert raw.count(b"eins") == 1
    for changed in (raw.replace(b"eins", b"acht"), raw[:-1] + bytes([raw[-1] ^ 1])):
        path.write_bytes(changed)
        with pytest.raises(NetworkError, match="sha256"):
            Network.read(path)


def test_a_file_without_a_hash_is_read(tmp_path: Path) -> None:
    path = edited(tmp_path, lambda tensors, header: header.update(dt_ms=5))
    network = Network.read(path)
    assert (network.dt_ms, type(network.dt_ms)) == (5.0, float)


def test_what_would_need_much_memory_to_run_is_refused() -> None:
    def layer(targets: int, max_delay: int) -> Layer:
        ones = np.ones(targets, np.float32)
        weight = np.ones((1, targets, 1), np.float32)
        return Layer(weight, np.zeros(weight.shape, np.int16), ones, ones, ones * np.inf, max_delay)

    layer(512, 32767)
    with pytest.raises(NetworkError, match="max_delay"):
        layer(513, 32767)
    names = tuple(f"class {number}" for number in range(300))
    Network(1.0, (layer(300, 0),), names, Input(1), Readout(55_000))
    with pytest.raises(NetworkError, match="tail_steps"):
        Network(1.0, (layer(300, 0),), names, Input(1), Readout(60_000))


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (3, 4)])
def test_a_layer_without_synapses_is_refused(shape: tuple[int, ...]) -> None:
    ones = np.ones(shape[-2], np.float32)
    with pytest.raises(NetworkError, match=r"\[branch, target, source\]"):
        Layer(np.ones(shape, np.float32), np.zeros(shape, np.int16), ones, ones, ones, 0)


def test_a_pipe_is_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "n.safetensors")
    with pytest.raises(NetworkError, match="pipe"):
        Network.read(tmp_path / "n.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "n.safetensors"
    make().write(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(NetworkError, match="not a whole safetensors file"):
        Network.read(path)


def test_another_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    path.write_bytes(save({"x": np.zeros(3)}))
    with pytest.raises(NetworkError, match="not a Ranvier network"):
        Network.read(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such network file"):
        Network.read(tmp_path / "none")
