"""Events of a camera: pixels and polarities as channels, from files as people keep them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ranvier.cli import main
from ranvier.data import DataError, Grid, read_recording
from ranvier.data.camera import Camera
from ranvier.data.hdf5 import read_left_out
from ranvier.data.inspection import inspect_recording
from ranvier.errors import ConfigError, RuleError
from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.train_run import train
from tests.recipes.conftest import Quiet

T, X, Y, P = [100, 2500, 2600, 9000], [0, 6, 5, 2], [0, 3, 4, 4], [0, 1, 1, 0]
CAMERA = Camera(7, 5, pool=2)  # 4 x 3 channels of each polarity


def structured(path: Path, p: Any = P) -> None:
    events = np.zeros(len(T), [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", np.asarray(p).dtype)])
    for name, values in zip("txyp", (T, X, Y, p), strict=True):
        events[name] = values
    np.save(path.with_suffix(".npy"), events)


def named(path: Path, **changes: Any) -> None:
    arrays: dict[str, Any] = {"t": T, "x": X, "y": Y, "p": P, **changes}
    kept: dict[str, Any] = {name: np.asarray(values) for name, values in arrays.items() if values is not None}
    np.savez(path.with_suffix(".npz"), **kept)


def read(path: Path, camera: Camera | None = CAMERA, channels: int = 24) -> Any:
    return read_recording(path, Grid(channels, 1, 1.0), time_unit="us", camera=camera)


def test_a_channel_is_a_block_of_pixels_of_a_polarity() -> None:
    assert (CAMERA.columns, CAMERA.rows, CAMERA.channels) == (4, 3, 24)
    pixels = [(x, y, p) for p in (0, 1) for y in range(5) for x in range(7)]
    x, y, p = np.array(pixels).T
    blocks: dict[tuple[int, int, int], int] = {}
    for (px, py, pp), unit in zip(pixels, CAMERA.units(x, y, p).tolist(), strict=True):
        assert blocks.setdefault((px // 2, py // 2, pp), unit) == unit
    assert sorted(blocks.values()) == list(range(24))
    merged = Camera(7, 5, merged=True)
    assert merged.channels == 35
    assert merged.units(x[:35], y[:35], None).tolist() == list(range(35))
    assert CAMERA.units(x, y, 2 * p - 1).tolist() == CAMERA.units(x, y, p).tolist()
    assert Camera.of("7x5", pool=2) == CAMERA


@pytest.mark.parametrize(
    "write",
    [structured, named, lambda f: structured(f, np.array(P, bool)), lambda f: named(f, p=np.array([-1, 1, 1, -1]))],
)
def test_files_of_named_columns_are_clips(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "wave").mkdir()
    write(tmp_path / "wave" / "one")
    dataset = read(tmp_path)
    step, source, count = dataset.clip(0)
    assert list(zip(step.tolist(), source.tolist(), count.tolist(), strict=True)) == [
        (0, 0, 1), (2, 12 + 4 + 3, 1), (2, 12 + 8 + 2, 1), (9, 8 + 1, 1),
    ]  # fmt: skip
    assert dataset.classes == ("wave",)
    assert dataset.sources == 24


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda f: named(f, x=[0, 7, 5, 2]), r"event 1 has x = 7 \(0 \.\.\. 6 allowed\)"),
        (lambda f: named(f, y=[0, 3, 4, -1]), r"event 3 has y = -1 \(0 \.\.\. 4 allowed\)"),
        (lambda f: named(f, p=[0, 1, 2, 0]), r"event 2 has p = 2 \(0 and 1, or -1 and 1, allowed\)"),
        (lambda f: named(f, p=[0, 1, -1, 1]), r"event 0 has p = 0"),
        (lambda f: named(f, p=None), r"holds t, x, y \(\.npz, \.npy or \.h5 of named t, x, y and p allowed\)"),
        (lambda f: named(f, y=None), r"holds t, x, p \("),
        (lambda f: named(f, y=[0, 3]), r"holds 4 t, 4 x, 2 y, 4 p \(one of each per event allowed\)"),
        (lambda f: named(f, x=[0.5, 1, 2, 3]), r"event 0 has x = 0\.5 \(whole"),
        (lambda f: named(f, y=[0, 1.5, 2, 3]), r"event 1 has y = 1\.5 \(whole"),
        (lambda f: named(f, p=[0, 1, 0.25, 1]), r"event 2 has p = 0\.25 \(whole"),
        (lambda f: named(f, t=[5, -9179, 7, 8]), r"one\.npz: event 1 is at -9179 us \(finite, 0 or later allowed; "),
        (
            lambda f: named(f, t=[5, 299_200_000_000, 7, 8]),
            r"one\.npz: last event at 2\.992e\+05 s .*: t = 299200000000 us; data\.time_unit, or data\.alignment",
        ),
        (lambda f: np.save(f.with_suffix(".npy"), np.zeros((9, 4))), r"holds float64 of shape \(9, 4\)"),
        (lambda f: f.with_suffix(".csv").write_text("t,x\n1,2\n"), r"is a text file \(\.npz, \.npy or \.h5 of named"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, write: Callable[[Path], None], message: str) -> None:
    (tmp_path / "wave").mkdir()
    write(tmp_path / "wave" / "one")
    with pytest.raises(DataError, match=message) as told:
        read(tmp_path)
    assert "wave/one" in str(told.value)
    assert "\n" not in str(told.value)


def test_clips_without_events_are_listed_and_refused_where_all_are(tmp_path: Path) -> None:
    (tmp_path / "wave").mkdir()
    none: dict[str, Any] = dict.fromkeys("txyp", np.zeros(0, np.int64))
    for name in ("empty", "other"):
        named(tmp_path / "wave" / name, **none)
    message = "no event in any of its 2 clips (one or more needed)"
    with pytest.raises(DataError) as told:
        read(tmp_path)
    assert str(told.value) == f"{tmp_path}: {message}"
    assert len(read(tmp_path / "wave" / "other.npz")) == 1  # a single one may be classified
    for name in ("empty", "other"):
        named(tmp_path / "wave" / name, **{**none, "y": None, "p": None})
    assert inspect_recording(tmp_path).faults == (message,)
    named(tmp_path / "wave" / "other", y=[0, 0, 0, 0])
    dataset = read(tmp_path, camera=None)
    assert read_left_out(tmp_path, dataset) == ["wave/empty.npz: no events"]
    found = inspect_recording(tmp_path, channels=24, time_unit="us")
    assert (found.faults, found.silent) == ((), (0,))
    assert "no events: wave/empty.npz" in found.notes
    (tmp_path / "wave" / "a.npz").write_bytes(b"PK")  # of a file that cannot be read nothing is known
    assert inspect_recording(tmp_path, time_unit="us").silent == (1,)


def test_a_second_coordinate_is_not_dropped(tmp_path: Path) -> None:
    (tmp_path / "wave").mkdir()
    named(tmp_path / "wave" / "one")
    with pytest.raises(DataError, match="second coordinate y"):
        read(tmp_path, camera=None)
    named(tmp_path / "wave" / "one", y=[0, 0, 0, 0])
    assert read(tmp_path, camera=None).clip(0)[1].tolist() == [0, 5, 6, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "128"}, r"^size: '128' is not allowed \(WIDTHxHEIGHT"),
        ({"size": "0x5"}, r"^width: 0 is not allowed \(1 or more\)$"),
        (
            {"size": "346x260"},
            r"^pool: 179,920 channels of 346 x 260 pixels pooled by 1 are not allowed \(up to 65,535",
        ),
    ],
)
def test_a_camera_that_cannot_be_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(RuleError, match=message):
        Camera.of(**arguments)  # type: ignore[arg-type]


def config(root: Path, **changes: str) -> Any:
    fields = {"data.root": str(root), "data.camera": "7x5", "data.pool": "2", "data.time_unit": "us"}
    small = {
        "model.hidden": "6",
        "train.epochs": "1",
        "data.dt_ms": "1",
        "model.tau_ms": "2",
        "model.max_delay_ms": "4",
    }
    dotted = {name.replace("__", "."): value for name, value in changes.items()}
    return build_config(load_values("folder"), {**fields, **small, "model.tail_ms": "4", **dotted})


def test_the_recipe_folder_takes_a_camera(tmp_path: Path) -> None:
    for label, name in enumerate(("left", "right")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for clip in range(20):
            named(tmp_path / "data" / name / f"{clip}", x=np.roll(X, clip), y=[label, label, 4, 3])
    result = train(config(tmp_path / "data"), tmp_path / "run", Quiet())
    assert result.clips["train"] + result.clips["validation"] + result.clips["test"] == 40
    made = config(tmp_path / "data")
    assert made.data.grid() == Grid(24, 1, 1.0)
    assert config(tmp_path / "data", data__merge_polarities="true").data.grid().channels == 12


def test_the_files_may_say_their_unit(tmp_path: Path) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        with h5py.File(tmp_path / name / "one.h5", "w") as file:
            file.update({"t": T, "x": X, "y": Y, "p": P})
            file.attrs["time_unit"] = "us"
    data = config(tmp_path, data__time_unit="recording").data
    there, asked = data.read(tmp_path, None), config(tmp_path).data.read(tmp_path, None)
    assert there.clip(1)[0].tolist() == asked.clip(1)[0].tolist() == [0, 2, 2, 9]
    with h5py.File(tmp_path / "left" / "one.h5", "a") as file:
        del file.attrs["time_unit"]
    with pytest.raises(DataError, match=r"times in several units, .* \(one allowed; time_unit s, ms or us sets it\)$"):
        data.read(tmp_path, None)
    with h5py.File(tmp_path / "right" / "one.h5", "a") as file:
        del file.attrs["time_unit"]
    with pytest.raises(DataError, match=r"unit of a camera's times \(s, ms or us as data\.time_unit"):
        data.read(tmp_path, None)


@pytest.mark.parametrize("place", ["data", "data/wave/one.npz"])
def test_files_that_say_no_unit_are_not_taken_for_seconds(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/wave").mkdir(parents=True)
    named(Path("data/wave/one"), t=[0, 10, 30, 49])  # ms, short enough to pass for seconds
    with pytest.raises(DataError, match=rf"^{place}: does not say .*\(s, ms or us as data\.time_unit") as told:
        config(Path("data"), data__time_unit="recording").data.read(Path(place), None)
    check = ["data", "check", place, "--camera", "7x5", "--json"]
    assert main(check) == 2
    assert [f"{place}: {fault}" for fault in json.loads(capsys.readouterr().out)["faults"]] == [str(told.value)]
    assert main([*check, "--time-unit", "ms"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["faults"], found["duration_s"]["largest"]) == ([], 0.049)
    read_ms = config(Path("data"), data__time_unit="ms").data.read(Path(place), None)
    assert read_ms.clip(0)[0].tolist() == [0, 10, 30, 49]


def test_a_check_reads_as_training_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/wave").mkdir(parents=True)
    named(Path("data/wave/one"))
    check = ["data", "check", "data", "--time-unit", "us", "--json"]

    def checked(*options: str) -> tuple[int, Any]:
        code = main([*check, *options])
        return code, json.loads(capsys.readouterr().out)

    code, found = checked("--camera", "7x5", "--pool", "2")
    assert (code, found["faults"], found["clips"], found["channels"]) == (0, [], 1, 4)
    sources = read(Path("data")).clip(0)[1]
    assert (found["first_channel"], found["last_channel"]) == (sources.min(), sources.max()) == (0, 22)
    code, found = checked("--camera", "6x5", "--pool", "2")
    with pytest.raises(DataError, match=r"event 1 has x = 6") as told:
        read(Path("data"), Camera(6, 5, pool=2), 18)
    assert (code, f"data: {found['faults'][0]}") == (2, str(told.value))
    code, found = checked()
    assert "--camera" in found["faults"][0]
    named(Path("data/wave/one"), p=None)
    assert checked("--camera", "7x5")[0] == 2
    code, found = checked("--camera", "7x5", "--merge-polarities")
    assert (code, found["last_channel"]) == (0, max(y * 7 + x for x, y in zip(X, Y, strict=True)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--camera", "7"], "--camera: '7' is not allowed (WIDTHxHEIGHT"),
        (["--camera", "346x260"], "--pool: 179,920 channels of"),
        (["--camera", "7x5", "--channels", "3"], "--channels: is not allowed with --camera"),
        (["--pool", "2"], "--pool: is not allowed without --camera"),
        (["--merge-polarities"], "--merge-polarities: is not allowed without --camera"),
    ],
)
def test_options_of_a_check_that_do_not_go_together(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["data", "check", str(tmp_path), *options])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(f"ranvier: {message}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__camera": "seven"}, r"^data\.camera: 'seven' is not allowed \(WIDTHxHEIGHT"),
        ({"data__channels": "35"}, r"^data\.channels: 35 is not allowed with data\.camera"),
        ({"data__camera": "999x999"}, r"^data\.pool: 500,000 channels"),
        ({"data__camera": "none", "data__merge_polarities": "true"}, r"^data\.merge_polarities: true is not allowed"),
    ],
)
def test_fields_that_do_not_go_with_a_camera_are_refused(changes: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **changes)
