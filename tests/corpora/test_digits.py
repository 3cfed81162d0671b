"""The spoken digits of the package, and their file."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier.corpora.digits import CLASSES, GRID, SPLITS, Digits, read_digits, write_digits
from ranvier.data import DataError


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
