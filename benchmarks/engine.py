"""How much faster does the engine run a frozen network than torch's dense convolutions and NEST?

    python benchmarks/engine.py NETWORK --data FILE --out benchmarks/results/NAME.md
    python benchmarks/engine.py NETWORK --curves-only        cost against activity and longest delay alone

All ways run the same clips in turns in one process: per clip the engine, then each other. The convolutions of torch are
those of the same delays (as many taps as the longest delay has time steps), fed with the input and with the spikes that
the engine found, so that they do the same work; neurons and scores are not even counted for them. Medians over clips,
and medians of the clips' ratios. NEST, in a process of its own, simulates one step more per layer; its connections are
made once and are not counted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from ranvier.engine import Clip, Engine, cost
from ranvier.network import LIF, Dense, Network, quantize
from ranvier.recipes.pretrained import find_run
from ranvier.recipes.probe import find_clips
from ranvier.runs.provenance import git_commit, machine, versions

Ways = dict[str, Callable[[int], Any]]


def dense_clip(clip: Clip, sources: int) -> NDArray[np.float32]:
    """``[time, source]`` of events."""
    (step, source, size), length = clip
    x = np.zeros((length or int(np.asarray(step)[-1]) + 1, sources), np.float32)
    np.add.at(x, (step, source), size)
    return x


def convolutions(network: Network) -> list[torch.nn.Conv1d]:
    """The connections of a feedforward network as dense kernels ``[target, source, tap]``."""
    made = []
    for layer in network.layers:
        (part,) = layer.inputs
        assert isinstance(part, Dense)
        kernel = np.zeros((part.targets, part.sources, part.max_delay + 1), np.float32)
        source, target, weight, delay = part.synapses()
        np.add.at(kernel, (target, source, part.max_delay - delay), weight)
        conv = torch.nn.Conv1d(part.sources, part.targets, part.max_delay + 1, bias=False)
        conv.weight.data = torch.from_numpy(kernel)
        made.append(conv.eval())
    return made


def conv_inputs(network: Network, clips: list[Clip]) -> list[list[Tensor]]:
    """For each clip what each layer receives, ``[1, source, max_delay + time]``, from the engine's spikes."""
    engine, made = Engine(network), []
    for clip in clips:
        result = engine.run(*clip)
        steps = len(result.voltage)
        received = [dense_clip(clip, network.sources)]
        for layer, spikes in zip(network.layers, result.spikes, strict=False):
            raster = np.zeros((steps, layer.targets), np.float32)
            raster[spikes[:, 0], spikes[:, 1]] = 1
            received.append(raster)
        tensors = []
        for x, layer in zip(received, network.layers, strict=True):
            padded = np.zeros((layer.max_delay + steps, x.shape[1]), np.float32)
            padded[layer.max_delay : layer.max_delay + len(x)] = x
            tensors.append(torch.from_numpy(padded.T[None].copy()))
        made.append(tensors)
    return made


def ways(network: Network, clips: list[Clip]) -> Ways:
    """Each way to run clip number n."""
    engine, convs, inputs = Engine(network), convolutions(network), conv_inputs(network, clips)

    def convolve(n: int, threads: int) -> None:
        torch.set_num_threads(threads)
        with torch.no_grad():
            for conv, x in zip(convs, inputs[n], strict=True):
                conv(x)

    found: Ways = {"engine": lambda n: engine.run(*clips[n])}
    if all(isinstance(layer.neuron, LIF) for layer in network.layers[:-1]):
        whole = Engine(quantize(network))
        found["engine, 8-bit integers"] = lambda n: whole.run(*clips[n])
    found["torch, dense convolutions, 1 thread"] = lambda n: convolve(n, 1)
    if find_spec("nest"):
        found["NEST, 1 thread"] = in_nest(network, clips)
    found["torch, dense convolutions, 2 threads"] = lambda n: convolve(n, 2)
    return found


def in_nest(network: Network, clips: list[Clip]) -> Callable[[int], float]:
    """Clip after clip in NEST, whose network is built once; seconds of the simulation alone.

    In a process of its own, since NEST and torch fall over each other's OpenMP.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=nest_process, args=(there, network, clips), daemon=True).start()

    def simulate(n: int) -> float:
        here.send(n)
        return float(here.recv())

    return simulate


def nest_process(pipe: Any, network: Network, clips: list[Clip]) -> None:
    """Answers with the seconds that a clip took."""
    import nest

    from ranvier.export import to_nest

    nest.verbosity = nest.VerbosityLevel.ERROR
    built, h = to_nest(network), network.dt_ms
    nest.Prepare()
    while True:
        try:
            wanted = pipe.recv()
        except EOFError:  # the other process has measured enough
            return
        row = dense_clip(clips[wanted], network.sources)
        begin = round(nest.biological_time / h)
        for source, generator in enumerate(built.inputs):
            times = np.flatnonzero(row[:, source])
            if not len(times):
                times = np.zeros(1, np.int64)  # a spike of size 0: NEST would keep the weights of the clip before
            sizes = row[times, source].astype(np.float64)
            generator.set({"spike_times": np.round((begin + times + 1) * h, 3), "spike_weights": sizes})
        begun = time.perf_counter()
        nest.Run((len(row) + network.decoding.tail_steps + len(network.layers)) * h)
        pipe.send(time.perf_counter() - begun)


def in_turns(found: Ways, clips: int) -> dict[str, list[float]]:
    """Seconds of every way on every clip."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for n in (0, *range(clips)):  # the first of all compiles and warms
        for name, way in found.items():
            begun = time.perf_counter()
            own = way(n)
            seconds[name].append(own if isinstance(own, float) else time.perf_counter() - begun)
    return {name: own[1:] for name, own in seconds.items()}


def table(seconds: dict[str, list[float]]) -> list[str]:
    """Medians, quartiles and ratios to the engine."""
    base = seconds["engine"]
    lines = ["| way | ms a clip, median (quartiles) | engine is faster by |", "|---|---|---|"]
    for name, own in seconds.items():
        low, middle, high = (1e3 * value for value in statistics.quantiles(own, n=4))
        ratio = statistics.median(one / other for one, other in zip(own, base, strict=True))
        lines.append(f"| {name} | {middle:.2f} ({low:.2f} ... {high:.2f}) | {ratio:.1f} |")
    return lines


def many_clips(network: Network, clips: list[Clip]) -> list[str]:
    """All cores: run_many against the convolutions of 32 clips at once, in turns."""
    engine, convs, inputs = Engine(network), convolutions(network), conv_inputs(network, clips[:32])
    longest = [max(x[layer].shape[2] for x in inputs) for layer in range(len(convs))]
    batches = [
        torch.cat([torch.nn.functional.pad(x[layer], (0, longest[layer] - x[layer].shape[2])) for x in inputs])
        for layer in range(len(convs))
    ]
    torch.set_num_threads(2)
    ours, theirs = [], []
    for _ in range(9):
        begun = time.perf_counter()
        list(engine.run_many(clips[:32]))
        ours.append((time.perf_counter() - begun) / 32)
        begun = time.perf_counter()
        with torch.no_grad():
            for conv, x in zip(convs, batches, strict=True):
                conv(x)
        theirs.append((time.perf_counter() - begun) / 32)
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return [
        f"On two cores: `run_many` {1e3 * statistics.median(ours):.2f} ms a clip, torch's convolutions of 32 clips at "
        f"once {1e3 * statistics.median(theirs):.2f} ms a clip; ratio {ratio:.1f} (median of 9 pairs)."
    ]


def curves(generator: np.random.Generator) -> list[str]:
    """140-256-256-20 with random weights, whose hidden spikes are given as input of their layer: cost alone."""
    lines = ["| longest delay | events a source and step | engine, ms a layer | convolution, ms a layer | ratio |"]
    lines.append("|---|---|---|---|---|")
    for max_delay, share in [(25, 0.01), (25, 0.03), (25, 0.1), (25, 0.3), (10, 0.1), (100, 0.1), (250, 0.1)]:
        network = one_layer(generator, max_delay)
        clips: list[Clip] = []
        for _ in range(15):
            step, source = np.nonzero(generator.random((100, 256)) < share)
            clips.append(((step, source, np.ones(len(step))), 100))
        found = ways(network, clips)
        seconds = in_turns({name: way for name, way in found.items() if name in _CURVE}, len(clips))
        ours, theirs = (statistics.median(seconds[name]) * 1e3 for name in _CURVE)
        lines.append(f"| {max_delay} | {share} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.1f} |")
    return lines


_CURVE = ("engine", "torch, dense convolutions, 1 thread")


def one_layer(generator: np.random.Generator, max_delay: int) -> Network:
    """A readout of 256 neurons behind 256 sources."""
    from ranvier.network import Input, Integrator, Layer

    shape = (1, 256, 256)
    part = Dense(
        "input",
        max_delay,
        generator.normal(0, 0.1, shape).astype(np.float32),
        generator.integers(0, max_delay + 1, shape).astype(np.int16),
    )
    layer = Layer("readout", (part,), np.zeros(256, np.float32), Integrator(np.full(256, 0.5, np.float32)))
    from ranvier.network import Decoding

    return Network(10.0, (layer,), tuple(map(str, range(256))), Input(256), Decoding())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="a network file, a run, or a run of the package")
    parser.add_argument("--data", type=Path, help="recording; default: the run's test clips")
    parser.add_argument("--clips", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--curves-only", action="store_true", help="cost against activity and longest delay alone")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    known = ", ".join(f"{name} {value}" for name, value in versions().items() if name in ("torch", "numpy", "numba"))
    lines = [
        "# Running a frozen network\n",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}, {machine()}, {known}.\n",
        f"Made by `python benchmarks/engine.py {' '.join(map(_short, sys.argv[1:]))}`.\n",
    ]
    if not options.curves_only:
        network, dataset, places, what = find_clips(find_run(options.network), options.data)
        places = places[:: max(1, len(places) // options.clips)][: options.clips]
        clips: list[Clip] = [(dataset.clip(n), int(dataset.lengths[n])) for n in places]
        counted = cost(network, clips).total
        sizes = "-".join(map(str, (network.sources, *(layer.targets for layer in network.layers))))
        lines += [
            f"{sizes}, longest delay {network.max_delay} time steps, {len(clips)} clips of {what}: "
            f"{counted.spikes:,.0f} spikes and {counted.synaptic_operations:,.0f} synaptic operations a clip, "
            f"{counted.dense_operations:,.0f} dense ones without delays.\n",
            *table(in_turns(ways(network, clips), len(clips))),
            "",
            *many_clips(network, clips),
            "",
        ]
    lines += ["A layer of 256 to 256 on 100 time steps, one thread:\n", *curves(np.random.default_rng(0))]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


def _short(word: str) -> str:
    return Path(word).name if "/" in word else word


if __name__ == "__main__":
    main()
