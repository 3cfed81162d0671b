"""Spoken digits that come with the package: synthetic speech, encoded by the ear, counted on a grid."""

from __future__ import annotations

import io
import lzma
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ranvier.corpora.corpus import Corpus, EarForm, Progress, Protocol
from ranvier.corpora.section import OptionalPath
from ranvier.corpora.splits import Splits
from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import Grid
from ranvier.data.subset import Subset
from ranvier.files import write_atomically

GRID = Grid(channels=700, pool=5, dt_ms=10.0)
SPLITS = ("train", "validation", "test")
CLASSES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Digits:
    """All clips.

    Attributes:
        counts: uint8 ``[steps of all clips, source]``, clip after clip.
        lengths: ``[clip]`` steps.
        labels: ``[clip]`` index into ``CLASSES``.
        voices: ``[clip]`` index into ``names``.
        splits: ``[clip]`` index into ``SPLITS``; a voice is in one of them only.
        names: of the voices.
        ear: the form of the ear that encoded them.
    """

    counts: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]
    voices: NDArray[np.int64]
    splits: NDArray[np.int64]
    names: tuple[str, ...]
    ear: EarForm = "clip"

    def dataset(self) -> SpikeDataset:
        """Every clip, in order."""
        ends = np.cumsum(self.lengths)
        clips = []
        for start, end in zip(ends - self.lengths, ends, strict=True):
            step, source = np.nonzero(self.counts[start:end])
            clips.append((step, source, self.counts[start:end][step, source]))
        return SpikeDataset.pack(
            clips,
            labels=self.labels,
            speakers=self.voices,
            classes=CLASSES,
            sources=GRID.sources,
            dt_ms=GRID.dt_ms,
            speaker_names=self.names,
        )

    def clips(self, split: str) -> NDArray[np.int64]:
        """Indices of the clips of ``train``, ``validation`` or ``test``."""
        return np.flatnonzero(self.splits == SPLITS.index(split))


def read_digits(path: Path | None = None) -> Digits:
    """The digits of the package, or of a file that :func:`write_digits` wrote.

    Raises:
        DataError: the file is damaged.
    """
    source = resources.files("ranvier.corpora") / "digits.npz.xz" if path is None else path
    try:
        with np.load(io.BytesIO(lzma.decompress(source.read_bytes())), allow_pickle=False) as arrays:
            values = {name: arrays[name] for name in ("counts", "lengths", "labels", "voices", "splits")}
            ear: EarForm = "streaming" if "ear" in arrays and str(arrays["ear"]) == "streaming" else "clip"
            return Digits(**values, names=tuple(str(name) for name in arrays["names"]), ear=ear)
    except (lzma.LZMAError, ValueError, KeyError, EOFError, OSError) as error:
        raise DataError(f"{source}: is not a file of digits ({error})") from None


def write_digits(digits: Digits, path: Path) -> None:
    """Write the file that :func:`read_digits` reads; the same digits give the same bytes."""
    plain = io.BytesIO()
    arrays: dict[str, Any] = {
        "counts": digits.counts,
        "lengths": digits.lengths,
        "labels": digits.labels,
        "voices": digits.voices,
        "splits": digits.splits,
        "names": np.array(digits.names),
        "ear": np.array(digits.ear),
    }
    np.savez(plain, allow_pickle=False, **arrays)
    # positions within a step say which channel a count belongs to; literals follow the neighbours
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]
    with write_atomically(path) as temporary:
        temporary.write_bytes(lzma.compress(plain.getvalue(), filters=filters))


class SpokenDigits(Corpus):
    """Spoken digits that come with the package: zero to nine in English and German, synthetic voices."""

    kind: Literal["digits"]
    file: OptionalPath = Field(None, description="what tools/make_digits wrote, none for the package's own")

    ear: EarForm = Field(
        "clip", description="form of the ear that encoded the clips; a run notes what its file says of itself"
    )

    def resolved(self) -> Self:
        """With the form of the ear that the file names."""
        return self.model_copy(update={"ear": self._read().ear})

    @property
    def ear_form(self) -> EarForm:
        """Which ear made the spikes."""
        return self.ear

    def _read(self) -> Digits:
        return read_digits(None if self.file is None else Path(self.file))

    @property
    def dt_ms(self) -> float:
        """Length of a step [ms]."""
        return GRID.dt_ms

    @property
    def unseen_validation_speakers(self) -> bool:
        """A voice is in one split only."""
        return True

    def grid(self) -> Grid:
        """The grid that the clips were counted on."""
        return GRID

    @property
    def from_ear(self) -> bool:
        """Whether an ear of 700 channels made the spikes."""
        return True

    @property
    def unseen_test_speakers(self) -> bool:
        """Every voice is in one split only."""
        return True

    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """As the file divides them, by voices."""
        digits = self._read()
        dataset = digits.dataset()
        train, validation, test = (Subset(dataset, digits.clips(name)) for name in SPLITS)
        return Splits(train, validation, read_test=lambda: test, example=True)
