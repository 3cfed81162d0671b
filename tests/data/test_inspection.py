"""What an inspection tells of a recording: all that is in it, and all that is wrong with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ranvier.data import DataError, read_recording, write_recording
from ranvier.data.inspection import Inspection, Spread, inspect_recording
from tests.data.recordings import Damage, clip, cut, numbers, packed, put, ragged, without
from tests.data.test_hdf5 import FAULTS, GRID, shd_file


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return shd_file(tmp_path / "shd_train.h5")


def inspected(path: Path, **changes: Any) -> Inspection:
    return inspect_recording(path, **{"channels": 8, "cache": path.parent / "cache", **changes})


@pytest.mark.parametrize("packing", ["", ".gz"])
def test_everything_in_a_recording_is_told(recording: Path, packing: str) -> None:
    path = packed(recording, recording.with_name("shd_train.h5.gz")) if packing else recording
    assert inspected(path) == Inspection(
        path=path,
        clips=4,
        classes=(("zero", 1), ("one", 2), ("two", 1)),
        speakers=(("0", 1), ("4", 2), ("11", 1)),
        duration_s=Spread(0.03125, 0.25, (0.25 + 1.5 + 0.03125) / 3, 1.5),
        spikes=Spread(0.0, 1.5, 1.5, 3.0),
        channels=6,
        first_channel=0,
        last_channel=7,
        silent=(2,),
        faults=(),
        notes=("clip 1: events are not in the order of time",),
    )


def test_it_can_be_written_as_json(recording: Path) -> None:
    told = json.loads(json.dumps(inspected(recording).as_dict()))
    assert told["path"] == str(recording)
    assert told["classes"] == [["zero", 1], ["one", 2], ["two", 1]]
    assert told["duration_s"]["largest"] == 1.5
    assert told["silent"] == [2]
    assert set(told) == set(Inspection.__dataclass_fields__)


def test_progress_ends_with_every_clip(recording: Path) -> None:
    told: list[tuple[int, int]] = []
    inspected(recording, progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 4)]


@pytest.mark.parametrize(("classes", "told"), [(None, (0, 1, 2)), (5, (0, 1, 2, 3, 4))])
def test_without_names_classes_are_numbered(recording: Path, classes: int | None, told: tuple[int, ...]) -> None:
    without("extra")(recording)
    found = inspected(recording, classes=classes)
    assert found.classes == tuple((str(number), {0: 1, 1: 2, 2: 1}.get(number, 0)) for number in told)
    assert found.speakers == ()
    assert found.faults == ()
    assert ("3, 4: classes without a clip" in found.notes) == (classes == 5)


@pytest.mark.parametrize(("names", "told"), [(b"abcdefghijkl", "ael"), (b"abcde", None), (b"", ("0", "4", "11"))])
def test_speakers_are_called_by_their_names(recording: Path, names: bytes, told: Any) -> None:
    with h5py.File(recording, "a") as file:
        if names:
            file["extra/speaker_names"] = np.array([bytes([letter]) for letter in names])
    found = inspected(recording)
    assert found.speakers == tuple(zip(told or ("0", "4", "11"), (1, 2, 1), strict=True))
    assert found.faults == (() if told else ("extra/speaker names number 11 of 5 speaker_names",))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h5: no such recording"):
        inspect_recording(tmp_path / "nowhere.h5")


# a recording without labels is none that is damaged, see below
_TOLD = [pytest.param(*fault, id=name) for name, fault in FAULTS.items() if name != "no labels"]


@pytest.mark.parametrize(("damage", "said"), _TOLD)
def test_whatever_reading_refuses_is_told(recording: Path, damage: Damage, said: list[str]) -> None:
    damage(recording)
    faults = inspected(recording).faults
    assert any(all(part in fault for part in said) for fault in faults), faults
    for fault in faults:
        assert len(fault.splitlines()) == 1
        assert str(recording) not in fault
    with pytest.raises(DataError) as refused:
        read_recording(recording, GRID, cache=recording.parent / "cache")
    assert str(refused.value).removeprefix(f"{recording}: ").partition(";")[0] in " | ".join(faults)


@pytest.mark.parametrize("damage", [cut])
def test_a_packed_file_that_is_not_whole_is_told(recording: Path, damage: Damage) -> None:
    path = packed(recording, recording.with_name("shd_train.h5.gz"))
    damage(path)
    found = inspected(path)
    assert len(found.faults) == 1
    assert found.faults[0].startswith("not a whole gzip file")
    assert (found.clips, found.spikes, found.duration_s, found.first_channel) == (0, None, None, None)


def test_all_faults_are_told_and_the_rest_is_still_counted(recording: Path) -> None:
    for damage in (
        clip("spikes/times", 0, np.array([0.25, np.nan, 0.5], np.float16)),
        clip("spikes/times", 3, np.array([-1.0], np.float16)),
        clip("spikes/units", 1, np.array([3, 8, 2], np.uint16)),
        numbers("labels", np.array([1, 7, 2, 1])),
        numbers("extra/speaker", np.array([1, 2, 3])),
        numbers("extra/keys", np.array([b"zero", b"one", b"two"])),
    ):
        damage(recording)
    found = inspected(recording)
    assert sorted(found.faults) == [
        "clip 1 has 2 times and 3 units (equal allowed)",
        "labels[1] is 7 (0 ... 2 allowed)",
        "spikes/times has 4 clips, spikes/units has 4 clips, labels has 4 clips, extra/speaker has 3 clips "
        "(equal allowed)",
        "spikes/times[0][1] is nan (finite, 0 s or later allowed)",
        "spikes/units[1][1] is 8 (0 ... 7 allowed)",
    ]
    assert found.clips == 3
    assert found.classes == (("zero", 0), ("one", 2), ("two", 1))
    assert found.duration_s == Spread(0.5, 1.0, 1.0, 1.5)


def test_faults_of_a_kind_are_counted_not_repeated(recording: Path) -> None:
    ragged("spikes/units", [[0, 9, 9], [9, 2], [], [-5]], "int16")(recording)
    numbers("labels", np.array([1, 7, 2, -1]))(recording)
    assert inspected(recording).faults == (
        "labels[1] is 7 (0 ... 2 allowed); so in 2 clips",
        "spikes/units[0][1] is 9 (0 ... 7 allowed); so in 3 clips",
    )


def test_a_recording_without_labels_is_looked_at_and_said_to_be_one(recording: Path) -> None:
    without("labels")(recording)
    found = inspected(recording)
    assert (found.clips, found.faults, found.classes) == (4, (), ())
    assert found.spikes is not None
    assert sum("no labels" in note for note in found.notes) == 1
    with pytest.raises(DataError, match="has no labels"):
        read_recording(recording, GRID, cache=recording.parent / "cache")


@pytest.mark.parametrize("gone", ["spikes/times", "spikes/units"])
def test_what_is_left_without_one_part_is_still_looked_at(recording: Path, gone: str) -> None:
    without(gone)(recording)
    found = inspected(recording)
    assert found.clips == 4
    assert [fault.partition(" is missing")[0] for fault in found.faults] == [f"dataset {gone!r}"]
    assert found.classes
    assert (found.duration_s is not None) == (gone != "spikes/times")
    assert (found.channels == 6) == (gone != "spikes/units")
    assert found.spikes is None
    assert found.speakers == (("0", 1), ("4", 2), ("11", 1))


def test_clips_are_counted_across_chunks(tmp_path: Path) -> None:
    clips = 600
    path = tmp_path / "many.h5"
    times = [np.full(number % 3, number / 1024) for number in range(clips)]
    units = [np.full(number % 3, number % 8) for number in range(clips)]
    write_recording(path, times, units, np.arange(clips) % 5, speakers=np.arange(clips) // 100)
    found = inspected(path)
    assert found.clips == clips
    assert found.silent == tuple(range(0, clips, 3))
    assert found.spikes == Spread(0.0, 1.0, 1.0, 2.0)
    assert found.duration_s is not None
    assert found.duration_s.largest == pytest.approx(599 / 1024, abs=1e-3)
    assert found.classes == tuple((str(label), 120) for label in range(5))
    assert found.speakers == tuple((str(speaker), 100) for speaker in range(6))
    assert found.faults == found.notes == ()


def test_a_recording_is_never_held_as_a_whole(tmp_path: Path) -> None:
    """Peak of a fresh process, on a recording that takes 120 MB."""
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        for name, dtype in (("spikes/times", "float16"), ("spikes/units", "uint16")):
            clips = file.create_dataset(name, 1000, h5py.vlen_dtype(np.dtype(dtype)))
            for number in range(1000):
                clips[number] = np.ones(30_000, dtype)
        file["labels"] = np.zeros(1000, np.uint16)
    code = (
        "import sys; from pathlib import Path; from ranvier.data.inspection import inspect_recording;"
        "peak = lambda: int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]);"
        "before = peak(); assert inspect_recording(sys.argv[1]).clips == 1000; print(peak() - before)"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell a process's peak memory")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=os.environ, check=True, capture_output=True, text=True
    )
    assert path.stat().st_size > 120_000_000
    assert int(done.stdout) < 60_000  # KiB


def test_the_regenerated_shd_is_without_fault(shd_root: Path) -> None:
    found = inspect_recording(shd_root / "shd_train.h5.gz")
    assert found.clips == 8156
    assert found.faults == ()
    assert len(found.classes) == 20
    assert [speaker for speaker, _ in found.speakers] == ["0", "1", "2", "3", "6", "7", "8", "9", "10", "11"]
    assert sum(clips for _, clips in found.classes) == sum(clips for _, clips in found.speakers) == 8156
    assert found.spikes is not None
    assert 7000 < found.spikes.mean < 8500
    assert found.channels <= 700


def test_put_is_what_shd_holds(tmp_path: Path) -> None:
    """The ragged datasets of these tests have the types of the published files."""
    with h5py.File(tmp_path / "some.h5", "w") as file:
        put(file, "times", [[0.5]], "float16")
        assert h5py.check_vlen_dtype(file["times"].dtype) == np.float16
