"""Divide a data set without letting validation see what training saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError, SpikeDataset

Clips = NDArray[np.int64]


def split_clips(
    dataset: SpikeDataset,
    *,
    among: Clips | None = None,
    speakers: Sequence[int] = (),
    fraction: float = 0.0,
    seen_fraction: float = 0.0,
    generator: np.random.Generator,
) -> tuple[Clips, Clips, Clips]:
    """Divide clips into training, validation, and held-out clips of the training speakers.

    Args:
        dataset: the clips.
        among: indices of those to divide; None means all.
        speakers: every clip of these goes to validation.
        fraction: this share of the clips, drawn at random, goes to validation.
        seen_fraction: this share of what is left then is held out as well.
        generator: randomness of the shares.

    Returns:
        Training, validation and seen clips, each sorted; together every clip of ``among`` once.

    Raises:
        DataError: a speaker is not in the data, or nothing is left to train on.
    """
    there = np.unique(dataset.speakers)
    if len(speakers) and (there < 0).any():
        raise DataError("the recording does not name its speakers (extra/speaker), so none can be held out")
    for speaker in speakers:
        if speaker not in there:
            raise DataError(f"speaker {speaker} is not in the recording (there are {', '.join(map(str, there))})")
    pool = np.ones(len(dataset), np.bool_) if among is None else np.isin(np.arange(len(dataset)), among)
    held_out = pool & np.isin(dataset.speakers, np.asarray(speakers, np.int64))
    held_out |= _share(pool & ~held_out, fraction, generator)
    seen = _share(pool & ~held_out, seen_fraction, generator)
    train = pool & ~held_out & ~seen
    if not train.any():
        raise DataError("no clip is left to train on")
    return np.flatnonzero(train), np.flatnonzero(held_out), np.flatnonzero(seen)


def _share(pool: NDArray[np.bool_], fraction: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    chosen = np.zeros_like(pool)
    clips = np.flatnonzero(pool)
    chosen[generator.permutation(clips)[: round(fraction * len(clips))]] = True
    return chosen
