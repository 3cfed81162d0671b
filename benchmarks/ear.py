"""How much faster than lauscher is the ear, and does it hear the same?

    python benchmarks/ear.py SOUND... --out benchmarks/results/NAME.md

lauscher (1.0.1, one job) hears every sound twice, from two seeds, and so does the ear, on one core. Seconds are those
of the processor, without imports and, for the ear, without its table of the membrane, which is made once and kept. What
two runs have in common is the correlation of their histograms (5 channels x 10 ms) and of these histograms' profiles.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from ranvier.audio.ear import Ear, clip_generator
from ranvier.audio.sound import Sound, read_sound
from ranvier.runs.provenance import git_commit, machine, versions

Spikes = tuple[NDArray[Any], NDArray[Any]]


def histogram(spikes: Spikes, seconds: float) -> NDArray[np.float64]:
    """``[10 ms, 5 channels]``."""
    bins = [np.arange(0, seconds + 0.01, 0.01), np.arange(0, 701, 5)]
    counted: NDArray[np.float64] = np.histogram2d(*spikes, bins)[0]
    return counted


def common(one: Spikes, other: Spikes, seconds: float) -> str:
    """Correlation of histograms, of their profiles over channels and over time."""
    a, b = histogram(one, seconds), histogram(other, seconds)
    pairs = ((a, b), (a.sum(0), b.sum(0)), (a.sum(1), b.sum(1)))
    return " / ".join(f"{np.corrcoef(x.ravel(), y.ravel())[0, 1]:.3f}" for x, y in pairs)


def by_lauscher(file: Path, seed: int) -> tuple[Spikes, float]:
    """Its spikes and CPU seconds."""
    from lauscher.__main__ import main
    from lauscher.helpers import CommandLineArguments

    CommandLineArguments().num_concurrent_jobs = 1
    np.random.seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        before = os.times()
        main(str(file), f"{folder}/spikes.npz", 700)
        after = os.times()
        times, units = np.load(f"{folder}/spikes.npz")["arr_0"]
    return (times, units), sum(after[:4]) - sum(before[:4])


def by_ear(sound: Sound, seed: int) -> tuple[Spikes, float]:
    """Our ear's spikes, faded as lauscher fades, and CPU seconds."""
    generator = clip_generator(seed, sound)
    before = time.process_time()
    spikes = Ear(ramp_ms=None).encode(sound, generator)
    return spikes, time.process_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", type=Path, nargs="+", help="sound files of one channel, 48 kHz")
    parser.add_argument("--seconds", type=float, help="only so much from the middle of each")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    Ear().encode(Sound(np.random.default_rng(0).standard_normal(4800), 48_000), np.random.default_rng(0))  # compiles
    known = ", ".join(f"{name} {value}" for name, value in versions().items() if name in ("numpy", "numba"))
    lines = [
        "# The ear against lauscher\n",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}, {machine()}, {known}, lauscher 1.0.1.\n",
        f"Made by `python benchmarks/ear.py {' '.join(Path(word).name for word in sys.argv[1:])}`. In common: "
        "correlation of histograms / of their profiles over channels / over time.\n",
        "| sound | s | spikes, lauscher | spikes, ear | in common: lauscher twice | ear and lauscher | ear twice "
        "| CPU s, lauscher | CPU s, ear | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for file in options.sounds:
        sound = read_sound(file)
        if options.seconds is not None and options.seconds < sound.seconds:
            start = round((sound.seconds - options.seconds) / 2 * sound.rate)
            sound = Sound(sound.samples[start : start + round(options.seconds * sound.rate)], sound.rate)
        with tempfile.TemporaryDirectory() as folder:
            cut = Path(folder) / "cut.wav"
            soundfile.write(cut, sound.samples, sound.rate, subtype="DOUBLE")
            theirs = [by_lauscher(cut, seed) for seed in (0, 1)]
        ours = [by_ear(sound, seed) for seed in (0, 1)]
        slow, fast = (min(seconds for _, seconds in runs) for runs in (theirs, ours))
        totals = [", ".join(str(len(spikes[0])) for spikes, _ in runs) for runs in (theirs, ours)]
        pairs = ((theirs[0], theirs[1]), (ours[0], theirs[0]), (ours[0], ours[1]))
        shared = [common(one[0], other[0], sound.seconds) for one, other in pairs]
        lines.append(
            f"| {file.stem} | {sound.seconds:.2f} | {totals[0]} | {totals[1]} | {' | '.join(shared)} | "
            f"{slow:.1f} | {fast:.3f} | **{slow / fast:.0f}** |"
        )
        print(lines[-1], flush=True)
        if options.out:
            options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
