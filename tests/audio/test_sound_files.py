"""Nothing below a folder is passed over without being listed."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ranvier.audio.ear import Ear
from ranvier.audio.encode import EncodeResult, encode
from ranvier.audio.sound import LONGEST_S, Sound, read_sound
from ranvier.audio.sound_files import find_sounds
from ranvier.data import DataError, Grid, read_recording

EAR = Ear(channels=16)


def tone(seed: int = 0, seconds: float = 0.1, rate: int = 8000) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return 0.3 * np.sin(2 * np.pi * 600 * np.arange(round(seconds * rate)) / rate) + generator.normal(
        0, 0.01, round(seconds * rate)
    )


def save(path: Path, seed: int = 0, seconds: float = 0.1, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(seed, seconds), 8000, **how)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def words(tmp_path: Path) -> Path:
    for word in ("no", "yes"):
        save(tmp_path / "words" / word / "0.wav")
    return tmp_path / "words"


def encoded(folder: Path, cache: Path) -> EncodeResult:
    return encode([folder], folder.parent / "out.h5", ear=EAR, cache=cache)


def names(folder: Path) -> list[str]:
    return [name for _, name in find_sounds([folder]).files]


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        ("mp3", {}), ("aiff", {}), ("AIF", {"format": "AIFF"}), ("opus", {"format": "OGG", "subtype": "OPUS"}),
        ("oga", {"format": "OGG"}), ("w64", {}), ("au", {}), ("rf64", {"format": "RF64"}), ("WAV", {"format": "WAV"}),
        ("caf", {}), ("flac", {}), ("sound", {"format": "WAV"}), ("", {"format": "FLAC"}),
    ],
)  # fmt: skip
def test_every_format_of_libsndfile_is_found_and_encoded(
    words: Path, cache: Path, ending: str, how: dict[str, Any]
) -> None:
    save(words / "yes" / f"1{'.' if ending else ''}{ending}", 1, **how)
    result = encoded(words, cache)
    assert (result.clips, result.left_out, result.notes) == (3, (), ())


def test_what_is_passed_over_is_listed(words: Path, cache: Path) -> None:
    (words / "yes" / "phone.m4a").write_bytes(b"\0\0\0 ftypM4A " + bytes(99))
    (words / "yes" / "noise.mp3").write_bytes(b"no sound at all" * 99)
    (words / "yes" / "gone.wav").symlink_to(words / "nowhere.wav")
    (words / "LICENSE").write_text("free")
    (words / "no" / "a.txt").write_text("text")
    (words / "maybe").mkdir()
    (words / "maybe" / "0.wav").write_bytes(b"RIFF")
    (words / "none").mkdir()
    save(words / "_background_noise_" / "hum.wav")
    result = encoded(words, cache)
    assert result.clips == 2
    assert sorted(name for name, _ in result.left_out) == [
        f"words/{name}" for name in ("maybe/0.wav", "yes/gone.wav", "yes/noise.mp3", "yes/phone.m4a")
    ]
    assert len(result.notes) == 4
    for part in ("words/_background_noise_: 1", "words/none: ", "words/maybe: ", "1 .txt, 1 without"):
        assert sum(part in note for note in result.notes) == 1


def test_only_dot_files_and_background_noise_are_not_sound(tmp_path: Path) -> None:
    kept = ["_silence_/0.wav", "_unknown_/0.wav", "yes/_take3.wav", "yes/_ _.wav"]
    for name in [*kept, "_background_noise_/hum.wav", "yes/._0.wav", ".trash/0.wav"]:
        save(tmp_path / name)
    assert names(tmp_path) == sorted(f"{tmp_path.name}/{name}" for name in kept)


def test_links_are_followed_once(words: Path, tmp_path: Path) -> None:
    save(tmp_path / "elsewhere" / "1.wav")
    (words / "yes" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (words / "yes" / "round").symlink_to(words, target_is_directory=True)
    (words / "no" / "1.wav").symlink_to(tmp_path / "elsewhere" / "1.wav")
    assert names(words) == ["words/no/0.wav", "words/no/1.wav", "words/yes/0.wav", "words/yes/more/1.wav"]


def test_composed_and_decomposed_names_are_one_class(tmp_path: Path, cache: Path) -> None:
    for number, form in enumerate(("NFC", "NFD")):
        save(tmp_path / "words" / unicodedata.normalize(form, "zwölf") / f"{number}.wav", number)  # type: ignore[arg-type]
    save(tmp_path / "words" / "elf" / "0.wav")
    assert encoded(tmp_path / "words", cache).classes == ("elf", "zwölf")


def test_classes_and_speakers_that_are_numbers_are_in_their_order(tmp_path: Path, cache: Path) -> None:
    for number in (10, 9, 2, 1):
        save(tmp_path / "digits" / f"{number}_{20 - number}_0.wav", number)
    pattern = r"/(?P<label>\d+)_(?P<speaker>\d+)_"
    from ranvier.audio.naming import Naming

    encode([tmp_path / "digits"], tmp_path / "out.h5", ear=EAR, naming=Naming(pattern), cache=cache)
    dataset = read_recording(tmp_path / "out.h5", Grid(16, 1, 10.0))
    assert dataset.classes == ("1", "2", "9", "10")
    assert dataset.speaker_names == ("10", "11", "18", "19")


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "w64", "rf64"])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, ending: str) -> None:
    how: dict[str, Any] = {"opus": {"format": "OGG", "subtype": "OPUS"}, "rf64": {"format": "RF64"}}.get(ending, {})
    seconds = 8.0  # several pages of Ogg
    file = save(tmp_path / f"a.{ending}", 0, seconds, **how)
    assert read_sound(file).seconds == pytest.approx(seconds, abs=0.1)
    whole = file.read_bytes()
    for share in (0.3, 0.6, 0.9):
        file.write_bytes(whole[: round(share * len(whole))])
        with pytest.raises(DataError) as refused:
            read_sound(file)
        if ending in ("wav", "mp3", "aiff", "au", "w64", "rf64"):
            found = re.search(r"([\d.]+) s of the ([\d.]+) s", str(refused.value))
            assert found is not None
            assert [float(length) for length in found.groups()] == pytest.approx([share * seconds, seconds], abs=0.4)


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_that_was_written_into_a_pipe_has_no_declared_length(tmp_path: Path, size: int) -> None:
    file = save(tmp_path / "a.wav")
    whole = bytearray(file.read_bytes())
    at = whole.index(b"data") + 4
    whole[at : at + 4] = size.to_bytes(4, "little")
    whole[4:8] = min(size + 36, 0xFFFFFFFF).to_bytes(4, "little")
    file.write_bytes(whole)
    assert read_sound(file).seconds == 0.1


@pytest.mark.parametrize("ear", [EAR, Ear(channels=16, emphasis_hz=300, flatten=0.7)])
def test_a_constant_offset_changes_no_more_than_a_spike_in_twenty(ear: Ear, cache: Path) -> None:
    speech = tone(0, 0.4) * np.repeat([0.1, 1, 0.3, 0.0], 800)
    speech -= speech.mean()
    expected = len(ear.encode(Sound(speech, 8000), np.random.default_rng(0), cache=cache)[0])
    assert expected > 40
    for offset in (0.05, 0.5):
        spikes = len(ear.encode(Sound(speech + offset, 8000), np.random.default_rng(0), cache=cache)[0])
        assert abs(spikes - expected) <= 0.05 * expected


def test_the_longest_sound_is_checked_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lasts 17 s"):
        read_sound(save(tmp_path / "long.flac", 0, LONGEST_S + 1))
