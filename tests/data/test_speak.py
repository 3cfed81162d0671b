"""Words spoken into files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ranvier.data import DataError
from ranvier.data.kokoro import VOICES, Kokoro
from ranvier.data.naming import guess_naming
from ranvier.data.sound import trimmed
from ranvier.data.speak import SpokenVoice, Utterance, _make, speak, spoken_voices, utterances
from ranvier.locks import file_lock

CALL: dict[str, Any] = {"voices": 2, "takes": 1, "workers": 2}


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_voices_come_first_then_blends_of_two() -> None:
    drawn = spoken_voices(300, 0)
    assert len({speaker.name for speaker in drawn}) == 300
    alone, blends = drawn[:54], drawn[54:]
    assert sorted(speaker.blend for speaker in alone) == [((name, 1.0),) for name in VOICES]
    assert [speaker.name for speaker in alone] == [speaker.blend[0][0].replace("_", "-") for speaker in alone]
    assert [speaker.name for speaker in blends] == [f"blend-{number}" for number in range(1, 247)]
    for speaker in blends:
        (first, share), (second, rest) = speaker.blend
        assert first != second
        assert 0.3 <= share <= 0.7
        assert share + rest == pytest.approx(1)
    assert drawn[:57] == spoken_voices(57, 0)
    assert drawn[:3] == spoken_voices(3, 0)
    assert spoken_voices(3, 1) != spoken_voices(3, 0)
    assert spoken_voices(55, 1)[54] != drawn[54]


def test_british_voices_speak_british() -> None:
    for speaker in spoken_voices(80, 0):
        assert speaker.british == (speaker.blend[0][0].partition("_")[0] in ("bf", "bm"))
    assert any(speaker.british for speaker in spoken_voices(80, 0)[54:])


def test_how_a_word_is_said_hangs_on_itself_voice_take_and_seed_alone() -> None:
    rows = utterances(["0", "1"], voices=3, takes=4, seed=0)
    assert len({row.file for row in rows}) == 24
    assert {row.file: row for row in utterances(["1"], voices=2, takes=2, seed=0)}.items() <= {
        row.file: row for row in rows
    }.items()
    many = utterances(["0"], voices=54, takes=40, seed=0)
    again = {row.file: row.speed for row in utterances(["0"], voices=54, takes=40, seed=1)}
    assert all(again[row.file] != row.speed for row in many)
    assert {row.mark for row in many} == {"", ".", "!", "?"}
    assert np.mean([row.mark == "" for row in many]) == pytest.approx(0.4, abs=0.04)
    assert 0.9 <= min(row.speed for row in many) < 0.91
    assert 1.59 < max(row.speed for row in many) <= 1.6
    assert {row.style_row for row in many} == set(range(3, 60))


def test_files_are_named_so_that_encode_knows_them() -> None:
    names = [row.file for row in utterances(["0", "turn left"], voices=60, takes=1, seed=0)]
    naming, how = guess_naming([f"spoken/{name}" for name in names])
    assert how == "named as in spoken words of this package"
    assert naming.read("spoken/turn left_af-heart_0.wav") == ("turn left", "af-heart")
    assert naming.read("spoken/0_blend-12_2.wav") == ("0", "blend-12")
    # digits can be heard together with recorded ones
    naming, how = guess_naming([f"spoken/{name}" for name in names if name[0] == "0"] + ["fsdd/7_jackson_32.wav"])
    assert how == "named as in the Free Spoken Digit Dataset"
    assert naming.read("spoken/0_blend-12_2.wav") == ("0", "blend-12")


def test_words_are_written_at_the_rate_that_was_asked_for(kokoro: Sequence[Path], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    rows = speak(["0", "turn left"], tmp_path / "a", **CALL, progress=lambda done, total: told.append((done, total)))
    speak(["0", "turn left"], tmp_path / "b", rate=8000, **CALL)
    assert sorted(row.file for row in rows) == sorted(contents(tmp_path / "a"))
    assert told == [(done, 4) for done in range(1, 5)]
    for row in rows:
        samples, rate = soundfile.read(tmp_path / "a" / row.file)
        assert rate == 24000
        slow, less = soundfile.read(tmp_path / "b" / row.file)
        assert less == 8000
        assert len(slow) / less == pytest.approx(len(samples) / rate, abs=1e-3)
        assert 0.2 < len(samples) / rate < 1.5
        assert np.abs(samples).max() == pytest.approx(0.7, abs=1e-3)
        # but for 20 ms, silence is cut off at both ends
        loud = np.flatnonzero(np.abs(samples) > 0.02 * 0.7)
        assert loud[0] < 0.025 * rate
        assert len(samples) - loud[-1] < 0.025 * rate
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]


def test_a_file_is_what_its_voices_say_in_its_manner(kokoro: Sequence[Path], tmp_path: Path) -> None:
    row = Utterance("four", SpokenVoice("blend-1", (("bm_lewis", 0.4), ("af_sky", 0.6))), 0, "?", 1.3, 7)
    speaker = Kokoro(*kokoro)
    _make(row, speaker, tmp_path, 24000)
    samples, _ = soundfile.read(tmp_path / "four_blend-1_0.wav")
    style = speaker.style([("bm_lewis", 0.4), ("af_sky", 0.6)], 7)
    expected = trimmed(speaker.say(speaker.phonemes("four", british=True) + "?", style, 1.3)).samples
    np.testing.assert_allclose(samples, expected * (0.7 / np.abs(expected).max()), atol=2 / 32768)


def test_noise_is_drawn_for_each_file_and_changes_nothing_else() -> None:
    clean = utterances(["0"], voices=54, takes=40, seed=0)
    rows = utterances(["0"], voices=54, takes=40, seed=0, noise=True)
    assert [replace(row, background=None) for row in rows] == clean
    grounds = [row.background for row in rows if row.background is not None]
    assert len({ground.seed for ground in grounds}) == len(rows) == len(clean)
    below = [ground.below_db for ground in grounds]
    assert 10 <= min(below) < 10.1
    assert 39.9 < max(below) <= 40
    assert np.mean([ground.colour == "pink" for ground in grounds]) == pytest.approx(0.5, abs=0.04)
    assert {ground.colour for ground in grounds} == {"white", "pink"}
    again = utterances(["0"], voices=54, takes=40, seed=1, noise=True)
    assert all(row.background != other.background for row, other in zip(rows, again, strict=True))
    assert utterances(["1", "0"], voices=2, takes=1, seed=0, noise=True)[1] == rows[0]


def test_noise_lies_so_many_decibels_below_the_speech(kokoro: Sequence[Path], tmp_path: Path) -> None:
    """What is left when the clean file, as loud as it is within the noisy one, is taken away."""
    for folder, noise in (("clean", False), ("noisy", True), ("again", True)):
        speak(["yes", "no"], tmp_path / folder, **(CALL | {"voices": 4}), rate=8000, noise=noise)
    assert contents(tmp_path / "noisy") == contents(tmp_path / "again")
    for row in utterances(["yes", "no"], voices=4, takes=1, seed=0, noise=True):
        assert row.background is not None
        clean, noisy = (soundfile.read(tmp_path / folder / row.file)[0] for folder in ("clean", "noisy"))
        assert np.abs(noisy).max() == pytest.approx(0.7, abs=1e-3)
        noise = noisy - clean * (noisy @ clean) / (clean @ clean)
        below_db = 10 * np.log10(np.var(noisy - noise) / np.mean(noise**2))
        assert below_db == pytest.approx(row.background.below_db, abs=0.7)
        power = np.abs(np.fft.rfft(noise)) ** 2
        low, high = np.array_split(power[1:], 2)
        assert (low.sum() > 3 * high.sum()) == (row.background.colour == "pink")


def test_a_killed_call_is_continued_to_the_same_files(kokoro: Sequence[Path], tmp_path: Path) -> None:
    many: dict[str, Any] = {"voices": 4, "takes": 2, "workers": 2}
    speak(["yes", "no"], tmp_path / "whole", **many)
    script = (
        "import os, sys; from ranvier.data.speak import speak; speak(['yes', 'no'], sys.argv[1], voices=4, takes=2, "
        "workers=2, progress=lambda done, _: done < 4 or os._exit(7))"
    )
    cache = {"RANVIER_CACHE": str(kokoro[0].parents[1])}
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], env=os.environ | cache, check=False)
    assert killed.returncode == 7
    assert not (tmp_path / "a").exists()
    begun = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "a.part").glob("*.wav")}
    assert 4 <= len(begun) < 16
    (tmp_path / "a.part" / "no_af-sky_0.wav.123.tmp").touch()
    told: list[tuple[int, int]] = []
    speak(["no", "yes"], tmp_path / "a", **many, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 16) for done in range(len(begun) + 1, 17)]
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")
    for name, when in begun.items():
        assert (tmp_path / "a" / name).stat().st_mtime_ns == when
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "whole"]


def test_an_interrupt_ends_it_soon_and_leaves_nothing_half_written(kokoro: Sequence[Path], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        speak(["yes", "no"], tmp_path / "a", voices=20, takes=1, workers=2, progress=stop)
    assert [file.name for file in tmp_path.iterdir()] == ["a.part"]
    made = contents(tmp_path / "a.part")
    assert 2 <= len(made) <= 6  # the plan, and the files that were being made
    assert not [name for name in made if name.endswith(".tmp")]


def test_another_call_s_beginning_is_left_alone(kokoro: Sequence[Path], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        speak(["yes", "no"], tmp_path / "a", **CALL, progress=stop)
    before = contents(tmp_path / "a.part")
    for changes, says in (
        ({"rate": 16000}, "rate 24000"),
        ({"noise": True}, "noise False"),
        ({"seed": 1, "takes": 2}, "takes 1, seed 0"),
    ):
        with pytest.raises(DataError, match=rf"a\.part: was begun with {says} \(remove it, or"):
            speak(["yes", "no"], tmp_path / "a", **(CALL | changes))
    with pytest.raises(DataError, match=r"a\.part: was begun with words \['no', 'yes'\] \("):
        speak(["yes", "stop"], tmp_path / "a", **CALL)
    assert contents(tmp_path / "a.part") == before


@pytest.mark.parametrize("name", ["mine.txt", "plan.json"])
def test_a_strange_folder_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.part").mkdir()
    (tmp_path / "a.part" / name).write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"a\.part: was begun with something else \("):
        speak(["yes", "no"], tmp_path / "a", **CALL)
    assert contents(tmp_path / "a.part") == {name: b"\xff"}


def test_what_was_killed_at_its_very_beginning_is_begun_again(kokoro: Sequence[Path], tmp_path: Path) -> None:
    (tmp_path / "a.part").mkdir()
    (tmp_path / "a.part" / "plan.json.1.tmp").touch()
    speak(["yes", "no"], tmp_path / "a", **CALL)
    assert len(contents(tmp_path / "a")) == 4


def test_two_processes_do_not_make_the_same_folder(kokoro: Sequence[Path], tmp_path: Path) -> None:
    with file_lock(tmp_path / "a.lock"), pytest.raises(DataError, match="a: another process is making it"):
        speak(["yes", "no"], tmp_path / "a", **CALL)
    assert not (tmp_path / "a.part").exists()


def test_a_folder_that_appears_meanwhile_is_left_alone(
    kokoro: Sequence[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def appears(*_: object, **__: object) -> Sequence[Path]:
        (tmp_path / "a").symlink_to("nowhere")
        return kokoro

    monkeypatch.setattr("ranvier.data.speak.fetch_kokoro", appears)
    with pytest.raises(DataError, match="a: exists already"):
        speak(["yes", "no"], tmp_path / "a", **CALL)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_words_that_sound_alike_are_refused(kokoro: Sequence[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="words: '7' and 'seven' sound alike"):
        speak(["7", "seven"], tmp_path / "a", **CALL)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_in_a_line(kokoro: Sequence[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "yes" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=r"a: cannot be written \(the disk that holds .*a\.part is full"):
        speak(["yes", "no"], tmp_path / "a", **CALL)
    assert [file.name for file in tmp_path.iterdir()] == ["a.part"]


@pytest.mark.parametrize(
    ("words", "changes", "says"),
    [
        (["yes"], {}, "words: two or more are needed, each once"),
        (["yes", "yes"], {}, "words: two or more are needed, each once"),
        (["yes", "Yes"], {}, "words: two or more are needed, each once"),
        (["yes", "a/b"], {}, "words: 'a/b' is not allowed"),
        (["yes", "a_b"], {}, "words: 'a_b' is not allowed"),
        (["yes", ""], {}, "words: '' is not allowed"),
        (["yes", ".."], {}, "words: '..' is not allowed"),
        (["yes", "-x"], {}, "words: '-x' is not allowed"),
        (["yes", "no "], {}, "words: 'no ' is not allowed"),
        (["yes", "n" * 61], {}, "is not allowed (A-Z a-z 0-9, with spaces . ' - between them, up to 60)"),
        (["yes", "日"], {}, "words: '日' is not allowed"),  # eSpeak NG would say: Chinese letter
        (["yes", "no"], {"voices": 0}, "voices: 0 is not allowed (1 ... 10000)"),
        (["yes", "no"], {"takes": 0}, "takes: 0 is not allowed (1 ... 10000)"),
        (["yes", "no"], {"rate": 7999}, "rate: 7999 is not allowed (8000 ... 48000)"),
        ("yes no", {}, "words: 'yes no' is one (a list of two or more is needed)"),
        (["yes", "no"], {"workers": 0}, "workers: 0 is not allowed (1 ... 10000)"),
        (["yes", "no"], {"seed": -1}, "seed: -1 is not allowed (0 ... 9223372036854775807)"),
    ],
)
def test_what_is_not_allowed_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], changes: dict[str, int], says: str
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("downloads")

    monkeypatch.setattr("ranvier.data.speak.fetch_kokoro", never)
    with pytest.raises(DataError) as error:
        speak(words, tmp_path / "a", **changes)  # type: ignore[arg-type]
    assert says in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: no such folder"):
        speak(["yes", "no"], tmp_path / "none" / "a")
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="a: exists already"):
        speak(["yes", "no"], tmp_path / "a")
