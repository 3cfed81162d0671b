"""Classes and speakers from names of files."""

from __future__ import annotations

import pytest

from ranvier.audio.naming import Naming, guess_naming
from ranvier.data import DataError


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


def test_class_folders_count_more_than_names_that_look_known() -> None:
    pets = [f"pets/{name}/{i % 2}_mic{i % 2}_{i}.wav" for name in ("cat", "dog") for i in range(4)]
    naming, how = guess_naming(pets)
    assert {naming.read(path) for path in pets} == {("cat", None), ("dog", None)}
    assert how == "classes named by folders"


@pytest.mark.parametrize("folders", [("7", "3"), ("seven", "three"), ("jackson", "theo")])
def test_known_names_count_where_folders_agree_with_them(folders: tuple[str, str]) -> None:
    paths = [f"fsdd/{folders[0]}/7_jackson_32.wav", f"fsdd/{folders[1]}/3_theo_1.wav"]
    naming, how = guess_naming(paths)
    assert [naming.read(path) for path in paths] == [("7", "jackson"), ("3", "theo")]
    assert how == "named as in the Free Spoken Digit Dataset"


@pytest.mark.parametrize("split", [("train", "test"), ("Training", "Validation", "Test")])
def test_a_division_into_training_and_test_is_not_two_classes(split: tuple[str, ...]) -> None:
    for below in ("", "yes/"):
        with pytest.raises(DataError, match="division into training and test"):
            guess_naming([f"words/{name}/{below}{i}.wav" for name in split for i in range(2)])
    # a word may be called test
    assert guess_naming(["words/test/0.wav", "words/no/0.wav"])[0].read("words/test/0.wav") == ("test", None)


def test_crossed_folders_are_refused_with_patterns_that_read_them() -> None:
    paths = [f"words/{word}/{who}/{i}.wav" for word in ("no", "yes") for who in ("anna", "bert") for i in range(3)]
    with pytest.raises(DataError, match="class / speaker or speaker / class") as refused:
        guess_naming(paths)
    outer, inner = str(refused.value).split("'")[1::2]
    assert {Naming(outer, inner).read(path) for path in paths} == {
        (word, who) for word in ("no", "yes") for who in ("anna", "bert")
    }
    nested = ["words/en/yes/0.wav", "words/en/no/0.wav", "words/de/ja/0.wav", "words/de/nein/0.wav"]
    assert [guess_naming(nested)[0].read(path)[0] for path in nested] == ["yes", "no", "ja", "nein"]


def test_patterns_find_decomposed_letters() -> None:
    assert Naming("(zwo\u0308lf)").read("a/zw\u00f6lf.wav") == ("zw\u00f6lf", None)
