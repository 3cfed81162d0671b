"""What every named data set is: the section ``data`` of a recipe, and what it takes to train on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from ranvier.corpora.published import Recording
from ranvier.corpora.section import OptionalPath, Section
from ranvier.corpora.splits import Splits
from ranvier.data.dataset import DataError
from ranvier.data.events import Grid
from ranvier.errors import ConfigError

Protocol = Literal["honest", "paper"]
Progress = Callable[[int, int], None] | None
EarForm = Literal["clip", "streaming", "custom"]
"""The ear that made spikes: of whole clips (:class:`ranvier.audio.ear.Ear`) or of sound as it comes
(:class:`ranvier.audio.ear.StreamingEar`), as they are made by default; or either with settings of its own."""


class Corpus(Section, ABC):
    """A named data set; its fields are those of a recipe's ``[data]``.

    One file adds one: a subclass with ``kind: Literal["NAME"]``, fields with a description and a range each (times in
    ms, with ``[ms]`` in the description), ``dt_ms`` as a field or property (length of a time step), :meth:`grid` and
    :meth:`splits`. Its docstring's first line is what ``ranvier ls`` says of it. A package that is installed names it
    as the entry point NAME of the group ``ranvier.corpora``.

    Attributes:
        published: recordings that ``ranvier data fetch NAME`` brings.
        protocols: how the epoch may be chosen: ``honest`` on validation, ``paper`` on the test set.
    """

    published: ClassVar[tuple[Recording, ...]] = ()
    protocols: ClassVar[tuple[Protocol, ...]] = ("honest",)

    kind: str

    if TYPE_CHECKING:  # a field in some, a property in others

        @property
        def dt_ms(self) -> float:
            """Length of a time step [ms]."""

    @abstractmethod
    def grid(self) -> Grid:
        """How events become a network's input: channels, how many are pooled, ``dt_ms``, where time step 0 lies.

        Raises:
            DataError: a recording that says its channels is damaged.
        """

    @abstractmethod
    def splits(self, *, protocol: Protocol = "honest", progress: Progress = None) -> Splits:
        """Read or make the clips and divide them.

        Args:
            protocol: one of ``protocols``; ``paper`` has the test clips as validation too.
            progress: called with (clips read, clips in all).

        Raises:
            DataError: the data are not there or are damaged.
            ConfigError: the division asks for what the data do not hold.
        """

    def check(self) -> None:
        """Refuse values that do not go together, before any data are read.

        Raises:
            ConfigError: the message names the field, the value and what is allowed.
        """

    def resolved(self) -> Self:
        """With what the data say of themselves filled in, so that a run knows it when its data have been moved."""
        return self

    @property
    def location(self) -> str | None:
        """File or folder that the data are read from; None where they come with the package or are made."""
        return None

    @property
    def frames(self) -> bool:
        """Whether clips are frames of real numbers instead of spike counts."""
        return False

    @property
    def picture(self) -> tuple[int, int] | None:
        """Rows and columns of the picture that inputs are the pixels of, channel by channel, row by row; None where
        they are none."""
        return None

    @property
    def zero_is_silence(self) -> bool:
        """Whether 0 is what a silent input holds, so that a part of a clip may be silenced."""
        return True

    @property
    def unseen_validation_speakers(self) -> bool:
        """Whether all validation clips are of speakers that are not trained on."""
        return False

    @property
    def unseen_test_speakers(self) -> bool:
        """Whether all test clips are of speakers that are not trained on."""
        return False

    @property
    def from_ear(self) -> bool:
        """Whether an ear of 700 channels made the spikes, so that a channel has a frequency."""
        return False

    @property
    def ear_form(self) -> EarForm | None:
        """Which ear made the spikes; None where none did, or nobody knows."""
        return "clip" if self.from_ear else None

    @property
    def leave_one_speaker_out(self) -> bool:
        """Whether it asks for a series of trainings, each with another speaker held out."""
        return False

    def undivided(self) -> Self:
        """The same without validation clips, where :attr:`leave_one_speaker_out`."""
        raise NotImplementedError(f"{self.kind}: leaves no speaker out")

    def without_speaker(self, number: int, name: str) -> Self:
        """The same with one speaker's clips as validation, where :attr:`leave_one_speaker_out`."""
        raise NotImplementedError(f"{self.kind}: leaves no speaker out")


class FileCorpus(Corpus):
    """A data set that is read from a file or folder of the user's.

    Attributes:
        root_holds: what ``--data-root`` is to name, in words.
    """

    root_holds: ClassVar[str]

    root: OptionalPath = Field(None, description="folder that holds the recording")

    @property
    def location(self) -> str | None:
        """File or folder that the data are read from."""
        return self.root

    def folder(self) -> Path:
        """``root``, which is there.

        Raises:
            ConfigError: it is not given.
            DataError: it is not there.
        """
        wanted = f"--data-root FOLDER: {self.root_holds}"
        if self.root is None:
            raise ConfigError(f"data.root: no folder given ({wanted})")
        root = Path(self.root)
        if not root.exists():
            raise DataError(f"data.root: {root} is not there ({wanted})")
        return root
