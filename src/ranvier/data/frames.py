"""A data set of clips of real numbers, held as frames in memory or in a file."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.cache import cache_folder, make_cache_folder
from ranvier.data.dataset import check_clips, summary
from ranvier.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

_CACHE_VERSION = 1
_KEPT = np.dtype("<f2")
_AT_ONCE = 1 << 16  # steps


@dataclass(frozen=True, eq=False)
class FrameDataset:
    """Clips of real numbers, one frame per step; used as a :class:`~ranvier.data.SpikeDataset` is.

    Attributes:
        frames: float16 or float32 ``[all steps, source]``, clip after clip; may be a file mapped into memory.
        offsets: ``[clip + 1]``; the steps of clip i are offsets[i] ... offsets[i + 1].
        labels: ``[clip]`` index into ``classes``.
        speakers: ``[clip]`` number of the speaker, -1 where there is none.
        classes: names of the classes.
        dt_ms: length of a step in ms.
        speaker_names: name of each speaker's number, where the recording says.
    """

    frames: NDArray[Any]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]
    speakers: NDArray[np.int64]
    classes: tuple[str, ...]
    dt_ms: float
    speaker_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """``[clip]`` steps."""
        return np.diff(self.offsets)

    @property
    def sources(self) -> int:
        """Input lines."""
        return int(self.frames.shape[1])

    def __repr__(self) -> str:
        return summary(self)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that the clips hold; computed once."""
        whole = hashlib.sha256(repr((self.classes, self.frames.dtype.str, self.sources, float(self.dt_ms))).encode())
        for start in range(0, len(self.frames), _AT_ONCE):
            whole.update(np.ascontiguousarray(self.frames[start : start + _AT_ONCE]).tobytes())
            _let_go(self.frames)
        for values in (self.offsets, self.labels, self.speakers):
            whole.update(values.astype("<i8").tobytes())
        return whole.hexdigest()

    def clip(self, index: int) -> NDArray[np.float32]:
        """Frames of one clip, ``[step, source]``: what ``engine.run`` takes as its dense form."""
        dense = np.array(self.frames[self.offsets[index] : self.offsets[index + 1]], np.float32)
        _let_go(self.frames)
        return dense

    def batch(self, clips: NDArray[Any], *, steps: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Dense tensors of some clips.

        Args:
            clips: ``[batch]`` indices.
            steps: time to pad to, with zeros; None means the longest of these clips.

        Returns:
            x float32 ``[time, batch, source]``, lengths int64 ``[batch]`` in steps, labels int64 ``[batch]``.
        """
        import torch

        clips = check_clips(clips, len(self))
        lengths = self.offsets[clips + 1] - self.offsets[clips]
        x = np.zeros((int(lengths.max()) if steps is None else steps, len(clips), self.sources), np.float32)
        for place, (clip, length) in enumerate(zip(clips, lengths, strict=True)):
            x[:length, place] = self.frames[self.offsets[clip] : self.offsets[clip + 1]]
        _let_go(self.frames)
        return torch.from_numpy(x), torch.from_numpy(lengths), torch.from_numpy(self.labels[clips])


def frames_file(name: str, made_of: Any, cache: str | os.PathLike[str] | None) -> Path:
    """Where the cache keeps frames.

    Args:
        name: what they are, for people who look into the folder.
        made_of: all that they depend on, as JSON would have it.
        cache: folder of the cache; None means the user's (``RANVIER_CACHE`` sets another).
    """
    key = hashlib.sha256(json.dumps([_CACHE_VERSION, made_of], sort_keys=True).encode()).hexdigest()
    return cache_folder(cache) / f"{key[:24]}-{name}.npy"


def write_frames(file: Path, clips: Iterable[NDArray[Any]], *, steps: int, sources: int) -> None:
    """Keep clips in a file, one after the other as they come, under another name until all are there.

    Args:
        file: the ``.npy`` file to write.
        clips: frames ``[step, source]``; rounded to float16, so a level of 64 ... 128 dB to the next 1/16 dB.
        steps: of all clips together.
        sources: of each of them.

    Raises:
        ValueError: the clips have other shapes than was said.
        DataError: the folder cannot be written to.
    """
    make_cache_folder(file.parent, "frames")
    written = 0
    with write_atomically(file) as temporary:
        with temporary.open("wb", buffering=1 << 20) as out:
            header = {"descr": _KEPT.str, "fortran_order": False, "shape": (steps, sources)}
            np.lib.format.write_array_header_2_0(out, header)
            for clip in clips:
                if clip.ndim != 2 or clip.shape[1] != sources:
                    raise ValueError(f"{file}: a clip of shape {clip.shape} ([step, {sources}] allowed)")
                out.write(clip.astype(_KEPT).tobytes())
                written += len(clip)
        if written != steps:
            raise ValueError(f"{file}: the clips have {written} steps together ({steps} allowed)")


def open_frames(file: Path, *, steps: int, sources: int) -> NDArray[np.float16] | None:
    """Frames that :func:`write_frames` kept, read-only and read only when they are looked at.

    Returns:
        ``[steps, sources]``; None if the file is not there, is damaged or holds something of another shape.
    """
    try:
        frames = np.lib.format.open_memmap(file, mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return frames if frames.dtype == _KEPT and frames.shape == (steps, sources) else None


def _let_go(frames: NDArray[Any]) -> None:
    """Pages once read count as the process's own until it gives them up; the system keeps them at hand."""
    mapped = frames.base
    if isinstance(mapped, mmap.mmap) and not frames.flags.writeable and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
