"""WISDM from files of its format: windows of one activity each, divided by subject or at random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.corpora.wisdm import ACTIVITIES, WISDM, cut, read_samples
from ranvier.data import DataError, FrameDataset
from ranvier.errors import ConfigError
from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.train_run import train
from tests.recipes.conftest import Quiet

SUBJECTS = range(1600, 1608)
STRETCH = 47  # samples of an activity


def write_file(path: Path, subject: int, letters: str = "ABQ", stretch: int = STRETCH) -> None:
    """Lines as published: ``1600,A,252207918580802,-4.972757,-0.15831661,6.6968956;``"""
    generator = np.random.default_rng(subject)
    lines = []
    for letter in letters:
        samples = generator.normal(2 * ord(letter), 1 + subject - 1600, (stretch, 3))
        lines += [
            f"{subject},{letter},{252207918580802 + 50_000_000 * at},{x:.6f},{y:.6f},{z:.6f};"
            for at, (x, y, z) in enumerate(samples)
        ]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "wisdm-dataset" / "raw" / "watch" / "gyro"
    folder.mkdir(parents=True)
    for subject in SUBJECTS:
        write_file(folder / f"data_{subject}_gyro_watch.txt", subject)
    return tmp_path / "wisdm-dataset"


def corpus(root: Path | None, **changes: Any) -> WISDM:
    fields: dict[str, Any] = {
        "device": "watch", "sensor": "gyro", "window_ms": 1000.0, "hop_ms": 500.0, "split": "subjects",
        "test_fraction": 0.25, "validation_fraction": 0.2, "split_seed": 0, "root": None if root is None else str(root),
    }  # fmt: skip
    made = WISDM(kind="wisdm", **{**fields, **changes})
    made.check()
    return made


def first_file(root: Path) -> Path:
    return root / "raw" / "watch" / "gyro" / "data_1600_gyro_watch.txt"


def test_samples_are_scaled_by_file_and_axis(root: Path) -> None:
    subject, activity, samples = read_samples(first_file(root))
    lines = [line.rstrip(";").split(",") for line in first_file(root).read_text().splitlines()]
    values = np.array([[float(part) for part in line[3:]] for line in lines])
    assert subject == "1600"
    assert [list(ACTIVITIES)[number] for number in activity] == [line[1] for line in lines]
    np.testing.assert_allclose(samples, (values - values.mean(0)) / values.std(0), rtol=1e-5, atol=1e-6)


def test_a_window_is_of_one_activity() -> None:
    activity = np.array([0] * 10 + [3] * 5 + [1] * 3 + [0] * 7)
    samples = np.repeat(np.arange(25, dtype=np.float32)[:, None], 3, axis=1)
    windows, labels = cut(activity, samples, 4, 2)
    assert windows.shape == (7, 4, 3)
    assert windows[:, 0, 0].tolist() == [0, 2, 4, 6, 10, 18, 20]
    assert labels.tolist() == [0, 0, 0, 0, 3, 0, 0]
    for window in windows:
        assert np.diff(window[:, 1]).tolist() == [1, 1, 1]
    assert cut(activity, samples, 11, 1)[0].shape == (0, 11, 3)


def test_clips_hold_what_the_files_hold(root: Path) -> None:
    train_part = corpus(root).splits().train
    dataset = train_part.dataset
    assert isinstance(dataset, FrameDataset)
    assert dataset.speaker_names == tuple(str(subject) for subject in SUBJECTS)
    assert (len(dataset.classes), dataset.sources, dataset.dt_ms) == (18, 3, 50.0)
    assert len(dataset) == 8 * 3 * 3  # a window of 20 samples every 10 of 47
    assert set(dataset.lengths.tolist()) == {20}
    _, _, samples = read_samples(first_file(root))
    np.testing.assert_array_equal(dataset.clip(4), samples[STRETCH + 10 : STRETCH + 30])
    assert [dataset.classes[label] for label in dataset.labels[:9]] == [
        *["walking"] * 3, *["jogging"] * 3, *["writing"] * 3,
    ]  # fmt: skip


def test_subjects_are_held_out_whole(root: Path) -> None:
    splits = corpus(root).splits()
    test, validation = splits.read_test(), splits.validation
    assert test is not None
    assert validation is not None
    parts = [set(part.by_speaker()) for part in (splits.train, validation, test)]
    assert [len(part) for part in parts] == [5, 1, 2]
    assert set.union(*parts) == {str(subject) for subject in SUBJECTS}
    assert len(splits.train) + len(validation) + len(test) == 72
    assert splits.unseen(test)
    other = corpus(root, split_seed=3).splits().read_test()
    assert other is not None
    assert set(other.by_speaker()) != parts[2]
    assert corpus(root, validation_fraction=0.0).splits().validation is None


def test_windows_are_held_out_as_published(root: Path) -> None:
    made = corpus(root, split="windows")
    splits = made.splits()
    test, validation = splits.read_test(), splits.validation
    assert test is not None
    assert validation is not None
    assert not made.unseen_test_speakers
    assert (len(test), len(validation), len(splits.train)) == (18, 11, 43)
    every = np.concatenate([part.clips for part in (splits.train, validation, test)])
    assert sorted(every.tolist()) == list(range(72))
    assert not splits.unseen(test)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.write_text(""), "it is empty"),
        (lambda f: f.write_bytes(b"\x00\x01\x02" * 9), "it starts with the bytes"),
        (lambda f: f.write_text("1600,A,1,2,3;\n"), "is not lines of subject,activity,time,x,y,z"),
        (lambda f: f.write_text("1600,A,1,2,3,four;\n"), "four"),
        (lambda f: f.write_text("1600,A,1,2,3,nan;\n"), "sample 0 is not finite"),
        (lambda f: f.write_text("1600,N,1,2,3,4;\n1600,A,1,3,4,5;"), r"activity 'N' is not allowed \(A, B, C"),
        (lambda f: f.write_text("1600,A,1,2,3,4;\n1601,A,1,3,4,5;"), "several subjects"),
        (lambda f: f.write_text("1600,A,1,2,3,4;\n1600,A,1,3,3,5;"), "y is the same throughout"),
        (lambda f: f.write_text(";\n"), "holds no sample"),
        (lambda f: write_file(f, 1607), "two files are of subject 1607"),
    ],
)
def test_a_damaged_file_is_named(root: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(first_file(root))
    with pytest.raises(DataError, match=message) as told:
        corpus(root).splits()
    assert "\n" not in str(told.value)
    assert "raw/watch/gyro" in str(told.value)


def test_what_does_not_fit_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"no raw/phone/gyro/data_\*_gyro_phone\.txt is there"):
        corpus(root, device="phone").splits()
    with pytest.raises(ConfigError, match=r"^data\.window_ms: 60000\.0 is not allowed \(no longer than an activity"):
        corpus(root, window_ms=60000.0).splits()
    with pytest.raises(ConfigError, match=r"^data\.test_fraction: leaves none of 8 subjects"):
        corpus(root, test_fraction=0.9).splits()
    with pytest.raises(ConfigError, match=r"^data\.hop_ms: 75 ms is not a whole number"):
        corpus(root, hop_ms=75.0)
    with pytest.raises(ConfigError, match=r"^data\.root: no folder given"):
        corpus(None).splits()


def test_the_recipe_trains(root: Path, tmp_path: Path) -> None:
    small = {"model.hidden": "6", "train.epochs": "1", "data.root": str(root.parent), "data.window_ms": "1000"}
    small |= {"model.max_delay_ms": "100", "model.tail_ms": "100"}
    result = train(build_config(load_values("wisdm"), {**small, "data.hop_ms": "500"}), tmp_path / "run", Quiet())
    assert result.clips == {"train": 45, "validation": 9, "seen": 0, "test": 18}
    assert set(result.accuracy["test"].speakers) < {str(subject) for subject in SUBJECTS}
