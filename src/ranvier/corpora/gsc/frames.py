"""Log-mel frames of Google Speech Commands, kept in a file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from ranvier.audio.mel import DEFAULT, MelSettings, log_mel
from ranvier.corpora.gsc.clips import Classes, GscFiles, gsc_files
from ranvier.corpora.gsc.files import Split
from ranvier.data.dataset import DataError
from ranvier.data.frames import FrameDataset, frames_file, open_frames, write_frames

_CLIPS_AT_ONCE = 256


def read_gsc(
    root: str | os.PathLike[str],
    split: Split,
    *,
    classes: Classes = 35,
    settings: MelSettings = DEFAULT,
    generator: np.random.Generator | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FrameDataset:
    """Log-mel frames of one split; they are kept in a file (2.4 GB for the 84,843 training clips) and read from there.

    Made anew when a file's name, size or date, the settings or the draw are others than before.

    Args:
        root: folder of the word folders.
        split: which one.
        classes: 35 or 12, see :func:`gsc_files`.
        settings: how sound becomes frames.
        generator: randomness of the draws, for 12 classes.
        cache: folder of the cache; None means the user's (``RANVIER_CACHE`` sets another).
        progress: called with (clips read, clips in all).

    Returns:
        The clips, in the order of :func:`gsc_files`.

    Raises:
        DataError: as :func:`gsc_files`; or a file cannot be read as sound.
        ValueError: an argument is not one of those allowed.
    """
    files = gsc_files(root, split, classes, generator=generator)
    shape = {"steps": len(files) * settings.steps, "sources": settings.bands}
    file = frames_file(f"gsc-{split}", [asdict(settings), _identity(files)], cache)
    frames = open_frames(file, **shape)
    if frames is None:
        write_frames(file, _each_log_mel(files, settings, progress), **shape)
        frames = open_frames(file, **shape)
        if frames is None:
            raise DataError(f"{file}: cannot be read back")
    return FrameDataset(
        frames=frames,
        offsets=np.arange(len(files) + 1, dtype=np.int64) * settings.steps,
        labels=files.labels,
        speakers=files.speakers,
        classes=files.classes,
        dt_ms=settings.dt_ms,
    )


def _identity(files: GscFiles) -> list[list[str | int | float]]:
    """What identifies the clips: word, name, size and date of the files, and where in them they begin."""
    identity: list[list[str | int | float]] = []
    for path, start_s in zip(files.paths, files.start_s.tolist(), strict=True):
        status = path.stat()
        start = -1.0 if math.isnan(start_s) else start_s
        identity.append([path.parent.name, path.name, status.st_size, status.st_mtime_ns, start])
    return identity


def _each_log_mel(
    files: GscFiles, settings: MelSettings, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.float32]]:
    for number in range(len(files)):
        yield log_mel(files.sound(number), settings)
        done = number + 1
        if progress is not None and (done % _CLIPS_AT_ONCE == 0 or done == len(files)):
            progress(done, len(files))
