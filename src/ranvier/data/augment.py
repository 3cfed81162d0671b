"""Augmentation of spike clips: pure functions on batches of counts, and a value that names which to apply.

Everywhere here ``x`` is float32 ``[time, batch, source]``, whole counts of events, silent from each clip's length on;
``lengths`` is int64 ``[batch]``, steps, in 1 ... time; ``labels`` is int64 ``[batch]``, indices of classes; all
randomness comes from ``generator``. What comes back is a new array that keeps the same promises; lengths that are not
returned stay. ``probability``, in [0, 1], is that of a clip to be changed at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ranvier.data.augment_masks import Counts, Integers, channel_mask, check_range, cut_mix, time_mask
from ranvier.data.dataset import DataError
from ranvier.data.events import MOST_STEPS

if TYPE_CHECKING:
    from torch import Tensor


_MOST_COUNT = 2**24  # float32 holds every whole number up to here


@dataclass(frozen=True)
class Augmentation:
    """What happens to a batch of training clips, from top to bottom; by default nothing.

    The order: what joins two clips of a class comes first, while they are as recorded; then what moves a clip, what
    draws single events (thinned before they are moved: there are fewer then) and what hides a part; ``cut_mix`` comes
    last, so that the shares of its target are those of the steps as the network sees them.

    Args:
        blend_probability: see :func:`blend`; 0 = off.
        shift_channels: see :func:`shift_channels`; 0 = off.
        shift_steps: see :func:`shift_steps`; 0 = off.
        keep_probability: see :func:`drop_events`; 1 = off.
        jitter_steps: see :func:`jitter`; 0 = off.
        channel_mask_probability, channel_mask_channels: see :func:`channel_mask`; probability 0 = off.
        time_mask_probability, time_mask_steps: see :func:`time_mask`; probability 0 = off.
        cut_mix_probability, cut_mix_share: see :func:`cut_mix`; probability 0 = off.

    Raises:
        DataError: a value is out of range, or a mask is on and its longest span is 0.
    """

    blend_probability: float = 0.0
    shift_channels: int = 0
    shift_steps: int = 0
    keep_probability: float = 1.0
    jitter_steps: float = 0.0
    channel_mask_probability: float = 0.0
    channel_mask_channels: int = 0
    time_mask_probability: float = 0.0
    time_mask_steps: int = 0
    cut_mix_probability: float = 0.0
    cut_mix_share: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check_range(name, value, 1 if name.endswith(("probability", "share")) else MOST_STEPS)
        for mask, longest in (("channel_mask", "channel_mask_channels"), ("time_mask", "time_mask_steps")):
            if getattr(self, f"{mask}_probability") > 0 and getattr(self, longest) == 0:
                raise DataError(f"{longest}: 0 masks nothing (1 or more, where {mask}_probability is above 0)")

    def apply(
        self, x: Tensor, lengths: Tensor, labels: Tensor, classes: int, generator: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Augment a batch, as :meth:`ranvier.data.SpikeDataset.batch` gives it.

        Args:
            x: float32 ``[time, batch, source]``, on the CPU.
            lengths: int64 ``[batch]`` steps.
            labels: int64 ``[batch]`` classes.
            classes: how many classes there are.
            generator: all randomness.

        Returns:
            x, lengths, and the target that ``torch.nn.functional.cross_entropy`` takes: the labels, or with ``cut_mix``
            float32 ``[batch, class]`` that sum to 1. What no step changes is the argument itself, memory and all.

        Raises:
            DataError: as the functions.
        """
        import torch

        counts, steps, label, target = x.numpy(), lengths.numpy(), labels.numpy(), labels
        if self.blend_probability > 0:
            counts = blend(counts, steps, label, generator, probability=self.blend_probability)
        if self.shift_channels > 0:
            counts = shift_channels(counts, generator, most=self.shift_channels)
        if self.shift_steps > 0:
            counts, steps = shift_steps(counts, steps, generator, most=self.shift_steps)
        if self.keep_probability < 1:
            counts = drop_events(counts, generator, keep=self.keep_probability)
        if self.jitter_steps > 0:
            counts = jitter(counts, steps, generator, sigma_steps=self.jitter_steps)
        if self.channel_mask_probability > 0:
            counts = channel_mask(
                counts, generator, longest=self.channel_mask_channels, probability=self.channel_mask_probability
            )
        if self.time_mask_probability > 0:
            counts = time_mask(
                counts, steps, generator, longest_steps=self.time_mask_steps, probability=self.time_mask_probability
            )
        if self.cut_mix_probability > 0:
            counts, shares = cut_mix(
                counts,
                steps,
                label,
                classes,
                generator,
                longest_share=self.cut_mix_share,
                probability=self.cut_mix_probability,
            )
            target = torch.from_numpy(shares)
        return torch.from_numpy(counts), torch.from_numpy(steps), target


def blend(
    x: Counts, lengths: Integers, labels: Integers, generator: np.random.Generator, *, probability: float
) -> Counts:
    """Make one clip of two of a class: each event of either is kept with probability 1/2.

    The other clip, drawn from the same class, is first moved by whole steps and channels until its mean step and mean
    channel are those of the clip; what then lies beyond the clip's length or the channels is lost. A clip that is alone
    with its class stays as it is.

    Raises:
        DataError: probability is out of range, or a count is no whole number >= 0.

    Source: arXiv 2212.01232.
    """
    check_range("probability", probability, 1)
    _cells(x)  # two halves of an event would make a whole one
    blended = x.copy()
    other = _other_of_class(labels, generator)
    chosen = np.flatnonzero((generator.random(len(labels)) < probability) & (other != np.arange(len(labels))))
    if len(chosen) == 0:
        return blended
    mean_step, mean_channel = _means(x)
    # a clip without events has no middle: nothing is moved
    steps_later = np.nan_to_num(np.rint(mean_step - mean_step[other])).astype(np.int64)
    channels_up = np.nan_to_num(np.rint(mean_channel - mean_channel[other])).astype(np.int64)
    for clip, mate in zip(chosen, other[chosen], strict=True):
        from_step, to_step = _overlap(steps_later[clip], lengths[mate], lengths[clip])
        from_channel, to_channel = _overlap(channels_up[clip], x.shape[2], x.shape[2])
        blended[to_step, clip, to_channel] += x[from_step, mate, from_channel]
    # half of each, summed, is half of the sum
    blended[:, chosen] = drop_events(blended[:, chosen], generator, keep=0.5)
    return blended


def shift_channels(x: Counts, generator: np.random.Generator, *, most: int) -> Counts:
    """Move each clip up or down the channels: source c goes to c + n, n uniform in -most ... most.

    Channels of a cochlea are ordered by frequency, so this is another pitch. What leaves the channels is lost.

    Args:
        most: channels, >= 0.

    Raises:
        DataError: most is out of range.
    """
    check_range("most", most, MOST_STEPS)
    by = generator.integers(-most, most, x.shape[1], endpoint=True)
    moved = np.zeros(x.shape, x.dtype)
    for channels in np.unique(by):
        clips = np.flatnonzero(by == channels)
        start, end = _overlap(channels, x.shape[2], x.shape[2])
        moved[:, clips, end] = x[:, clips, start]
    return moved


def shift_steps(x: Counts, lengths: Integers, generator: np.random.Generator, *, most: int) -> tuple[Counts, Integers]:
    """Let each clip come earlier or later: step t goes to t + n, n uniform in -most ... most.

    Silence stands before a later clip. What an earlier one has before step 0 is lost, but its last step is kept:
    n >= 1 - length.

    Args:
        most: steps, >= 0.

    Returns:
        x, with more time than before where a clip needs it, and lengths + n.

    Raises:
        DataError: most is out of range.
    """
    check_range("most", most, MOST_STEPS)
    by = np.maximum(generator.integers(-most, most, len(lengths), endpoint=True), 1 - lengths)
    after = lengths + by
    moved = np.zeros((max(len(x), int(after.max(initial=0))), *x.shape[1:]), x.dtype)
    for steps in np.unique(by):
        clips = np.flatnonzero(by == steps)
        start, end = _overlap(steps, len(x), len(moved))
        moved[end, clips] = x[start, clips]
    return moved, after


def drop_events(x: Counts, generator: np.random.Generator, *, keep: float) -> Counts:
    """Keep each event with a probability, whatever happens to the others: a count n becomes binomial(n, keep).

    Args:
        keep: probability, in [0, 1].

    Raises:
        DataError: keep is out of range, or a count is no whole number >= 0.
    """
    check_range("keep", keep, 1)
    cells, counts = _cells(x)
    # a coin per event takes less time than a binomial draw per cell; differences outlive a sum that wraps around
    kept = np.cumsum(generator.random(counts.sum(), np.float32) < keep, dtype=np.int32)
    thinned = np.zeros(x.size, x.dtype)
    thinned[cells] = np.diff(kept[np.cumsum(counts) - 1], prepend=np.int32(0))
    return thinned.reshape(x.shape)


def jitter(x: Counts, lengths: Integers, generator: np.random.Generator, *, sigma_steps: float) -> Counts:
    """Move each event by a normal number of steps, rounded; one that would leave its clip stops at its end.

    Every channel of every clip keeps the number of its events.

    Args:
        sigma_steps: standard deviation before rounding, in steps, >= 0.

    Raises:
        DataError: sigma_steps is out of range, or a count is no whole number >= 0.
    """
    check_range("sigma_steps", sigma_steps, MOST_STEPS)
    cells, counts = _cells(x)
    lines = x.shape[1] * x.shape[2]
    moved = np.zeros(x.size, x.dtype)
    # step by step, what is drawn stays in the cache
    for step, (start, stop) in enumerate(pairwise(np.searchsorted(cells, lines * np.arange(len(x) + 1)))):
        line = np.repeat(cells[start:stop] - step * lines, counts[start:stop])
        by = np.float32(sigma_steps) * generator.standard_normal(len(line), np.float32)
        to = np.clip(step + np.rint(by).astype(np.int64), 0, (lengths - 1)[line // x.shape[2]])
        np.add.at(moved, to * lines + line, np.float32(1))
    return moved.reshape(x.shape)


def _cells(x: Counts) -> tuple[Integers, Integers]:
    """Flat index and count of every cell that is not empty."""
    flat = x.reshape(-1)
    cells = np.flatnonzero(flat != 0)  # numpy looks for what is true much faster than for what is not 0
    counts = flat[cells]
    wrong = np.flatnonzero(~((counts > 0) & (counts <= _MOST_COUNT) & (np.floor(counts) == counts)))
    if len(wrong):
        step, clip, source = np.unravel_index(cells[wrong[0]], x.shape)
        raise DataError(
            f"x: {counts[wrong[0]]:g} events in step {step}, clip {clip}, source {source} "
            f"(whole numbers, 0 ... {_MOST_COUNT}, allowed)"
        )
    return cells, counts.astype(np.int64)


def _means(x: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean step and mean channel of each clip's events; no number where there are none."""
    by_step, by_channel = x.sum(2, np.float64), x.sum(0, np.float64)
    events = by_step.sum(0)
    events[events == 0] = np.nan
    return np.arange(x.shape[0]) @ by_step / events, by_channel @ np.arange(x.shape[2]) / events


def _other_of_class(labels: Integers, generator: np.random.Generator) -> Integers:
    """For each clip another one of its class, drawn at random; itself where there is none."""
    # each class in a random order, and from its last clip on to its first
    order = np.lexsort((generator.permutation(len(labels)), labels))
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    following = np.roll(order, -1)
    following[np.append(starts[1:], len(labels)) - 1] = order[starts]
    other = np.empty_like(order)
    other[order] = following
    return other


def _overlap(by: int, before: int, after: int) -> tuple[slice, slice]:
    """Where what stays stood, and where it comes to stand, by a move from an axis ``before`` to one ``after`` long."""
    start, end = max(-by, 0), max(by, 0)
    size = max(min(before - start, after - end), 0)
    return slice(start, start + size), slice(end, end + size)
