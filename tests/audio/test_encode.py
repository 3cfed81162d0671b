"""From folders of sound to one recording: names, faults, interruption, and the same bytes however it is done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from ranvier.audio.ear import Ear, StreamingEar
from ranvier.audio.encode import encode
from ranvier.audio.naming import Naming
from ranvier.corpora.heidelberg import divide
from ranvier.data import DataError, Grid, read_recording
from ranvier.data.hdf5 import read_files, read_left_out
from ranvier.data.inspection import inspect_recording
from ranvier.data.recording import Recording

EAR = Ear(channels=8)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ear")


def write(path: Path, seed: int, seconds: float = 0.05, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate)), rate)
    return path


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Two words of three clips, in folders."""
    for word in ("no", "yes"):
        for number in range(3):
            write(tmp_path / "sounds" / word / f"{'ab'[number % 2]}_{number}.wav", number + 10 * (word == "yes"))
    return tmp_path / "sounds"


def test_a_folder_becomes_a_recording_in_shds_format(sounds: Path, tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out.h5"
    seen: list[tuple[int, int]] = []
    naming = Naming(None, r"/([ab])_")
    done = encode([sounds], out, ear=EAR, naming=naming, cache=cache, progress=lambda *at: seen.append(at))
    assert (done.clips, done.classes, done.speakers, done.left_out) == (6, ("no", "yes"), ("a", "b"), ())
    assert seen[-1] == (6, 6)
    with h5py.File(out) as file:
        assert h5py.check_vlen_dtype(file["spikes/times"].dtype) == np.float16
        assert np.issubdtype(h5py.check_vlen_dtype(file["spikes/units"].dtype), np.integer)
        assert file["labels"][:].tolist() == [0, 0, 0, 1, 1, 1]
        assert file["extra/keys"][:].tolist() == [b"no", b"yes"]
        assert file["extra/speaker"][:].tolist() == [0, 0, 1, 0, 0, 1]
        assert sum(len(clip) for clip in file["spikes/times"]) == done.spikes > 0
        assert json.loads(file.attrs["ear"])["channels"] == 8
        assert file["extra/speaker_names"][:].tolist() == [b"a", b"b"]
    assert inspect_recording(out).faults == ()
    dataset = read_recording(out, Grid(8, 1, 10.0), cache=tmp_path / "cache")
    assert dataset.classes == ("no", "yes")
    assert dataset.speaker_names == ("a", "b")
    assert read_files(out)[0] == "sounds/no/a_0.wav"
    assert list(tmp_path.glob("*.part")) == []


def test_the_same_bytes_for_any_number_of_workers_and_any_place(sounds: Path, tmp_path: Path, cache: Path) -> None:
    moved = tmp_path / "elsewhere" / "sounds"
    shutil.copytree(sounds, moved)
    files = []
    for number, (place, workers) in enumerate(((sounds, 1), (sounds, 3), (moved, 2))):
        out = tmp_path / f"{number}.h5"
        encode([place], out, ear=EAR, workers=workers, cache=cache)
        files.append(out.read_bytes())
    assert files[0] == files[1] == files[2]
    other = tmp_path / "other.h5"
    encode([sounds], other, ear=EAR, seed=1, cache=cache)
    assert other.read_bytes() != files[0]


def test_bad_sound_is_left_out_and_told(sounds: Path, tmp_path: Path, cache: Path) -> None:
    bad = sounds / "yes"
    (bad / "text.wav").write_text("not a sound")
    soundfile.write(bad / "empty.wav", np.empty(0), 16_000)
    soundfile.write(bad / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(bad / "nan.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    write(bad / "short.wav", 0, 0.005)
    write(bad / "long.wav", 0, 600, 8_000)
    # unusual, but sound
    noise = np.random.default_rng(5).standard_normal(4_800) / 10
    soundfile.write(bad / "eight bits.wav", noise, 16_000, subtype="PCM_U8")
    soundfile.write(bad / "fast.wav", noise, 96_000)
    soundfile.write(bad / "six.wav", np.stack([noise] * 6, 1), 48_000)
    done = encode([sounds], tmp_path / "out.h5", ear=EAR, cache=cache)
    reasons = {Path(name).name: reason for name, reason in done.left_out}
    assert set(reasons) == {"text.wav", "empty.wav", "silent.wav", "nan.wav", "short.wav", "long.wav"}
    assert done.clips == 9
    assert "lasts 600 s" in reasons["long.wav"]
    assert all("\n" not in reason for reason in reasons.values())
    assert len(read_left_out(tmp_path / "out.h5")) == 6


def test_nothing_that_can_be_heard(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.wav").write_text("no")
    with pytest.raises(DataError, match=r"none of 1 files could be encoded; the first: .*x\.wav"):
        encode([tmp_path], tmp_path / "out.h5", ear=EAR, cache=cache)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_one_class_is_no_task(tmp_path: Path, cache: Path) -> None:
    write(tmp_path / "a" / "x.wav", 0)
    with pytest.raises(DataError, match="all 1 clips are of one class, 'a'"):
        encode([tmp_path], tmp_path / "out.h5", ear=EAR, cache=cache, need_classes=True)
    for out, message in ((tmp_path / "out.wav", "not a .h5"), (tmp_path / "none" / "out.h5", "no such folder")):
        with pytest.raises(DataError, match=message):
            encode([tmp_path], out, ear=EAR, cache=cache)


def test_files_of_one_folder_have_no_labels(tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out.h5"
    done = encode([write(tmp_path / "a" / "x.wav", 0), write(tmp_path / "a" / "y.wav", 1)], out, ear=EAR, cache=cache)
    assert (done.clips, done.classes, done.speakers) == (2, (), ())
    inspection = inspect_recording(out)
    assert (inspection.clips, inspection.classes, inspection.faults) == (2, (), ())
    assert any(note.startswith("has no labels") for note in inspection.notes)
    assert read_files(out) == ["a/x.wav", "a/y.wav"]
    with pytest.raises(DataError, match=r"out\.h5: has no labels: dataset 'labels' is missing"):
        read_recording(out, Grid(8, 1, 10.0), cache=tmp_path / "cache")
    # a name that says its class is believed, of one class too
    one = encode([write(tmp_path / "b" / "7_theo_0.wav", 0)], tmp_path / "one.h5", ear=EAR, cache=cache)
    assert (one.classes, one.speakers) == (("7",), ("theo",))


def test_the_streaming_ear_encodes_and_is_noted(sounds: Path, tmp_path: Path, cache: Path) -> None:
    files = []
    for number, workers in enumerate((1, 3)):
        out = tmp_path / f"{number}.h5"
        encode([sounds], out, ear=StreamingEar(channels=8), workers=workers, cache=cache)
        files.append(out.read_bytes())
    assert files[0] == files[1]
    assert Recording.open(tmp_path / "0.h5").ear == {
        "channels": 8, "fibres": 40, "level": 0.45, "floor": 0.01, "form": "streaming",
    }  # fmt: skip
    encode([sounds], tmp_path / "clip.h5", ear=EAR, cache=cache)
    assert "form" not in (Recording.open(tmp_path / "clip.h5").ear or {})


def test_an_interrupted_call_is_continued(sounds: Path, tmp_path: Path, cache: Path) -> None:
    for number in range(40):  # more than one batch
        write(sounds / "no" / f"more_{number}.wav", 100 + number)
    whole, out = tmp_path / "whole.h5", tmp_path / "out.h5"
    encode([sounds], whole, ear=EAR, cache=cache)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode([sounds], out, ear=EAR, cache=cache, progress=stop)
    assert not out.exists()
    first = tmp_path / "out.h5.part" / "0.npz"
    written = first.stat().st_mtime_ns
    seen: list[int] = []

    def look(done: int, total: int) -> None:
        seen.append(first.stat().st_mtime_ns)

    encode([sounds], out, ear=EAR, cache=cache, progress=look)
    assert set(seen) == {written}, "what was done is not done again"
    assert out.read_bytes() == whole.read_bytes()
    # with other settings what was done is worth nothing
    with pytest.raises(KeyboardInterrupt):
        encode([sounds], out, ear=EAR, cache=cache, progress=stop)
    encode([sounds], out, ear=EAR, seed=1, cache=cache)
    encode([sounds], whole, ear=EAR, seed=1, cache=cache)
    assert out.read_bytes() == whole.read_bytes()


def test_the_command_killed_and_called_again(sounds: Path, tmp_path: Path, cache: Path) -> None:
    for number in range(60):
        write(sounds / "no" / f"more_{number}.wav", 100 + number, 0.3)
    environment = {**os.environ, "RANVIER_CACHE": str(cache)}
    out = tmp_path / "out.h5"
    command = [sys.executable, "-m", "ranvier", "encode", str(sounds), "--out", str(out), "--channels", "64"]
    killed = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out.h5.part" / "0.npz").exists():
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not out.exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "66 clips, 2 classes" in done.stdout
    assert not (tmp_path / "out.h5.part").exists()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert again.stderr == f"ranvier: {out}: exists already (--force replaces it)\n"


def test_shds_division() -> None:
    """Speakers 4 and 5 are test, and one clip in twenty of the others; every clip is in one part."""
    names = [
        f"audio/lang-english_speaker-{speaker:02d}_trial-{trial}_digit-{trial % 10}.flac"
        for speaker in range(12)
        for trial in range(100)
    ]
    train, test = divide(names, np.random.default_rng(0))
    assert sorted(train + test) == list(range(1200))
    kept = [name for place, name in enumerate(names) if place in set(test)]
    assert sum("speaker-04" in name or "speaker-05" in name for name in kept) == 200
    assert len(kept) - 200 == round(1000 * 424 / 8580)
    assert divide(names, np.random.default_rng(0)) == (train, test)
    for name in ("a/b.wav", names[0].replace("english", "french"), names[0].replace("-00_", "-12_")):
        with pytest.raises(DataError, match="not named as in the Heidelberg Digits"):
            divide([name], np.random.default_rng(0))


def test_two_calls_at_once_do_not_spoil_each_other(sounds: Path, tmp_path: Path, cache: Path) -> None:
    for number in range(40):
        write(sounds / "no" / f"more_{number}.wav", 100 + number)
    whole, out = tmp_path / "whole.h5", tmp_path / "out.h5"
    encode([sounds], whole, ear=EAR, cache=cache)
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: encode([sounds], out, ear=EAR, workers=1, cache=cache), range(3)))
    assert [one.clips for one in done] == [46] * 3
    assert out.read_bytes() == whole.read_bytes()
