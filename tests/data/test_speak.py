"""Words spoken into files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ranvier.data import DataError
from ranvier.data.kokoro import VOICES, KokoroSpeaker
from ranvier.data.naming import guess_naming
from ranvier.data.sound import trimmed
from ranvier.data.speak import Speaker, Utterance, _begin_process, _make, speak, speakers, utterances

CALL: dict[str, Any] = {"voices": 2, "takes": 1, "workers": 2}


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_voices_come_first_then_blends_of_two() -> None:
    drawn = speakers(300, 0)
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
    assert drawn[:57] == speakers(57, 0)
    assert drawn[:3] == speakers(3, 0)
    assert speakers(3, 1) != speakers(3, 0)
    assert speakers(55, 1)[54] != drawn[54]


def test_british_voices_speak_british() -> None:
    for speaker in speakers(80, 0):
        assert speaker.british == (speaker.blend[0][0].partition("_")[0] in ("bf", "bm"))
    assert any(speaker.british for speaker in speakers(80, 0)[54:])


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
    row = Utterance("four", Speaker("blend-1", (("bm_lewis", 0.4), ("af_sky", 0.6))), 0, "?", 1.3, 7)
    _begin_process(kokoro, tmp_path, 24000)
    _make(row)
    samples, _ = soundfile.read(tmp_path / "four_blend-1_0.wav")
    speaker = KokoroSpeaker(*kokoro)
    style = speaker.style([("bm_lewis", 0.4), ("af_sky", 0.6)], 7)
    expected = trimmed(speaker.say(speaker.phonemes("four", british=True) + "?", style, 1.3)).samples
    np.testing.assert_allclose(samples, expected * (0.7 / np.abs(expected).max()), atol=2 / 32768)


def test_a_stopped_call_is_continued_to_the_same_files(kokoro: Sequence[Path], tmp_path: Path) -> None:
    speak(["yes", "no"], tmp_path / "whole", **CALL)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        speak(["yes", "no"], tmp_path / "a", **CALL, progress=stop)
    assert not (tmp_path / "a").exists()
    begun = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "a.part").glob("*.wav")}
    assert 2 <= len(begun) <= 4
    with pytest.raises(DataError, match=r"a\.part: is not the beginning of this call \(remove it"):
        speak(["yes", "no"], tmp_path / "a", **CALL, rate=16000)
    told: list[tuple[int, int]] = []
    speak(["yes", "no"], tmp_path / "a", **CALL, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 4) for done in range(len(begun) + 1, 5)]
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")
    for name, when in begun.items():
        assert (tmp_path / "a" / name).stat().st_mtime_ns == when
    assert not (tmp_path / "a.part").exists()


def test_a_strange_folder_is_left_alone(kokoro: Sequence[Path], tmp_path: Path) -> None:
    (tmp_path / "a.part").mkdir()
    (tmp_path / "a.part" / "mine.txt").touch()
    with pytest.raises(DataError, match="is not the beginning of this call"):
        speak(["yes", "no"], tmp_path / "a", **CALL)
    assert [file.name for file in (tmp_path / "a.part").iterdir()] == ["mine.txt"]


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
