"""Google Speech Commands: real recordings of three words, and folders of noise laid out like the whole set."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import soundfile

from ranvier.audio.mel import DEFAULT, PAPER, MelSettings, log_mel
from ranvier.audio.sound import read_sound
from ranvier.audio.sound_files import NOISE
from ranvier.corpora.gsc import (
    TEN_WORDS,
    Split,
    clips,
    disagreements,
    gsc_files,
    partition,
    read_gsc,
    split_by_hash,
)
from ranvier.data import DataError
from tests.conftest import DATA

SPLITS: tuple[Split, ...] = get_args(Split)
OTHER_WORDS = ("bed", "cat", "happy", "zero")
SMALL = MelSettings(rate_hz=4000, window=64, fft=128, hop=400, bands=6, lowest_hz=50, highest_hz=2000)


@pytest.fixture(scope="module")
def three_words() -> Path:
    """330 clips under their published names, with lists."""
    root = DATA / "gsc-mini"
    if not root.is_dir():
        pytest.skip(f"the recordings are not at {root} (RANVIER_TEST_DATA names another folder)")
    return root


def speakers(count: int) -> list[str]:
    """Names as the published ones are."""
    return [hashlib.sha256(str(number).encode()).hexdigest()[:8] for number in range(count)]


def few_speakers() -> list[str]:
    """Six for training, three for each of the others."""
    per_split: dict[Split, list[str]] = {"train": [], "validation": [], "test": []}
    for name in speakers(100):
        per_split[split_by_hash(f"{name}_nohash_0.wav")].append(name)
    return [*per_split["train"][:6], *per_split["validation"][:3], *per_split["test"][:3]]


def write_wav(path: Path, seconds: float, generator: np.random.Generator, rate: int = 16000) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    soundfile.write(path, generator.normal(size=round(seconds * rate)) * 0.1, rate, subtype="PCM_16")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 words of noise, laid out like the whole set; not to be changed."""
    root = tmp_path_factory.mktemp("gsc") / "speech_commands_v0.02"
    generator = np.random.default_rng(0)
    for word in (*TEN_WORDS, *OTHER_WORDS):
        for speaker in few_speakers():
            write_wav(root / word / f"{speaker}_nohash_0.wav", 0.03, generator)
    write_wav(root / NOISE / "pink_noise.wav", 12.0, generator, 4000)
    write_wav(root / NOISE / "running_tap.wav", 36.0, generator, 4000)
    write_wav(root / NOISE / "too_short.wav", 1.2, generator, 4000)
    (root / NOISE / "README.md").write_text("noise")
    (root / "LICENSE").write_text("CC BY 4.0")
    write_lists(root)
    return root


@pytest.fixture
def made(whole: Path, tmp_path: Path) -> Path:
    """The same, for the test to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "gsc"))


def write_lists(root: Path) -> None:
    """The lists by the hash rule."""
    names = sorted(f"{path.parent.name}/{path.name}" for path in root.glob("[a-z]*/*.wav"))
    for file, split in (("validation_list.txt", "validation"), ("testing_list.txt", "test")):
        chosen = [name for name in names if split_by_hash(Path(name).name) == split]
        (root / file).write_text("".join(f"{name}\n" for name in chosen))


def remove_lists(root: Path) -> None:
    for name in ("validation_list.txt", "testing_list.txt"):
        (root / name).unlink()


def test_the_lists_of_real_recordings_are_the_hash_rules(three_words: Path) -> None:
    utterances = partition(three_words)
    assert len(utterances) == 330
    for one in utterances:
        assert one.path == three_words / one.word / one.path.name
        assert one.path.name.startswith(f"{one.speaker}_nohash_")
        name = f"{one.word}/{one.path.name}"
        listed: Split = "train"
        for file, split in (("validation_list.txt", "validation"), ("testing_list.txt", "test")):
            if name in (three_words / file).read_text().split():
                listed = split  # type: ignore[assignment]
        assert one.split == listed == split_by_hash(one.path.name)
    assert disagreements(three_words) == ()


def test_the_real_recordings_are_divided_60_25_25_per_word(three_words: Path) -> None:
    counts = Counter((one.word, one.split) for one in partition(three_words))
    sizes = {"train": 60, "validation": 25, "test": 25}
    assert counts == {(word, split): sizes[split] for word in ("bed", "cat", "happy") for split in SPLITS}
    for split in SPLITS:
        files = gsc_files(three_words, split)
        assert np.bincount(files.labels).tolist() == [sizes[split]] * 3
        assert files.classes == ("bed", "cat", "happy")


def test_no_speaker_is_in_two_splits(three_words: Path) -> None:
    per_split = [set(gsc_files(three_words, split).speakers.tolist()) for split in SPLITS]
    assert sum(map(len, per_split)) == len(set.union(*per_split))


def test_without_lists_the_hash_rule_divides(made: Path) -> None:
    with_lists = partition(made)
    remove_lists(made)
    assert partition(made) == with_lists
    assert {one.split for one in with_lists} == set(SPLITS)


def test_a_list_has_the_last_word_and_its_disagreement_is_found(made: Path) -> None:
    trained = next(one for one in partition(made) if one.split == "train")
    name = f"{trained.word}/{trained.path.name}"
    with (made / "testing_list.txt").open("a") as file:
        file.write(f"\n{name}\r\n")
    (found,) = disagreements(made)
    assert (found.path, found.split) == (trained.path, "test")
    assert split_by_hash(found.path.name) == "train"


def test_35_classes_are_all_words_sorted_and_the_same_in_every_split(whole: Path) -> None:
    for split in SPLITS:
        files = gsc_files(whole, split)
        assert files.classes == tuple(sorted((*TEN_WORDS, *OTHER_WORDS)))
        assert len(files) == len(files.paths) == len(files.labels) == len(files.speakers)
        for path, label, speaker in zip(files.paths, files.labels, files.speakers, strict=True):
            assert path.parent.name == files.classes[label]
            assert f"{speaker:08x}" == path.name[:8]
        assert np.isnan(files.start_s).all()


def test_a_word_that_a_split_lacks_is_a_class_all_the_same(made: Path) -> None:
    remove_lists(made)
    for path in (made / "cat").iterdir():
        if split_by_hash(path.name) == "test":
            path.unlink()
    files = gsc_files(made, "test")
    assert files.classes == tuple(sorted((*TEN_WORDS, *OTHER_WORDS)))
    assert files.classes.index("cat") not in files.labels


@pytest.mark.parametrize("split", SPLITS)
def test_12_classes_are_ten_commands_unknown_and_silence(whole: Path, split: Split) -> None:
    files = gsc_files(whole, split, 12, generator=np.random.default_rng(1))
    assert files.classes == (*TEN_WORDS, "unknown", "silence")
    everything = [one for one in partition(whole) if one.split == split]
    counts = np.bincount(files.labels, minlength=12)
    for number, word in enumerate(TEN_WORDS):
        expected = {one.path for one in everything if one.word == word}
        assert {files.paths[clip] for clip in np.flatnonzero(files.labels == number)} == expected
        assert counts[number] == len(expected) > 0
    assert counts[10] == counts[11] == round(counts[:10].mean())

    others = {one.path for one in everything if one.word not in TEN_WORDS}
    unknown = [files.paths[clip] for clip in np.flatnonzero(files.labels == 10)]
    assert len(set(unknown)) == len(unknown) < len(others)
    assert set(unknown) < others
    by_word = [sum(path.parent.name == word for path in unknown) for word in OTHER_WORDS]
    there = [sum(path.parent.name == word for path in others) for word in OTHER_WORDS]
    due = np.array(there) * len(unknown) / len(others)
    assert (np.abs(by_word - due) < 1).all(), "every word gives its part"
    silent = files.labels == 11
    assert (np.isnan(files.start_s) == ~silent).all()
    assert (files.speakers[silent] == -1).all()
    assert (files.speakers[~silent] >= 0).all()


def test_the_draw_is_the_generators(whole: Path) -> None:
    def draw(seed: int) -> tuple[Any, ...]:
        files = gsc_files(whole, "train", 12, generator=np.random.default_rng(seed))
        return files.paths, tuple(files.start_s[files.labels == 11])

    assert draw(5) == draw(5)
    one, other = draw(5), draw(6)
    assert one[0] != other[0]
    assert one[1] != other[1]


def test_words_that_are_fewer_than_a_command_has_clips_are_all_unknown(made: Path) -> None:
    remove_lists(made)
    for word in OTHER_WORDS[1:]:
        shutil.rmtree(made / word)
    train = [path for path in sorted((made / "bed").iterdir()) if split_by_hash(path.name) == "train"]
    for path in train[4:]:
        path.unlink()
    files = gsc_files(made, "train", 12, generator=np.random.default_rng(0))
    assert [path for path, label in zip(files.paths, files.labels, strict=True) if label == 10] == train[:4]


def test_silence_is_noise_of_one_second_and_none_is_in_two_splits(whole: Path) -> None:
    heard: dict[tuple[Path, int], Split] = {}
    for split in SPLITS:
        files = gsc_files(whole, split, 12, generator=np.random.default_rng(2))
        for clip in np.flatnonzero(files.labels == 11):
            path, start_s = files.paths[clip], files.start_s[clip]
            noise = read_sound(path, longest_s=60)
            first = round(start_s * noise.rate)
            piece = files.sound(int(clip))
            assert piece.rate == noise.rate
            np.testing.assert_array_equal(piece.samples, noise.samples[first : first + noise.rate])
            assert len(piece.samples) == noise.rate
            for sample in range(first, first + noise.rate):
                assert heard.setdefault((path, sample), split) == split
    assert {path.name for path, _ in heard} == {"pink_noise.wav", "running_tap.wav"}
    assert set(heard.values()) == set(SPLITS)


@pytest.mark.parametrize(("split", "begin", "end"), [("train", 0, 0.8), ("validation", 0.8, 0.9), ("test", 0.9, 1)])
def test_silence_comes_from_all_of_the_splits_own_stretch(whole: Path, split: Split, begin: float, end: float) -> None:
    shares: list[float] = []
    for seed in range(12):
        files = gsc_files(whole, split, 12, generator=np.random.default_rng(seed))
        room = {"pink_noise.wav": 12 * (end - begin) - 1, "running_tap.wav": 36 * (end - begin) - 1}
        for path, start_s in zip(files.paths, files.start_s.tolist(), strict=True):
            if not math.isnan(start_s):
                seconds = 12 if path.name == "pink_noise.wav" else 36
                shares.append((start_s - begin * seconds) / room[path.name])
    assert 0 <= min(shares) < 0.1
    assert 0.9 < max(shares) <= 1


def test_noise_that_has_changed_is_read_again(made: Path) -> None:
    files = gsc_files(made, "train", 12, generator=np.random.default_rng(0))
    clip = int(np.flatnonzero(files.labels == 11)[0])
    before = files.sound(clip).samples
    write_wav(files.paths[clip], 36.0, np.random.default_rng(7), 4000)
    assert not np.array_equal(files.sound(clip).samples, before)


@pytest.mark.parametrize("settings", [PAPER, DEFAULT], ids=["paper", "default"])
def test_frames_of_real_recordings(three_words: Path, tmp_path: Path, settings: MelSettings) -> None:
    seen: list[tuple[int, int]] = []
    dataset = read_gsc(
        three_words, "test", settings=settings, cache=tmp_path, progress=lambda *numbers: seen.append(numbers)
    )
    files = gsc_files(three_words, "test")
    assert len(dataset) == 75
    assert (dataset.sources, dataset.dt_ms, dataset.classes) == (140, 10.0, ("bed", "cat", "happy"))
    assert dataset.lengths.tolist() == [101] * 75
    assert dataset.labels.tolist() == files.labels.tolist()
    assert dataset.speakers.tolist() == files.speakers.tolist()
    for clip in (0, 31, 74):
        expected = log_mel(read_sound(files.paths[clip]), settings).astype(np.float16)
        np.testing.assert_array_equal(dataset.clip(clip), expected)
    assert seen == [(75, 75)]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file whose sound is read."""
    read: list[Path] = []

    def reading(path: Path, **options: Any) -> Any:
        read.append(path)
        return read_sound(path, **options)

    monkeypatch.setattr(clips, "read_sound", reading)
    return read


def test_frames_are_kept_for_the_next_time(whole: Path, tmp_path: Path, counted: list[Path]) -> None:
    cache = tmp_path / "cache"
    first = read_gsc(whole, "validation", settings=SMALL, cache=cache)
    assert len(counted) == len(first)
    again = read_gsc(whole, "validation", settings=SMALL, cache=cache)
    assert len(counted) == len(first)
    assert isinstance(again.frames, np.memmap)
    assert [file.suffix for file in cache.iterdir()] == [".npy"]
    everything = np.arange(len(first))
    for one, other in zip(first.batch(everything), again.batch(everything), strict=True):
        assert one.tolist() == other.tolist()
    np.testing.assert_array_equal(first.frames, again.frames)


def change_a_file(root: Path) -> None:
    (path,) = [one.path for one in partition(root) if one.split == "validation"][:1]
    write_wav(path, 0.03, np.random.default_rng(9))


def lose_a_file(root: Path) -> None:
    remove_lists(root)
    next(one.path for one in partition(root) if one.split == "validation").unlink()


@pytest.mark.parametrize("change", [change_a_file, lose_a_file])
def test_other_files_are_read_anew(
    made: Path, tmp_path: Path, counted: list[Path], change: Callable[[Path], None]
) -> None:
    read_gsc(made, "validation", settings=SMALL, cache=tmp_path / "cache")
    change(made)
    counted.clear()
    mended = read_gsc(made, "validation", settings=SMALL, cache=tmp_path / "cache")
    assert len(counted) == len(mended) > 0
    fresh = read_gsc(made, "validation", settings=SMALL, cache=tmp_path / "another")
    np.testing.assert_array_equal(mended.frames, fresh.frames)


def test_other_settings_splits_and_draws_are_kept_apart(whole: Path, tmp_path: Path) -> None:
    def read(split: Split, bands: int, seed: int | None) -> None:
        settings = MelSettings(
            rate_hz=4000, window=64, fft=128, hop=400, bands=bands, lowest_hz=50, highest_hz=2000, zero_db=-60
        )
        draw = {} if seed is None else {"classes": 12, "generator": np.random.default_rng(seed)}
        read_gsc(whole, split, settings=settings, cache=tmp_path / "cache", **draw)  # type: ignore[arg-type]

    variants = [("test", 6, None), ("test", 7, None), ("validation", 6, None), ("test", 6, 0), ("test", 6, 1)]
    for split, bands, seed in [*variants, variants[0], variants[3]]:
        read(split, bands, seed)  # type: ignore[arg-type]
    assert len(list((tmp_path / "cache").iterdir())) == len(variants)


def test_pieces_of_the_same_files_that_begin_elsewhere_are_kept_apart(made: Path, tmp_path: Path) -> None:
    remove_lists(made)
    no_other_words(made)
    write_wav(made / "bed" / next((made / "yes").iterdir()).name, 0.03, np.random.default_rng(0))
    (made / NOISE / "running_tap.wav").unlink()
    split = partition(made)[0].split
    draws = [gsc_files(made, split, 12, generator=np.random.default_rng(seed)) for seed in (0, 1)]
    assert draws[0].paths == draws[1].paths
    one, other = (
        read_gsc(made, split, classes=12, settings=SMALL, generator=np.random.default_rng(seed), cache=tmp_path / "c")
        for seed in (0, 1)
    )
    silent = draws[0].labels == 11
    differ = [bool((one.clip(clip) != other.clip(clip)).any()) for clip in range(len(one))]
    assert differ == silent.tolist()


def test_12_classes_have_frames_of_silence_too(whole: Path, tmp_path: Path) -> None:
    dataset = read_gsc(
        whole, "test", classes=12, settings=SMALL, generator=np.random.default_rng(0), cache=tmp_path / "cache"
    )
    files = gsc_files(whole, "test", 12, generator=np.random.default_rng(0))
    assert dataset.labels.tolist() == files.labels.tolist()
    silent = np.flatnonzero(files.labels == 11)
    for clip in silent:
        expected = log_mel(files.sound(int(clip)), SMALL).astype(np.float16)
        np.testing.assert_array_equal(dataset.clip(int(clip)), expected)
        # noise for the whole second, where the words of this folder end after 0.03 s
        assert expected[-1].min() > -60


def test_a_clip_in_which_nothing_is_heard_is_a_clip(made: Path, tmp_path: Path) -> None:
    path = gsc_files(made, "test").paths[3]
    soundfile.write(path, np.zeros(16000), 16000)
    dataset = read_gsc(made, "test", settings=SMALL, cache=tmp_path / "cache")
    assert (dataset.clip(3) == -100).all()
    assert not (dataset.clip(2) == -100).all()


def damaged(content: bytes) -> Callable[[Path], str]:
    def damage(root: Path) -> str:
        path = gsc_files(root, "test").paths[4]
        path.write_bytes(content)
        return f"{path}: is not a sound file"

    return damage


def of_one_sample(root: Path) -> str:
    path = gsc_files(root, "test").paths[4]
    soundfile.write(path, np.zeros(1), 16000)
    return f"{path}: lasts"


@pytest.mark.parametrize("damage", [damaged(b""), damaged(b"RIFF and no more"), of_one_sample])
def test_a_wav_that_cannot_be_read_is_named_and_nothing_is_kept(
    made: Path, tmp_path: Path, damage: Callable[[Path], str]
) -> None:
    said = damage(made)
    with pytest.raises(DataError) as refused:
        read_gsc(made, "test", settings=SMALL, cache=tmp_path / "cache")
    assert str(refused.value).startswith(said)
    assert len(str(refused.value).splitlines()) == 1
    assert list((tmp_path / "cache").iterdir()) == []


def no_folder(root: Path) -> None:
    shutil.rmtree(root)


def no_words(root: Path) -> None:
    for path in root.iterdir():
        if path.is_dir() and path.name != NOISE:
            shutil.rmtree(path)


def empty_word(root: Path) -> None:
    for path in (root / "cat").iterdir():
        path.rename(path.with_suffix(".mp3"))


def folder_above(root: Path) -> None:
    root.rename(root.with_name("inner"))
    root.mkdir()
    root.with_name("inner").rename(root / "speech_commands_v0.02")


def other_name(root: Path) -> None:
    write_wav(root / "cat" / "my_recording.wav", 0.03, np.random.default_rng(0))


def one_list(root: Path) -> None:
    (root / "testing_list.txt").unlink()


def listed_but_gone(root: Path) -> None:
    (root / "validation_list.txt").write_text("\nbed/00000000_nohash_0.wav\n")


def list_of_noise(root: Path) -> None:
    (root / "validation_list.txt").write_bytes(bytes(range(128, 256)))


def on_both_lists(root: Path) -> None:
    shutil.copy(root / "validation_list.txt", root / "testing_list.txt")


def all_tested(root: Path) -> None:
    names = sorted(f"{path.parent.name}/{path.name}" for path in root.glob("[a-z]*/*.wav"))
    (root / "testing_list.txt").write_text("\n".join(names))
    (root / "validation_list.txt").write_text("")


FAULTS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "no folder": (no_folder, ["{root}: is not a folder"]),
    "no words": (no_words, ["{root}: has no word folders"]),
    "an empty word": (empty_word, ["{root}/cat: holds no wav", "1 or more"]),
    "the folder above": (folder_above, ["{root}/speech_commands_v0.02: holds no wav"]),
    "another kind of name": (other_name, ["{root}/cat/my_recording.wav", "0a7c2a8d_nohash_0.wav allowed"]),
    "one list": (one_list, ["{root}: has validation_list.txt but no testing_list.txt", "both or neither allowed"]),
    "a listed file is gone": (
        listed_but_gone,
        ["{root}/validation_list.txt: line 2 names 'bed/00000000_nohash_0.wav'", "not there"],
    ),
    "a list of noise": (list_of_noise, ["{root}/validation_list.txt: line 1 names", "not there"]),
    "a file on both lists": (on_both_lists, ["{root}/testing_list.txt: line 1 names", "on the other list as well"]),
    "an empty split": (all_tested, ["{root}: no clip is in the train split", "1 or more"]),
}


def no_command(root: Path) -> None:
    shutil.rmtree(root / "off")


def no_other_words(root: Path) -> None:
    for word in OTHER_WORDS:
        shutil.rmtree(root / word)


def no_noise(root: Path) -> None:
    shutil.rmtree(root / NOISE)


def short_noise(root: Path) -> None:
    for name in ("pink_noise.wav", "running_tap.wav"):
        (root / NOISE / name).unlink()


FAULTS_OF_12: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "a command is missing": (no_command, ["{root}: no folder 'off'", "yes no up down left right on off stop go"]),
    "no other words": (no_other_words, ["{root}: no other word is in the train split"]),
    "no noise": (no_noise, ["{root}/_background_noise_: holds no wav", "silence"]),
    "noise too short": (
        short_noise,
        ["{root}/_background_noise_: no file lasts long enough for train silence (above 1.25 s needed)"],
    ),
}


def check_fault(root: Path, said: list[str], classes: Any) -> None:
    with pytest.raises(DataError) as refused:
        gsc_files(root, "train", classes, generator=np.random.default_rng(0))
    message = str(refused.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(said[0].format(root=root))
    for part in said[1:]:
        assert part in message


@pytest.mark.parametrize(("damage", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_with_its_place_and_what_is_allowed(
    made: Path, damage: Callable[[Path], None], said: list[str]
) -> None:
    damage(made)
    check_fault(made, said, 35)


@pytest.mark.parametrize(("damage", "said"), FAULTS_OF_12.values(), ids=FAULTS_OF_12.keys())
def test_what_12_classes_need_and_35_do_not(made: Path, damage: Callable[[Path], None], said: list[str]) -> None:
    remove_lists(made)
    damage(made)
    check_fault(made, said, 12)
    assert len(gsc_files(made, "train")) > 0


def test_stray_files_are_passed_over(made: Path) -> None:
    before = partition(made)
    (made / ".DS_Store").write_bytes(b"x")
    (made / "bed" / ".DS_Store").write_bytes(b"x")
    (made / "bed" / "._0a7c2a8d_nohash_0.wav").write_bytes(b"x")
    (made / ".git").mkdir()
    assert partition(made) == before


def test_companions_of_noise_files_are_passed_over(whole: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    (copy / "_background_noise_" / "._hum.wav").write_bytes(b"Mac OS X")
    for files in (gsc_files(root, "train", 12, generator=np.random.default_rng(0)) for root in (whole, copy)):
        assert (files.labels == len(files.classes) - 1).any()
        assert not any(path.name.startswith(".") for path in files.paths)


@pytest.mark.parametrize("spelt", ["./{}", "{}\r", " {} ", "\ufeff{}"])
def test_lists_name_files_however_their_writer_spells_paths(made: Path, spelt: str) -> None:
    before = partition(made)
    for name in ("validation_list.txt", "testing_list.txt"):
        names = (made / name).read_text("utf-8").split()
        # a byte-order mark stands at the head of a file only
        lines = [
            spelt.format(word) if number == 0 or "\ufeff" not in spelt else word for number, word in enumerate(names)
        ]
        (made / name).write_text("\n".join(lines), "utf-8")
    assert partition(made) == before
    (made / "testing_list.txt").write_text("\n".join(word.replace("/", "\\") for word in names), "utf-8")
    assert partition(made) == before


def test_words_with_an_underscore_are_words(made: Path) -> None:
    words = len({one.word for one in partition(made)})
    shutil.copytree(made / "bed", made / "_unknown_")
    assert len({one.word for one in partition(made)}) == words + 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("training",), "split: 'training' is not allowed (train, validation, test)"),
        (("train", 10), "classes: 10 is not allowed (35 or 12)"),
        (("train", 12), "generator: needed"),
    ],
)
def test_arguments_that_cannot_be_are_told_by_name(whole: Path, arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=r"allowed|needed") as refused:
        gsc_files(whole, *arguments)
    assert str(refused.value).startswith(said)


def test_the_hash_rule_divides_about_80_10_10() -> None:
    counts = Counter(split_by_hash(f"{name}_nohash_3.wav") for name in speakers(4000))
    assert counts["validation"] == pytest.approx(400, abs=3 * math.sqrt(360))
    assert counts["test"] == pytest.approx(400, abs=3 * math.sqrt(360))
    assert sum(counts.values()) == 4000


def test_all_files_of_a_speaker_are_in_one_split() -> None:
    for name in speakers(50):
        assert len({split_by_hash(f"{name}_nohash_{number}.wav") for number in range(5)}) == 1
