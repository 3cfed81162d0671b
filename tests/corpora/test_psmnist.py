"""Permuted sequential MNIST from files of its format."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ranvier.corpora.psmnist import PSMNIST
from ranvier.data import DataError, FrameDataset, Subset
from ranvier.errors import ConfigError
from ranvier.recipes.config import Config, build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.train_run import train
from tests.recipes.conftest import Quiet

SPLITS = {"train": 60, "t10k": 20}


def idx(values: NDArray[np.uint8]) -> bytes:
    """The format as published: two zeros, 8 for unsigned bytes, axes, sizes, bytes."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def images(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Random images whose brightness says their class."""
    generator = np.random.default_rng(len(name))
    labels = np.arange(SPLITS[name]) % 10
    pixels = generator.integers(0, 25, (len(labels), 28, 28)) + 25 * labels[:, None, None]
    return pixels.astype(np.uint8), labels.astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of the four files, two of them packed."""
    for name in SPLITS:
        pixels, labels = images(name)
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
    return tmp_path


def corpus(root: Path | None, **changes: Any) -> PSMNIST:
    fields: dict[str, Any] = {"dt_ms": 1.0, "permutation_seed": 7, "validation_fraction": 0.25, "split_seed": 0}
    fields["root"] = None if root is None else str(root)
    return PSMNIST(kind="psmnist", **{**fields, **changes})


def frames(part: Subset | None) -> FrameDataset:
    assert part is not None
    assert isinstance(part.dataset, FrameDataset)
    return part.dataset


def test_pixels_come_one_by_one_in_the_same_order(root: Path) -> None:
    splits = corpus(root).splits()
    order = np.random.default_rng(7).permutation(784)
    for name, part in (("train", splits.train), ("t10k", splits.read_test())):
        pixels, labels = images(name)
        dataset = frames(part)
        assert dataset.labels.tolist() == labels.tolist()
        for clip in (0, 1, len(labels) - 1):
            np.testing.assert_array_equal(
                dataset.clip(clip)[:, 0], (pixels[clip].ravel()[order] / np.float32(255)).astype(np.float32)
            )
    x, lengths, labels_of = splits.train.dataset.batch(np.array([3, 4]))
    assert x.shape == (784, 2, 1)
    assert lengths.tolist() == [784, 784]
    assert labels_of.tolist() == [3, 4]
    in_rows = frames(corpus(root, permutation_seed=None).splits().train)
    np.testing.assert_array_equal(in_rows.clip(5)[:, 0] * 255, images("train")[0][5].ravel())


def test_validation_is_a_share_of_every_class_and_test_the_published_one(root: Path) -> None:
    splits, again = corpus(root).splits(), corpus(root).splits()
    assert splits.validation is not None
    assert again.validation is not None
    assert len(splits.validation) == 15
    assert sorted([*splits.train.clips.tolist(), *splits.validation.clips.tolist()]) == list(range(60))
    assert np.bincount(splits.validation.dataset.labels[splits.validation.clips], minlength=10).min() >= 1
    assert splits.validation.clips.tolist() == again.validation.clips.tolist()
    assert corpus(root, validation_fraction=0.0).splits().validation is None
    test = splits.read_test()
    assert test is not None
    assert len(test) == 20


def test_torchvisions_folder_will_do(root: Path, tmp_path: Path) -> None:
    raw = tmp_path / "elsewhere" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in root.glob("*ubyte*"):
        file.rename(raw / file.name)
    assert len(corpus(tmp_path / "elsewhere").splits().train) == 45


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda r: (r / IMAGES).unlink(),
            r": neither train-images-idx3-ubyte nor train-images-idx3-ubyte\.gz is there",
        ),
        (lambda r: cut(r / IMAGES, 500), rf"{IMAGES}: cannot be read \("),
        (lambda r: cut(r / LABELS, 30), rf"{LABELS}: declares 60 bytes, more than the file can hold"),
        (lambda r: (r / LABELS).write_bytes(b""), rf"{LABELS}: it is empty \("),
        (lambda r: (r / LABELS).write_text("<html>"), rf"{LABELS}: a web page"),
        (lambda r: (r / LABELS).write_bytes(idx(np.zeros(59, np.uint8))), "holds 59 labels for 60 images"),
        (lambda r: (r / LABELS).write_bytes(idx(np.full(60, 11, np.uint8))), r"the label 11 \(0 \.\.\. 9 allowed\)"),
        (lambda r: (r / LABELS).write_bytes(idx(np.zeros((60, 2), np.uint8))), r"holds 60 x 2 bytes \(items allowed\)"),
        (lambda r: (r / LABELS).write_bytes(idx(np.zeros(60, np.uint8)) + b"!"), "holds more than 60 bytes"),
        (
            lambda r: (r / IMAGES).write_bytes(gzip.compress(idx(np.zeros((60, 27, 28), np.uint8)))),
            r"holds 60 x 27 x 28 bytes \(items x 28 x 28 allowed\)",
        ),
        (lambda r: (r / IMAGES).write_bytes(gzip.compress(b"hello, world")), "a gzip file of 68 65 6c"),
        (
            lambda r: (r / IMAGES).write_bytes(gzip.compress(idx(np.zeros((60, 28, 28), np.uint8))[:-5])),
            "holds 47,035 bytes, not the 47,040 it declares",
        ),
    ],
)
def test_missing_and_damaged_files_are_named(root: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(root)
    with pytest.raises(DataError, match=message) as told:
        corpus(root).splits()
    assert "\n" not in str(told.value)


def test_without_a_folder_it_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"data\.root: no folder given \(--data-root FOLDER: the folder that holds"):
        corpus(None).splits()


def test_the_recipe_trains_on_real_numbers(root: Path, tmp_path: Path) -> None:
    small = {"model.hidden": "6", "train.epochs": "1", "train.batch_size": "32", "data.root": str(root)}
    config: Config = build_config(load_values("psmnist"), {**small, "model.max_delay_ms": "4", "model.tail_ms": "4"})
    result = train(config, tmp_path / "run", Quiet())
    assert result.clips["test"] == 20
    assert result.accuracy["test"] is not None
