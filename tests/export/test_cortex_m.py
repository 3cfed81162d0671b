"""Exported C on an emulated Cortex-M: the same spikes and scores, and what it takes of flash, RAM and instructions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ranvier import load_network
from ranvier.export import c_sizes
from ranvier.network import WeightBits, quantize
from tests.drawn import RECURRENT, SKIP, draw_wired
from tests.export.c_program import cross_compiler, run_cortex
from tests.export.test_c import assert_floats, assert_integers, packaged_clips
from tests.networks import dense
from tests.parity import CLOSE

pytestmark = pytest.mark.skipif(
    not cross_compiler(),
    reason="gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm are not installed (Debian's packages)",
)
MOST_CODE = 2048  # bytes, as CSizes says


@pytest.mark.parametrize(("board", "level"), [("mps2-an385", "-Os"), ("mps2-an500", "-O2")])
@pytest.mark.parametrize("largest", [127, 7])
def test_integers_are_equal_to_the_bit(largest: int, board: str, level: str, tmp_path: Path) -> None:
    network, clips = draw_wired(3, integer=True, largest=largest, wires=SKIP, tail="per_layer", synapses=2)
    printed, sections = run_cortex(network, clips, tmp_path, board=board, level=level)
    assert assert_integers(network, clips, printed) > 100
    assert printed.state_bytes == c_sizes(network).ram_bytes
    assert 0 < sections["text"] + sections["data"] - c_sizes(network).flash_bytes < MOST_CODE


@pytest.mark.parametrize(("board", "level"), [("mps2-an385", "-Os"), ("mps2-an500", "-O2")])
def test_floats_give_the_engines_spikes(board: str, level: str, tmp_path: Path) -> None:
    network, clips = draw_wired(2, integer=False, wires=RECURRENT, trace=True)
    printed, _ = run_cortex(network, clips, tmp_path, board=board, level=level)
    total, margins = assert_floats(network, clips, printed)
    assert total > 100
    assert margins == []


@pytest.mark.parametrize("integer", [False, True])
def test_the_packaged_network_and_what_it_takes(integer: bool, tmp_path: Path) -> None:
    network = quantize(load_network("digits")) if integer else load_network("digits")
    clips = packaged_clips(2)
    printed, sections = run_cortex(network, clips, tmp_path)
    if integer:
        assert assert_integers(network, clips, printed) > 500
    else:
        total, margins = assert_floats(network, clips, printed)
        assert total > 500
        assert max(margins, default=0) < CLOSE
    said = c_sizes(network)
    assert printed.state_bytes == said.ram_bytes
    code = sections["text"] + sections["data"] - said.flash_bytes
    assert 0 < code < MOST_CODE, code
    assert sections["bss"] == 0  # no RAM but the state
    assert printed.calibration == pytest.approx(1000, abs=5)
    steps = np.array(printed.clips[0].instructions)
    print(f"{steps.mean():.0f} instructions a step, {steps.min()} to {steps.max()}; code {code} bytes; {said}")


@pytest.mark.parametrize("weight_bits", [8, 4])
def test_instructions_follow_the_spikes(weight_bits: WeightBits, tmp_path: Path) -> None:
    network, clip = quantize(load_network("digits"), weight_bits=weight_bits), packaged_clips(1)[0]
    clips = [clip, np.zeros_like(clip)]
    printed, _ = run_cortex(network, clips, tmp_path)
    assert_integers(network, clips, printed)
    loud, quiet = (sum(run.instructions) for run in printed.clips)
    fan_out = [(dense(layer).weight != 0).sum((0, 1)) for layer in network.layers]
    adds = [
        sum(fan_out[0][np.nonzero(clip)[1]].tolist())
        + sum(int(fan_out[number + 1][neuron]) for number in (0, 1) for _, neuron in run.spikes[number])
        for clip, run in zip(clips, printed.clips, strict=True)
    ]
    each = (loud - quiet) / (adds[0] - adds[1])
    still = (quiet - each * adds[1]) / len(printed.clips[1].instructions)
    print(f"{each:.1f} instructions a synapse, {still:.0f} a time step without spikes")
    assert 5 < each < (15 if weight_bits == 8 else 25)  # two weights in a byte have to be taken apart
    assert 0 < still < 60 * (256 + 256 + 20)
