"""Clips of events in HDF5: the same as in .npz, whatever the layout; what is none is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ranvier.data import DataError, Grid, read_recording
from ranvier.data.camera import Camera
from ranvier.data.event_files import read_events
from ranvier.data.hdf5 import read_files, read_left_out
from ranvier.data.hdf5_columns import Columns, find_events
from ranvier.data.hdf5_process import read_hdf5
from ranvier.data.inspection import inspect_recording
from ranvier.data.recording import Recording
from tests.data.recordings import Damage, broken_header, cut, numbers, packed, without
from tests.data.test_camera import config
from tests.data.test_hdf5 import shd_file

CAMERA = Camera(7, 5, pool=2)
GRID = Grid(24, 1, 1.0)
TYPES = {"t": "<u4", "x": ">u2", "y": "<i2", "p": "?"}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))


def drawn(events: int = 300, **types: Any) -> dict[str, np.ndarray[Any, Any]]:
    generator = np.random.default_rng(events)
    most = {"t": 50_000, "x": CAMERA.width, "y": CAMERA.height, "p": 2}
    return {n: generator.integers(0, high, events).astype({**TYPES, **types}[n]) for n, high in most.items()}


def put(path: Path, columns: dict[str, Any], group: str = "/", **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "a") as file:
        for name, values in columns.items():
            file.require_group(group).create_dataset(name, data=values, **options)
    return path


def dsec(path: Path, columns: dict[str, Any]) -> Path:
    """A group, chunked and compressed, beside an index and an offset."""
    put(path, columns, "events", chunks=(128,), compression="gzip", shuffle=True, maxshape=(None,))
    return put(path, {"ms_to_idx": np.arange(9), "t_offset": 12345})


def prophesee(path: Path, columns: dict[str, Any]) -> Path:
    """Compound datasets of changes and of triggers."""
    form = [(name, columns[name].dtype) for name in ("x", "y", "p", "t")]
    events = np.zeros(len(columns["t"]), form)
    for name, values in columns.items():
        events[name] = values
    put(path, {"events": events, "indexes": np.zeros(3, [("id", "i8"), ("ts", "i8")])}, "CD")
    return put(path, {"events": np.zeros(3, [("p", "i2"), ("t", "i8"), ("id", "i2")])}, "EXT_TRIGGER")


def table(path: Path, columns: dict[str, Any]) -> Path:
    prophesee(path, columns)
    with h5py.File(path, "a") as file:
        file.move("CD/events", "events")
    return path


@pytest.mark.parametrize("types", [{}, {"t": ">f8", "p": "i1"}, {"t": "<i8", "x": "<u2", "y": "<f4"}])
@pytest.mark.parametrize("write", [put, dsec, prophesee, table])
def test_a_clip_is_that_of_npz_to_the_bit(tmp_path: Path, write: Callable[..., Path], types: dict[str, Any]) -> None:
    columns = drawn(**types)
    write(tmp_path / "wave" / "a.h5", columns)
    (tmp_path / "npz" / "wave").mkdir(parents=True)
    arrays: dict[str, Any] = dict(columns)
    np.savez(tmp_path / "npz" / "wave" / "a.npz", **arrays)
    mine, theirs = (read_events(tmp_path / name, CAMERA) for name in ("wave/a.h5", "npz/wave/a.npz"))
    for one, other in zip(mine, theirs, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()
    asked: dict[str, Any] = {"time_unit": "us", "camera": CAMERA}
    expected = read_recording(tmp_path / "npz", GRID, **asked)
    for path in (tmp_path / "wave", tmp_path / "wave" / "a.h5"):  # the folder, and the file alone
        dataset = read_recording(path, GRID, **asked)
        assert dataset.classes == expected.classes == ("wave",)
        assert [part.tolist() for part in dataset.clip(0)] == [part.tolist() for part in expected.clip(0)]


def test_more_events_than_are_sent_at_once_and_none_at_all(tmp_path: Path) -> None:
    columns = drawn((1 << 19) + 3)
    times, units = read_events(put(tmp_path / "a.h5", columns), CAMERA)
    assert times.tobytes() == columns["t"].tobytes()
    assert units.tolist() == CAMERA.units(*(columns[name].astype(int) for name in "xyp")).tolist()
    times, units = read_events(put(tmp_path / "b.h5", drawn(0)), CAMERA)
    assert (len(times), len(units), times.dtype) == (0, 0, np.dtype("<u4"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are opened, from now on."""
    names: list[str] = []

    def noted(path: Path) -> Any:
        names.append(path.name)
        return read_hdf5(path)

    monkeypatch.setattr("ranvier.data.event_hdf5.read_hdf5", noted)
    return names


def damaged_chunk(path: Path, columns: dict[str, Any]) -> None:
    """Columns with a header that can be read, and values that cannot."""
    dsec(path, columns)
    with h5py.File(path, "r") as file:
        chunk = file["events/t"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    path.write_bytes(content)


@pytest.mark.parametrize(("small", "waiting", "times"), [(1 << 20, 1 << 20, 1), (10, 1 << 20, 2), (1 << 20, 1, 2)])
def test_a_small_file_of_a_folder_is_opened_once(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch, small: int, waiting: int, times: int
) -> None:
    monkeypatch.setattr("ranvier.data.event_hdf5._SMALL", small)
    monkeypatch.setattr("ranvier.data.event_folder._MOST_WAITING", waiting)
    for number in range(3):
        put(tmp_path / "wave" / f"{number}.h5", drawn(100 + number))
    put(tmp_path / "wave" / "map.h5", {"rectify_map": np.zeros(3)})  # no clip
    recording = Recording.open(tmp_path, channels=24, time_unit="us")
    clips = [units for _, units in replace(recording, camera=CAMERA).events()]
    each = [opened.count(name) for name in ("0.h5", "1.h5", "2.h5", "map.h5")]
    assert each == [1 if waiting == 1 else times, times, times, 1]
    for number, units in enumerate(clips):
        columns = drawn(100 + number)
        assert units.tolist() == CAMERA.units(*(columns[name].astype(int) for name in "xyp")).tolist()
    opened.clear()
    assert len(read_recording(tmp_path, GRID, time_unit="us", camera=CAMERA)) == 3  # headers are known, columns are not
    assert opened == ["0.h5", "1.h5", "2.h5"]


def test_what_a_folder_holds_is_told_without_its_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def columns(*_: Any) -> None:
        pytest.fail("events are read")

    monkeypatch.setattr("ranvier.data.event_hdf5._columns", columns)
    for asked, found in ((read_files, ["wave/0.h5"]), (read_left_out, ["map.h5"])):
        folder = tmp_path / asked.__name__  # headers are kept: each has files of its own
        put(folder / "wave" / "0.h5", drawn())
        put(folder / "map.h5", {"rectify_map": np.zeros(3)})
        assert [line.split(":")[0] for line in asked(folder)] == found


def test_values_that_cannot_be_read_are_refused_once(tmp_path: Path, opened: list[str]) -> None:
    damaged_chunk(tmp_path / "wave" / "0.h5", drawn())
    dsec(tmp_path / "wave" / "1.h5", drawn())
    for name in ("0.h5", "1.h5"):
        with h5py.File(tmp_path / "wave" / name, "a") as file:
            file.attrs["time_unit"] = "us"  # both say it: the damaged one too
    found = inspect_recording(tmp_path, camera=CAMERA)
    assert opened == ["0.h5", "1.h5"]
    assert (found.clips, len(found.faults)) == (2, 1)
    assert found.faults[0].startswith("wave/0.h5: not a whole HDF5 file (")
    with pytest.raises(DataError, match=r"not a whole HDF5 file") as told:
        read_events(tmp_path / "wave" / "0.h5", CAMERA)  # alone
    assert found.faults[0] == f"wave/0.h5: {told.value}"


def test_without_a_camera_x_is_the_channel(tmp_path: Path) -> None:
    path = put(tmp_path / "yes" / "a.h5", {"t": np.array([0.25, 0.5]), "x": np.array([3, 1])}, "events")
    dataset = read_recording(path, Grid(8, 1, 10.0))
    assert [part.tolist() for part in dataset.clip(0)] == [[25, 50], [3, 1], [1, 1]]
    assert dataset.classes == ("yes",)
    found = inspect_recording(path, channels=8)
    assert (found.clips, found.faults) == (1, ())
    path = put(tmp_path / "no" / "a.h5", {"t": np.array([0.25, 100]), "x": np.array([3, 1])})
    with pytest.raises(DataError, match=r"ends at 100: .*time_unit"):  # as .npz: it has to be said
        read_recording(path, Grid(8, 1, 10.0))


def unknown_filter(path: Path) -> None:
    """Compressed by Blosc, as DSEC's files are, which h5py does not bring."""
    path.unlink()
    dsec(path, drawn())
    content = bytearray(path.read_bytes())
    at = content.index(b"deflate\0") - 8
    assert content[at : at + 2] == b"\x01\x00"
    content[at : at + 2] = (32001).to_bytes(2, "little")
    path.write_bytes(bytes(content))


def unnamed_filter(path: Path) -> None:
    unknown_filter(path)
    content = path.read_bytes()
    assert b"deflate\0" in content
    path.write_bytes(content.replace(b"deflate\0", b"\0" * 8))


def second_place(path: Path) -> None:
    put(path, drawn(9), "right")


def elsewhere(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["events/y"]
        file["events/y"] = h5py.ExternalLink("other.h5", "/y")


def group_for_times(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["events/t"]
        file.create_group("events/t")


def declared(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["events/x"]
        file.create_dataset("events/x", (2**40,), "u2", chunks=(1000,), compression="gzip")


def recording(path: Path) -> None:
    path.unlink()
    shd_file(path)


IN_HDF5 = r"\(datasets t, x, y and p at the root or in one group, or fields of one dataset, allowed\)$"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("events/x"), f"holds no t and x in one place: .*events/p, events/t, events/y {IN_HDF5}"),
        (without("events/y"), r"holds t, x, p \(\.npz, \.npy or \.h5 of named t, x, y and p allowed\)$"),
        (without("events/p"), r"holds t, x, y \("),
        (numbers("events/y", np.arange(5)), r"holds 300 t, 300 x, 5 y, 300 p \(one of each per event allowed\)$"),
        (numbers("events/x", np.zeros((300, 2))), rf"x is float64 of shape \(300, 2\) \(one number .*{IN_HDF5}"),
        (numbers("events/p", np.array([b"up"] * 300)), r"p is \|S2 of shape \(300,\)"),
        (numbers("events/t", 5.0), r"t is float64 of shape \(\)"),
        (numbers("events/x", np.full(300, 7)), r"event 0 has x = 7 \(0 \.\.\. 6 allowed\)$"),
        (second_place, f"holds events in several places: events, right {IN_HDF5}"),
        (without("events"), f"holds no t and x in one place: it is empty {IN_HDF5}"),
        (elsewhere, r"'y' is a link to another file, 'other\.h5'"),
        (declared, "'events/x' declares 1099511627776 values of 2 bytes, more than a file of"),
        (unknown_filter, r"'events/t' is compressed by 'deflate' \(filter 32001\), which HDF5 does not find"),
        (unnamed_filter, r"'events/t' is compressed by filter 32001, which HDF5 does not find"),
        (group_for_times, rf"t is a group \(one number per event allowed\) {IN_HDF5}"),
        (recording, f"is a recording in SHD's format {IN_HDF5}"),
        (cut, r"not a whole HDF5 file \("),
        (broken_header("events/t"), r"not a whole HDF5 file \("),
    ],
)
def test_what_is_no_clip_is_named(tmp_path: Path, damage: Damage, message: str) -> None:
    path = put(tmp_path / "wave" / "a.h5", drawn(), "events")
    damage(path)
    for name, place in ((".", f"{tmp_path}: wave/a.h5: "), ("wave/a.h5", f"{path}: ")):
        if message.startswith("is a recording") and name != ".":
            continue
        message = message.removesuffix(f" {IN_HDF5}") if name != "." else message
        with pytest.raises(DataError, match=message) as told:
            read_recording(tmp_path / name, GRID, time_unit="us", camera=CAMERA)
        assert str(told.value).startswith(place)
        assert len(str(told.value).splitlines()) == 1


def says(path: Path, unit: str) -> Path:
    with h5py.File(path, "a") as file:
        file.attrs["time_unit"] = unit
    return path


def test_the_unit_is_the_one_that_the_file_says(tmp_path: Path) -> None:
    columns = {"t": np.arange(0, 50, 5), "x": np.zeros(10, int)}
    grid = Grid(4, 1, 1.0)
    file = says(put(tmp_path / "up" / "a.h5", columns), "ms")
    says(put(tmp_path / "up" / "b.h5", columns), "ms")
    assert read_recording(file, grid).lengths.tolist() == [46]
    assert read_recording(tmp_path, grid).lengths.tolist() == [46, 46]
    assert inspect_recording(tmp_path, channels=4).duration_s == inspect_recording(file, channels=4).duration_s
    assert read_recording(tmp_path, grid, time_unit="us").lengths.tolist() == [1, 1]
    (tmp_path / "up" / "c.csv").write_text("t,x\n0,1\n")
    for other, message in (
        (None, r"times in several units, those of up/a\.h5 in ms and those of up/c\.csv in a unit it does not say"),
        ("us", r"those of up/a\.h5 in ms and those of up/b\.h5 in us"),
        ("min", r"up/b\.h5: attribute 'time_unit' is 'min' \(s, ms, us allowed\)"),
    ):
        if other is not None:
            (tmp_path / "up" / "c.csv").unlink(missing_ok=True)
            says(tmp_path / "up" / "b.h5", other)
        with pytest.raises(DataError, match=message):
            read_recording(tmp_path, grid)
        assert set(read_recording(tmp_path, grid, time_unit="ms").lengths.tolist()) <= {1, 46}
        assert read_left_out(tmp_path) == []
    with pytest.raises(DataError, match=r"b\.h5: attribute 'time_unit' is 'min'"):
        read_recording(tmp_path / "up" / "b.h5", grid)


def test_hdf5_without_events_is_left_out_of_a_folder(tmp_path: Path) -> None:
    dsec(tmp_path / "left" / "events.h5", drawn())
    put(tmp_path / "left" / "rectify_map.h5", {"rectify_map": np.zeros((4, 4, 2))})
    (tmp_path / "left" / "read.me").write_text("-")
    dataset = read_recording(tmp_path, GRID, time_unit="us", camera=CAMERA)
    assert (len(dataset), dataset.classes) == (1, ("left",))
    left_out = read_left_out(tmp_path)
    assert [reason.partition(": ")[0] for reason in left_out] == ["left/rectify_map.h5", "left/read.me"]
    assert left_out[0].endswith("rectify_map")
    put(tmp_path / "left" / "rectify_map.h5", drawn(9))  # what was said of a file is not said of what it has become
    assert read_recording(tmp_path, GRID, time_unit="us", camera=CAMERA).labels.tolist() == [0, 0]
    for name in "txyp":
        without(name)(tmp_path / "left" / "rectify_map.h5")
    (tmp_path / "left" / "events.h5").unlink()
    with pytest.raises(DataError, match=r"left/rectify_map\.h5: holds no t and x in one place: rectify_map "):
        read_recording(tmp_path, GRID, time_unit="us", camera=CAMERA)


def test_a_clip_packed_by_gzip_has_the_class_of_its_own_folder(tmp_path: Path) -> None:
    columns = drawn()
    dsec(tmp_path / "events.h5", columns)
    (tmp_path / "wave").mkdir()
    path = packed(tmp_path / "events.h5", tmp_path / "wave" / "a.h5.gz")
    dataset = read_recording(path, GRID, time_unit="us", camera=CAMERA)
    expected = read_recording(tmp_path / "events.h5", GRID, time_unit="us", camera=CAMERA)
    assert dataset.classes == ("wave",)
    assert [part.tolist() for part in dataset.clip(0)] == [part.tolist() for part in expected.clip(0)]
    assert read_files(path) == ["a.h5.gz"]
    damage = numbers("events/x", np.full(300, 7))
    damage(tmp_path / "events.h5")
    packed(tmp_path / "events.h5", path)
    with pytest.raises(DataError) as told:
        read_recording(path, GRID, time_unit="us", camera=CAMERA)
    assert str(told.value).startswith(f"{path}: event 0 has x = 7 (")


@pytest.mark.parametrize("as_table", [False, True])
def test_a_large_chunk_is_unpacked_once(tmp_path: Path, as_table: bool) -> None:
    columns = {"t": np.arange(2_500_000, dtype="u4"), "x": np.arange(2_500_000) % 7}
    chunk = 2_000_000
    if as_table:
        rows = np.zeros(len(columns["t"]), [("t", "u4"), ("x", "u2")])
        rows["t"], rows["x"] = columns["t"], columns["x"]
        path = put(tmp_path / "a.h5", {"events": rows}, chunks=(chunk,), compression="gzip")
    else:
        path = put(tmp_path / "a.h5", {"x": columns["x"]}, chunks=(chunk // 4,))
        put(path, {"t": columns["t"]}, chunks=(chunk,), compression="gzip")
    with h5py.File(path) as file:
        where, place = find_events(file)
        slices = list(Columns(place, where, path.stat().st_size).slices())
    assert [len(t) for t, _ in slices] == [chunk, 500_000]
    times, units = read_events(path)
    assert (times == columns["t"]).all()
    assert (units == columns["x"]).all()


def test_links_elsewhere_do_not_matter_and_aliases_are_one_place(tmp_path: Path) -> None:
    columns = drawn()
    path = put(tmp_path / "a.h5", columns, "events")
    with h5py.File(path, "a") as file:
        file["camera"] = h5py.ExternalLink("other.h5", "/")
        file["loop"] = h5py.SoftLink("/loop")
        file["events/also"] = h5py.ExternalLink("other.h5", "/")
        file["same"] = h5py.SoftLink("/events")
        file.create_group("copies")
        for name in columns:
            file["copies"][name] = file["events"][name]
    times, _ = read_events(path, CAMERA)
    assert times.tobytes() == columns["t"].tobytes()
    with h5py.File(path, "a") as file:
        del file["copies/p"]
        file["copies/p"] = columns["p"]
    with pytest.raises(DataError, match="events in several places: copies, events, same"):
        read_events(path, CAMERA)

    path = table(tmp_path / "b.h5", columns)
    with h5py.File(path, "a") as file:
        file["same"] = h5py.SoftLink("/events")
    times, _ = read_events(path, CAMERA)
    assert times.tobytes() == columns["t"].tobytes()


def test_a_group_of_events_may_be_called_spikes(tmp_path: Path) -> None:
    columns = drawn()
    times, _ = read_events(put(tmp_path / "a.h5", columns, "spikes"), CAMERA)
    assert times.tobytes() == columns["t"].tobytes()


def test_what_is_neither_a_clip_nor_a_recording_is_told_why(tmp_path: Path) -> None:
    path = put(tmp_path / "a.h5", {"map": np.zeros(3), "t": np.zeros(3)})
    why = "it holds no t and x in one place: map, t"
    (fault,) = [fault for fault in inspect_recording(path).faults if "'spikes/times'" in fault]
    assert fault.startswith("dataset 'spikes/times' is missing (")
    assert fault.endswith(why)
    with pytest.raises(DataError, match=rf"a\.h5: is no file of a camera's events .*{why}$"):
        read_recording(path, GRID, time_unit="us", camera=CAMERA)
    unknown_filter(path)
    assert "'events/t' is compressed by 'deflate' (filter 32001)" in inspect_recording(path).faults[0]


def test_a_recording_stays_one(tmp_path: Path) -> None:
    path = shd_file(tmp_path / "a.h5")
    put(path, drawn())  # beside the spikes
    assert read_recording(path, Grid(8, 2, 10.0)).classes == ("zero", "one", "two")
    with pytest.raises(DataError, match=r"a\.h5: is no file of a camera's events \(\.npz, \.npy or \.h5 of t, x"):
        read_recording(path, GRID, time_unit="us", camera=CAMERA)


def test_the_recipe_folder_takes_them(tmp_path: Path) -> None:
    for label, name in enumerate(("left", "right")):
        for clip in range(10):
            columns = drawn(20 + clip) | {"y": np.full(20 + clip, 4 * label)}
            put(tmp_path / "data" / name / f"{clip}.hdf5", columns, "events")
    put(tmp_path / "data" / "left" / "none.h5", drawn(0))
    put(tmp_path / "data" / "left" / "map.h5", {"map": np.zeros((2, 2))})
    splits = config(tmp_path / "data").data.splits()
    assert [reason.partition(": ")[0] for reason in splits.left_out] == ["left/map.h5", "left/none.h5"]
    test = splits.read_test()
    assert test is not None
    assert splits.validation is not None
    assert len(splits.train.clips) + len(splits.validation.clips) + len(test.clips) == 21
    assert splits.train.dataset.classes == ("left", "right")
