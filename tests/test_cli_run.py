"""``ranvier run`` from outside: files, clips, a pipe; one line and exit code 2 for what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ranvier.cli import main
from ranvier.data import write_clips
from tests.recipes.test_live import RATE, burst, speech, two_bands


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, a recording without labels and two sounds."""
    folder = tmp_path_factory.mktemp("run")
    two_bands().write(folder / "network.safetensors")
    clips = [(np.linspace(0, 0.2, 40), np.full(40, unit)) for unit in (3, 100, 5)]
    write_clips(folder / "x.h5", clips, None, size=3)
    clips = [(np.array([0.0, end]), np.zeros(2, int)) for end in (0.1, 900, 0.2)]
    write_clips(folder / "long.h5", clips, None, size=3, time_unit="s")
    for name, band in (("high", (3_000, 7_000)), ("low", (150, 600))):
        soundfile.write(folder / f"{name}.wav", burst(*band), RATE)
    return folder


@pytest.fixture(autouse=True)
def _here(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    monkeypatch.setenv("RANVIER_CACHE", str(work / "cache"))


def piped(sound: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ranvier", "run", "network.safetensors", "-", *options]
    return subprocess.run(command, input=sound, capture_output=True, check=False)


@pytest.mark.parametrize("ear", ["streaming", "clip"])
def test_sound_files(ear: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "network.safetensors", "high.wav", "low.wav", "--ear", ear, "--json"]) == 0
    out, err = capsys.readouterr()
    said = [json.loads(line) for line in out.splitlines()]
    assert [(one["input"], one["name"], one["ear"]) for one in said] == [
        ("high.wav", "high", ear), ("low.wav", "low", ear),
    ]  # fmt: skip
    assert err == f"ranvier: ear: {ear}\n"


def test_clips_of_a_recording_without_labels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "network.safetensors", "x.h5", "--clips", "1-2"]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
        ["x.h5", "1", "low"], ["x.h5", "2", "high"],
    ]  # fmt: skip


def test_a_clip_that_is_too_long_is_named_with_what_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "network.safetensors", "long.h5"])
    out, err = capsys.readouterr()
    assert (stopped.value.code, len(out.splitlines())) == (2, 1)  # of the clip before
    steps_ms = 65535 * two_bands().dt_ms
    for part in ("long.h5: clip 1: ", "900 s", f"{steps_ms / 1000:.6g} s allowed", "--time-unit", "--clips"):
        assert part in err
    assert main(["run", "network.safetensors", "long.h5", "--clips", "0,2"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["0", "2"]
    assert main(["run", "network.safetensors", "long.h5", "--time-unit", "ms"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_what_helps_with_a_long_clip_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("late.npz", t=np.array([0, 900.0]), x=np.array([3, 3]))
    for words in (["x.h5", "long.h5"], ["late.npz", "--time-unit", "s"]):  # --clips is refused, or leaves none
        with pytest.raises(SystemExit):
            main(["run", "network.safetensors", *words])
        err = capsys.readouterr().err
        assert "--time-unit" in err
        assert "--clips" not in err


def test_a_file_of_events_is_a_clip(capsys: pytest.CaptureFixture[str]) -> None:
    times = np.linspace(0, 200, 40)  # ms
    np.savez("low.npz", t=times, x=np.full(40, 100))
    np.save("high.npy", np.stack([times, np.full(40, 5)]))
    Path("low.csv").write_text("t,x\n" + "".join(f"{time},100\n" for time in times))
    words = ["low.npz", "high.npy", "low.csv"]
    assert main(["run", "network.safetensors", *words, "--time-unit", "ms", "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["input"], one["clip"], one["name"]) for one in said] == [
        ("low.npz", 0, "low"), ("high.npy", 0, "high"), ("low.csv", 0, "low"),
    ]  # fmt: skip
    assert main(["run", "network.safetensors", "x.h5", "--json"]) == 0  # the same clips, in seconds
    expected = [json.loads(line)["margin"] for line in capsys.readouterr().out.splitlines()]
    assert [one["margin"] for one in said] == [expected[1], expected[2], expected[1]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["high.wav"], "--ear: nothing says which ear"),
        (["none.wav", "--ear", "clip"], "none.wav: no such file or folder"),
        (["x.h5", "--clips", "3"], "--clips: '3' is not allowed"),
        (["x.h5", "high.wav", "--clips", "1"], "--clips: is for one recording"),
        (["x.h5", "--rate", "8000"], "--rate: is for sound on standard input"),
        (["-", "high.wav"], "2 inputs: is not allowed with standard input"),
        (["high.wav", "--time-unit", "ms"], "--time-unit: is for recordings"),
        (["-", "--time-unit", "ms"], "--time-unit: is not allowed with standard input"),
        (["-", "--ear", "clip"], "--ear clip: is not allowed"),
        (["-", "--rate", "100"], "rate: 100 is not allowed (8000 ... 192000"),
    ],
)
def test_what_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "network.safetensors", *words])
    out, err = capsys.readouterr()
    assert (stopped.value.code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_unlabelled_clips_are_not_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["eval", "network.safetensors", "--data", "x.h5"], ["train", "folder", "--data-root", "x.h5"]):
        with pytest.raises(SystemExit) as stopped:
            main(command)
        err = capsys.readouterr().err
        assert (stopped.value.code, err.count("\n")) == (2, 1)
        assert "x.h5: has no labels" in err


@pytest.mark.parametrize("options", [[], ["--streaming"]])
def test_one_sound_is_encoded_and_run(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "low.wav", "--channels", "128", "--force", *options]) == 0
    assert capsys.readouterr().out.startswith("low.h5 written: 1 clips, ")
    assert main(["run", "network.safetensors", "low.h5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "low"


def test_what_takes_the_whole_clip_is_refused_with_streaming(capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--ramp-ms", "30"], ["--flatten", "0.7"], ["--emphasis-hz", "300"]):
        with pytest.raises(SystemExit) as stopped:
            main(["encode", "low.wav", "--streaming", "--out", "no.h5", *option])
        assert stopped.value.code == 2
        assert f"{option[0]}: takes the whole clip" in capsys.readouterr().err


def test_a_pipe() -> None:
    sound = (speech() * 32767).astype("<i2").tobytes()
    done = piped(sound, "--rate", str(RATE), "--json")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [one["name"] for one in said] == ["low", "high", "low"]
    assert all(one["latency_ms"] > 36 for one in said)
    assert done.stderr == b"ranvier: ear: streaming, 48 ms, 16000 samples per second\n"
    cut = piped(sound + b"x", "--rate", str(RATE))
    assert cut.returncode == 2
    assert len(cut.stdout.splitlines()) == 3
    assert b"is cut short within a sample" in cut.stderr.splitlines()[-1]


@pytest.mark.slow
def test_an_endless_pipe_is_followed_until_it_is_stopped() -> None:
    """A decision is there before the sound ends; an interrupt ends it in one line."""
    command = [sys.executable, "-m", "ranvier", "run", "network.safetensors", "-", "--rate", str(RATE)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
        # a shell's background job ignores it, and so do the processes that it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdin.write((speech() * 32767).astype("<i2").tobytes())
        running.stdin.flush()
        assert b"low" in running.stdout.readline()
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        assert running.stderr.read().splitlines()[1:] == [b"", b"ranvier: stopped"]
