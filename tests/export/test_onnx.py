"""ONNX models under onnxruntime give the engine's spikes, and an integer network's scores to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from ranvier import load_network
from ranvier.data import Grid, read_recording
from ranvier.engine import Engine
from ranvier.export import ExportError, onnx_state, targets, to_onnx
from ranvier.network import Integrator, Network, Neuron, quantize
from tests.drawn import CHAIN, RECURRENT, SKIP, draw_wired, every_distance
from tests.export.test_c import DRAWS, in_integers, packaged_clips
from tests.networks import changed
from tests.parity import CLOSE, first_margins

Outputs = dict[str, NDArray[Any]]


def session(network: Network, *, whole_clip: bool = False, threads: int = 1) -> onnxruntime.InferenceSession:
    """A checked model, loaded."""
    model = to_onnx(network, whole_clip=whole_clip)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(loaded: onnxruntime.InferenceSession, feeds: Outputs) -> Outputs:
    names = [output.name for output in loaded.get_outputs()]
    return dict(zip(names, loaded.run(names, feeds), strict=True))


def events(network: Network, clip: NDArray[Any]) -> NDArray[Any]:
    return clip.astype(np.uint8 if network.integer else np.float32)


def stepped(network: Network, clip: NDArray[Any], loaded: onnxruntime.InferenceSession) -> Outputs:
    """A clip and its tail, time step after time step, in the form of a model of whole clips."""
    state, made = onnx_state(network), []
    padded = np.concatenate([clip, np.zeros((network.decoding.tail_steps, clip.shape[1]), clip.dtype)])
    for now in events(network, padded):
        outputs = run(loaded, {"events": now, **state})
        state = {name: outputs[f"{name}.next"] for name in state}
        made.append(outputs)
    hidden = [f"{layer.name}.spikes" for layer in network.layers if layer.spikes]
    found = {name: np.stack([outputs[name] for outputs in made]) for name in hidden}
    voltage = np.stack([outputs[f"{network.layers[-1].name}.voltage.next"] for outputs in made])
    return {**found, "voltage": voltage, "scores": state["scores"]}


def rasters(network: Network, outputs: Outputs) -> list[NDArray[np.bool_]]:
    return [outputs[f"{layer.name}.spikes"] for layer in network.layers[:-1]]


def spikes_of(made: list[NDArray[np.bool_]]) -> list[list[list[int]]]:
    return [np.argwhere(raster).tolist() for raster in made]


@pytest.mark.parametrize("tail_steps", [0, 3])
@pytest.mark.parametrize("whole_clip", [False, True])
def test_every_constant_is_used(whole_clip: bool, tail_steps: int) -> None:
    drawn, _ = draw_wired(0, integer=False, **DRAWS[0])
    network = replace(drawn, decoding=replace(drawn.decoding, tail_steps=tail_steps, tail="clip"))
    graph = to_onnx(network, whole_clip=whole_clip).graph
    inner = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    used = {name for each in (graph, *inner) for node in each.node for name in node.input}
    constants = {constant.name for each in (graph, *inner) for constant in each.initializer}
    assert len(constants) > 5
    assert constants - used == set()


@pytest.mark.parametrize("number", range(len(DRAWS)))
def test_integers_are_equal_to_the_bit(number: int) -> None:
    network, clips = draw_wired(number, integer=True, **DRAWS[number])
    whole, total = session(network, whole_clip=True), 0
    for clip in clips:
        plain, outputs = in_integers(network, clip), run(whole, {"events": events(network, clip)})
        made = rasters(network, outputs)
        assert spikes_of(made) == [np.argwhere(raster).tolist() for raster in plain[0]]
        assert outputs["voltage"].tolist() == plain[1].tolist()
        assert outputs["scores"].tolist() == plain[2]
        total += sum(int(raster.sum()) for raster in made)
    assert total > 100


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("number", range(len(DRAWS)))
def test_floats_give_the_engines_spikes(number: int, trace: bool) -> None:
    network, clips = draw_wired(number, integer=False, trace=trace, **DRAWS[number])
    whole, engine, total = session(network, whole_clip=True), Engine(network), 0
    for clip in clips:
        ours, outputs = engine.run(clip), run(whole, {"events": events(network, clip)})
        assert spikes_of(rasters(network, outputs)) == [spikes.tolist() for spikes in ours.spikes]
        np.testing.assert_allclose(outputs["voltage"], ours.voltage, atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(outputs["scores"], ours.scores, atol=1e-3)
        total += sum(map(len, ours.spikes))
    assert total > 100


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("wires", [CHAIN, RECURRENT, SKIP])
def test_a_whole_clip_is_its_time_steps_to_the_bit(wires: dict[str, list[str]], integer: bool) -> None:
    network, clips = draw_wired(1, integer=integer, wires=wires, trace=not integer)
    whole, step = session(network, whole_clip=True), session(network)
    for clip in clips:
        one, other = run(whole, {"events": events(network, clip)}), stepped(network, clip, step)
        assert one.keys() == other.keys()
        for name, values in one.items():
            assert values.dtype == other[name].dtype
            np.testing.assert_array_equal(values, other[name])


@pytest.mark.parametrize("threads", [1, 4])
def test_the_packaged_network_in_integers_is_equal_to_the_bit(threads: int) -> None:
    network = quantize(load_network("digits"))
    whole = session(network, whole_clip=True, threads=threads)
    for clip in packaged_clips(3):
        plain, outputs = in_integers(network, clip), run(whole, {"events": events(network, clip)})
        assert spikes_of(rasters(network, outputs)) == [np.argwhere(raster).tolist() for raster in plain[0]]
        assert outputs["scores"].tolist() == plain[2]


def assert_close_to_the_engine(network: Network, clips: list[NDArray[Any]]) -> None:
    whole, engine = session(network, whole_clip=True), Engine(network)
    total, margins, agreed = 0, [0.0], 0
    for clip in clips:
        ours, outputs = engine.run(clip), run(whole, {"events": events(network, clip)})
        theirs = rasters(network, outputs)
        mine = [np.zeros_like(raster) for raster in theirs]
        for raster, spikes in zip(mine, ours.spikes, strict=True):
            raster[spikes[:, 0], spikes[:, 1]] = True
        total += sum(map(len, ours.spikes))
        margins += first_margins(network, clip, mine, theirs)
        agreed += int(outputs["scores"].argmax()) == ours.prediction
    assert total > 1000 * len(clips)
    assert max(margins) < CLOSE
    assert agreed == len(clips)


def test_the_packaged_network_gives_the_engines_spikes() -> None:
    assert_close_to_the_engine(load_network("digits"), packaged_clips(8))


def test_recordings(shd_root: Path) -> None:
    shd = read_recording(shd_root / "shd_train.h5.gz", Grid(700, 5, 10.0))
    x, lengths, _ = shd.batch(np.arange(0, 4000, 200))
    clips = [x[:length, place].numpy().astype(np.float64) for place, length in enumerate(lengths.tolist())]
    assert_close_to_the_engine(load_network("digits"), clips)


def test_every_distance_of_voltages_has_its_share() -> None:
    network, clip = every_distance()
    whole = session(network, whole_clip=True)
    for one in (clip, clip[1331:1332], clip[1420:1421]):
        outputs = run(whole, {"events": events(network, one)})
        assert outputs["scores"].tolist() == in_integers(network, one)[2]


def test_silent_connections_are_left_out() -> None:
    network, clips = draw_wired(0, integer=True, wires=CHAIN)
    deaf = changed(network.layers[0], weight=np.zeros((1, 17, 9), np.int8))
    network = replace(network, layers=(deaf, *network.layers[1:]))
    outputs = run(session(network, whole_clip=True), {"events": events(network, clips[0])})
    assert outputs["scores"].tolist() == in_integers(network, clips[0])[2]


def test_what_a_model_says_of_itself() -> None:
    network, _ = draw_wired(0, integer=True, wires=RECURRENT)
    model = to_onnx(network)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert tuple(json.loads(facts["classes"])) == network.classes
    assert (float(facts["dt_ms"]), int(facts["tail_steps"])) == (network.dt_ms, 4)
    state = [f"{layer}.{part}" for layer in ("first", "second", "out") for part in ("current", "voltage")]
    assert [value.name for value in model.graph.input] == ["events", *state, "scores"]
    after = [f"{name}.next" for name in (*state, "scores")]
    assert [value.name for value in model.graph.output] == ["first.spikes", "second.spikes", *after]
    whole = to_onnx(network, whole_clip=True)
    assert [value.name for value in whole.graph.input] == ["events"]
    assert [value.name for value in whole.graph.output] == ["first.spikes", "second.spikes", "voltage", "scores"]


def test_what_cannot_go_is_named(tmp_path: Path) -> None:
    network, _ = draw_wired(0, integer=False, wires=CHAIN, tail="per_layer")
    with pytest.raises(ExportError, match=r"decoding\.tail: per_layer"):
        targets()["onnx"].write(network, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []
    targets()["onnx-clip"].write(network, tmp_path / "net.onnx")
    assert onnx.load(tmp_path / "net.onnx").graph.output[-1].name == "scores"

    class Other(Integrator):
        kind = "other"

    try:
        readout = network.layers[2]
        other = replace(readout, neuron=Other(readout.neuron.arrays()["decay"]))
        with pytest.raises(ExportError, match=r"layers\.2\.neuron: other"):
            to_onnx(replace(network, layers=(*network.layers[:2], other)), whole_clip=True)
    finally:
        del Neuron.kinds["other"]


def test_the_package_is_asked_for_by_its_extra() -> None:
    code = (
        "import sys; sys.modules['onnx'] = sys.modules['torch'] = None\n"
        "from ranvier import load_network\nfrom ranvier.export import to_c, to_onnx\n"
        "to_c(load_network('digits'))\ntry: to_onnx(load_network('digits'))\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ranvier[onnx]" in done.stdout
