"""Recordings in SHD's format as a data set."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from ranvier.corpora.corpus import FileCorpus, Progress
from ranvier.corpora.section import OptionalInteger
from ranvier.data.class_names import with_classes
from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.events import Grid
from ranvier.data.hdf5 import read_recording
from ranvier.data.recording import CHANNELS, own_channels
from ranvier.data.recording_rules import TimeUnit
from ranvier.data.subset import Subset
from ranvier.errors import ConfigError


class Recorded(FileCorpus):
    """Recordings in SHD's format."""

    channels: OptionalInteger = Field(
        None, ge=1, le=65535, description="channels of the recording, none takes what it says of itself, else 700"
    )
    time_unit: Literal["recording", "s", "ms", "us"] = Field(
        "recording", description="unit of the recording's times; recording: what it says of itself, else seconds"
    )
    pool: int = Field(ge=1, description="neighbouring channels summed into one input")
    dt_ms: float = Field(gt=0, le=1000, description="length of a step [ms]")
    alignment: Literal["zero", "first_event"] = Field(description="where step 0 begins")

    @abstractmethod
    def train_file(self, root: Path) -> Path | None:
        """The recording to train on, or None if it is not there."""

    def check(self) -> None:
        """Refuse more channels per input than there are."""
        if self.channels is not None and self.pool > self.channels:  # else the recording says how many there are
            raise ConfigError(f"data.pool: {self.pool} is not allowed (1 ... {self.channels}, data.channels)")

    def grid(self) -> Grid:
        """The grid that a recording is counted on; without ``channels`` it has the recording's own, else 700."""
        channels = self.channels
        if channels is None and self.root is not None:
            file = self.train_file(Path(self.root))
            channels = None if file is None else own_channels(file)
        return Grid(channels or CHANNELS, self.pool, self.dt_ms, self.alignment)

    def resolved(self) -> Self:
        """With the recording's own channels where none are named and they are not 700."""
        if self.channels is not None or (channels := self.grid().channels) == CHANNELS:
            return self
        return self.model_copy(update={"channels": channels})

    def read(self, file: Path, progress: Progress, *, classes: int | None = None) -> SpikeDataset:
        """A recording on this grid."""
        return read_recording(file, self.grid(), classes=classes, time_unit=self.given_unit, progress=progress)

    @property
    def given_unit(self) -> TimeUnit | None:
        """Unit of the times; None takes what the recording says."""
        return None if self.time_unit == "recording" else self.time_unit

    def read_like(self, train: SpikeDataset, file: Path, progress: Progress) -> Subset:
        """Another recording of the same data set: its labels count by the training recording's classes."""
        dataset = self.read(file, progress, classes=len(train.classes))
        try:
            return Subset.every(with_classes(dataset, train.classes)[0])
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
