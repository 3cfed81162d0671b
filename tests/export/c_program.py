"""Compiles an exported network with a program that runs clips through it, here or for a Cortex-M."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export import to_c
from ranvier.network import Network

DEVICE = Path(__file__).with_name("device")
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion"]
HERE = [*WARNINGS, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
CORTEX = {
    "mps2-an385": ["-mcpu=cortex-m3", "-mthumb"],
    "mps2-an500": ["-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
}


@dataclass
class ClipRun:
    """What the program printed of a clip; integers are signed again, floats are floats again."""

    spikes: list[list[tuple[int, int]]]
    voltage: NDArray[Any]
    scores: NDArray[Any]
    result: int = -1
    instructions: list[int] = field(default_factory=list)


@dataclass
class Printed:
    """All clips; how many instructions a thousand were counted as; size of the state."""

    clips: list[ClipRun]
    calibration: int
    state_bytes: int


def write_program(network: Network, clips: Sequence[NDArray[Any]], folder: Path, name: str = "net") -> None:
    """The network's files and what main.c includes."""
    for file, text in to_c(network, name).items():
        (folder / file).write_text(text)
    (folder / "clips.h").write_text(_clips(network, clips, name))


def run_here(network: Network, clips: Sequence[NDArray[Any]], folder: Path, *, compiler: str = "gcc") -> Printed:
    """With the sanitizers."""
    write_program(network, clips, folder)
    files = [folder / "net.c", DEVICE / "main.c", DEVICE / "here.c"]
    subprocess.run([compiler, *HERE, f"-I{folder}", *files, "-lm", "-o", folder / "run"], check=True)
    done = subprocess.run([folder / "run"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return _read(network, done.stdout, len(clips))


def cross_compiler() -> bool:
    return all(shutil.which(tool) for tool in ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"))


def run_cortex(
    network: Network, clips: Sequence[NDArray[Any]], folder: Path, *, board: str = "mps2-an385", level: str = "-Os"
) -> tuple[Printed, dict[str, int]]:
    """Under qemu; also the sizes of the network's sections, text, data and bss, with its state in RAM."""
    write_program(network, clips, folder)
    flags = [*WARNINGS, level, *CORTEX[board], "-ffreestanding", f"-I{folder}"]
    subprocess.run(["arm-none-eabi-gcc", *flags, "-c", folder / "net.c", "-o", folder / "net.o"], check=True)
    files = [folder / "net.o", DEVICE / "main.c", DEVICE / "cortex_m.c"]
    linked: list[str | Path] = [
        *flags,
        *files,
        "-nostartfiles",
        f"-T{DEVICE / 'mps2.ld'}",
        "-lm",
        "-o",
        folder / "net.elf",
    ]
    subprocess.run(["arm-none-eabi-gcc", *linked], check=True)
    qemu = ["qemu-system-arm", "-M", board, "-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=5"]
    semihosting = ["-semihosting-config", "enable=on,target=native", "-kernel", str(folder / "net.elf")]
    done = subprocess.run([*qemu, *semihosting], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-200:]
    return _read(network, done.stdout + done.stderr, len(clips)), _sizes(folder / "net.o")


def _sizes(file: Path) -> dict[str, int]:
    done = subprocess.run(["arm-none-eabi-size", file], capture_output=True, text=True, check=True)
    names, values = (line.split() for line in done.stdout.splitlines())
    return {name: int(value) for name, value in zip(names[:3], values[:3], strict=True)}


def _clips(network: Network, clips: Sequence[NDArray[Any]], name: str) -> str:
    lengths = [len(clip) for clip in clips]
    stacked = np.concatenate(clips)
    step, source = np.nonzero(stacked)
    size = stacked[step, source]
    first = np.searchsorted(step, np.arange(len(stacked) + 1))
    sizes = ", ".join(f"{float(value):.9e}f" for value in size) if not network.integer else _numbers(size)
    hidden = "".join(
        f" print_spikes(clip, t, {number}, state.{layer.name}_spikes, state.{layer.name}_spike_count);"
        for number, layer in enumerate(network.layers)
        if layer.spikes
    )
    return "\n".join(
        [
            f'#include "{name}.h"',
            f"#define NET(word) {name}_##word",
            f"#define NET_UPPER(word) {name.upper()}_##word",
            f"#define CLIPS {len(clips)}u",
            f"#define READOUT_VOLTAGE {network.layers[-1].name}_voltage",
            f"#define SCORE_BITS(score) {'(score)' if network.integer else 'bits(&(score))'}",
            f"#define PRINT_ALL_SPIKES{hidden or ' (void)t; (void)print_spikes;'}",
            f"static const uint32_t clip_length[] = {{{_numbers(lengths)}}};",
            f"static const uint32_t clip_first[] = {{{_numbers(np.cumsum([0, *lengths[:-1]]))}}};",
            f"static const uint32_t step_first[] = {{{_numbers(first)}}};",
            f"static const uint16_t event_source[] = {{{_numbers(source) or '0'}}};",
            f"static const {'uint8_t' if network.integer else 'float'} event_size[] = {{{sizes or '0'}}};",
        ]
    )


def _numbers(values: Any) -> str:
    return ", ".join(str(int(value)) for value in values)


def _read(network: Network, text: str, clips: int) -> Printed:
    lines: dict[str, list[list[int]]] = {}
    for line in text.splitlines():
        word, *values = line.split()
        lines.setdefault(word, []).append([int(value) for value in values])
    runs = []
    number = np.int32 if network.integer else np.float32
    for clip in range(clips):
        of = {word: [row[1:] for row in rows if row[0] == clip] for word, rows in lines.items()}
        spikes: list[list[tuple[int, int]]] = [[] for layer in network.layers if layer.spikes]
        for layer, t, *neurons in of.get("spikes", []):
            spikes[layer] += [(t, neuron) for neuron in neurons]
        (scores,), ((result,),) = of["scores"], of["result"]
        made = np.array(scores, np.uint64) if network.integer else np.array(scores, np.uint32).view(np.float32)
        voltage = np.array(of["voltage"], np.uint32).view(number)
        runs.append(ClipRun(spikes, voltage, made, result, [row[0] for row in of["instructions"]]))
    return Printed(runs, lines["calibration"][0][0], lines["size"][0][0])
