"""Exported C gives the engine's spikes and the integers' scores, under the sanitizers and without a warning."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ranvier import load_network
from ranvier.corpora.digits import read_digits
from ranvier.data import Grid, read_recording
from ranvier.engine import Engine
from ranvier.export import ExportError, c_sizes, targets, to_c
from ranvier.network import (
    Decoding,
    Dense,
    Input,
    IntegerIntegrator,
    IntegerLIF,
    Integrator,
    Layer,
    Network,
    Neuron,
    WeightBits,
    quantize,
)
from tests.drawn import CHAIN, RECURRENT, SKIP, draw_wired, every_distance
from tests.engine.plain import integer_scores, run_plain
from tests.export.c_program import DEVICE, HERE, Printed, run_here
from tests.networks import changed
from tests.parity import CLOSE, first_margins

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

DRAWS: list[dict[str, Any]] = [
    {"wires": CHAIN},
    {"wires": CHAIN, "tail": "per_layer", "tail_steps": 5},
    {"wires": CHAIN, "tail_steps": 0},
    {"wires": RECURRENT},
    {"wires": RECURRENT, "synapses": 3},
    {"wires": SKIP},
    {"wires": SKIP, "tail": "per_layer", "tail_steps": 5},
    {"wires": SKIP, "axis": 1},
    {"wires": SKIP, "axis": 2, "synapses": 2},
]


def in_integers(network: Network, clip: NDArray[Any]) -> tuple[list[NDArray[Any]], NDArray[np.int64], list[int]]:
    """Spikes ``[time, neuron]``, the integer voltages and the integer scores of the plain reference."""
    plain = run_plain(network, clip)
    readout = network.layers[-1].neuron
    assert isinstance(readout, IntegerIntegrator)
    voltage = (plain.voltage / 2.0**readout.scale_exponent).astype(np.int64)
    return plain.rasters, voltage, integer_scores(network, plain.voltage)


def assert_integers(network: Network, clips: list[NDArray[Any]], printed: Printed) -> int:
    """All spikes, voltages and scores are those of the plain reference; returns the spikes."""
    total = 0
    for clip, run in zip(clips, printed.clips, strict=True):
        spikes, voltage, scores = in_integers(network, clip)
        for ours, theirs in zip(spikes, run.spikes, strict=True):
            assert [(int(t), int(n)) for t, n in np.argwhere(ours)] == theirs
            total += len(theirs)
        np.testing.assert_array_equal(run.voltage, voltage)
        assert run.scores.tolist() == scores
        assert run.result == int(np.argmax(scores))
        engine = Engine(network).run(clip)
        assert [list(map(tuple, each.tolist())) for each in engine.spikes] == run.spikes
        assert (engine.scores * 2**15).tolist() == scores
    return total


def assert_floats(network: Network, clips: list[NDArray[Any]], printed: Printed) -> tuple[int, list[float]]:
    """Spikes are the engine's, but for voltages at the threshold; returns spikes and those margins."""
    engine, total = Engine(network), 0
    margins: list[float] = []
    for clip, run in zip(clips, printed.clips, strict=True):
        ours = engine.run(clip)
        total += sum(map(len, ours.spikes))
        if [list(map(tuple, spikes.tolist())) for spikes in ours.spikes] == run.spikes:
            np.testing.assert_allclose(run.voltage, ours.voltage, atol=1e-4, rtol=1e-4)
            np.testing.assert_allclose(run.scores, ours.scores, atol=1e-3)
            assert run.result == ours.prediction
        else:
            widths = [(len(ours.voltage), layer.targets) for layer in network.layers[:-1]]
            theirs = [raster(run.spikes[n], width) for n, width in enumerate(widths)]
            margins += first_margins(
                network, clip, [raster(s.tolist(), w) for s, w in zip(ours.spikes, widths, strict=True)], theirs
            )
    return total, margins


def raster(spikes: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    made = np.zeros(shape, np.bool_)
    for t, neuron in spikes:
        made[t, neuron] = True
    return made


@pytest.mark.parametrize(("largest", "unit"), [(127, 1), (7, 1), (7, 16)])
@pytest.mark.parametrize("number", range(len(DRAWS)))
def test_integers_are_equal_to_the_bit(number: int, largest: int, unit: int, tmp_path: Path) -> None:
    network, clips = draw_wired(number, integer=True, largest=largest, unit=unit, **DRAWS[number])
    printed = run_here(network, clips, tmp_path)
    assert assert_integers(network, clips, printed) > 100
    assert ("uint8_t weight_" in (tmp_path / "net.c").read_text()) == (largest == 7)
    assert printed.state_bytes == c_sizes(network).ram_bytes


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("number", range(len(DRAWS)))
def test_floats_give_the_engines_spikes(number: int, trace: bool, tmp_path: Path) -> None:
    network, clips = draw_wired(number, integer=False, trace=trace, **DRAWS[number])
    printed = run_here(network, clips, tmp_path)
    total, margins = assert_floats(network, clips, printed)
    assert total > 100
    assert margins == []
    assert printed.state_bytes == c_sizes(network).ram_bytes


@pytest.fixture(scope="module")
def digits() -> Network:
    return load_network("digits")


def packaged_clips(count: int) -> list[NDArray[Any]]:
    """Test clips of the package."""
    whole = read_digits()
    ends = np.cumsum(whole.lengths)
    chosen = np.flatnonzero(whole.splits == 2)[:: max(1, int((whole.splits == 2).sum()) // count)][:count]
    return [whole.counts[ends[clip] - whole.lengths[clip] : ends[clip]].astype(np.int64) for clip in chosen]


def test_the_packaged_network_runs(digits: Network, tmp_path: Path) -> None:
    clips = packaged_clips(8)
    total, margins = assert_floats(digits, clips, run_here(digits, clips, tmp_path))
    assert total > 1000
    assert max(margins, default=0) < CLOSE


@pytest.mark.parametrize("weight_bits", [8, 4, "ternary"])
def test_the_packaged_network_in_integers_is_equal_to_the_bit(
    weight_bits: WeightBits, digits: Network, tmp_path: Path
) -> None:
    network, clips = quantize(digits, weight_bits=weight_bits), packaged_clips(4)
    assert assert_integers(network, clips, run_here(network, clips, tmp_path)) > 1000


def test_recordings(shd_root: Path, digits: Network, tmp_path: Path) -> None:
    shd = read_recording(shd_root / "shd_train.h5.gz", Grid(700, 5, 10.0))
    clips = []
    for clip in range(0, 4000, 200):
        step, source, size = shd.clip(clip)
        made = np.zeros((int(shd.lengths[clip]), 140), np.int64)
        np.add.at(made, (step, source), np.asarray(size, np.int64))
        clips.append(made)
    (tmp_path / "floats").mkdir()
    (tmp_path / "integers").mkdir()
    total, margins = assert_floats(digits, clips, run_here(digits, clips, tmp_path / "floats"))
    assert total > 20 * 1000
    assert max(margins, default=0) < CLOSE
    network, few = quantize(digits), clips[:4]
    assert assert_integers(network, few, run_here(network, few, tmp_path / "integers")) > 4000


@pytest.mark.parametrize("scale_exponent", [-31, -7, 0, 6])
def test_sums_at_the_edge_of_32_bits(scale_exponent: int, tmp_path: Path) -> None:
    weight = np.full((1, 2, 1), 127, np.int8)
    weight[0, 1] = -127
    delay_steps = np.zeros((1, 2, 1), np.int16)
    kept, highest = np.array([4095, 4095], np.int16), (2**31 - 1) // 4096
    bias = np.array([highest - 127 * 255, -(highest - 127 * 255)], np.int32)
    threshold = (np.abs(bias) * 4000).astype(np.int32)
    hidden = Layer("h", (Dense("input", 0, weight, delay_steps),), bias, IntegerLIF(kept, threshold))
    readout = Layer("r", (Dense("input", 0, weight, delay_steps),), bias, IntegerIntegrator(scale_exponent, kept))
    network = Network(1.0, (hidden, readout), ("a", "b"), Input(1), Decoding())
    clips = [np.full((9000, 1), 255)]
    printed = run_here(network, clips, tmp_path)
    assert_integers(network, clips, printed)
    assert printed.clips[0].voltage.max() > 1.8e9


def test_every_distance_of_voltages_has_its_share(tmp_path: Path) -> None:
    network, clip = every_distance()
    clips = [clip, *(clip[k : k + 1] for k in (0, 1330, 1331, 1332, 1420))]
    printed = run_here(network, clips, tmp_path)
    assert_integers(network, clips, printed)
    assert [run.scores[0] for run in printed.clips[1:]] == [2**14, 2**15 - 1, 2**15 - 1, 2**15, 2**15]


def test_a_connection_without_synapses_and_a_layer_that_reaches_nothing(tmp_path: Path) -> None:
    network, clips = draw_wired(0, integer=True, wires=CHAIN)
    silent = changed(network.layers[1], weight=np.zeros((1, 12, 17), np.int8))
    layers = (network.layers[0], silent, network.layers[2])
    network = replace(network, layers=layers)
    assert_integers(network, clips, run_here(network, clips, tmp_path))
    last, size = layers[2], (1, 3, 3)
    back = Dense("out", 2, np.ones(size, np.int8), np.ones(size, np.int16))  # a readout never sends anything
    network = replace(network, layers=(*layers[:2], replace(last, inputs=(*last.inputs, back))))
    assert_integers(network, clips, run_here(network, clips, tmp_path))
    deaf = changed(network.layers[0], weight=np.zeros((1, 17, 9), np.int8))
    network = replace(network, layers=(deaf, *layers[1:]))
    assert_integers(network, clips, run_here(network, clips, tmp_path))


def test_faults_have_codes_and_change_nothing(tmp_path: Path) -> None:
    for integer in (True, False):
        network, _ = draw_wired(0, integer=integer, wires=RECURRENT)
        for file, text in to_c(network, "net").items():
            (tmp_path / file).write_text(text)
        defined = [] if integer else ["-DFLOATS"]
        files = [tmp_path / "net.c", DEVICE / "faults.c"]
        subprocess.run(["gcc", *HERE, *defined, f"-I{tmp_path}", *files, "-lm", "-o", tmp_path / "run"], check=True)
        done = subprocess.run([tmp_path / "run"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_integer_network_needs_no_library_but_memset(tmp_path: Path) -> None:
    network, _ = draw_wired(0, integer=True, wires=RECURRENT)
    (tmp_path / "net.c").write_text((code := to_c(network, "net"))["net.c"])
    (tmp_path / "net.h").write_text(code["net.h"])
    subprocess.run(["gcc", "-std=c99", "-O2", "-c", "net.c", "-o", "net.o"], cwd=tmp_path, check=True)
    symbols = subprocess.run(["nm", "-u", "net.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert set(symbols.split()) <= {"U", "_GLOBAL_OFFSET_TABLE_", "memset"}
    assert not re.search(r"malloc|stdio|printf|math\.h", code["net.c"])


@pytest.mark.parametrize(
    ("name", "file"),
    [("digits", "digits"), ("My net-2!", "my_net_2"), ("2l", "network_2l"), ("math", "network_math")],
)
def test_names_are_made_fit(name: str, file: str) -> None:
    network, _ = draw_wired(0, integer=True, wires=CHAIN)
    code = to_c(network, name)
    assert list(code) == [f"{file}.h", f"{file}.c"]
    assert f"#define {file.upper()}_STATE_BYTES {c_sizes(network).ram_bytes}\n" in code[f"{file}.h"]
    assert f"int {file}_step(" in code[f"{file}.h"]


@pytest.mark.parametrize("name", ["", "äü", "x" * 49])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ExportError, match="name"):
        to_c(draw_wired(0, integer=True, wires=CHAIN)[0], name)


def test_parts_that_c_does_not_know_are_named() -> None:
    class Other(Integrator):
        kind = "other"

    try:
        network, _ = draw_wired(0, integer=False, wires=CHAIN)
        readout = network.layers[2]
        other = replace(readout, neuron=Other(readout.neuron.arrays()["decay"]))
        with pytest.raises(ExportError, match=r"layers\.2\.neuron: other"):
            to_c(replace(network, layers=(*network.layers[:2], other)))
    finally:
        del Neuron.kinds["other"]
    wide = Layer(
        "r",
        (Dense("input", 0, np.ones((1, 1, 70_000), np.float32), np.zeros((1, 1, 1), np.int16)),),
        np.zeros(1, np.float32),
        Integrator(np.zeros(1, np.float32)),
    )
    with pytest.raises(ExportError, match="input: 70000"):
        to_c(Network(1.0, (wide,), ("a",), Input(70_000), Decoding()))


def test_the_target_writes_a_folder(tmp_path: Path) -> None:
    network, _ = draw_wired(0, integer=True, wires=CHAIN)
    targets()["c"].write(network, tmp_path / "my-net")
    assert sorted(path.name for path in (tmp_path / "my-net").iterdir()) == ["my_net.c", "my_net.h"]
    assert (tmp_path / "my-net" / "my_net.c").read_text() == to_c(network, "my-net")["my_net.c"]
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="is a file"):
        targets()["c"].write(network, tmp_path / "file")
