"""Sound from files: one channel, any rate, checked."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError

SHORTEST_S = 0.02
LONGEST_S = 16.0  # later times lie more than 10 ms apart in the half precision of SHD's format
_EDGE = 0.02  # of the loudest sample: what is softer at both ends is silence
_MARGIN_S = 0.02  # of it that stays
# a mean of more than so much of the standard deviation is an offset; less changes a level by 3% at most, 0.3 dB
_OFFSET = 0.25
# what libsndfile notes of a chunk that holds less than its header says: declared and real size in bytes
_SHORT = re.compile(r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_OPEN_SIZE = 0x7FFF_F000  # sizes from here on stand for "not known yet": programs that write into a pipe
_HEADER_ERROR = 64  # bytes by which programs miscount a header


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
        DataError: it is not a sound, is damaged or cut short, silent, shorter than 0.02 s or longer than
            ``longest_s``, or holds samples that are not numbers.
        FileNotFoundError: there is no such file.
    """
    import soundfile  # takes a moment, and most commands need no sound

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such sound file")
    try:
        with soundfile.SoundFile(path) as file:
            rate, declared = file.samplerate, _declared_frames(file)
            if declared == 0:
                raise DataError(f"{path}: is empty (no samples)")
            if file.frames:
                _check_length(path, file.frames / rate, longest_s)
            frames: NDArray[Any] = file.read(dtype="float64", always_2d=True)
            is_ogg = file.format == "OGG"
    except DataError:
        raise
    except (soundfile.SoundFileError, TypeError, ValueError) as error:  # the latter of formats that cannot be sought in
        reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
        raise DataError(f"{path}: is not a sound file that can be read ({reason})") from None
    if declared > len(frames):
        raise DataError(f"{path}: is cut short: {len(frames) / rate:.4g} s of the {declared / rate:.4g} s it declares")
    if is_ogg and not _ends(path):
        raise DataError(f"{path}: is cut short: its last page is missing after {len(frames) / rate:.4g} s")
    _check_length(path, len(frames) / rate, longest_s)
    return Sound(checked(frames.mean(1), str(path)), rate)


def _declared_frames(file: Any) -> int:
    """Frames that the file's header declares: as many as there are, unless it was cut short."""
    frames = int(file.frames)
    for declared, real in _SHORT.findall(file.extra_info):
        missing = int(declared) - int(real)
        if missing > _HEADER_ERROR and int(declared) < _OPEN_SIZE and int(real):
            return max(frames + 1, round(frames * int(declared) / int(real)))
    return frames + 1 if "truncated" in file.extra_info else frames


def _ends(path: Path) -> bool:
    """Whether an Ogg file ends with a whole page that says it is the last (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * 65307))  # a page's largest size
        last = file.read()
    page = last[last.rfind(b"OggS") :]
    if len(page) < 27:
        return False
    lacing = page[27 : 27 + page[26]]
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(lacing)


def without_offset(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The samples without a constant offset, which is inaudible but would count as level.

    An offset is a mean of more than a quarter of the standard deviation; samples without one are returned as they are,
    to the bit.
    """
    mean = float(samples.mean())
    return samples - mean if abs(mean) > _OFFSET * float(samples.std()) else samples


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
    level = np.abs(without_offset(checked(sound.samples, "sound")))
    loud = np.flatnonzero(level > _EDGE * level.max())
    margin = round(_MARGIN_S * sound.rate)
    return Sound(sound.samples[max(0, loud[0] - margin) : loud[-1] + margin], sound.rate)


def _check_length(path: Path, seconds: float, longest_s: float) -> None:
    if not SHORTEST_S <= seconds <= longest_s:
        raise DataError(f"{path}: lasts {seconds:.4g} s ({SHORTEST_S:g} ... {longest_s:g} s allowed)")
