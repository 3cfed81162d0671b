"""Does a recording of SSC's size stay within 4 GB of memory, and are its batches made faster than they are used?

    python benchmarks/reading.py shd_train.h5 [--clips 75466] [--out benchmarks/results/NAME.md]

Writes the first clips of a recording again and again until there are so many, reads and counts them as a training does
(140 sources, 10 ms), reads them once more from the cache, and draws batches at random. Then it trains the network of
SSC's recipe on them (140-512-512-35, 31 taps, batches of 128), an epoch or the first ITERATIONS of one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from ranvier.data import Grid, read_recording, write_clips
from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.splits import build_splits
from ranvier.recipes.training import Training
from ranvier.runs.provenance import git_commit, machine

_DRAWN = 300  # clips that are written again and again


def write(source: Path, target: Path, clips: int) -> None:
    """A recording of so many clips and SSC's 35 classes."""
    with h5py.File(source) as file:
        times, units = file["spikes/times"][:_DRAWN], file["spikes/units"][:_DRAWN]
    repeated = ((times[clip % _DRAWN], units[clip % _DRAWN]) for clip in range(clips))
    write_clips(target, repeated, np.arange(clips) % 35, classes=[f"word {number}" for number in range(35)])


def read(recording: Path, cache: Path) -> dict[str, float]:
    """Seconds, and megabytes of this process at the most."""
    started = time.perf_counter()
    dataset = read_recording(recording, Grid(700, 5, 10.0), cache=cache)
    seconds = time.perf_counter() - started
    generator, batches = np.random.default_rng(0), []
    for _ in range(50):
        clips = generator.integers(0, len(dataset), 128)
        before = time.perf_counter()
        dataset.batch(clips)
        batches.append(time.perf_counter() - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "batch": statistics.median(batches), "peak": peak}


def epoch(recording: Path, cache: Path, iterations: int) -> dict[str, float]:
    """Of the first iterations of an epoch: seconds, the share of them in which batches are made, and megabytes."""
    os.environ["RANVIER_CACHE"] = str(cache)
    values = {
        "data.root": str(recording), "data.validation": "fraction", "data.validation_fraction": "0.001",
        "model.hidden": "512,512", "model.max_delay_ms": "300", "model.tail_ms": "450", "train.batch_size": "128",
        "train.epochs": "60",
    }  # fmt: skip
    config = build_config(load_values("folder"), values)
    splits = build_splits(config)
    training = Training(config, splits)
    training.model.train()
    order = splits.train.clips[np.random.default_rng(0).permutation(len(splits.train))]
    starts = range(0, len(order), config.train.batch_size)[: iterations or None]
    making = 0.0
    began = time.perf_counter()
    for start in starts:
        before = time.perf_counter()
        batch = training.batches(order[start : start + config.train.batch_size])
        making += time.perf_counter() - before
        training.update(*batch)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "making": making / seconds, "peak": peak, "iterations": len(starts)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="recording in SHD's format, .h5")
    parser.add_argument("--clips", type=int, default=75_466, help="clips to write (default: 75466, SSC's training set)")
    parser.add_argument("--iterations", type=int, default=0, help="to train for (default: a whole epoch)")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--read", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--train", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(*options.read)))
        return
    if options.train:
        print(json.dumps(epoch(*options.train, options.iterations)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        recording, cache = Path(folder) / "large.h5", Path(folder) / "cache"
        write(options.source, recording, options.clips)
        for title in ("first reading", "from the cache"):
            command = [sys.executable, __file__, str(options.source), "--read", str(recording), str(cache)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            rows.append(
                f"| {title} | {found['seconds']:.1f} s | {found['peak']:.0f} MB | {1000 * found['batch']:.1f} ms |"
            )
        command = [sys.executable, __file__, str(options.source), "--train", str(recording), str(cache)]
        command += ["--iterations", str(options.iterations)]
        trained = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        size = recording.stat().st_size / 1e9
    text = "\n".join(
        [
            "# Reading a recording of SSC's size\n",
            f"{datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}, {machine()}; {options.clips} clips, "
            f"{size:.1f} GB.\n",
            "| | time | memory at most, all in all | a batch of 128 |",
            "|---|---|---|---|",
            *rows,
            f"\nTraining 140-512-512-35 on batches of 128: {trained['iterations']} iterations in "
            f"{trained['seconds']:.0f} s, "
            f"{100 * trained['making']:.2f}% of it to make batches; {trained['peak']:.0f} MB of memory at most.",
        ]
    )
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
