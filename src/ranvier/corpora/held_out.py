"""A recording of which validation clips are held out: by speaker, by a random share, or each speaker in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ranvier.corpora.recorded import Recorded
from ranvier.corpora.splits import Splits
from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.split import missing_classes, split_clips
from ranvier.data.subset import Subset
from ranvier.errors import ConfigError
from ranvier.names import split_names, unknown_names


class HeldOut(Recorded):
    """Validation clips are taken from those to train on."""

    validation: Literal["speakers", "fraction", "leave-one-speaker-out", "none"] = Field(
        description="what the epoch is chosen on: held-out speakers, a random share of the clips, each speaker in turn "
        "(one training each), or nothing (the last epoch counts)"
    )
    validation_fraction: float = Field(gt=0, lt=1, description="share held out by validation = fraction")
    seen_fraction: float = Field(
        ge=0, lt=1, description="share of the training speakers' clips held out besides, to report on speakers seen"
    )
    split_seed: int = Field(ge=0, description="seed of the random shares; the same for every train.seed")

    @property
    def unseen_validation_speakers(self) -> bool:
        """Whether all validation clips are of speakers that are not trained on."""
        return self.validation == "speakers"

    @property
    def leave_one_speaker_out(self) -> bool:
        """Whether it asks for a series of trainings, each with another speaker held out."""
        return self.validation == "leave-one-speaker-out"

    def undivided(self) -> Self:
        """The same without validation clips."""
        return self.model_copy(update={"validation": "none"})

    def divide(
        self,
        dataset: SpikeDataset,
        clips: NDArray[np.int64],
        speakers: Sequence[int],
        read_test: Callable[[], Subset | None],
        test: Sequence[int] | NDArray[np.int64] = (),
    ) -> Splits:
        """Divide the clips that may be trained on.

        Args:
            dataset: the clips.
            clips: indices of those that may be trained on.
            speakers: numbers of those that ``validation = "speakers"`` holds out.
            read_test: as :class:`Splits` has it.
            test: indices of the clips of ``dataset`` that are kept for the test.

        Raises:
            ConfigError: nothing would be held out, or each speaker in turn.
            DataError: a speaker is not there, or nothing is left to train on.
        """
        if self.leave_one_speaker_out:
            raise ConfigError("data.validation: leave-one-speaker-out is a series of trainings, not one split")
        if self.validation == "speakers" and not speakers:
            raise ConfigError("data.validation_speakers: names none (one or more, or --data.validation none)")
        train, validation, seen = split_clips(
            dataset,
            among=clips,
            speakers=speakers if self.validation == "speakers" else (),
            fraction=self.validation_fraction if self.validation == "fraction" else 0.0,
            seen_fraction=self.seen_fraction if self.validation == "speakers" else 0.0,
            generator=np.random.default_rng(self.split_seed),
        )
        if self.validation != "none" and not len(validation):
            raise ConfigError(
                f"data.validation_fraction: {self.validation_fraction:g} of the clips is less than one clip"
            )

        def subset(chosen: NDArray[np.int64]) -> Subset | None:
            return Subset(dataset, chosen) if len(chosen) else None

        every = {"training": train, "validation": validation, "seen": seen, "test": np.asarray(test, np.int64)}
        note = missing_classes(dataset, {name: clips for name, clips in every.items() if len(clips)})
        notes = () if note is None else (note,)
        return Splits(Subset(dataset, train), subset(validation), subset(seen), read_test, notes=notes)


def speaker_numbers(field: str, names: Sequence[str], dataset: SpikeDataset) -> list[int]:
    """Speakers by name, or by number where the recording has no names.

    Args:
        field: dotted name of the field that names them.
        names: what it holds; a text may name several, with commas between.
        dataset: the clips.

    Raises:
        ConfigError: a speaker is not known; the message lists those that are.
        DataError: the recording does not name its speakers.
    """
    known = dataset.speaker_names or tuple(str(speaker) for speaker in np.unique(dataset.speakers) if speaker >= 0)
    if not known:
        raise DataError("the recording does not name its speakers (extra/speaker), so none can be held out")
    found: list[str] = []
    for text in names:
        some = split_names(text, known)
        if some is None:
            raise ConfigError(f"{field}: {unknown_names(text, known)}")
        found += some
    return [known.index(name) if dataset.speaker_names else int(name) for name in found]
