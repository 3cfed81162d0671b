"""The frozen network as a file: what goes in comes out, and damage is named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from safetensors.numpy import load, save

from ranvier.network import LIF, Decoding, Dense, Input, Integrator, Layer, Network, NetworkError, Scores, Trace
from tests.drawn import counted
from tests.networks import chained, dense, dense_layer


def make(synapses_per_pair: int = 2, hidden: int = 5, *, traced: bool = False) -> Network:
    generator = np.random.default_rng(0)

    def layer(sources: int, targets: int, threshold: float) -> Layer:
        shape = (synapses_per_pair, targets, sources)
        return dense_layer(
            weight=generator.normal(size=shape).astype(np.float32),
            delay_steps=generator.integers(0, 8, shape).astype(np.int16),
            bias=generator.normal(size=targets).astype(np.float32),
            decay=np.full(targets, 0.3, np.float32),
            threshold=np.full(targets, threshold, np.float32),
            max_delay=7,
            trace=np.full(targets, 0.9, np.float32) if traced and np.isfinite(threshold) else None,
        )

    return chained(
        dt_ms=10.0,
        layers=(layer(4, hidden, 1.0), layer(hidden, 3, np.inf)),
        classes=("eins", "zwei", "drei"),
        input=Input(channels=18, pool=5, alignment="first_event"),
        decoding=Decoding(tail_steps=4, tail="per_layer"),
    )


@pytest.mark.parametrize("scores", get_args(Scores))
def test_earlier_versions_read_scores_that_they_know(scores: Scores, tmp_path: Path) -> None:
    network = counted(make()) if scores == "count" else make()
    network = replace(network, decoding=Decoding(4, "clip", scores))
    network.write(path := tmp_path / "n.safetensors")
    raw = path.read_bytes()
    said = json.loads(json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]["ranvier"])["decoding"]
    assert said == {"tail_steps": 4, "tail": "clip"} | ({} if scores == "softmax" else {"scores": scores})
    assert Network.read(path).decoding == network.decoding


@pytest.mark.parametrize("traced", [False, True])
def test_what_is_written_is_read(traced: bool, tmp_path: Path) -> None:
    network = make(traced=traced)
    network.write(tmp_path / "n.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["n.safetensors"]
    again = Network.read(tmp_path / "n.safetensors")
    about = [(n.dt_ms, n.classes, n.input, n.decoding, [layer.name for layer in n.layers]) for n in (network, again)]
    assert about[0] == about[1]
    for mine, theirs in zip(network.layers, again.layers, strict=True):
        np.testing.assert_array_equal(mine.bias, theirs.bias)
        assert mine.parts().keys() == theirs.parts().keys()
        for part, other in zip(mine.parts().values(), theirs.parts().values(), strict=True):
            assert type(part) is type(other)
            assert part.settings() == other.settings()
            for name, array in part.arrays().items():
                assert array.dtype == other.arrays()[name].dtype
                np.testing.assert_array_equal(array, other.arrays()[name])
    assert [type(part) for part in again.layers[0].parts().values()] == [Dense, LIF, *([Trace] if traced else [])]
    assert isinstance(again.layers[1].neuron, Integrator)


def test_shared_delays_stay_small_in_the_file(tmp_path: Path) -> None:
    sizes = []
    for axis in (None, 1, 2):
        layer, last = make(1, 400).layers
        delays = dense(layer).delay_steps if axis is None else dense(layer).delay_steps.take([0], axis)
        layer = replace(layer, inputs=(replace(dense(layer), delay_steps=delays),))
        network = Network(10.0, (layer, last), ("a", "b", "c"), Input(18, 5), Decoding())
        network.write(tmp_path / "n.safetensors")
        read = dense(Network.read(tmp_path / "n.safetensors").layers[0])
        np.testing.assert_array_equal(read.delay_steps, delays)
        np.testing.assert_array_equal(read.full_delay_steps, np.broadcast_to(delays, read.weight.shape))
        sizes.append((tmp_path / "n.safetensors").stat().st_size)
    assert sizes[0] - sizes[1] > 2 * (4 * 400 - 4) - 200
    assert sizes[0] - sizes[2] > 2 * (4 * 400 - 400) - 200


def test_a_summary_has_ten_lines_or_fewer_and_every_layer() -> None:
    text = repr(make(traced=True))
    assert len(text.splitlines()) <= 10
    assert all(word in text for word in ("18 channels pooled by 5", "hidden_1", "dense", "lif", "trace", "70 ms", "4"))
    assert "35 synapses" in repr(make(1))


def test_writing_is_reproducible(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make().write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_arrays_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        dense(make().layers[0]).weight[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        make().layers[0].bias[0] = 1
    trace = make(traced=True).layers[0].output
    assert isinstance(trace, Trace)
    with pytest.raises(ValueError, match="read-only"):
        trace.decay[0] = 1


def edited(tmp_path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None], *, traced: bool = False) -> Path:
    """A network file whose tensors and header went through ``change``."""
    path = tmp_path / "n.safetensors"
    make(traced=traced).write(path)
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
        (lambda t, h: h.update(format_version=4), r"format version 4 is not known \(this Ranvier reads 1 \.\.\. 3"),
        (lambda t, h: h.update(format_version=0), "format version 0"),
        (lambda t, h: h.update(format_version="1"), "format version '1' is not known"),
        (put("layers.0.inputs.0.weight", np.nan), r"layers\.0\.inputs\.0\.weight: NaN"),
        (put("layers.1.inputs.0.weight", np.inf), r"layers\.1\.inputs\.0\.weight: NaN or infinite"),
        (put("layers.0.bias", np.nan), r"layers\.0\.bias: NaN"),
        (
            put("layers.0.inputs.0.delay_steps", 8),
            r"layers\.0\.inputs\.0\.delay_steps: .*0 \.\.\. 7 time steps allowed",
        ),
        (
            put("layers.0.inputs.0.delay_steps", -1),
            r"layers\.0\.inputs\.0\.delay_steps: .*0 \.\.\. 7 time steps allowed",
        ),
        (put("layers.0.neuron.decay", 1.5), r"layers\.0\.neuron\.decay"),
        (put("layers.0.neuron.decay", np.nan), r"layers\.0\.neuron\.decay"),
        (put("layers.0.neuron.threshold", np.nan), r"layers\.0\.neuron\.threshold"),
        (put("layers.0.neuron.threshold", np.inf), r"layers\.0\.neuron\.threshold"),
        (fill("layers.0.neuron.threshold", 0), r"layers\.0\.neuron\.threshold"),
        (lambda t, h: h["layers"][0].update(neuron={"kind": "integrator"}), r"0\.neuron.*threshold.*not known"),
        (lambda t, h: h["layers"].reverse(), r"layers\.0\.neuron"),
        (
            lambda t, h: h["layers"][0]["neuron"].update(kind="hodgkin_huxley"),
            r"0\.neuron.*hodgkin_huxley.*lif",
        ),
        (lambda t, h: h["layers"][0]["neuron"].update(kind=["lif"]), r"layers\.0\.neuron.*not known"),
        (lambda t, h: h["layers"][0]["neuron"].pop("kind"), r"layers\.0\.neuron.*None"),
        (lambda t, h: h["layers"][0].update(neuron="lif"), r"layers\.0\.neuron\..lif"),
        (lambda t, h: h["layers"][0].update(output={"kind": "trace"}), r"layers\.0\.output\.decay: is missing"),
        (lambda t, h: h["layers"][0].update(inputs=[]), r"layers\.0\..*inputs|not known"),
        (lambda t, h: h["layers"][0].update(inputs={}), r"layers\.0\.inputs"),
        (lambda t, h: h["layers"][0].update(name="input"), r"layers\.0\.name"),
        (lambda t, h: h["layers"][0].update(name="Hidden 1"), r"layers\.0\.name"),
        (lambda t, h: h["layers"][0].update(name="readout"), r"layers\.1\.(name|inputs)"),
        (lambda t, h: h["layers"][0].update(gate=1), r"layers\.0\..*gate"),
        (lambda t, h: h["layers"][1]["inputs"][0].update(source="hidden_7"), r"1\.inputs\.0\.source.*hidden_7"),
        (lambda t, h: h["layers"][1]["inputs"][0].update(source=["input"]), r"layers\.1\.inputs\.0\.source"),
        (
            lambda t, h: h["layers"][1]["inputs"][0].update(source="input"),
            r"1\.inputs\.0: 5 sources.*has 4",
        ),
        (lambda t, h: h["layers"][0]["inputs"][0].update(gain=2), r"layers\.0\.inputs\.0\..*gain"),
        (lambda t, h: t.pop("layers.1.bias"), r"layers\.1\.bias"),
        (lambda t, h: h.pop("decoding"), "decoding"),
        (lambda t, h: h.update(dt_ms=0), "dt_ms"),
        (lambda t, h: h.update(classes=["a"]), "classes"),
        (lambda t, h: h["input"].update(pool=6), "sources"),
        (lambda t, h: h["input"].update(alignment="middle"), "alignment"),
        (lambda t, h: h["decoding"].update(tail_steps=-1), "tail_steps"),
        (lambda t, h: h["decoding"].update(scores="mean"), r"decoding\.scores"),
        (
            lambda t, h: t.update({"layers.0.inputs.0.weight": t["layers.0.inputs.0.weight"].astype(np.float64)}),
            "dtype F64",
        ),
        (lambda t, h: t.update({"layers.0.bias": t["layers.0.bias"][:2]}), r"layers\.0\.inputs\.0: 5 targets.*2"),
        (lambda t, h: h["layers"][0]["neuron"].update(reset="soft"), r"layers\.0\.neuron.*reset"),
        (lambda t, h: h["layers"].clear(), "layers"),
        (lambda t, h: h["layers"].pop(), r"layers\.1\..*not known"),
        (lambda t, h: h.update(dt_ms=[1, 2]), "dt_ms"),
        (lambda t, h: h.update(dt_ms=True), "dt_ms"),
        (lambda t, h: h.update(dt_ms=10**400), "dt_ms"),
        (lambda t, h: h.update(dt_ms=1e-300), "dt_ms"),
        (lambda t, h: h["input"].update(channels=18 * 10**30, pool=5 * 10**30), r"input\.channels"),
        (lambda t, h: h["decoding"].update(tail_steps=65536), r"decoding\.tail_steps"),
        (lambda t, h: h["decoding"].update(tail_steps=4.0), r"decoding\.tail_steps"),
        (lambda t, h: h["layers"][0]["inputs"][0].update(max_delay=7.0), r"layers\.0\.inputs\.0\.max_delay"),
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


TRACE = "layers.0.output.decay"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(TRACE, np.nan), r"layers\.0\.output\.decay: NaN"),
        (put(TRACE, 1.1), r"layers\.0\.output\.decay: values from 0\.9 to 1\.1"),
        (put(TRACE, -0.1), r"layers\.0\.output\.decay: values from -0\.1"),
        (lambda t, h: t.update({TRACE: t[TRACE][:2]}), r"layers\.0\.output: 2 targets"),
        (lambda t, h: t.update({TRACE: t[TRACE].astype(np.float64)}), "output.decay.: dtype F64"),
        (
            lambda t, h: (
                t.update({"layers.1.output.decay": t["layers.1.neuron.decay"]}),
                h["layers"][1].update(output={"kind": "trace"}),
            ),
            r"layers\.1\.output: not allowed after a neuron that never spikes",
        ),
        (lambda t, h: h["layers"][0].update(output=None), r"layers\.0\.output\.decay.*not known"),
    ],
)
def test_damage_to_a_trace_is_named(tmp_path: Path, change: Any, message: str) -> None:
    path = edited(tmp_path, change, traced=True)
    with pytest.raises(NetworkError, match=message) as error:
        Network.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("source", ["hidden_1", "readout"])
def test_a_loop_needs_delays_of_a_step_or_more(source: str) -> None:
    first, last = make().layers
    sources = {"hidden_1": 5, "readout": 3}[source]
    weight = np.ones((1, 5, sources), np.float32)
    for shortest in (0, 1):
        loop = Dense(source, 7, weight, np.full(weight.shape, shortest, np.int16))
        layers = (replace(first, inputs=(*first.inputs, loop)), last)
        if shortest == 1:
            Network(10.0, layers, ("a", "b", "c"), Input(4), Decoding())
            continue
        with pytest.raises(NetworkError, match=r"layers\.0\.inputs\.1\.delay_steps: 0"):
            Network(10.0, layers, ("a", "b", "c"), Input(4), Decoding())


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
        return dense_layer(weight, np.zeros(weight.shape, np.int16), ones, ones, ones * np.inf, max_delay)

    layer(512, 32767)
    with pytest.raises(NetworkError, match="max_delay"):
        layer(513, 32767)
    names = tuple(f"class {number}" for number in range(300))
    chained(1.0, (layer(300, 0),), names, Input(1), Decoding(55_000))
    with pytest.raises(NetworkError, match="tail_steps"):
        chained(1.0, (layer(300, 0),), names, Input(1), Decoding(60_000))


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (3, 4)])
def test_a_layer_without_synapses_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(NetworkError, match=r"\[synapse, target, source\]"):
        Dense("input", 0, np.ones(shape, np.float32), np.zeros(shape, np.int16))


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
