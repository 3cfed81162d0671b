"""Spiking Speech Commands (Cramer et al. 2020, doi 10.1109/TNNLS.2020.3044364, CC BY 4.0)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from ranvier.corpora.corpus import Progress, Protocol
from ranvier.corpora.published import Recording, spiking_heidelberg
from ranvier.corpora.recorded import Recorded
from ranvier.corpora.splits import Splits
from ranvier.data.hdf5 import find_recording, require_recording
from ranvier.data.subset import Subset


class SSC(Recorded):
    """Spiking Speech Commands: ssc_train.h5[.gz], ssc_valid.h5[.gz], and ssc_test.h5[.gz] if there."""

    root_holds: ClassVar[str] = "the folder that holds ssc_train.h5 and ssc_valid.h5"
    published: ClassVar[tuple[Recording, ...]] = (
        spiking_heidelberg("ssc_train", 75466, "d102be95e7144fcc0553d1f45ba94170", None),
        spiking_heidelberg("ssc_valid", 9981, "b4eee3516a4a90dd0c71a6ac23a8ae43", "555645b13e15fe270fbfe39cb763f805"),
        spiking_heidelberg("ssc_test", 20382, "a35ff1e9cffdd02a20eb850c17c37748", None),
    )

    kind: Literal["ssc"]

    def train_file(self, root: Path) -> Path | None:
        """The recording to train on, or None if it is not there."""
        return find_recording(root, "ssc_train")

    @property
    def from_ear(self) -> bool:
        """Whether an ear of 700 channels made the spikes."""
        return True

    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """A split per file; that of the test may be missing."""
        root = self.folder()
        train_file, valid_file = (require_recording(root, f"ssc_{name}") for name in ("train", "valid"))
        test_file = find_recording(root, "ssc_test")
        train = self.read(train_file, progress)

        def read_test() -> Subset | None:
            return None if test_file is None else self.read_like(train, test_file, progress)

        return Splits(Subset.every(train), self.read_like(train, valid_file, progress), read_test=read_test)
