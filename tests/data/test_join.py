"""Recordings joined: whose clips, classes and speakers they hold, and what is done to their colour."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ranvier.data import DataError, Grid, read_recording
from ranvier.data.hdf5_write import write_clips
from ranvier.data.join import join

GRID = Grid(700, 5, 10.0)


def record(
    path: Path,
    classes: list[str],
    speakers: list[str],
    *,
    middle: int,
    clips: int = 40,
    events: int = 600,
    named: bool = True,
) -> Path:
    """Clips whose events lie around a channel, as far to both sides for every recording."""
    generator = np.random.default_rng(middle)
    made = []
    for _ in range(clips):
        units = np.clip(np.rint(generator.normal(middle, 80, events)), 0, 699).astype(int)
        made.append((np.sort(generator.uniform(0, 0.5, events)), units))
    labels = np.arange(clips) % len(classes)
    voices = np.arange(clips) // len(classes) % len(speakers)
    write_clips(path, made, labels, classes=classes, speakers=voices, speaker_names=speakers if named else ())
    return path


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Digits as numerals with two speakers, and as words, further up and louder, with others and another class."""
    return [
        record(tmp_path / "first.h5", ["0", "1"], ["ann", "bob"], middle=300),
        record(
            tmp_path / "other.h5",
            ["one", "eins", "Zero"],
            ["x", "y", "z"],
            middle=360,
            clips=60,
            events=1500,
            named=False,
        ),
    ]


def units(path: Path, clips: list[int] | slice) -> np.ndarray:
    with h5py.File(path) as file:
        chosen = range(len(file["labels"]))[clips] if isinstance(clips, slice) else clips
        return np.concatenate([file["spikes/units"][clip] for clip in chosen]).astype(int)


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
        assert file["extra/files"][40] == b"other.h5#0"
        assert file["extra/files"][41] == b"other.h5#2"


def test_as_they_are_without_matching(two: list[Path], tmp_path: Path) -> None:
    join(two, tmp_path / "both.h5", match=0)
    with h5py.File(tmp_path / "both.h5") as file, h5py.File(two[1]) as original:
        for clip, there in ((40, 0), (41, 2), (79, 59)):
            np.testing.assert_array_equal(file["spikes/units"][clip], original["spikes/units"][there])
            np.testing.assert_array_equal(file["spikes/times"][clip], original["spikes/times"][there])


def test_colour_and_events_come_nearer(two: list[Path], tmp_path: Path) -> None:
    middles = []
    for match in (0.0, 0.5, 1.0):
        join(two, tmp_path / f"{match}.h5", match=match)
        middles.append(units(tmp_path / f"{match}.h5", slice(40, 80)).mean())
    aim = units(two[0], slice(None)).mean()
    assert middles[0] > middles[1] + 10 > middles[2] + 10
    assert abs(middles[2] - aim) < 0.2 * (middles[0] - aim)
    # as many events a clip as the first has; without matching as many as before
    assert abs(len(units(tmp_path / "1.0.h5", slice(40, 80))) / 40 - 600) < 6
    assert len(units(tmp_path / "0.0.h5", slice(40, 80))) == 40 * 1500
    # where the first hears nothing
    assert units(tmp_path / "1.0.h5", slice(40, 80)).max() < 600 < units(tmp_path / "0.0.h5", slice(40, 80)).max()


def test_unseen_speakers_are_not_looked_at(tmp_path: Path) -> None:
    other = record(tmp_path / "other.h5", ["a", "b"], ["x"], middle=360)
    out = []
    for number, middle in enumerate((300, 500)):
        # ann is the same in both, bob is not
        ann, bob = (np.random.default_rng(seed).normal(at, 80, (20, 600)) for seed, at in ((1, 300), (2, middle)))
        clips = [(np.linspace(0, 0.5, 600), np.clip(np.rint(clip), 0, 699).astype(int)) for clip in (*ann, *bob)]
        first = tmp_path / f"first{number}.h5"
        write_clips(
            first,
            clips,
            np.arange(40) % 2,
            classes=["a", "b"],
            speakers=np.arange(40) // 20,
            speaker_names=["ann", "Doe, Bob"],
        )
        for unseen in ((), ("Doe, Bob",)):
            join([first, other], tmp_path / f"{number}{len(unseen)}.h5", unseen=unseen)
            out.append(units(tmp_path / f"{number}{len(unseen)}.h5", slice(40, None)))
    assert len(out[0]) != len(out[2]) or (out[0] != out[2]).any()
    np.testing.assert_array_equal(out[1], out[3])


def test_the_seed_decides(two: list[Path], tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        join(two, tmp_path / f"{name}.h5", seed=seed)
    a, b, c = (units(tmp_path / f"{name}.h5", slice(40, None)) for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert len(a) != len(c) or (a != c).any()


def test_a_silent_clip_stays_silent(tmp_path: Path) -> None:
    first = record(tmp_path / "first.h5", ["a"], ["x"], middle=300)
    nothing = (np.zeros(0), np.zeros(0, int))
    write_clips(tmp_path / "other.h5", [nothing, nothing], np.zeros(2, int), classes=["a"])
    join([first, tmp_path / "other.h5"], tmp_path / "both.h5")
    assert len(units(tmp_path / "both.h5", [40, 41])) == 0


@pytest.mark.parametrize(
    ("names", "more", "said"),
    [
        (["first.h5"], {}, "one alone cannot be joined"),
        (["first.h5", "words.h5"], {}, "none of its classes, cat, dog, is in"),
        (["first.h5", "other.h5"], {"match": 1.5}, "match: 1.5 is not allowed (0 ... 1)"),
        (["first.h5", "other.h5"], {"unseen": ["eve"]}, "'eve' is not a speaker of"),
        (["first.h5", "other.h5", "first.h5"], {}, "one is named twice"),
        (["first.h5", "other.h5", "more/other.h5"], {}, "speakers of one name"),
        (["other.h5", "first.h5", "none.h5"], {}, "none.h5"),
        (["first.h5", "broken.h5"], {}, "is a text file"),
        (["twice.h5", "other.h5"], {}, "two of its classes are one"),
    ],
)
def test_what_is_refused(two: list[Path], tmp_path: Path, names: list[str], more: dict[str, object], said: str) -> None:
    record(tmp_path / "words.h5", ["cat", "dog"], ["x"], middle=300)
    record(tmp_path / "twice.h5", ["0", "zero"], ["x"], middle=300)
    (tmp_path / "more").mkdir()
    record(tmp_path / "more" / "other.h5", ["1"], ["x"], middle=300, named=False)
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    with pytest.raises((DataError, FileNotFoundError)) as error:
        join([tmp_path / name for name in names], tmp_path / "out.h5", **more)  # type: ignore[arg-type]
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("out*")), "nothing is left half-written"


def test_what_is_there_stays(two: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out.h5").write_text("mine")
    with pytest.raises(DataError, match=r"out\.h5: exists already"):
        join(two, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_text() == "mine"
