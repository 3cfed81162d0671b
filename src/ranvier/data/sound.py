"""Sound from files: one channel, any rate, checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError

SHORTEST_S = 0.02
LONGEST_S = 16.0  # later times lie more than 10 ms apart in the half precision of SHD's format
SUFFIXES = (".wav", ".flac", ".ogg")
_EDGE = 0.02  # of the loudest sample: what is softer at both ends is silence
_MARGIN_S = 0.02  # of it that stays


@dataclass(frozen=True, eq=False)
class Sound:
    """One channel of sound.

    Attributes:
        samples: float64 ``[sample]``, full scale is -1 ... 1.
        rate: samples per second.
    """

    samples: NDArray[np.float64]
    rate: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate


def read_sound(path: str | os.PathLike[str], *, longest_s: float = LONGEST_S) -> Sound:
    """Read a file (wav, flac, ogg and whatever else libsndfile knows); several channels are mixed to their mean.

    Args:
        path: the file.
        longest_s: a longer sound is refused, before it is read.

    Raises:
        DataError: it is not a sound, is damaged, silent, shorter than 0.02 s or longer than ``longest_s``, or holds
            samples that are not numbers.
        FileNotFoundError: there is no such file.
    """
    import soundfile  # takes a moment, and most commands need no sound

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such sound file")
    try:
        with soundfile.SoundFile(path) as file:
            seconds = file.frames / file.samplerate
            if file.frames == 0:
                raise DataError(f"{path}: is empty (no samples)")
            _check_length(path, seconds, longest_s)
            frames: NDArray[Any] = file.read(dtype="float64", always_2d=True)
            rate = file.samplerate
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
        raise DataError(f"{path}: is not a sound file that can be read ({reason})") from None
    # the header may have promised more than there is
    _check_length(path, len(frames) / rate, longest_s)
    return Sound(checked(frames.mean(1), str(path)), rate)


def checked(samples: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """The samples, if they are sound.

    Raises:
        DataError: one is not a number, or all are alike.
    """
    wrong = np.flatnonzero(~np.isfinite(samples))
    if len(wrong):
        raise DataError(f"{name}: sample {wrong[0]} is {samples[wrong[0]]} (finite numbers allowed)")
    if np.ptp(samples) == 0:
        raise DataError(f"{name}: is silent (every sample is {samples[0]:g})")
    return samples


def resampled(sound: Sound, rate: int) -> Sound:
    """The same sound at another rate (soxr, very high quality); itself where the rate is that already."""
    import soxr

    if sound.rate == rate:
        return sound
    return Sound(soxr.resample(sound.samples, sound.rate, rate, quality="VHQ"), rate)


def trimmed(sound: Sound) -> Sound:
    """The same sound without the silence at both ends, but for 20 ms of it.

    Raises:
        DataError: it is silent, or holds samples that are not numbers.
    """
    checked(sound.samples, "sound")
    loud = np.flatnonzero(np.abs(sound.samples) > _EDGE * np.abs(sound.samples).max())
    margin = round(_MARGIN_S * sound.rate)
    return Sound(sound.samples[max(0, loud[0] - margin) : loud[-1] + margin], sound.rate)


def _check_length(path: Path, seconds: float, longest_s: float) -> None:
    if not SHORTEST_S <= seconds <= longest_s:
        raise DataError(f"{path}: lasts {seconds:.4g} s ({SHORTEST_S:g} ... {longest_s:g} s allowed)")
