"""Classes and speakers from names of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ranvier.data import DataError
from ranvier.data.naming import Naming, find_sounds, guess_naming


def test_folders_name_classes() -> None:
    naming, how = guess_naming(["sounds/cat/a.wav", "sounds/dog/b.wav"])
    assert naming.read("sounds/cat/a.wav") == ("cat", None)
    assert how == "classes named by folders"


@pytest.mark.parametrize(
    ("path", "label", "speaker", "title"),
    [
        ("fsdd/7_jackson_32.wav", "7", "jackson", "the Free Spoken Digit Dataset"),
        ("audio/lang-german_speaker-06_trial-0_digit-2.flac", "german-2", "06", "the Heidelberg Digits"),
        ("gsc/bed/00176480_nohash_0.wav", "bed", "00176480", "Google Speech Commands"),
    ],
)
def test_known_collections_are_recognised(path: str, label: str, speaker: str, title: str) -> None:
    naming, how = guess_naming([path, path])
    assert naming.read(path) == (label, speaker)
    assert how == f"named as in {title}"


def test_one_strange_name_and_it_is_no_known_collection() -> None:
    assert guess_naming(["fsdd/7_jackson_32.wav", "fsdd/readme.wav"])[1] == "classes named by folders"


def test_patterns() -> None:
    assert Naming(r"digit(\d)").read("a/digit7_bob.wav") == ("7", None)
    assert Naming(r"(?P<speaker>[a-z]+)-(?P<label>\w+)").read("x/ann-yes.wav") == ("yes", "ann")
    assert Naming(r"yes|no", r"_(\w+)\.").read("a/no_ann.wav") == ("no", "ann")
    assert Naming(None, r"_(\w+)\.").read("a/no_ann.wav") == ("a", "ann")
    assert Naming(r"(?P<digit>\d)_").read("a/7_x.wav") == ("7", None)
    with pytest.raises(DataError, match="finds nothing"):
        Naming("(x)?yes").read("a/yes.wav")
    with pytest.raises(DataError, match="label pattern 'q' is not found"):
        Naming("q").read("a/b.wav")
    with pytest.raises(DataError, match="speaker pattern 'q' is not found"):
        Naming(None, "q").read("a/b.wav")
    with pytest.raises(DataError, match=r"label pattern '\(': not a regular expression"):
        Naming("(")


def test_sounds_are_found_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b/2.WAV", "b/1.flac", "a/x.ogg", "a/notes.txt", "a/.hidden.wav", "_background_noise_/n.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    top = tmp_path.name
    found = find_sounds([tmp_path, tmp_path / "b" / "1.flac"], (".wav", ".flac", ".ogg"))
    assert [name for _, name in found] == ["b/1.flac", f"{top}/a/x.ogg", f"{top}/b/2.WAV"]
    with pytest.raises(DataError, match="no such file or folder"):
        find_sounds([tmp_path / "none"], (".wav",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no sound files"):
        find_sounds([tmp_path / "empty"], (".wav",))
