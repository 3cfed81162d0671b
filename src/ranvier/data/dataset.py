"""A data set of spike clips, held as packed counts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.errors import RuleError

if TYPE_CHECKING:
    from torch import Tensor

    from ranvier.data.frames import FrameDataset

_AT_ONCE = 1 << 20  # cells


class DataError(RuleError):
    """Data, or a file that should hold it, breaks a rule; the message says which, where and what is allowed."""


def summary(clips: SpikeDataset | FrameDataset) -> str:
    """A data set in a line."""
    longest = clips.lengths.max(initial=0)
    return (
        f"{type(clips).__name__}({len(clips)} clips, {len(clips.classes)} classes, {clips.sources} sources, "
        f"{clips.lengths.min(initial=longest)} to {longest} time steps of {clips.dt_ms:g} ms)"
    )


def check_clips(clips: NDArray[Any], most: int) -> NDArray[np.int64]:
    """Indices ``[clip]`` of clips as int64.

    Raises:
        DataError: they are no integers (a mask is none), are no list, or lie outside [0, most).
    """
    array = np.asarray(clips)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise DataError(f"clips: {array.dtype} of shape {array.shape} (a list of integers allowed)")
    if len(array) and not (array.min() >= 0 and array.max() < most):
        raise DataError(f"clips: {array.min()} ... {array.max()} (0 ... {most - 1} allowed)")
    return array.astype(np.int64)


def check_events(events: Sequence[NDArray[Any]], sources: int | None, what: str) -> None:
    """Refuse what is not (step, source, count), three arrays of integers of one length, sources below ``sources``.

    Raises:
        DataError: begins with ``what``.
    """
    shapes = [np.shape(part) for part in events]
    if len(shapes) != 3 or len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise DataError(f"{what}: shapes {', '.join(map(str, shapes))} (step, source and count of one length allowed)")
    for name, values in zip(("step", "source", "count"), events, strict=True):
        if len(values) and (values.dtype.kind not in "iu" or values.min() < 0):
            raise DataError(f"{what}: {name} is {values.dtype} from {values.min()} (integers, 0 or more allowed)")
    if sources is not None and len(events[1]) and events[1].max() >= sources:
        raise DataError(f"{what}: source {events[1].max()} (0 ... {sources - 1} allowed)")


@dataclass(frozen=True, eq=False)
class SpikeDataset:
    """Clips of counted events on a grid, without their empty cells.

    Attributes:
        step, source, count: of every cell that is not empty, clip after clip, sorted by step within a clip.
        offsets: ``[clip + 1]``; the cells of clip i are offsets[i] ... offsets[i + 1].
        lengths: ``[clip]`` steps up to and including the last event, at least 1.
        labels: ``[clip]`` index into ``classes``.
        speakers: ``[clip]`` number of the speaker, -1 where the recording does not say.
        classes: names of the classes.
        sources: input lines.
        dt_ms: length of a step in ms.
        speaker_names: name of each speaker's number, where the recording says.
    """

    step: NDArray[Any]
    source: NDArray[Any]
    count: NDArray[Any]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]
    speakers: NDArray[np.int64]
    classes: tuple[str, ...]
    sources: int
    dt_ms: float
    speaker_names: tuple[str, ...] = ()

    @classmethod
    def pack(
        cls,
        clips: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
        *,
        labels: NDArray[Any],
        speakers: NDArray[Any] | None,
        classes: Sequence[str],
        sources: int,
        dt_ms: float,
        speaker_names: Sequence[str] = (),
    ) -> SpikeDataset:
        """Join clips of (step, source, count) into one data set, in the smallest integer types that hold them.

        Raises:
            DataError: a clip is not three arrays of integers of one length, or has a source that there is not; or
                labels and speakers are not one per clip, labels within the classes.
        """
        for number, clip in enumerate(clips):
            check_events(clip, sources, f"clip {number}")
        for name, values in (("labels", labels), ("speakers", speakers)):
            if values is not None and np.shape(values) != (len(clips),):
                raise DataError(f"{name}: shape {np.shape(values)} ({len(clips)}, one per clip, allowed)")
        if len(clips) and not 0 <= np.min(labels) <= np.max(labels) < len(classes):
            raise DataError(f"labels: {np.min(labels)} ... {np.max(labels)} (0 ... {len(classes) - 1} allowed)")
        sizes = [len(step) for step, _, _ in clips]

        def joined(part: int) -> NDArray[Any]:
            most = max((int(clip[part].max(initial=0)) for clip in clips), default=0)
            small = np.min_scalar_type(most)
            return np.concatenate([clip[part].astype(small) for clip in clips] or [np.empty(0, small)])

        return cls(
            step=joined(0),
            source=joined(1),
            count=joined(2),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            lengths=np.array([int(step[-1]) + 1 if len(step) else 1 for step, _, _ in clips], np.int64),
            labels=np.asarray(labels, np.int64),
            speakers=np.full(len(clips), -1, np.int64) if speakers is None else np.asarray(speakers, np.int64),
            classes=tuple(classes),
            sources=sources,
            dt_ms=dt_ms,
            speaker_names=tuple(speaker_names),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return summary(self)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that the clips hold, whatever types hold it; computed once."""
        whole = hashlib.sha256(repr((self.classes, self.sources, float(self.dt_ms))).encode())
        for cells in (self.step, self.source, self.count):
            for start in range(0, len(cells), _AT_ONCE):
                whole.update(cells[start : start + _AT_ONCE].astype("<u4").tobytes())
        for values in (self.offsets, self.lengths, self.labels, self.speakers):
            whole.update(values.astype("<i8").tobytes())
        return whole.hexdigest()

    def clip(self, index: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Step, source and count of the cells of one clip; with ``lengths[index]``, what ``engine.run`` takes."""
        cells = slice(self.offsets[index], self.offsets[index + 1])
        return self.step[cells], self.source[cells], self.count[cells]

    def batch(self, clips: NDArray[Any], *, steps: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Dense tensors of some clips.

        Args:
            clips: ``[batch]`` indices.
            steps: time to pad to; None means the longest of these clips.

        Returns:
            x float32 ``[time, batch, source]``, lengths int64 ``[batch]`` in steps, labels int64 ``[batch]``.
        """
        import torch

        clips = check_clips(clips, len(self))
        lengths = self.lengths[clips]
        x = np.zeros((int(lengths.max()) if steps is None else steps, len(clips), self.sources), np.float32)
        for place, clip in enumerate(clips):
            step, source, count = self.clip(int(clip))
            x[step, place, source] = count
        return torch.from_numpy(x), torch.from_numpy(lengths), torch.from_numpy(self.labels[clips])
