"""Divide a data set without letting validation see what training saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError, SpikeDataset
from ranvier.data.frames import FrameDataset

Clips = NDArray[np.int64]
_MOST_NAMED = 10


def split_clips(
    dataset: SpikeDataset | FrameDataset,
    *,
    among: Clips | None = None,
    speakers: Sequence[int] = (),
    fraction: float = 0.0,
    seen_fraction: float = 0.0,
    further: int = 0,
    generator: np.random.Generator,
) -> tuple[Clips, Clips, Clips]:
    """Divide clips into training, validation, and held-out clips of the training speakers.

    Shares are stratified: each class gives its part of a share, rounded by the method of largest remainders, and
    within a class each speaker does as far as that goes. A class with enough clips is in every share and in training.

    Args:
        dataset: the clips.
        among: indices of those to divide; None means all.
        speakers: every clip of these goes to validation.
        fraction: this share of the clips, drawn at random, goes to validation.
        seen_fraction: this share of what is left then is held out as well.
        further: shares that will be drawn from the training clips later on, to leave clips of rare classes for.
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
    keep = 1 + further
    held_out |= _share(dataset, pool & ~held_out, fraction, keep + (seen_fraction > 0), generator)
    seen = _share(dataset, pool & ~held_out, seen_fraction, keep, generator)
    train = pool & ~held_out & ~seen
    if not train.any():
        raise DataError("no clip is left to train on")
    return np.flatnonzero(train), np.flatnonzero(held_out), np.flatnonzero(seen)


def _share(
    dataset: SpikeDataset | FrameDataset,
    pool: NDArray[np.bool_],
    fraction: float,
    keep: int,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """A share of every class; one with more than ``keep`` clips gives one at least and keeps that many."""
    clips, chosen = np.flatnonzero(pool), np.zeros_like(pool)
    total = round(fraction * len(clips))
    if total == len(clips):
        return pool
    _, sizes = np.unique(dataset.labels[clips], return_counts=True)
    most = np.maximum(sizes - keep, 0)
    least = np.minimum(most, 1) if total else np.zeros_like(most)
    places = draw(dataset.labels[clips], dataset.speakers[clips], total, generator, least=least, most=most)
    chosen[clips[places]] = True
    return chosen


def draw(
    groups: NDArray[Any],
    speakers: NDArray[np.int64],
    total: int,
    generator: np.random.Generator,
    *,
    least: NDArray[np.int64] | None = None,
    most: NDArray[np.int64] | None = None,
) -> Clips:
    """Draw from every group its part of ``total``, and within a group from every speaker, as far as that goes.

    Args:
        groups: ``[clip]`` the class, or the word, that a clip belongs to.
        speakers: ``[clip]`` who speaks.
        total, least, most: as :func:`apportion` has them, for the groups in their order.
        generator: randomness of the draw.

    Returns:
        Places of what was drawn, sorted.
    """
    names, sizes = np.unique(groups, return_counts=True)
    counts = apportion(sizes, total, generator, least=least, most=sizes if most is None else most)
    chosen = []
    for name, count in zip(names, counts, strict=True):
        places = np.flatnonzero(groups == name)
        chosen.append(_evenly(places, speakers[places], generator)[:count])
    return np.sort(np.concatenate(chosen))


def apportion(
    weights: NDArray[Any],
    total: int,
    generator: np.random.Generator,
    *,
    least: NDArray[np.int64] | None = None,
    most: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Divide a whole number in proportion, by the method of largest remainders; equal remainders are drawn.

    Args:
        weights: ``[part]`` >= 0, not all of them 0.
        total: to divide, >= 0.
        generator: randomness of the draw.
        least, most: ``[part]`` bounds of what a part gets; None means 0, and no bound.

    Returns:
        ``[part]`` what each gets. Their sum is ``total`` unless the bounds allow no such division.
    """
    quota = total * weights / weights.sum()
    least = np.zeros(len(quota), np.int64) if least is None else least
    most = np.full(len(quota), total, np.int64) if most is None else most
    counts: NDArray[np.int64] = np.clip(np.floor(quota + 1e-9).astype(np.int64), least, most)
    order = generator.permutation(len(quota))
    for _ in range(total - int(counts.sum())):
        room = order[counts[order] < most[order]]
        if not len(room):
            break
        counts[room[np.argmax(quota[room] - counts[room])]] += 1
    return np.asarray(counts, np.int64)


def _evenly(clips: Clips, speakers: NDArray[np.int64], generator: np.random.Generator) -> Clips:
    """The clips in an order drawn at random, of which any beginning has of each speaker about the same share."""
    shuffled = generator.permutation(len(clips))
    _, who, sizes = np.unique(speakers[shuffled], return_inverse=True, return_counts=True)
    grouped = np.argsort(who, kind="stable")
    rank = np.empty(len(clips))
    rank[grouped] = np.arange(len(clips)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return clips[shuffled[np.argsort((rank + generator.random(len(clips))) / sizes[who])]]


def missing_classes(dataset: SpikeDataset | FrameDataset, parts: Mapping[str, Clips]) -> str | None:
    """Classes that are not in every part, in one line with their clips in each; None if all are.

    Args:
        dataset: the clips; a class that has none is no class of theirs.
        parts: indices by the part's name.
    """
    classes = len(dataset.classes)
    counts = {name: np.bincount(dataset.labels[clips], minlength=classes) for name, clips in parts.items()}
    total = np.bincount(dataset.labels, minlength=classes)
    named = [
        f"{dataset.classes[label]} ({', '.join(f'{name} {count[label]}' for name, count in counts.items())})"
        for label in range(classes)
        if total[label] and not all(count[label] for count in counts.values())
    ]
    if not named:
        return None
    rest = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return f"not every part has clips of every class: {', '.join(named[:_MOST_NAMED])}{rest}"
