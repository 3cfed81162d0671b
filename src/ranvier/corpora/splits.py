"""What a data set is divided into."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranvier.data.subset import Subset


@dataclass(frozen=True, eq=False)
class Splits:
    """What a training may see, and when.

    Attributes:
        train: to learn from.
        validation: to choose the epoch on; None keeps the last epoch.
        seen: held-out clips of the training speakers, only reported; None if there are none.
        read_test: reads the test split, or None if it is not there (so if none is given); called after training has
            ended, and only then.
        offsets: ``[class, channel]`` steps of the planted patterns, where the task has them.
        example: there is no file that holds the test clips: a run writes one, so that they can be looked at.
        left_out: why files were left out, and which files hold no events, a line each.
        notes: what else is to be known of the division, a line each.
    """

    train: Subset
    validation: Subset | None = None
    seen: Subset | None = None
    read_test: Callable[[], Subset | None] = lambda: None
    offsets: NDArray[np.int64] | None = None
    example: bool = False
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def fingerprints(self) -> dict[str, str]:
        """Of the data set to train on, and of every split that is there before the test."""
        splits = {"train": self.train, "validation": self.validation, "seen": self.seen}
        known = {name: subset.fingerprint() for name, subset in splits.items() if subset is not None}
        return {"dataset": self.train.dataset.fingerprint, **known}

    def fingerprint(self) -> str:
        """Of the clips, their events and how they are divided: a training must not go on with others."""
        return joint_fingerprint(self.fingerprints())

    def unseen(self, subset: Subset) -> bool:
        """Whether the clips' speakers are known and none of them is one of the training's."""
        speakers = subset.by_speaker()
        return bool(speakers) and not speakers.keys() & self.train.by_speaker().keys()


def joint_fingerprint(parts: Mapping[str, str]) -> str:
    """One for :meth:`Splits.fingerprints`, or for ``data`` of a ``result.json``, which may hold the test besides."""
    known = {name: parts[name] for name in ("dataset", "train", "validation", "seen") if name in parts}
    return hashlib.sha256(repr(known).encode()).hexdigest()
