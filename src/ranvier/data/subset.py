"""Some clips of a data set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import SpikeDataset
from ranvier.data.frames import FrameDataset


@dataclass(frozen=True, eq=False)
class Subset:
    """Some clips of a data set.

    Attributes:
        dataset: the data set.
        clips: int64 ``[clip]``, indices of the clips.
    """

    dataset: SpikeDataset | FrameDataset
    clips: NDArray[np.int64]

    @classmethod
    def every(cls, dataset: SpikeDataset | FrameDataset) -> Subset:
        """All clips of a data set."""
        return cls(dataset, np.arange(len(dataset)))

    def __len__(self) -> int:
        return len(self.clips)

    def fingerprint(self) -> str:
        """Of what the data set holds, and which of its clips these are."""
        clips = np.ascontiguousarray(self.clips, "<i8").tobytes()
        return hashlib.sha256(self.dataset.fingerprint.encode() + clips).hexdigest()

    def by_speaker(self) -> dict[str, NDArray[np.bool_]]:
        """Name of every speaker in the order of their numbers, and which of the clips are theirs ``[clip]``."""
        speakers = self.dataset.speakers[self.clips]
        return {
            speaker_name(self.dataset, speaker): speakers == speaker
            for speaker in np.unique(speakers).tolist()
            if speaker >= 0
        }


def speaker_name(dataset: SpikeDataset | FrameDataset, speaker: int) -> str:
    """Name of a speaker, or the number where the data set has no names."""
    return dataset.speaker_names[speaker] if dataset.speaker_names else str(speaker)
