"""Recordings in SHD's format: what is read, what is kept for the next time, and every fault in its own words."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from ranvier.data import DataError, Grid, SpikeDataset, find_recording, read_recording, write_recording
from tests.data.recordings import (
    Damage,
    broken_chunk,
    broken_header,
    cut,
    empty,
    folder,
    garbage,
    numbers,
    overwrite,
    packed,
    put,
    ragged,
    without,
    words,
)

GRID = Grid(channels=8, pool=2, dt_ms=10.0)

# seconds that half precision holds exactly; the second clip is out of order, the third empty
TIMES = [[0.0625, 0.0625, 0.25], [1.5, 0.125], [], [0.03125]]
UNITS = [[0, 1, 7], [3, 2], [], [5]]
LABELS = [1, 0, 2, 1]
SPEAKERS = [4, 4, 11, 0]
KEYS = [b"zero", b"one", b"two"]

# the same clips as steps of 10 ms, pairs of channels, and counts
CELLS = [[[6, 25], [0, 3], [2, 1]], [[12, 150], [1, 1], [1, 1]], [[], [], []], [[3], [2], [1]]]


def shd_file(path: Path) -> Path:
    """The clips above, laid out like the published files."""
    with h5py.File(path, "w") as file:
        put(file, "spikes/times", TIMES, "float16")
        put(file, "spikes/units", UNITS, "uint16")
        file["labels"] = np.array(LABELS, np.uint16)
        file["extra/keys"] = np.array(KEYS)
        file["extra/speaker"] = np.array(SPEAKERS, np.uint16)
        file["extra/meta_info/gender"] = np.array([b"f", b"m"])
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return shd_file(tmp_path / "shd_train.h5")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def closed_hdf5(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, nothing opens an HDF5 file."""

    def opened(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the recording was opened again")

    return lambda: monkeypatch.setattr(h5py, "File", opened)


def cells(dataset: SpikeDataset) -> list[list[list[int]]]:
    return [[part.tolist() for part in dataset.clip(number)] for number in range(len(dataset))]


def assert_same(one: SpikeDataset, other: SpikeDataset) -> None:
    for field in fields(SpikeDataset):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype, field.name
            assert left.tolist() == right.tolist(), field.name
        else:
            assert left == right, field.name


def left_behind(cache: Path) -> list[str]:
    """Counted data and unfinished files."""
    return [file.name for file in cache.rglob("*") if file.suffix in (".npz", ".tmp")]


@pytest.mark.parametrize("name", ["shd_train.h5", "shd_train.h5.gz"])
def test_reads_the_published_layout(recording: Path, cache: Path, name: str) -> None:
    path = recording if name.endswith(".h5") else packed(recording, recording.with_name(name))
    dataset = read_recording(path, GRID, cache=cache)
    assert cells(dataset) == CELLS
    assert dataset.lengths.tolist() == [26, 151, 1, 4]
    assert dataset.labels.tolist() == LABELS
    assert dataset.speakers.tolist() == SPEAKERS
    assert dataset.classes == ("zero", "one", "two")
    assert (dataset.sources, dataset.dt_ms) == (4, 10.0)


def test_a_packed_recording_leaves_nothing_beside_itself(recording: Path, cache: Path) -> None:
    folder = recording.parent / "root"
    folder.mkdir()
    read_recording(packed(recording, folder / "shd_train.h5.gz"), GRID, cache=cache)
    assert [file.name for file in folder.iterdir()] == ["shd_train.h5.gz"]


@pytest.mark.parametrize("times", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("units", "labels"), [("uint16", "uint16"), ("int64", "int8"), ("uint8", "uint64")])
def test_any_width_of_number_will_do(tmp_path: Path, cache: Path, times: str, units: str, labels: str) -> None:
    path = tmp_path / "wide.h5"
    with h5py.File(path, "w") as file:
        put(file, "spikes/times", TIMES, times)
        put(file, "spikes/units", UNITS, units)
        file["labels"] = np.array(LABELS, labels)
    assert cells(read_recording(path, GRID, cache=cache)) == CELLS


@pytest.mark.parametrize(("classes", "names"), [(None, ("0", "1", "2")), (5, ("0", "1", "2", "3", "4"))])
def test_without_names_classes_are_numbered(
    recording: Path, cache: Path, classes: int | None, names: tuple[str, ...]
) -> None:
    with h5py.File(recording, "a") as file:
        del file["extra"]
    dataset = read_recording(recording, GRID, classes=classes, cache=cache)
    assert dataset.classes == names
    assert dataset.speakers.tolist() == [-1] * 4


def test_progress_ends_with_every_clip(recording: Path, cache: Path) -> None:
    told: list[tuple[int, int]] = []
    read_recording(recording, GRID, cache=cache, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (4, 4)


def test_more_clips_than_are_read_at_once_keep_their_order(tmp_path: Path, cache: Path) -> None:
    clips = 600
    times = [np.array([(number + 0.5) / 1000]) for number in range(clips)]
    path = tmp_path / "many.h5"
    write_recording(path, times, [np.array([number % 8]) for number in range(clips)], np.arange(clips))
    dataset = read_recording(path, Grid(8, 1, 1.0), cache=cache)
    assert dataset.step.tolist() == list(range(clips))
    assert dataset.source.tolist() == [number % 8 for number in range(clips)]
    assert dataset.labels.tolist() == list(range(clips))


def test_a_missing_file_is_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h5: no such recording"):
        read_recording(tmp_path / "nowhere.h5", GRID, cache=cache)


@pytest.mark.parametrize("speakers", [None, np.array(SPEAKERS)])
@pytest.mark.parametrize("classes", [(), ("zero", "one", "two")])
def test_what_is_written_is_read(
    tmp_path: Path, cache: Path, speakers: NDArray[np.int64] | None, classes: tuple[str, ...]
) -> None:
    path = tmp_path / "written.h5"
    times, units = ([np.array(clip) for clip in clips] for clips in (TIMES, UNITS))
    write_recording(path, times, units, np.array(LABELS), classes=classes, speakers=speakers)
    dataset = read_recording(path, GRID, cache=cache)
    assert cells(dataset) == CELLS
    assert dataset.labels.tolist() == LABELS
    assert dataset.speakers.tolist() == ([-1] * 4 if speakers is None else SPEAKERS)
    assert dataset.classes == (classes or ("0", "1", "2"))
    assert [file.name for file in tmp_path.glob("written*")] == ["written.h5"]


def test_the_types_are_those_of_the_published_files(tmp_path: Path) -> None:
    path = tmp_path / "written.h5"
    write_recording(path, [np.array([0.5])], [np.array([3])], np.array([0]), speakers=np.array([1]))
    with h5py.File(path) as file:
        assert h5py.check_vlen_dtype(file["spikes/times"].dtype) == np.float16
        assert h5py.check_vlen_dtype(file["spikes/units"].dtype) == np.uint16
        assert file["labels"].dtype == file["extra/speaker"].dtype == np.uint16


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ([], None),
        (["shd_test.h5"], None),
        (["shd_train.h5"], "shd_train.h5"),
        (["shd_train.h5.gz"], "shd_train.h5.gz"),
        (["shd_train.h5.gz", "shd_train.h5"], "shd_train.h5"),
        (["shd_train.h5/", "shd_train.h5.gz"], "shd_train.h5.gz"),
    ],
)
def test_the_plain_file_is_found_before_the_packed_one(tmp_path: Path, there: list[str], found: str | None) -> None:
    for name in there:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    assert find_recording(tmp_path, "shd_train") == (None if found is None else tmp_path / found)


def test_nothing_is_found_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert find_recording(tmp_path / "nowhere", "shd_train") is None


@pytest.mark.parametrize("name", ["shd_train.h5", "shd_train.h5.gz"])
def test_the_second_reading_does_not_open_the_recording(
    recording: Path, cache: Path, closed_hdf5: Callable[[], None], name: str
) -> None:
    path = recording if name.endswith(".h5") else packed(recording, recording.with_name(name))
    first = read_recording(path, GRID, cache=cache)
    for unpacked in cache.glob("*.h5"):
        unpacked.unlink()
    closed_hdf5()
    assert_same(read_recording(path, GRID, cache=cache), first)
    assert not list(cache.glob("*.h5"))


def test_the_cache_is_where_the_environment_says(
    recording: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, closed_hdf5: Callable[[], None]
) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(cache))
    first = read_recording(recording, GRID)
    assert left_behind(cache)
    closed_hdf5()
    assert_same(read_recording(recording, GRID), first)


def test_another_content_is_read_anew_even_at_the_same_size_and_date(recording: Path, cache: Path) -> None:
    before = recording.stat()
    read_recording(recording, GRID, cache=cache)
    with h5py.File(recording, "r+") as file:
        file["labels"][3] = 2
    os.utime(recording, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert recording.stat().st_size == before.st_size
    assert read_recording(recording, GRID, cache=cache).labels.tolist() == [1, 0, 2, 2]


def test_a_moved_recording_is_known_by_its_content(
    recording: Path, cache: Path, closed_hdf5: Callable[[], None]
) -> None:
    first = read_recording(recording, GRID, cache=cache)
    (recording.parent / "elsewhere").mkdir()
    moved = recording.rename(recording.parent / "elsewhere" / recording.name)
    closed_hdf5()
    assert_same(read_recording(moved, GRID, cache=cache), first)


@pytest.mark.parametrize(
    ("grid", "classes"),
    [
        (Grid(9, 2, 10.0), None),
        (Grid(8, 1, 10.0), None),
        (Grid(8, 2, 5.0), None),
        (Grid(8, 2, 10.0, "first_event"), None),
        (GRID, 5),
    ],
)
def test_every_setting_has_a_reading_of_its_own(recording: Path, cache: Path, grid: Grid, classes: int | None) -> None:
    with h5py.File(recording, "a") as file:
        del file["extra/keys"]
    first = read_recording(recording, GRID, cache=cache)
    changed = read_recording(recording, grid, classes=classes, cache=cache)
    assert_same(changed, read_recording(recording, grid, classes=classes, cache=cache / "another"))
    assert len(left_behind(cache)) == 3  # these two, and the one in the folder within
    assert_same(read_recording(recording, GRID, cache=cache), first)


@pytest.mark.parametrize("damage", [cut, empty, garbage, overwrite(b"labels.npy"), overwrite(b"\x06\x00\x19\x00")])
def test_a_damaged_cache_is_made_again(
    recording: Path, cache: Path, closed_hdf5: Callable[[], None], damage: Damage
) -> None:
    with h5py.File(recording, "a") as file:
        # steps 6, 25, 12, 300, 3: two bytes each
        del file["spikes/times"]
        put(file, "spikes/times", [[0.0625, 0.0625, 0.25], [3.0, 0.125], [], [0.03125]], "float16")
    first = read_recording(recording, GRID, cache=cache)
    (kept,) = cache.glob("*.npz")
    whole = kept.read_bytes()
    other = kept.with_suffix(".damaged")  # the first reading goes on looking at the file that it found
    other.write_bytes(whole)
    damage(other)
    assert other.read_bytes() != whole
    other.replace(kept)
    assert_same(read_recording(recording, GRID, cache=cache), first)
    closed_hdf5()
    assert_same(read_recording(recording, GRID, cache=cache), first)


@pytest.mark.parametrize("damage", [cut, empty, garbage])
def test_a_damaged_unpacked_file_is_unpacked_again(recording: Path, cache: Path, damage: Damage) -> None:
    path = packed(recording, recording.with_name("shd_train.h5.gz"))
    read_recording(path, GRID, cache=cache)
    (unpacked,) = cache.glob("*.h5")
    damage(unpacked)
    other = Grid(8, 1, 10.0)
    assert_same(read_recording(path, other, cache=cache), read_recording(recording, other, cache=cache / "another"))


def test_a_cache_on_a_full_disk_is_not_needed(recording: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = read_recording(recording, GRID, cache=cache / "usual")

    def full(file: Any, *_: Any, **__: Any) -> None:
        file.write(b"PK")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np.lib.format, "write_array", full)
    assert_same(read_recording(recording, GRID, cache=cache / "full"), usual)
    assert left_behind(cache / "full") == []


def no_clips(path: Path) -> None:
    for name, dtype in (("spikes/times", "float16"), ("spikes/units", "uint16")):
        ragged(name, [], dtype)(path)
    for name in ("labels", "extra/speaker"):
        numbers(name, np.empty(0, np.uint16))(path)


NEEDED = "spikes/times, spikes/units and labels are needed"
RAGGED = "one list of numbers per clip allowed"
WHOLE = "one list of whole numbers per clip allowed"
PLAIN = "one whole number per clip allowed"
CHANNELS = "0 ... 7 allowed"
TIME = "finite, 0 s or later allowed"
CLASSES = "0 ... 2 allowed"
HDF5 = "not a whole HDF5 file"

FAULTS: dict[str, tuple[Damage, list[str]]] = {
    "cut": (cut, [HDF5]),
    "empty": (empty, [HDF5, "it is empty"]),
    "garbage": (garbage, [HDF5, "01 02 03"]),
    "broken spikes": (overwrite(b"GCOL"), [HDF5]),
    "broken index": (overwrite(b"TREE"), [HDF5]),
    "broken table": (overwrite(b"SNOD"), [HDF5]),
    "broken names": (overwrite(b"HEAP"), [HDF5]),
    "broken header of the times": (broken_header("spikes/times"), [HDF5]),
    "broken header of the labels": (broken_header("labels"), [HDF5]),
    "broken header of the speakers": (broken_header("extra/speaker"), [HDF5]),
    "broken chunk of the labels": (broken_chunk("labels"), [HDF5]),
    "broken chunk of the speakers": (broken_chunk("extra/speaker"), [HDF5]),
    "no times": (without("spikes/times"), ["'spikes/times' is missing", NEEDED]),
    "no units": (without("spikes/units"), ["'spikes/units' is missing", NEEDED]),
    "no spikes": (without("spikes"), ["'spikes/times' is missing", NEEDED]),
    "no labels": (without("labels"), ["'labels' is missing", NEEDED]),
    "a folder of labels": (folder("labels"), ["'labels' is missing", NEEDED]),
    "times in one row": (numbers("spikes/times", np.zeros(4, np.float16)), ["'spikes/times'", "float16", RAGGED]),
    "units in a table": (numbers("spikes/units", np.zeros((4, 2), np.uint16)), ["'spikes/units'", "(4, 2)", WHOLE]),
    "times of text": (words("spikes/times"), ["'spikes/times'", RAGGED]),
    "units of text": (words("spikes/units"), ["'spikes/units'", WHOLE]),
    "fractions of units": (ragged("spikes/units", [[0, 1, 7], [3, 2.5], [], [5]], "float32"), ["spikes/units", WHOLE]),
    "a list of labels per clip": (ragged("labels", [[1], [0], [2], [1]], "uint16"), ["'labels'", PLAIN]),
    "a table of labels": (numbers("labels", np.zeros((4, 3), np.uint16)), ["'labels'", "(4, 3)", PLAIN]),
    "one label for all": (numbers("labels", np.uint16(1)), ["'labels'", "()", PLAIN]),
    "labels of text": (words("labels"), ["'labels'", PLAIN]),
    "labels of fixed text": (numbers("labels", np.array([b"a", b"b", b"c", b"d"])), ["labels", "S1", PLAIN]),
    "labels of floats": (
        numbers("labels", np.array(LABELS, np.float32)),
        ["labels", "float32", PLAIN],
    ),
    "labels of NaN": (numbers("labels", np.full(4, np.nan)), ["labels", "float64", PLAIN]),
    "a label too high": (numbers("labels", np.array([1, 0, 3, 1])), ["labels[2] is 3", CLASSES]),
    "a negative label": (numbers("labels", np.array([1, -1, 2, 1])), ["labels[1] is -1", CLASSES]),
    "a unit too high": (
        ragged("spikes/units", [[0, 1, 7], [3, 8], [], [5]], "uint16"),
        ["spikes/units[1][1] is 8", CHANNELS],
    ),
    "a negative unit": (
        ragged("spikes/units", [[0, -1, 7], [3, 2], [], [5]], "int16"),
        ["spikes/units[0][1] is -1", CHANNELS],
    ),
    "a time of NaN": (
        ragged("spikes/times", [[0.5, 0.5, 0.5], [0.5, 0.5], [], [np.nan]], "float16"),
        ["spikes/times[3][0] is nan", TIME],
    ),
    "an infinite time": (
        ragged("spikes/times", [[0.5, 0.5, 0.5], [np.inf, 0.5], [], [0.5]], "float16"),
        ["spikes/times[1][0] is inf", TIME],
    ),
    "a negative time": (
        ragged("spikes/times", [[0.5, 0.5, -0.5], [0.5, 0.5], [], [0.5]], "float32"),
        ["spikes/times[0][2] is -0.5", TIME],
    ),
    "a late event": (
        ragged("spikes/times", [[0.5, 0.5, 0.5], [700, 0.5], [], [0.5]], "float32"),
        ["clip 1 ends at 700", "0.7 s", "time_unit"],
    ),
    "an event at the end of time": (
        ragged("spikes/times", [[0.5, 0.5, 0.5], [1e300, 0.5], [], [0.5]], "float64"),
        ["clip 1 ends at 1e+300", "time_unit"],
    ),
    "a time without unit": (
        ragged("spikes/times", [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [], [0.5]], "float16"),
        ["clip 1 has 3 times and 2 units", "equal allowed"],
    ),
    "fewer units than clips": (
        ragged("spikes/units", UNITS[:3], "uint16"),
        ["spikes/times has 4 clips", "spikes/units has 3 clips", "equal allowed"],
    ),
    "more labels than clips": (
        numbers("labels", np.zeros(5, np.uint16)),
        ["labels has 5 clips", "spikes/times has 4 clips", "equal allowed"],
    ),
    "fewer speakers than clips": (
        numbers("extra/speaker", np.zeros(3, np.uint16)),
        ["extra/speaker has 3 clips", "equal allowed"],
    ),
    "a folder of speakers": (folder("extra/speaker"), ["extra/speaker"]),
    "one speaker for all": (numbers("extra/speaker", np.uint16(1)), ["extra/speaker"]),
    "speakers of text": (words("extra/speaker"), ["extra/speaker"]),
    "one name for all": (numbers("extra/keys", np.bytes_(b"zero")), ["extra/keys"]),
    "names that are no text": (numbers("extra/keys", np.array([b"zero", b"\xff\xfe", b"two"])), ["extra/keys"]),
    "no clips": (no_clips, ["no clips", "1 or more"]),
}


def fault_of(path: Path, cache: Path) -> str:
    """The message that a damaged recording is refused with."""
    with pytest.raises(DataError) as refused:
        read_recording(path, GRID, cache=cache)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    assert left_behind(cache) == []
    return message


@pytest.mark.parametrize(("damage", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_with_its_file_its_place_and_what_is_allowed(
    recording: Path, cache: Path, damage: Damage, said: list[str]
) -> None:
    damage(recording)
    message = fault_of(recording, cache)
    for part in said:
        assert part in message
    assert fault_of(recording, cache) == message


def test_a_label_that_no_class_has_is_told_by_the_number_of_classes(recording: Path, cache: Path) -> None:
    without("extra/keys")(recording)
    with pytest.raises(DataError, match=r"labels\[2\] is 2 \(0 \.\.\. 1 allowed\)"):
        read_recording(recording, GRID, classes=2, cache=cache)
    assert left_behind(cache) == []


@pytest.mark.parametrize(("last", "allowed"), [(700.0, "65535 steps"), (1e300, "65535 steps"), (655.0, None)])
def test_times_that_are_said_to_be_seconds_may_fill_the_grid(
    recording: Path, cache: Path, last: float, allowed: str | None
) -> None:
    ragged("spikes/times", [[0.5, 0.5, 0.5], [last, 0.5], [], [0.5]], "float64")(recording)
    if allowed is None:
        assert read_recording(recording, GRID, time_unit="s", cache=cache).lengths.tolist() == [51, 65501, 1, 51]
    else:
        with pytest.raises(DataError, match=allowed):
            read_recording(recording, GRID, time_unit="s", cache=cache)


@pytest.mark.parametrize("damage", [cut])
def test_a_packed_file_that_is_not_whole_is_named(recording: Path, cache: Path, damage: Damage) -> None:
    path = packed(recording, recording.with_name("shd_train.h5.gz"))
    damage(path)
    assert "not a whole gzip file" in fault_of(path, cache)
    assert not list(cache.rglob("*.h5"))


@pytest.mark.parametrize("damage", [cut, empty, garbage])
def test_gzip_of_something_else_is_named_as_what_it_should_be(recording: Path, cache: Path, damage: Damage) -> None:
    damage(recording)
    path = packed(recording, recording.with_name("shd_train.h5.gz"))
    assert HDF5 in fault_of(path, cache)


def test_a_mended_recording_is_read(recording: Path, cache: Path) -> None:
    whole = recording.read_bytes()
    cut(recording)
    fault_of(recording, cache)
    recording.write_bytes(whole)
    assert cells(read_recording(recording, GRID, cache=cache)) == CELLS
