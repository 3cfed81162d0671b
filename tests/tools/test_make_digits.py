"""The tool that makes the package's digits: the same bytes, wherever eSpeak NG is installed."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ranvier.corpora.digits import SPLITS, read_digits
from ranvier.data import DataError
from tools.make_digits.__main__ import main
from tools.make_digits.make import encode, utterances, voices
from tools.make_digits.speech import Speaker, Voice, say_alone

needs_espeak = pytest.mark.skipif(
    find_spec("espeakng_loader") is None,
    reason="eSpeak NG is not installed (pip install -r tools/make_digits/requirements.txt)",
)


@needs_espeak
def test_clips_made_again_have_the_same_bytes(tmp_path: Path) -> None:
    digits = read_digits()
    rows = utterances(0)
    assert len(rows) == len(digits.labels)
    # both languages, every split
    chosen = [7, 1430, 2039]
    assert [rows[clip].split for clip in chosen] == list(SPLITS)
    made = encode([rows[clip] for clip in chosen], 0, wav=tmp_path / "wav", cache=tmp_path)
    end = np.cumsum(digits.lengths)
    for clip, counts in zip(chosen, made, strict=True):
        assert counts.tobytes() == digits.counts[end[clip] - digits.lengths[clip] : end[clip]].tobytes()
        assert digits.labels[clip] == rows[clip].label
        assert digits.names[digits.voices[clip]] == rows[clip].voice
    assert len(list((tmp_path / "wav").glob("*.wav"))) == 3


@needs_espeak
def test_what_is_said_hangs_on_nothing_before() -> None:
    from multiprocessing import get_context

    voice = Voice("en-us+f3", 180, 60, 40)  # with breath, which is random
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        one, other = pool.map(say_alone, [("seven", voice), ("sieben", voice)], chunksize=1)
        time.sleep(1.1)  # a clock in seconds would seed it otherwise now
        (again,) = pool.map(say_alone, [("seven", voice)], chunksize=1)
    assert not isinstance(one, str)
    assert not isinstance(other, str)
    assert not isinstance(again, str)
    assert one.samples.tobytes() == again.samples.tobytes() != other.samples.tobytes()
    assert 0.2 < one.seconds < 1.5


def test_voices_are_drawn_by_the_seed() -> None:
    assert voices(0) == voices(0) != voices(1)
    assert len({row.spoken.words_per_minute for row in utterances(0)}) > 50


@needs_espeak
def test_a_voice_that_is_not_known() -> None:
    assert say_alone(("zero", Voice("xx+none"))) == "voice 'xx+none' is not known to eSpeak NG"


def test_without_espeak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(DataError, match=r"pip install -r tools/make_digits/requirements\.txt"):
        Speaker()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "none/x.npz.xz"], "none: no such folder"),
        (["--out", "digits.h5"], "digits.h5: is not a .npz.xz file's name"),
        (["--out", "there.npz.xz"], "there.npz.xz: exists already"),
        (["--out", "x.npz.xz", "--seed", "-1"], "--seed -1"),
        (["--out", "x.npz.xz", "--workers", "0"], "--workers 0"),
    ],
)
def test_what_is_refused(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.npz.xz").touch()
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there.npz.xz"]
