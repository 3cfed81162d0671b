"""Recordings joined: whose clips, classes and speakers they hold."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ranvier.data import DataError, Grid, read_recording
from ranvier.data.hdf5_write import write_clips
from ranvier.data.join import join

GRID = Grid(700, 5, 10.0)


def record(path: Path, classes: list[str], speakers: list[str], *, clips: int = 40, named: bool = True) -> Path:
    """Clips of 60 random events."""
    generator = np.random.default_rng(clips)
    made = [(np.sort(generator.uniform(0, 0.5, 60)), generator.integers(0, 700, 60)) for _ in range(clips)]
    labels = np.arange(clips) % len(classes)
    voices = np.arange(clips) // len(classes) % len(speakers)
    write_clips(path, made, labels, classes=classes, speakers=voices, speaker_names=speakers if named else ())
    return path


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Digits as numerals with two speakers, and as words, with others and another class."""
    return [
        record(tmp_path / "first.h5", ["0", "1"], ["ann", "bob"]),
        record(tmp_path / "other.h5", ["one", "eins", "Zero"], ["x", "y", "z"], clips=60, named=False),
    ]


def test_clips_classes_and_speakers(two: list[Path], tmp_path: Path) -> None:
    parts = join(two, tmp_path / "both.h5")
    assert [part.clips for part in parts] == [40, 40]
    assert [dict(part.left_out) for part in parts] == [{}, {"eins": 20}]
    assert [part.speakers for part in parts] == [2, 3]
    both, first, other = (read_recording(path, GRID) for path in (tmp_path / "both.h5", *two))
    assert both.classes == ("0", "1")
    assert both.speaker_names == ("ann", "bob", "other-0", "other-1", "other-2")
    np.testing.assert_array_equal(both.labels[:40], first.labels)
    np.testing.assert_array_equal(both.speakers[:40], first.speakers)
    kept = np.flatnonzero(other.labels != 1)
    # one is 1 and Zero is 0
    np.testing.assert_array_equal(both.labels[40:], np.where(other.labels[kept] == 0, 1, 0))
    np.testing.assert_array_equal(both.speakers[40:], other.speakers[kept] + 2)
    with h5py.File(tmp_path / "both.h5") as file, h5py.File(two[0]) as original:
        for clip in range(40):
            np.testing.assert_array_equal(file["spikes/units"][clip], original["spikes/units"][clip])
            np.testing.assert_array_equal(file["spikes/times"][clip], original["spikes/times"][clip])
    with h5py.File(tmp_path / "both.h5") as file, h5py.File(two[1]) as original:
        for clip, there in ((40, 0), (41, 2), (79, 59)):
            np.testing.assert_array_equal(file["spikes/units"][clip], original["spikes/units"][there])
            np.testing.assert_array_equal(file["spikes/times"][clip], original["spikes/times"][there])
        assert file["extra/files"][40] == b"other.h5#0"
        assert file["extra/files"][41] == b"other.h5#2"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["first.h5"], "one alone cannot be joined"),
        (["first.h5", "words.h5"], "none of its classes, cat, dog, is in"),
        (["first.h5", "other.h5", "first.h5"], "one is named twice"),
        (["first.h5", "other.h5", "more/other.h5"], "speakers of one name"),
        (["other.h5", "first.h5", "none.h5"], "none.h5"),
        (["first.h5", "broken.h5"], "is a text file"),
        (["twice.h5", "other.h5"], "two of its classes are one"),
    ],
)
def test_what_is_refused(two: list[Path], tmp_path: Path, names: list[str], said: str) -> None:
    record(tmp_path / "words.h5", ["cat", "dog"], ["x"])
    record(tmp_path / "twice.h5", ["0", "zero"], ["x"])
    (tmp_path / "more").mkdir()
    record(tmp_path / "more" / "other.h5", ["1"], ["x"], named=False)
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    with pytest.raises((DataError, FileNotFoundError)) as error:
        join([tmp_path / name for name in names], tmp_path / "out.h5")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("out*")), "nothing is left half-written"


def test_what_is_there_stays(two: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out.h5").write_text("mine")
    with pytest.raises(DataError, match=r"out\.h5: exists already"):
        join(two, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_text() == "mine"
