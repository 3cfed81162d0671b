"""The spoken digits of the package: what they are, that they can be made again to the byte, and their file."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier.corpora.digits import CLASSES, GRID, SPLITS, Digits, read_digits, write_digits
from ranvier.data import DataError
from ranvier.data.make_digits import hear, make_digits, utterances, voices
from ranvier.data.speech import Speaker, Voice, say_alone


@pytest.fixture(scope="module")
def digits() -> Digits:
    return read_digits()


def test_they_are_small_and_whole(digits: Digits) -> None:
    file = Path(sys.modules["ranvier.corpora.digits"].__file__ or "").with_name("digits.npz.xz")
    assert file.stat().st_size < 6_000_000
    assert len(digits.labels) == 2040
    assert np.bincount(digits.labels).tolist() == [102] * 20
    assert digits.counts.shape == (digits.lengths.sum(), 140)
    assert digits.counts.dtype == np.uint8
    assert len(digits.names) == 51


def test_a_voice_is_in_one_split_only(digits: Digits) -> None:
    parts = [set(digits.voices[digits.clips(split)].tolist()) for split in SPLITS]
    assert [len(part) for part in parts] == [35, 6, 10]
    assert len(set.union(*parts)) == 51
    assert sum(len(digits.clips(split)) for split in SPLITS) == 2040


def test_as_a_data_set(digits: Digits) -> None:
    dataset = digits.dataset()
    assert (dataset.classes, dataset.sources, dataset.dt_ms) == (CLASSES, 140, 10.0)
    end = np.cumsum(digits.lengths)
    for clip in (0, 777, 2039):
        x, lengths, labels = dataset.batch(np.array([clip]))
        np.testing.assert_array_equal(x[:, 0].numpy(), digits.counts[end[clip] - digits.lengths[clip] : end[clip]])
        assert (int(lengths[0]), int(labels[0])) == (digits.lengths[clip], digits.labels[clip])
    assert {len(dataset.clip(clip)[0]) == 0 for clip in range(len(dataset))} == {False}
    assert GRID.sources == 140


def test_a_part_made_again_has_the_same_bytes(digits: Digits, tmp_path: Path) -> None:
    rows = utterances(0)
    assert len(rows) == len(digits.labels)
    # both languages, every split
    chosen = [7, 1430, 2039]
    assert [rows[clip].split for clip in chosen] == list(SPLITS)
    made = hear([rows[clip] for clip in chosen], 0, wav=tmp_path / "wav", cache=tmp_path)
    end = np.cumsum(digits.lengths)
    for clip, counts in zip(chosen, made, strict=True):
        assert counts.tobytes() == digits.counts[end[clip] - digits.lengths[clip] : end[clip]].tobytes()
        assert digits.labels[clip] == rows[clip].label
        assert digits.names[digits.voices[clip]] == rows[clip].voice
    assert len(list((tmp_path / "wav").glob("*.wav"))) == 3


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


def test_a_voice_that_is_not_known() -> None:
    assert say_alone(("zero", Voice("xx+none"))) == "voice 'xx+none' is not known to eSpeak NG"


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(DataError, match=r"pip install 'ranvier\[speech\]'"):
        Speaker()
    with pytest.raises(DataError, match=r"is not a \.npz\.xz file's name"):
        make_digits(tmp_path / "digits.h5")


def test_the_file_survives_its_writing(digits: Digits, tmp_path: Path) -> None:
    path = tmp_path / "digits.npz.xz"
    part = replace(digits, counts=digits.counts[:1000])
    write_digits(part, path)
    first = path.read_bytes()
    write_digits(read_digits(path), path)
    assert path.read_bytes() == first
    for damaged in (b"", first[:1000], b"\xff" * 100, first[:-5]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is not a file of digits"):
            read_digits(path)
