"""Parts of clips that are silenced or replaced in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError
from ranvier.data.events import MOST_STEPS

if TYPE_CHECKING:
    pass

Counts = NDArray[np.float32]
Integers = NDArray[np.int64]


def check_range(name: str, value: float, most: float) -> None:
    if not 0 <= value <= most:
        raise DataError(f"{name}: {value} is not allowed (0 ... {most})")


def channel_mask(x: Counts, generator: np.random.Generator, *, longest: int, probability: float) -> Counts:
    """Silence neighbouring channels of a clip, 1 ... longest of them, anywhere.

    Args:
        longest: channels, >= 0.

    Raises:
        DataError: longest or probability is out of range.

    Source: SpecAugment, arXiv 1904.08779.
    """
    check_range("longest", longest, MOST_STEPS)
    room = np.full(x.shape[1], x.shape[2])
    start, stop = _spans(np.minimum(longest, room), room, probability, generator)
    return np.where(_inside(start, stop, x.shape[2]).T, np.float32(0), x)


def time_mask(
    x: Counts, lengths: Integers, generator: np.random.Generator, *, longest_steps: int, probability: float
) -> Counts:
    """Silence a span of a clip, 1 ... longest_steps steps, anywhere within its length, which stays.

    Args:
        longest_steps: steps, >= 0.

    Raises:
        DataError: longest_steps or probability is out of range.

    Source: SpecAugment, arXiv 1904.08779.
    """
    check_range("longest_steps", longest_steps, MOST_STEPS)
    start, stop = _spans(np.minimum(longest_steps, lengths), lengths, probability, generator)
    return np.where(_inside(start, stop, len(x))[:, :, None], np.float32(0), x)


def cut_mix(
    x: Counts,
    lengths: Integers,
    labels: Integers,
    classes: int,
    generator: np.random.Generator,
    *,
    longest_share: float,
    probability: float,
) -> tuple[Counts, Counts]:
    """Replace a span of a clip by the same steps of another clip of the batch.

    The span lies within both clips and is 1 ... longest_share * (length of the shorter) steps long.

    Args:
        classes: how many classes there are.
        longest_share: in [0, 1].

    Returns:
        x, and the target, float32 ``[batch, class]``: the replaced share of the clip's own steps for the other clip's
        class, what is left for its own.

    Raises:
        DataError: longest_share or probability is out of range, or a label is not one of the classes.

    Source: CutMix, arXiv 1905.04899, along time.
    """
    check_range("longest_share", longest_share, 1)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(f"label {labels[wrong[0]]} of clip {wrong[0]} is not allowed (0 ... {classes - 1})")
    clips = np.arange(len(labels))
    other = (clips + generator.integers(1, max(len(clips), 2), len(clips))) % max(len(clips), 1)
    room = np.minimum(lengths, lengths[other])
    start, stop = _spans(np.floor(longest_share * room).astype(np.int64), room, probability, generator)
    step, clip = np.nonzero(_inside(start, stop, len(x)))
    mixed = x.copy()
    mixed[step, clip] = x[step, other[clip]]
    share = (stop - start) / lengths
    target = np.zeros((len(clips), classes))
    target[clips, labels] = 1 - share
    target[clips, labels[other]] += share
    return mixed, target.astype(np.float32)


def _spans(
    longest: Integers, room: Integers, probability: float, generator: np.random.Generator
) -> tuple[Integers, Integers]:
    """Start and stop of a span 1 ... longest long, anywhere in 0 ... room; an empty one where none is drawn."""
    check_range("probability", probability, 1)
    size = generator.integers(np.minimum(longest, 1), longest, endpoint=True)
    size = np.where(generator.random(len(room)) < probability, size, 0)
    start = generator.integers(0, room - size, endpoint=True)
    return start, start + size


def _inside(start: Integers, stop: Integers, size: int) -> NDArray[np.bool_]:
    """``[size, batch]``: which places lie in the spans."""
    place = np.arange(size)[:, None]
    return (place >= start) & (place < stop)
