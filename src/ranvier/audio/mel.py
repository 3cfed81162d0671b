"""Log-mel frames of a sound: the power in bands of frequency, step by step, in dB."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ranvier.audio.sound import Sound, resampled


@dataclass(frozen=True)
class MelSettings:
    """How a sound becomes frames.

    With h the periodic Hann window, N = ``fft`` and the sound x continued by its mirror image at both ends:

        power[t, k] = |Σ_n h[n] x[t · hop + n − window / 2] exp(−2πi k n / N)|²
        level[t, b] = max(10 log10(Σ_k bank[b, k] power[t, k]), floor_db)
        frame[t, b] = (level[t, b] − zero_db) / unit_db

    Args:
        rate_hz: the sound is resampled to this many samples per second, > 0.
        window: samples under the window, even, 2 ... ``fft``.
        fft: samples that are transformed, even; those beyond the window are zeros and only make finer bins.
        hop: samples from one step to the next, > 0.
        bands: bands, >= 1.
        lowest_hz, highest_hz: outer edges of the first and the last band, 0 <= lowest < highest. Sound has nothing
            above half its rate, so bands beyond it stay empty.
        seconds: every clip is cut at its end, or zeros are put there, to last this long; more than half a window.
        floor_db: least level, for full scale at 1 and no correction for the window.
        zero_db: the level that becomes 0.
        unit_db: the dB that become 1, > 0.

    Raises:
        ValueError: an argument is out of range.
    """

    rate_hz: int
    window: int
    fft: int
    hop: int
    bands: int
    lowest_hz: float
    highest_hz: float
    seconds: float = 1.0
    floor_db: float = -100.0
    zero_db: float = 0.0
    unit_db: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("rate_hz", 1), ("hop", 1), ("bands", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)} is not allowed ({least} or more)")
        if self.fft < 2 or self.fft % 2:
            raise ValueError(f"fft: {self.fft} is not allowed (even, 2 or more)")
        if not 2 <= self.window <= self.fft or self.window % 2:
            raise ValueError(f"window: {self.window} is not allowed (even, 2 ... fft = {self.fft})")
        if not 0 <= self.lowest_hz < self.highest_hz:
            raise ValueError(f"lowest_hz: {self.lowest_hz:g} is not allowed (0 ... below {self.highest_hz:g})")
        if self.samples <= self.window // 2:
            raise ValueError(f"seconds: {self.seconds:g} is not allowed (more than half a window)")
        if not self.unit_db > 0:
            raise ValueError(f"unit_db: {self.unit_db:g} is not allowed (above 0)")

    @property
    def samples(self) -> int:
        """Samples of a clip."""
        return round(self.seconds * self.rate_hz)

    @property
    def steps(self) -> int:
        """Frames of a clip: the first is centred on its first sample."""
        return 1 + self.samples // self.hop

    @property
    def dt_ms(self) -> float:
        """From one step to the next, in ms."""
        return 1000 * self.hop / self.rate_hz


PAPER = MelSettings(rate_hz=8000, window=256, fft=256, hop=80, bands=140, lowest_hz=50, highest_hz=14000)
"""The front end of DCLS-Delays (arXiv 2306.17670, its published code): dB as they are, and the upper 53 of the 140
bands beyond the 4 kHz at which the sound ends, always at the floor. Its resampler is a shorter filter than ours, so the
bands next to 4 kHz differ from it a little."""

DEFAULT = MelSettings(
    rate_hz=16000,
    window=512,
    fft=1024,
    hop=160,
    bands=140,
    lowest_hz=50,
    highest_hz=8000,
    floor_db=-60.0,
    zero_db=-60.0,
    unit_db=40.0,
)
"""As many inputs, steps and ms under the window as :data:`PAPER`, with the sound at its full rate and no band empty:
the finer bins see to the narrow bands at the bottom. Silence is 0, so padding is silence; 330 clips of the data have a
mean of 0.74, a standard deviation of 0.49 and a maximum of 2.6."""


def log_mel(sound: Sound, settings: MelSettings) -> NDArray[np.float32]:
    """Frames of one clip.

    Args:
        sound: of any rate, finite.
        settings: what to make of it.

    Returns:
        ``[step, band]``, in units of ``settings.unit_db`` above ``settings.zero_db``.
    """
    clip = Sound(_padded(sound.samples, round(settings.seconds * sound.rate)), sound.rate)
    samples = _padded(resampled(clip, settings.rate_hz).samples, settings.samples)
    mirrored = np.pad(samples, settings.window // 2, mode="reflect")
    pieces = sliding_window_view(mirrored, settings.window)[:: settings.hop]
    # np.hanning is symmetric: one more than asked for and without its last it is periodic
    spectrum = np.fft.rfft(pieces * np.hanning(settings.window + 1)[:-1], settings.fft)
    power = (spectrum.real**2 + spectrum.imag**2) @ mel_bank(settings).T
    level = 10 * np.log10(np.maximum(power, 10 ** (settings.floor_db / 10)))
    return ((level - settings.zero_db) / settings.unit_db).astype(np.float32)


@lru_cache(maxsize=8)
def mel_bank(settings: MelSettings) -> NDArray[np.float64]:
    """Triangles of height 1 whose corners are evenly spaced on HTK's mel scale, 2595 log10(1 + f / 700 Hz).

    Returns:
        ``[band, bin]``, read-only; a band with no bin inside it is all zeros.
    """
    lowest, highest = (2595 * np.log10(1 + hz / 700) for hz in (settings.lowest_hz, settings.highest_hz))
    corner = 700 * (10 ** (np.linspace(lowest, highest, settings.bands + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(settings.fft, 1 / settings.rate_hz)
    left, peak, right = corner[:-2, None], corner[1:-1, None], corner[2:, None]
    bank = np.maximum(0, np.minimum((bins - left) / (peak - left), (right - bins) / (right - peak)))
    bank.flags.writeable = False
    return bank


def _padded(samples: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.pad(samples[:count], (0, max(0, count - len(samples))))
