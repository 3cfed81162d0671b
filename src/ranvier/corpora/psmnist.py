"""Permuted sequential MNIST: an image pixel by pixel, in an order drawn once."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ranvier.corpora.corpus import FileCorpus, Progress, Protocol
from ranvier.corpora.idx import find_idx, read_idx
from ranvier.corpora.section import OptionalInteger
from ranvier.corpora.splits import Splits
from ranvier.data.dataset import DataError
from ranvier.data.events import Grid
from ranvier.data.frames import FrameDataset
from ranvier.data.split import split_clips
from ranvier.data.subset import Subset

SIDE = 28
STEPS = SIDE * SIDE


class PSMNIST(FileCorpus):
    """Permuted sequential MNIST: a pixel a time step, from the four IDX files as published.

    A clip has 784 steps and one input, the pixel's brightness / 255: a real number in [0, 1], no spike. The order of
    the pixels is the same for every clip, ``np.random.default_rng(permutation_seed).permutation(784)``; published
    results each have one of their own, so accuracies differ by what the order is worth. Training clips are divided
    into those to train on and validation, every class alike; the published 10,000 test images are the test.

    Source: Le, Jaitly & Hinton 2015, arXiv 1504.00941; the split of 83% and 17% is DelRec's (arXiv 2509.24852).
    """

    root_holds: ClassVar[str] = "the folder that holds train-images-idx3-ubyte[.gz] and the other three files of MNIST"

    kind: Literal["psmnist"]
    dt_ms: float = Field(gt=0, le=1000, description="length of a step, which is a pixel [ms]")
    permutation_seed: OptionalInteger = Field(
        ge=0, description="seed of the order of the pixels; none for row after row (sequential MNIST)"
    )
    validation_fraction: float = Field(
        ge=0, lt=1, description="share of the training images that the epoch is chosen on; 0: the last epoch counts"
    )
    split_seed: int = Field(ge=0, description="seed of that share; the same for every train.seed")

    @property
    def frames(self) -> bool:
        """Pixels are real numbers."""
        return True

    def grid(self) -> Grid:
        """One input."""
        return Grid(1, 1, self.dt_ms)

    def order(self) -> NDArray[np.int64]:
        """Which pixel, counted row after row, comes in each step: ``[784]``."""
        if self.permutation_seed is None:
            return np.arange(STEPS)
        return np.random.default_rng(self.permutation_seed).permutation(STEPS)

    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """The training images, divided, and the published test images."""
        root = self.folder()
        dataset = self._read(root, "train", progress)
        train, validation, _ = split_clips(
            dataset, fraction=self.validation_fraction, generator=np.random.default_rng(self.split_seed)
        )
        return Splits(
            Subset(dataset, train),
            Subset(dataset, validation) if len(validation) else None,
            read_test=lambda: Subset.every(self._read(root, "t10k", progress)),
        )

    def _read(self, root: Path, name: str, progress: Progress) -> FrameDataset:
        files = [find_idx(root, f"{name}-{what}") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        images, labels = read_idx(files[0], (SIDE, SIDE)), read_idx(files[1], ())
        if len(images) != len(labels) or not len(images):
            raise DataError(files[1], fault=f"holds {len(labels)} labels for {len(images)} images")
        if labels.max() > 9:
            raise DataError(files[1], fault=f"holds the label {labels.max()} (0 ... 9 allowed)")
        frames = np.empty((len(images), STEPS), np.float32)
        np.divide(images.reshape(-1, STEPS)[:, self.order()], 255, out=frames, casting="same_kind")
        if progress is not None:
            progress(len(images), len(images))
        return FrameDataset(
            frames=frames.reshape(-1, 1),
            offsets=np.arange(len(images) + 1) * STEPS,
            labels=labels.astype(np.int64),
            speakers=np.full(len(images), -1, np.int64),
            classes=tuple("0123456789"),
            dt_ms=self.dt_ms,
        )
