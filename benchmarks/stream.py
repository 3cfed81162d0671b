"""How long does one time step of a frozen network take, spike by spike as its input comes?

    python benchmarks/stream.py NETWORK --data FILE --out benchmarks/results/NAME.md

Every step of every clip is timed by itself, in one thread: the engine's, and that of onnxruntime (one thread, the
exported step function), clip by clip in turns. No step is left out. Percentiles are over all steps.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.engine import _short, dense_clip

from ranvier.engine import Clip, Engine
from ranvier.network import Network, quantize
from ranvier.recipes.pretrained import find_run
from ranvier.recipes.probe import find_clips
from ranvier.runs.provenance import git_commit, machine, versions

Step = Callable[[NDArray[np.float32]], Any]


def steps(network: Network) -> dict[str, tuple[Step, Callable[[], Any]]]:
    """How each way takes a step, and how it starts again."""
    found = {}
    for name, each in (("engine", network), ("engine, 8-bit integers", quantize(network))):
        stream = Engine(each).stream()
        found[name] = (by_events(stream), stream.reset)
    if find_spec("onnxruntime"):
        found["onnxruntime, exported step"] = by_onnx(network)
    return found


def by_events(stream: Any) -> Step:
    def step(row: NDArray[np.float32]) -> None:
        source = np.flatnonzero(row)
        stream.step(source, row[source])

    return step


def by_onnx(network: Network) -> tuple[Step, Callable[[], Any]]:
    """The exported step function; its state is handed back with each step."""
    import onnxruntime

    from ranvier.export import onnx_state, to_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = to_onnx(network).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    state: dict[str, NDArray[Any]] = onnx_state(network)

    def step(row: NDArray[np.float32]) -> None:
        made = dict(zip(outputs, session.run(None, {"events": row, **state}), strict=True))
        state.update({name: made[f"{name}.next"] for name in state})

    return step, lambda: state.update(onnx_state(network))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="a network file, a run, or a run of the package")
    parser.add_argument("--data", type=Path, help="recording; default: the run's test clips")
    parser.add_argument("--clips", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    network, dataset, places, what = find_clips(find_run(options.network), options.data)
    places = places[:: max(1, len(places) // options.clips)][: options.clips]
    clips: list[Clip] = [(dataset.clip(n), int(dataset.lengths[n])) for n in places]
    rows = [dense_clip(clip, network.sources) for clip in clips]
    found = steps(network)
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for timed in (False, True):  # the first clips compile and warm
        for clip in rows if timed else rows[:3]:
            for name, (step, reset) in found.items():
                reset()
                for row in clip:
                    begun = time.perf_counter()
                    step(row)
                    if timed:
                        seconds[name].append(time.perf_counter() - begun)
    known = ", ".join(f"{name} {value}" for name, value in versions().items() if name in ("numpy", "numba"))
    lines = [
        "# One time step\n",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}, {machine()}, {known}.\n",
        f"Made by `python benchmarks/stream.py {' '.join(map(_short, sys.argv[1:]))}`: {len(clips)} clips of {what}, "
        f"{sum(map(len, rows)):,} steps of {network.dt_ms:g} ms.\n",
        "| way | µs a step, median | 99th percentile | 99.9th |",
        "|---|---|---|---|",
    ]
    for name, own in seconds.items():
        middle, high, highest = np.percentile(np.array(own) * 1e6, [50, 99, 99.9])
        lines.append(f"| {name} | {middle:.0f} | {high:.0f} | {highest:.0f} |")
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
