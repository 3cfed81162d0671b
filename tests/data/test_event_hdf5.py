"""Clips of events in HDF5: the same as in .npz, whatever the layout; what is none is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ranvier.data import DataError, Grid, read_recording
from ranvier.data.camera import Camera
from ranvier.data.event_files import read_events
from ranvier.data.inspection import inspect_recording
from tests.data.recordings import Damage, broken_header, cut, numbers, without
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


def second_place(path: Path) -> None:
    put(path, drawn(9), "right")


def elsewhere(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["events/y"]
        file["events/y"] = h5py.ExternalLink("other.h5", "/y")


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
        (recording, f"is a recording in SHD's format {IN_HDF5}"),
        (cut, r"not a whole HDF5 file \("),
        (broken_header("events/t"), r"not a whole HDF5 file \("),
    ],
)
def test_what_is_no_clip_is_named(tmp_path: Path, damage: Damage, message: str) -> None:
    path = put(tmp_path / "wave" / "a.h5", drawn(), "events")
    damage(path)
    with pytest.raises(DataError, match=message) as told:
        read_recording(tmp_path, GRID, time_unit="us", camera=CAMERA)
    assert str(told.value).startswith(f"{tmp_path}: wave/a.h5: ")
    assert len(str(told.value).splitlines()) == 1


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
    splits = config(tmp_path / "data").data.splits()
    test = splits.read_test()
    assert test is not None
    assert splits.validation is not None
    assert len(splits.train.clips) + len(splits.validation.clips) + len(test.clips) == 20
    assert splits.train.dataset.classes == ("left", "right")
