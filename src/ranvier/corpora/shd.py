"""Spiking Heidelberg Digits (Cramer et al. 2020, doi 10.1109/TNNLS.2020.3044364, CC BY 4.0)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from ranvier.corpora.corpus import Progress, Protocol
from ranvier.corpora.held_out import HeldOut
from ranvier.corpora.published import Recording, spiking_heidelberg
from ranvier.corpora.section import Integers
from ranvier.corpora.splits import Splits
from ranvier.data.dataset import DataError
from ranvier.data.hdf5 import find_recording, require_recording
from ranvier.data.subset import Subset


class SHD(HeldOut):
    """Spiking Heidelberg Digits, or any recording in its format: shd_train.h5[.gz], and shd_test.h5[.gz] if there."""

    root_holds: ClassVar[str] = "the folder that holds shd_train.h5"
    protocols: ClassVar[tuple[Protocol, ...]] = ("honest", "paper")
    published: ClassVar[tuple[Recording, ...]] = (
        spiking_heidelberg("shd_train", 8156, "f3252aeb598ac776c1b526422d90eecb", "d47c9825dee33347913e8ce0f2be08b0"),
        spiking_heidelberg("shd_test", 2264, "1503a5064faa34311c398fb0a1ed0a6f", "3062a80ec0c5719404d5b02e166543b1"),
    )

    kind: Literal["shd"]
    validation_speakers: Integers = Field(description="speakers held out by validation = speakers")

    def train_file(self, root: Path) -> Path | None:
        """The recording to train on, or None if it is not there."""
        return find_recording(root, "shd_train")

    def without_speaker(self, number: int, name: str) -> Self:
        """The same with one speaker's clips as validation."""
        return self.model_copy(update={"validation": "speakers", "validation_speakers": (number,)})

    @property
    def from_ear(self) -> bool:
        """Whether an ear of 700 channels made the spikes."""
        return True

    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """Clips of the training file, divided; those of the test file, which may be missing, are the test."""
        root = self.folder()
        train_file, test_file = require_recording(root, "shd_train"), find_recording(root, "shd_test")
        if protocol == "paper" and test_file is None:
            raise DataError(
                f"{root}: neither shd_test.h5 nor shd_test.h5.gz is there (protocol = paper chooses the epoch on it; "
                "with --protocol honest data.validation says on what)"
            )
        dataset = self.read(train_file, progress)

        def read_test() -> Subset | None:
            return None if test_file is None else self.read_like(dataset, test_file, progress)

        if protocol == "paper":
            test = read_test()
            return Splits(Subset.every(dataset), validation=test, read_test=lambda: test)
        return self.divide(dataset, np.arange(len(dataset)), self.validation_speakers, read_test)
