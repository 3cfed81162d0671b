"""Counted clips in a file are those that a data set in memory holds, and are not read into memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ranvier.data import SpikeDataset
from ranvier.data.counted_file import map_columns, write_counted

MANY = """
import sys
from pathlib import Path
import numpy as np
from ranvier.data import SpikeDataset
from ranvier.data.counted_file import map_columns, write_counted

def held():  # bytes that are the process's own, not the file's
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024

before = held()
clip = (np.arange(4000, dtype=np.uint16), np.zeros(4000, np.uint8), np.full(4000, 300, np.uint16))
write_counted(Path(sys.argv[1]), (clip for _ in range(6000)), labels=np.zeros(6000, np.int64))
columns = map_columns(Path(sys.argv[1]))
assert all(len(column) == 24_000_000 for column in columns.values())
assert int(columns["count"][::4000].astype(np.int64).sum()) == 6000 * 300
print(held() - before)
"""


def test_the_columns_are_those_of_a_packed_data_set(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    clips = []
    for largest in (3, 300, 60_000, 0):
        step = np.sort(generator.integers(0, largest + 1, 50 if largest else 0))
        clips.append((step.astype(np.uint16), generator.integers(0, 9, len(step)), generator.integers(1, 3, len(step))))
    labels = np.arange(4)
    packed = SpikeDataset.pack(clips, labels=labels, speakers=None, classes=("a", "b", "c", "d"), sources=9, dt_ms=1.0)
    write_counted(tmp_path / "a.npz", iter(clips), labels=labels)
    columns = map_columns(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as others:
        for name in ("offsets", "lengths", "labels"):
            np.testing.assert_array_equal(others[name], getattr(packed, name))
    for name, column in columns.items():
        assert isinstance(column, np.memmap)
        np.testing.assert_array_equal(column, getattr(packed, name))
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_no_clips_and_no_events(tmp_path: Path) -> None:
    nothing = (np.empty(0, np.uint8), np.empty(0, np.uint8), np.empty(0, np.uint8))
    for clips in ([], [nothing, nothing]):
        write_counted(tmp_path / "a.npz", iter(clips))
        assert [len(column) for column in map_columns(tmp_path / "a.npz").values()] == [0, 0, 0]


def test_a_writer_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield tuple(np.ones(3, np.uint8) for _ in range(3))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_counted(tmp_path / "a.npz", broken())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_clips_need_not_fit_into_memory(tmp_path: Path) -> None:
    """120 MB of cells, a few of them at a time."""
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path / "a.npz")], capture_output=True, text=True, check=True
    )
    assert (tmp_path / "a.npz").stat().st_size > 100e6
    assert int(done.stdout) < 30e6
