"""``ranvier encode`` and ``ranvier data``: what they say and refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from ranvier.cli import main
from ranvier.data import write_clips
from ranvier.locks import file_lock


@pytest.fixture
def sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    for word in ("no", "yes"):
        for number in range(2):
            path = tmp_path / "sounds" / word / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            samples = np.random.default_rng(number + len(word)).standard_normal(800)
            soundfile.write(path, samples / 10, 16_000)
    return tmp_path / "sounds"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("ranvier: ")
    assert said.count("\n") == 1
    return said


def test_encode_and_check(sounds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sounds / "yes" / "text.wav").write_text("no sound")
    assert main(["encode", "sounds", "--out", "out.h5", "--channels", "8"]) == 0
    said = capsys.readouterr().out
    assert "out.h5 written: 4 clips, 2 classes" in said
    assert "classes named by folders" in said
    assert "1 files were left out:" in said
    assert "text.wav: is not a sound file that can be read" in said
    assert main(["data", "check", "out.h5"]) == 0
    said = capsys.readouterr().out
    assert "4 clips" in said
    assert "2 classes: no 2, yes 2" in said
    assert "no faults" in said
    assert main(["data", "check", "out.h5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 4


def test_encode_refuses_to_make_what_another_process_is_making(sounds: Path) -> None:
    call = [sys.executable, "-m", "ranvier", "encode", "sounds", "--out", "out.h5", "--channels", "8"]
    with file_lock(sounds.parent / "out.h5.lock"):
        refused = subprocess.run(call, capture_output=True, text=True, timeout=60)
        assert (refused.returncode, refused.stderr) == (2, "ranvier: out.h5: another process is making it\n")
        assert {path.name for path in sounds.parent.iterdir()} == {"sounds", "out.h5.lock"}
    assert subprocess.run(call, capture_output=True, timeout=60).returncode == 0


def test_check_tells_every_fault_and_fails(sounds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clips("bad.h5", [(np.array([0.1]), np.array([9])), (np.array([0.2]), np.array([9000]))], np.array([0, 1]))
    with h5py.File("bad.h5", "a") as file:
        file["spikes/times"][0] = np.array([-1.0], np.float16)
    assert main(["data", "check", "bad.h5"]) == 2
    said = capsys.readouterr().out
    assert said.count("fault: ") == 2
    assert "no faults" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encode", "nowhere", "--out", "x.h5"], "nowhere: no such file or folder"),
        (["encode", "sounds", "--out", "x.wav"], "x.wav: is not a .h5 file's name"),
        (["encode", "sounds", "--out", "none/x.h5"], "none: no such folder"),
        (["encode", "sounds", "--out", "x.h5", "--ramp-ms", "soft"], "--ramp-ms: 'soft' is not allowed"),
        (["encode", "sounds", "--out", "x.h5", "--ramp-ms=-1"], "--ramp-ms: -1.0 is not allowed"),
        (["encode", "sounds", "--out", "x.h5", "--channels", "0"], "--channels: 0 is not allowed"),
        (["encode", "sounds", "--out", "x.h5", "--channels", "many"], "whole number (0 or more)"),
        (["encode", "sounds", "--out", "x.h5", "--workers", "0"], "whole number (1 or more)"),
        (["encode", "sounds", "--out", "x.h5", "--label-pattern", "("], "not a regular expression"),
        (["encode", "sounds", "--out", "x.h5", "--label-pattern", "q", "--channels", "8"], "the label pattern 'q'"),
        (["data"], "WHAT"),
        (["data", "fetch", "gsc"], "'gsc' is not known (shd, ssc can be fetched)"),
        (["data", "check", "none.h5"], "none.h5"),
        (["data", "make-shd", "sounds", "--out", "shd"], "is not named as in the Heidelberg Digits"),
        (["encode", "sounds", "--out", "x.h5", "--ramp-ms", "inf"], "--ramp-ms: inf is not allowed"),
        (["encode", "sounds", "--out", "x.h5", "--seed", str(10**25)], "seed: 1"),
        (["data", "make-shd", "sounds", "--out", "shd", "--seed", "-1"], "whole number (0 or more)"),
        (["data", "join", "none.h5", "sounds", "--out", "x.h5"], "none.h5: no such recording"),
        (["data", "join", "none.h5", "--out", "x.h5"], "one alone cannot be joined"),
        (["data", "join", "none.h5", "sounds", "--out", "no/x.h5"], "no: no such folder"),
    ],
)
def test_what_is_refused(sounds: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert said in refused(capsys, *arguments)
    assert {path.name for path in Path().iterdir()} <= {"sounds", "cache"}, "nothing is left half-written"


def test_make_shd_divides_as_published(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "cache"))
    audio = tmp_path / "audio"
    audio.mkdir()
    found = sorted((data_root / "heidelberg-digits-audio").glob("*.flac"))
    speakers = ("speaker-00", "speaker-01")
    for path in [path for path in found if any(name in path.name for name in speakers)][:4]:
        (audio / path.name).symlink_to(path)
    for path in found[:2]:
        (audio / path.name.replace("speaker-00", "speaker-05")).symlink_to(path)
    assert main(["data", "make-shd", str(audio), "--out", str(tmp_path / "shd")]) == 0
    with h5py.File(tmp_path / "shd" / "shd_train.h5") as train, h5py.File(tmp_path / "shd" / "shd_test.h5") as test:
        assert set(test["extra/speaker"][:].tolist()) == {5}
        assert set(train["extra/speaker"][:].tolist()) <= {0, 1}
        assert len(train["extra/keys"]) == len(test["extra/keys"]) == 20
        lengths = [len(clip) for clip in train["spikes/times"]]
        assert 4_000 < np.mean(lengths) < 12_000
        for name, label in zip(train["extra/files"][:], train["labels"][:], strict=True):
            digit = int(name.decode().split("digit-")[1][0])
            assert label == digit + 10 * (b"german" in name)
    capsys.readouterr()
    assert "holds shd_train.h5 and shd_test.h5 already" in refused(
        capsys, "data", "make-shd", str(audio), "--out", str(tmp_path / "shd")
    )


def test_join_tells_what_it_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, classes in (("ours", ["0", "1"]), ("more", ["zero", "one", "two"])):
        clips = [(np.array([0.1, 0.2]), np.array([3, 300]))] * len(classes)
        write_clips(tmp_path / f"{name}.h5", clips, np.arange(len(classes)), classes=classes)
    files = [str(tmp_path / f"{name}.h5") for name in ("ours", "more", "both")]
    assert main(["data", "join", *files[:2], "--out", files[2]]) == 0
    said = capsys.readouterr().out
    assert "more.h5: 2 clips, speakers: 1; 1 left out: two" in said
    assert "both.h5 written: 4 clips" in said
    with h5py.File(files[2]) as file:
        assert file["labels"][:].tolist() == [0, 1, 0, 1]
