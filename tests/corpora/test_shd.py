"""The real recording: nothing is lost on the way in, and it stays small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from ranvier.data import Grid, SpikeDataset, read_recording
from ranvier.data.cache import unpacked


@pytest.fixture(scope="module")
def shd(shd_root: Path) -> SpikeDataset:
    return read_recording(shd_root / "shd_train.h5.gz", Grid(700, 5, 10.0))


def test_every_clip_is_there(shd: SpikeDataset) -> None:
    assert len(shd) == 8156
    assert len(shd.classes) == 20
    assert sorted(set(shd.speakers.tolist())) == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    assert set(shd.labels.tolist()) == set(range(20))
    assert shd.sources == 140
    assert shd.lengths.min() > 20
    assert shd.lengths.max() < 150


def test_every_spike_is_counted_in_its_place(shd: SpikeDataset, shd_root: Path) -> None:
    with h5py.File(unpacked(shd_root / "shd_train.h5.gz", None)) as file:
        total = 0
        for clip in np.random.default_rng(0).choice(len(shd), 200, replace=False):
            times, units = file["spikes/times"][clip].astype(np.float64), file["spikes/units"][clip].astype(int)
            dense = np.zeros((int(shd.lengths[clip]), 140), int)
            np.add.at(dense, (np.floor(times * 100).astype(int), units // 5), 1)
            step, source, count = shd.clip(int(clip))
            ours = np.zeros_like(dense)
            ours[step, source] = count
            np.testing.assert_array_equal(ours, dense)
            total += len(times)
    assert total > 1_000_000


@pytest.mark.slow
def test_the_whole_set_takes_less_than_400_mb(shd_root: Path, tmp_path: Path) -> None:
    """Peak of a fresh process, both for the first reading and for one from the cache."""
    code = (
        "import sys; from pathlib import Path; from ranvier.data import Grid, read_recording;"
        "dataset = read_recording(sys.argv[1], Grid(700, 5, 10.0)); assert len(dataset) == 8156;"
        # not getrusage, which counts what the process was before it became Python
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    environment = {**os.environ, "RANVIER_CACHE": str(tmp_path)}
    for _ in ("first", "from the cache"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(shd_root / "shd_train.h5.gz")],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        assert int(done.stdout) < 400_000  # KiB
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".h5", ".npz"]
