"""What do the published recipe's input and padding change, on a recording in SHD's format?

    python benchmarks/published.py shd_train.h5[.gz]

Prints, of 2,000 clips drawn with seed 0: when the first event comes; how many steps a clip has on the fixed grid and in
the frames of SpikingJelly in 2023, which start at an event and hold both their ends, with times in float16
milliseconds; how many events lie in another step there; and which share of the first hidden layer's steps is padding in
random batches of 256. Then trains 64-64 hidden neurons of shd-published on 1,536 clips, 10 epochs of batches of 64,
seed 0, and counts the validation clips, of 1,024, that it classifies otherwise by themselves than in batches of 256.
"""

from __future__ import annotations

import argparse
import gzip
import io
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.training import Training
from ranvier.recipes.fit import _batches
from ranvier.recipes.predict import predict
from ranvier.data import Subset
from ranvier.recipes.splits import build_splits

STEP_MS, CLIPS, BATCH, TAIL = 10.0, 2000, 256, 12


def frames_2023(times_s: NDArray[np.float16]) -> NDArray[np.int64]:
    """The frame of every event, of sorted times."""
    times_ms = (np.float16(1000) * times_s).astype(np.float64)
    frames, start, number = np.empty(len(times_ms), np.int64), 0, 0
    while start < len(times_ms):
        end = int(np.searchsorted(times_ms, times_ms[start] + STEP_MS, side="right"))
        frames[start:end] = number
        start, number = end, number + 1
    return frames


def batch_dependence(folder: Path) -> int:
    """Validation clips of 1,024 whose predicted class the padding of their batch changes."""
    changes = {"protocol": "honest", "data.root": str(folder), "data.validation": "fraction"}
    changes |= {"model.hidden": "64,64", "train.epochs": "10", "train.batch_size": "64"}
    splits = build_splits(build_config(load_values("shd-published"), changes))
    dataset = splits.train.dataset
    held_out = Subset(dataset, splits.validation.clips[:1024])
    splits = replace(splits, train=Subset(dataset, splits.train.clips[:1536]), validation=held_out)
    torch.manual_seed(0)
    training = Training(build_config(load_values("shd-published"), changes), splits)
    for _ in range(10):
        training.model.train()
        for clips in _batches(training, splits.train):
            training.update(*dataset.batch(clips))
    alone, padded = predict(training.model, held_out), predict(training.model, held_out, padded_batch=BATCH)
    return int((alone != padded).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    path = parser.parse_args().recording
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    generator = np.random.default_rng(0)
    first, moved, steps = [], [], []
    with h5py.File(io.BytesIO(content)) as file:
        times = file["spikes/times"]
        for clip in np.sort(generator.choice(len(times), CLIPS, replace=False)):
            times_s = np.sort(times[clip])
            times_ms = times_s.astype(np.float64) * 1000
            aligned = ((times_ms - times_ms[0]) // STEP_MS).astype(np.int64)
            frames = frames_2023(times_s)
            first.append(times_ms[0])
            moved.append(np.mean(frames != aligned))
            steps.append((times_ms[-1] // STEP_MS + 1, aligned[-1] + 1, frames[-1] + 1))
    lengths = np.array(steps)
    shares = []
    for _ in range(20):
        batch = generator.choice(lengths[:, 1], BATCH, replace=False) + TAIL
        shares.append(1 - batch.mean() / batch.max())
    print(f"first event: {np.mean(first):.1f} ms on average, {np.max(first):.1f} ms at most")
    for name, column in zip(("from time 0", "from the first event", "frames of 2023"), lengths.T, strict=True):
        print(f"steps of a clip, {name}: {column.mean():.1f} on average, {column.max():.0f} at most")
    print(f"events in another step in the frames of 2023: {np.mean(moved):.1%}")
    print(f"padding among the first hidden layer's steps, batches of {BATCH}: {np.mean(shares):.1%}")
    print(f"predictions that depend on the batch: {batch_dependence(path.parent)} of 1,024")


if __name__ == "__main__":
    main()
