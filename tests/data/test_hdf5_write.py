"""Writing recordings: what is read back is what was given, and what no reader would take is refused first."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ranvier.data import DataError, Grid, SpikeDataset, read_recording, write_clips, write_dataset, write_recording

from .test_hdf5 import assert_same, cells

ALIGNMENTS = st.sampled_from(["zero", "first_event"])
STEPS_MS = st.sampled_from([0.1, 0.5, 1.0, 2.5, 10 / 3, 5.6, 10.0])


def stored(path: Path) -> list[NDArray[Any]]:
    with h5py.File(path) as file:
        return list(file["spikes/times"][:])


@st.composite
def counted_clips(draw: st.DrawFn) -> tuple[SpikeDataset, int, Any]:
    """Clips on a grid, the channels of each of their sources, and the grid's alignment."""
    alignment, pool, sources = draw(ALIGNMENTS), draw(st.integers(1, 7)), draw(st.integers(1, 9))
    longest = draw(st.sampled_from([3, 200, 3000, 65535]))
    cell = st.tuples(st.integers(0, longest - 1), st.integers(0, sources - 1))
    clips = []
    for counts in draw(st.lists(st.dictionaries(cell, st.integers(1, 3), max_size=12), min_size=1, max_size=4)):
        begin = min((step for step, _ in counts), default=0) if alignment == "first_event" else 0
        rows = sorted((step - begin, source, count) for (step, source), count in counts.items())
        clips.append(tuple(np.array([row[part] for row in rows], np.int64) for part in range(3)))
    speakers = draw(st.sampled_from([None, np.arange(len(clips)) % 2]))
    dataset = SpikeDataset.pack(
        clips,  # type: ignore[arg-type]
        labels=np.arange(len(clips)) % 2,
        speakers=speakers,
        classes=("no", "ja"),
        sources=sources,
        dt_ms=draw(STEPS_MS),
        speaker_names=() if speakers is None else ("Doe, Jane", "Ürs"),
    )
    return dataset, pool, alignment


@settings(max_examples=150, deadline=None)
@given(drawn=counted_clips())
def test_counted_clips_are_read_as_they_were(drawn: tuple[SpikeDataset, int, Any]) -> None:
    dataset, pool, alignment = drawn
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder, "clips.h5"), dataset, pool=pool)
        grid = Grid(dataset.sources * pool, pool, dataset.dt_ms, alignment)
        again = read_recording(Path(folder, "clips.h5"), grid, cache=folder)
    assert cells(again) == cells(dataset)
    assert again.lengths.tolist() == dataset.lengths.tolist()
    assert again.labels.tolist() == dataset.labels.tolist()
    assert again.speakers.tolist() == dataset.speakers.tolist()
    assert (again.classes, again.speaker_names) == (dataset.classes, dataset.speaker_names)


def on_grid(kind: str) -> st.SearchStrategy[NDArray[Any]]:
    """Times of one type: drawn ones, which float16 may hold by chance, or such as lie on a grid."""
    drawn = st.lists(st.floats(0, 59, width=16 if kind == "float16" else 32), max_size=8)
    steps = st.tuples(st.lists(st.integers(0, 5900), max_size=8), STEPS_MS)
    multiples = steps.map(lambda given: [step * given[1] / 1000 for step in given[0]])
    return st.one_of(drawn, multiples).map(lambda seconds: np.array(seconds, kind))


@settings(max_examples=150, deadline=None)
@given(
    clips=st.one_of(*(st.lists(on_grid(kind), min_size=1, max_size=4) for kind in ("float16", "float32", "float64"))),
    dt_ms=STEPS_MS,
    alignment=ALIGNMENTS,
)
@example(clips=[np.array([]), np.array([0.03, 0.57]), np.array([0.5])], dt_ms=10.0, alignment="zero")
@example(clips=[np.array([0.25]), np.array([0.1, 1.3]), np.array([])], dt_ms=1.0, alignment="first_event")
def test_seconds_are_stored_to_the_bit_and_counted_alike(
    clips: list[NDArray[Any]], dt_ms: float, alignment: Any
) -> None:
    grid = Grid(3, 1, dt_ms, alignment)
    units = [np.arange(len(times)) % 3 for times in clips]
    try:
        expected = [[part.tolist() for part in grid.count(*clip)] for clip in zip(clips, units, strict=True)]
    except ValueError:  # more steps than a clip may have
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clips.h5")
        write_recording(path, clips, units, np.zeros(len(clips)))
        for times, kept in zip(clips, stored(path), strict=True):
            np.testing.assert_array_equal(kept.astype(np.float64), times.astype(np.float64))
        assert cells(read_recording(path, grid, cache=folder)) == expected


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("float16", "float16"), "float16"),
        (("float32", "float32"), "float32"),
        (("float64", "float64"), "float64"),
        (("float16", "float32"), "float64"),
        (("float32", "float64", "float16"), "float64"),
        (("int64", "float64"), "float64"),
        (("int64", "float16"), "float16"),
    ],
)
def test_one_type_holds_all_clips(tmp_path: Path, kinds: tuple[str, ...], expected: str) -> None:
    clips = [np.array([1, 2, 3], kind) * (1 if kind == "int64" else np.dtype(kind).type(0.1)) for kind in kinds]
    write_recording(tmp_path / "a.h5", clips, [np.arange(3)] * len(clips), np.arange(len(clips)))
    assert {times.dtype.name for times in stored(tmp_path / "a.h5")} == {expected}
    for times, kept in zip(clips, stored(tmp_path / "a.h5"), strict=True):
        assert kept.tolist() == times.tolist()


def test_a_wider_type_late_in_the_stream_keeps_the_clips_before(tmp_path: Path) -> None:
    clips = [np.array([], np.float64), np.array([0.5]), np.array([]), np.array([0.1, 7.3]), np.array([0.25])]
    write_clips(tmp_path / "a.h5", ((times, np.arange(len(times))) for times in clips), np.zeros(5))
    assert [times.tolist() for times in stored(tmp_path / "a.h5")] == [times.tolist() for times in clips]


def test_counted_clips_look_like_the_published_files_where_they_can(tmp_path: Path) -> None:
    for steps, dt_ms, kind in ((150, 10.0, "float16"), (3000, 1.0, "float32"), (65535, 0.1, "float32")):
        clip = (np.array([0, steps - 1]), np.zeros(2, int), np.ones(2, int))
        dataset = SpikeDataset.pack([clip], labels=np.zeros(1), speakers=None, classes="a", sources=1, dt_ms=dt_ms)
        write_dataset(tmp_path / "a.h5", dataset)
        (times,) = stored(tmp_path / "a.h5")
        assert times.dtype == kind
        assert times[0] == 0
        assert times[1] * 1000 == pytest.approx((steps - 0.5) * dt_ms, abs=dt_ms / 2)


def test_only_the_clips_asked_for_are_written(tmp_path: Path) -> None:
    times, units = [np.array([0.005 + 0.01 * clip]) for clip in range(5)], [np.array([clip]) for clip in range(5)]
    write_recording(tmp_path / "all.h5", times, units, np.arange(5), speakers=np.arange(5))
    whole = read_recording(tmp_path / "all.h5", Grid(5, 1, 10.0), cache=tmp_path)
    write_dataset(tmp_path / "some.h5", whole, np.array([4, 2]))
    some = read_recording(tmp_path / "some.h5", Grid(5, 1, 10.0), cache=tmp_path)
    assert cells(some) == [cells(whole)[4], cells(whole)[2]]
    assert (some.labels.tolist(), some.speakers.tolist()) == ([4, 2], [4, 2])
    assert some.classes == whole.classes


def test_speakers_that_only_some_clips_have_are_left_out(tmp_path: Path) -> None:
    clip = (np.zeros(1, int),) * 2 + (np.ones(1, int),)
    dataset = SpikeDataset.pack(
        [clip, clip],
        labels=np.zeros(2),
        speakers=np.array([-1, 0]),
        classes="a",
        sources=1,
        dt_ms=1.0,
        speaker_names="b",
    )
    write_dataset(tmp_path / "a.h5", dataset)
    again = read_recording(tmp_path / "a.h5", Grid(1, 1, 1.0), cache=tmp_path)
    assert (again.speakers.tolist(), again.speaker_names) == ([-1, -1], ())


# two good clips, which every case spoils in one place
GOOD: dict[str, Any] = {
    "times_s": [np.array([0.1, 0.2]), np.array([0.3])],
    "units": [np.array([0, 1]), np.array([2])],
    "labels": np.array([0, 1]),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "NaN": ({"times_s": [np.array([0.1, 0.2]), np.array([np.nan])]}, "times_s[1][0] is nan"),
    "infinite": ({"times_s": [np.array([0.1, np.inf]), np.array([0.3])]}, "times_s[0][1] is inf"),
    "negative": ({"times_s": [np.array([0.1, -0.5]), np.array([0.3])]}, "times_s[0][1] is -0.5"),
    "milliseconds": ({"times_s": [np.array([0.1, 0.2]), np.array([300.0])]}, "times_s[1][0] is 300.0"),
    "beyond float16": ({"times_s": [np.array([0.1, 70000.0]), np.array([0.3])]}, "times_s[0][1] is 70000.0"),
    "text": ({"times_s": [np.array(["a", "b"]), np.array([0.3])]}, "times_s[0] has type <U1"),
    "a table": ({"times_s": [np.zeros((2, 2)), np.array([0.3])]}, "clip 0: times_s has shape (2, 2)"),
    "more times than units": ({"units": [np.array([0, 1]), np.array([2, 3])]}, "clip 1: times_s has shape (1,)"),
    "a unit too many": ({"units": [np.array([0, 65536]), np.array([2])]}, "units[0][1] is 65536"),
    "a unit beyond": ({"channels": 2}, "units[1][0] is 2"),
    "a negative unit": ({"units": [np.array([0, -1]), np.array([2])]}, "units[0][1] is -1"),
    "half a unit": ({"units": [np.array([0, 1]), np.array([2.5])]}, "units[1][0] is 2.5"),
    "a clip without units": ({"units": [np.array([0, 1])]}, "times_s has 2 clips, units has 1 clips"),
    "a clip without label": ({"labels": np.array([0])}, "labels has 1 clips"),
    "no clips": ({"times_s": [], "units": [], "labels": np.array([], int)}, "no clips"),
    "a label beyond": ({"classes": ["a"]}, "labels[1] is 1"),
    "a negative label": ({"labels": np.array([0, -1])}, "labels[1] is -1"),
    "half a label": ({"labels": np.array([0, 0.5])}, "labels[1] is 0.5"),
    "a label too high": ({"labels": np.array([0, 65536])}, "labels[1] is 65536"),
    "a table of labels": ({"labels": np.zeros((2, 1), int)}, "labels has shape (2, 1)"),
    "equal classes": ({"classes": ["a", "b", "a"]}, "classes[2] is 'a'"),
    "an empty class": ({"classes": ["a", " "]}, "classes[1] is ' '"),
    "a class with a null": ({"classes": ["a", "b\0"]}, "classes[1] is"),
    "a class that is no text": ({"classes": ["a", "\ud800"]}, "classes[1] is"),
    "fewer speakers than clips": ({"speakers": np.array([0])}, "speakers has 1 clips"),
    "a negative speaker": ({"speakers": np.array([0, -5])}, "speakers[1] is -5"),
}
REFUSED_STREAMED: dict[str, tuple[dict[str, Any], str]] = {
    "a speaker without name": ({"speakers": [0, 1], "speaker_names": ["x"]}, "speakers[1] is 1"),
    "equal speakers": ({"speakers": [0, 1], "speaker_names": ["x", "x"]}, "speaker_names[1] is 'x'"),
    "names of nobody": ({"speaker_names": ["x"]}, "speaker_names: 1 names"),
    "fewer files than clips": ({"files": ["x.wav"]}, "files has 1 clips"),
    "fewer clips than labels": ({"labels": [0, 1, 1]}, "labels has 3 clips, clips has 2"),
    "more clips than labels": ({"labels": [0]}, "labels has 1 clips, clips has more than 1"),
}


def stream(path: Path, values: dict[str, Any]) -> None:
    clips = zip(values.pop("times_s"), values.pop("units"), strict=True)
    write_clips(path, clips, values.pop("labels"), **values)


def listed(path: Path, values: dict[str, Any]) -> None:
    write_recording(path, values.pop("times_s"), values.pop("units"), values.pop("labels"), **values)


@pytest.mark.parametrize("before", [None, b"an older file"])
@pytest.mark.parametrize(
    ("write", "change", "said"),
    [
        *(pytest.param(listed, *case, id=name) for name, case in REFUSED.items()),
        *(
            pytest.param(stream, *case, id=f"{name}, streamed")
            for name, case in {**REFUSED, **REFUSED_STREAMED}.items()
            if "clip without" not in name
        ),
    ],
)
def test_what_no_reader_takes_is_refused_and_nothing_is_written(
    tmp_path: Path,
    write: Callable[[Path, dict[str, Any]], None],
    change: dict[str, Any],
    said: str,
    before: bytes | None,
) -> None:
    path = tmp_path / "a.h5"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(DataError) as refused:
        write(path, {**GOOD, **change})
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ([] if before is None else ["a.h5"])
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize("write", [listed, stream])
def test_the_good_clips_are_written(tmp_path: Path, write: Callable[[Path, dict[str, Any]], None]) -> None:
    write(tmp_path / "a.h5", {**GOOD, "classes": ["a", "b"], "speakers": [0, 1], "channels": 3})
    again = read_recording(tmp_path / "a.h5", Grid(3, 1, 100.0), cache=tmp_path)
    assert cells(again) == [[[1, 2], [0, 1], [1, 1]], [[3], [2], [1]]]


def test_nothing_of_a_list_is_written_before_all_of_it_has_been_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(h5py, "File", opened)
    with pytest.raises(DataError):
        listed(tmp_path / "a.h5", {**GOOD, "times_s": [np.array([0.1, 0.2]), np.array([np.nan])]})


def test_long_clips_are_written_where_seconds_are_meant(tmp_path: Path) -> None:
    change = {"times_s": [np.array([0.1, 0.2]), np.array([300.03])], "time_unit": "s"}
    listed(tmp_path / "a.h5", {**GOOD, **change})
    again = read_recording(tmp_path / "a.h5", Grid(3, 1, 10.0), cache=tmp_path)
    assert again.clip(1)[0].tolist() == [30_003]
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["time_unit"] == "s"


def test_the_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"

    def clips() -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        for _ in range(3):
            assert not path.exists()
            yield np.array([0.1]), np.array([0])

    write_clips(path, clips(), np.zeros(3))
    assert len(read_recording(path, Grid(1, 1, 10.0), cache=tmp_path / "cache")) == 3

    def broken() -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        yield np.array([0.1]), np.array([0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clips(tmp_path / "b.h5", broken(), np.zeros(3))
    assert sorted(file.name for file in tmp_path.glob("*.*")) == ["a.h5"]


def test_a_recording_written_again_is_the_same(tmp_path: Path) -> None:
    listed(tmp_path / "a.h5", {**GOOD, "classes": ["a", "b"], "speakers": [0, 1]})
    grid = Grid(3, 1, 100.0)
    first = read_recording(tmp_path / "a.h5", grid, cache=tmp_path)
    write_dataset(tmp_path / "b.h5", first)
    assert_same(read_recording(tmp_path / "b.h5", grid, cache=tmp_path), first)
