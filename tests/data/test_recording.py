"""What a file is, by its content: read whatever its name, or refused with what it is; never more than it can hold."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pytest

from ranvier.corpora.tonic import to_tonic
from ranvier.data import DataError, Grid, find_recording, hdf5_process, read_recording, write_recording
from ranvier.data.hdf5 import require_recording
from ranvier.data.inspection import inspect_recording
from ranvier.data.join import join
from ranvier.data.recording import Recording
from tests.data.recordings import Damage, numbers, packed, put, without
from tests.data.test_hdf5 import CELLS, GRID, KEYS, LABELS, TIMES, UNITS, cells, shd_file
from tests.data.test_recording_fuzz import contiguous, flipped


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return shd_file(tmp_path / "shd_train.h5")


def refused(path: Path, grid: Grid = GRID) -> str:
    """The one line that reading and inspection both have for it."""
    with pytest.raises(DataError) as error:
        read_recording(path, grid)
    line = str(error.value)
    assert line.startswith(f"{path}: ")
    assert len(line.splitlines()) == 1
    faults = inspect_recording(path, channels=grid.channels).faults
    assert line.removeprefix(f"{path}: ") in [fault.partition("; so in ")[0] for fault in faults]
    return line


@pytest.mark.parametrize("name", ["a.h5", "a.h5.gz", "a.hdf5", "a", "a.csv"])
@pytest.mark.parametrize("packing", [bytes, gzip.compress])
def test_a_recording_is_read_whatever_its_name(recording: Path, name: str, packing: Callable[[bytes], bytes]) -> None:
    path = recording.with_name(name)
    path.write_bytes(packing(recording.read_bytes()))
    assert cells(read_recording(path, GRID)) == CELLS
    assert inspect_recording(path, channels=8).faults == ()


def zipped(path: Path) -> None:
    content = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("shd_train.h5", content)


def holding(content: bytes) -> Damage:
    def damage(path: Path) -> None:
        path.write_bytes(content)

    return damage


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (holding(b"<!DOCTYPE html><html>404</html>"), "web page"),
        (holding(b"\n<HTML><body>"), "web page"),
        (holding(b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS"),
        (holding(b"RIFF\0\0\0\0WAVE"), "sound file"),
        (holding(b"\xfd7zXZ\0"), "xz file"),
        (holding(b"Hello,\nworld"), "text file"),
        (holding(gzip.compress(b"<html>")), "gzip of a web page"),
        (holding(b""), "empty"),
        (zipped, "'shd_train.h5': unpack it"),
    ],
)
def test_what_is_no_recording_is_called_what_it_is(recording: Path, content: Damage, said: str) -> None:
    content(recording)
    assert said in refused(recording)


def test_a_folder_is_called_a_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is a folder" in refused(tmp_path / "empty")


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("SHD_train.h5", "but SHD_train.h5: rename"),
        ("shd_train.h5.zip", "but shd_train.h5.zip: unpack"),
        ("other.h5", "is there"),
    ],
)
def test_what_lies_in_place_of_a_recording_is_named(tmp_path: Path, there: str, said: str) -> None:
    (tmp_path / there).touch()
    if find_recording(tmp_path, "shd_train") is not None:
        return  # a file system that does not know case
    with pytest.raises(DataError, match=said):
        require_recording(tmp_path, "shd_train")


def test_a_packed_recording_beside_a_broken_one_is_named(recording: Path) -> None:
    packed(recording, recording.with_name("shd_train.h5.gz"))
    recording.write_bytes(recording.read_bytes()[:3000])
    assert "shd_train.h5.gz lies beside it" in refused(recording)


def elsewhere(name: str) -> Damage:
    def damage(path: Path) -> None:
        other = path.with_name("other.h5")
        with h5py.File(path, "a") as file, h5py.File(other, "w") as target:
            file.copy(name, target, "there")
            del file[name]
            file[name] = h5py.ExternalLink("other.h5", "/there")

    return damage


def soft(name: str) -> Damage:
    def damage(path: Path) -> None:
        elsewhere(name)(path)
        with h5py.File(path, "a") as file:
            file.move(name, "out")
            file[name] = h5py.SoftLink("/out")

    return damage


def raw(name: str) -> Damage:
    def damage(path: Path) -> None:
        path.with_name("raw").write_bytes(bytes(64))
        with h5py.File(path, "a") as file:
            dtype = file[name].dtype
            del file[name]
            file.create_dataset(name, (4,), dtype, external=[(path.with_name("raw"), 0, 64)])

    return damage


def virtual(name: str) -> Damage:
    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            layout = h5py.VirtualLayout((4,), file[name].dtype)
            layout[:] = h5py.VirtualSource("other.h5", "there", (4,))
            del file[name]
            file.create_virtual_dataset(name, layout)

    return damage


@pytest.mark.parametrize("name", ["labels", "extra/speaker", "extra/keys"])
@pytest.mark.parametrize("way", [elsewhere, soft, raw, virtual])
def test_values_in_other_files_are_refused(recording: Path, way: Callable[[str], Damage], name: str) -> None:
    if name == "extra/keys" and way in (raw, virtual):
        numbers(name, np.array(["zero", "one", "two", "more"], "S4"))(recording)
    way(name)(recording)
    assert "another file" in refused(recording)


def test_a_link_inside_the_file_is_followed(recording: Path) -> None:
    with h5py.File(recording, "a") as file:
        file.move("labels", "somewhere/else")
        file["labels"] = h5py.SoftLink("somewhere/else")
    assert cells(read_recording(recording, GRID)) == CELLS


def declared(name: str, count: int, chunks: int | None = None) -> Damage:
    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            dtype = file[name].dtype
            del file[name]
            packing = None if chunks is None else "gzip"
            file.create_dataset(
                name, (count,), dtype, chunks=None if chunks is None else (chunks,), compression=packing
            )

    return damage


@pytest.mark.parametrize("name", ["labels", "spikes/times", "extra/speaker", "extra/keys"])
@pytest.mark.parametrize(("count", "chunks"), [(2**24, None), (2**40, None), (2**40, 1000), (4, 2**27)])
def test_no_more_is_read_than_the_file_can_hold(recording: Path, name: str, count: int, chunks: int | None) -> None:
    if chunks == 2**27:
        with h5py.File(recording, "a") as file:
            dtype = file[name].dtype
            del file[name]
            file.create_dataset(name, (4,), dtype, maxshape=(None,), chunks=(chunks,))
    else:
        declared(name, count, chunks)(recording)
    assert "file" in refused(recording)
    assert "can hold" in refused(recording)


@pytest.mark.parametrize("times", ["<f2", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("whole", ["<u2", ">u2", ">i8"])
def test_both_byte_orders_are_read(tmp_path: Path, times: str, whole: str) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        put(file, "spikes/times", TIMES, times)
        put(file, "spikes/units", UNITS, whole)
        file["labels"] = np.array(LABELS, whole)
        file["extra/speaker"] = np.array([4, 4, 11, 0], whole)
    dataset = read_recording(path, GRID)
    assert cells(dataset) == CELLS
    assert dataset.labels.tolist() == LABELS
    assert dataset.speakers.tolist() == [4, 4, 11, 0]
    assert [events["x"].tolist() for events, _ in to_tonic(path)] == [[0, 1, 7], [2, 3], [], [5]]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (numbers("extra/keys", np.array([b"one", b"two", b"one"])), "'one' stands there 2 times"),
        (numbers("extra/keys", np.array([[b"a", b"b"]] * 3)), "extra/keys"),
        (numbers("extra/keys", np.array([b"a\0b", b"c", b"d"])), "extra/keys[0]"),
        (numbers("extra/keys", np.array([b"a", b"", b"d"])), "extra/keys[1]"),
        (numbers("extra/speaker", np.array([4, -5, 0, 0])), "extra/speaker[1] is -5"),
        (numbers("extra/speaker", np.array([4, 5, 2**63, 0], np.uint64)), "extra/speaker[2]"),
    ],
)
def test_reading_and_inspection_share_their_rules(recording: Path, damage: Damage, said: str) -> None:
    damage(recording)
    assert said in refused(recording)


@pytest.mark.parametrize("own", [8, 64])
def test_a_recording_is_read_with_the_channels_it_has(recording: Path, own: int) -> None:
    with h5py.File(recording, "a") as file:
        file.attrs["ear"] = json.dumps({"channels": own})
    assert Recording.open(recording).channels == own
    assert read_recording(recording, Grid(own, 2, 10.0)).sources == own // 2
    line = refused(recording, Grid(700, 5, 10.0))
    assert f"{own} channels" in line
    assert "700" in line


def test_join_refuses_other_channels(recording: Path) -> None:
    with h5py.File(recording, "a") as file:
        file.attrs["ear"] = json.dumps({"channels": 64})
    with pytest.raises(DataError, match="64 channels"):
        join([recording, shd_file(recording.with_name("b.h5"))], recording.with_name("out.h5"))


@pytest.mark.parametrize(
    ("unit", "scale", "dtype"), [("ms", 1e3, "float64"), ("us", 1e6, "int64"), ("s", 1, "float64")]
)
@pytest.mark.parametrize("where", ["option", "attribute"])
def test_times_in_another_unit_are_asked_about_and_then_read(
    recording: Path, unit: str, scale: float, dtype: str, where: str
) -> None:
    with h5py.File(recording, "a") as file:
        del file["spikes/times"]
        put(
            file,
            "spikes/times",
            [[round(t * scale) if dtype == "int64" else t * scale for t in c] for c in TIMES],
            dtype,
        )
    if unit != "s":
        line = refused(recording)
        assert "time_unit" in line
        assert f"{1.5 * scale:.4g}" in line
    option = {"time_unit": unit} if where == "option" else {}
    if where == "attribute":
        with h5py.File(recording, "a") as file:
            file.attrs["time_unit"] = unit
    dataset = read_recording(recording, GRID, **option)  # type: ignore[arg-type]
    assert cells(dataset) == CELLS
    found = inspect_recording(recording, channels=8, **option)  # type: ignore[arg-type]
    assert found.faults == ()
    assert found.duration_s is not None
    assert found.duration_s.largest == 1.5


@pytest.mark.parametrize(
    ("unit", "dtype"), [("ms", "float16"), ("ms", "float32"), ("ms", "int32"), ("us", "float32"), ("us", "int64")]
)
def test_events_on_the_grid_are_in_their_step_in_every_unit_and_type(
    recording: Path, unit: Literal["ms", "us"], dtype: str
) -> None:
    steps = np.arange(1, 205)
    with h5py.File(recording, "a") as file:
        for name, values, kind in (
            ("times", steps * (10 if unit == "ms" else 10_000), dtype),
            ("units", steps % 8, "u2"),
        ):
            del file[f"spikes/{name}"]
            put(file, f"spikes/{name}", [values.tolist()] * len(TIMES), kind)
    dataset = read_recording(recording, Grid(8, 1, 10.0), time_unit=unit)
    np.testing.assert_array_equal(dataset.clip(0)[0], steps)
    assert (dataset.clip(0)[2] == 1).all()


def test_matrices_and_frames_are_called_so(recording: Path) -> None:
    numbers("spikes/times", np.full((4, 9), -1.0))(recording)
    assert "matrix" in refused(recording)
    without("spikes")(recording)
    numbers("labels", np.zeros((4, 50, 8), np.uint8))(recording)
    assert "dense frames" in refused(recording)


T, X = np.array([0.0625, 0.0625, 0.25]), np.array([0, 1, 7])


def lauscher(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, np.stack([T, X]))


def named(path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, times=T.astype(np.float16), units=X.astype(">u2"))


def columns(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.column_stack([T, X]))


def structured(path: Path) -> None:
    events = np.array([(t, x, 1) for t, x in zip(T, X, strict=True)], [("t", ">f8"), ("x", "<i4"), ("p", "i1")])
    with path.open("wb") as file:
        np.save(file, events)


def text(header: str, order: tuple[str, str]) -> Damage:
    def write(path: Path) -> None:
        rows = [{"t": f"{t}", "x": f"{x}"} for t, x in zip(T, X, strict=True)]
        path.write_text(header + "".join(f"{row[order[0]]},{row[order[1]]}\r\n" for row in rows), encoding="utf-8")

    return write


WRITERS = [
    lauscher,
    named,
    columns,
    structured,
    text("t,x\n", ("t", "x")),
    text("\ufeffx,t\n", ("x", "t")),
    text("", ("t", "x")),
]


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_of_events_is_one_clip(tmp_path: Path, write: Damage) -> None:
    path = tmp_path / "yes" / "clip"
    path.parent.mkdir()
    write(path)
    dataset = read_recording(path, GRID)
    assert cells(dataset) == CELLS[:1]
    assert dataset.classes == ("yes",)
    assert inspect_recording(path, channels=8).clips == 1
    path = path.rename(tmp_path / "clip")  # the same bytes in another folder are of another class
    assert read_recording(path, GRID).classes == (tmp_path.name,)


def test_a_folder_of_event_files_is_a_recording_with_a_class_per_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name, write in (("yes/a.npz", lauscher), ("no/b.csv", WRITERS[4]), ("no/a.npy", columns)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write(root / name)
    (root / "no" / "about.md").touch()
    (root / "no" / "._b.csv").touch()
    dataset = read_recording(root, GRID)
    assert dataset.classes == ("no", "yes")
    assert dataset.labels.tolist() == [0, 0, 1]
    assert cells(dataset) == CELLS[:1] * 3
    found = inspect_recording(root, channels=8)
    assert (found.clips, found.faults) == (3, ())
    assert any("no/about.md" in note for note in found.notes)
    (root / "yes" / "z.csv").write_text("t,x\n0.5,1.5\n", encoding="utf-8")
    assert "yes/z.csv" in refused(root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"t,x\n0.1,9\n", "a.csv: event 0 has x = 9 (0 ... 7 allowed)"),
        (b"t,x\nnan,1\n", "a.csv: event 0 is at nan s (finite"),
        (b"t,x\n100,1\n", "data.time_unit"),
        (b"t,x\n0.1\n", "line 2"),
        (b"a,b,c\n", "first line"),
    ],
)
def test_events_keep_to_the_rules_of_all_recordings(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert said in refused(tmp_path / "a.csv")


@pytest.mark.parametrize("shape", ["(3, 1099511627776)", "(1099511627776,)", "(-5, 2)"])
def test_an_array_declares_no_more_than_the_file_holds(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert shape[1:4] in refused(tmp_path / "a.npy")


def test_a_file_that_lets_hdf5_loop_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_process, "_CPU_S", 0.5)
    path = tmp_path / "loop.h5"
    # HDF5 2.0 loops in this one; others may find what is wrong with it
    path.write_bytes(flipped(contiguous(path).read_bytes(), np.random.default_rng(26)))
    assert "not a whole HDF5 file" in refused(path)
    assert cells(read_recording(shd_file(tmp_path / "good.h5"), GRID)) == CELLS


@pytest.mark.parametrize("does", ["import time; time.sleep(600)", "import os; os.abort()", "print('{', flush=True)"])
def test_a_process_that_does_not_answer_is_ended(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    hdf5_process.end_workers()
    script = tmp_path / "script.py"
    script.write_text(does, encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setattr(hdf5_process, "_SCRIPT", script)
        patched.setattr(hdf5_process, "_SILENCE_S", 1.0)
        assert "not a whole HDF5 file (HDF5" in refused(recording)
    assert cells(read_recording(recording, GRID)) == CELLS


def test_a_recording_can_be_written_to_as_soon_as_it_was_read(recording: Path) -> None:
    for _ in range(3):
        assert Recording.open(recording).classes == tuple(key.decode() for key in KEYS)
        with h5py.File(recording, "a") as file:
            file.attrs["some"] = 1


def test_what_is_written_is_without_fault(tmp_path: Path) -> None:
    path = tmp_path / "written.h5"
    write_recording(path, [np.array(clip) for clip in TIMES], [np.array(clip) for clip in UNITS], np.array(LABELS))
    assert inspect_recording(path).faults == ()
