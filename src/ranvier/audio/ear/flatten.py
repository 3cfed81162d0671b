"""A sound without the colour of its microphone: its long-term spectrum brought nearer to that of speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.data.dataset import DataError

_WINDOW_S = 0.064
_OCTAVES = 1 / 3  # to either side that the spectrum is smoothed over: wider than a voice's harmonics, than no formant
_LOWEST_DB, _MOST_DB = -50.0, 20.0  # what lies lower below the loudest is silence; no part is changed by more
_FLAT_HZ = (150.0, 500.0)
_FALL_DB = 8.0  # an octave, on either side


def speech_spectrum_db(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """The long-term power spectrum of speech, roughly: flat from 150 to 500 Hz, falling by 8 dB an octave beside it.

    Args:
        frequency: Hz, > 0.

    Returns:
        dB below the flat part.
    """
    low, high = _FLAT_HZ
    octaves = np.log2(np.maximum(frequency / high, 1.0)) + np.log2(np.maximum(low / frequency, 1.0))
    return -_FALL_DB * octaves


def flattened(samples: NDArray[np.float64], rate: int, share: float) -> NDArray[np.float64]:
    """Take away a share of how a sound's long-term spectrum differs from that of speech, in dB.

    What a microphone, a room or a telephone adds to every sound of a speaker then counts less, and what changes
    within the sound as before. The filter has no delay and changes no frequency by more than 20 dB.

    Args:
        samples: the sound, not silent.
        rate: samples per second.
        share: in [0, 1]; 0 leaves the sound as it is, 1 gives all sounds one long-term spectrum.

    Returns:
        The sound, as long as before.

    Raises:
        DataError: share is out of range.
    """
    from scipy import fft, signal

    if not 0 <= share <= 1:
        raise DataError(f"share: {share} is not allowed (0 ... 1)")
    window = round(_WINDOW_S * rate)
    padded = np.pad(samples, (0, max(0, window - len(samples))))
    frequency, power = signal.welch(padded, rate, nperseg=window)
    frequency, power = frequency[1:], power[1:]
    level_db = 10 * np.log10(np.maximum(_smooth(frequency, power), 1e-300))
    level_db = np.maximum(level_db - level_db.max(), _LOWEST_DB)
    gain_db = np.clip(share * (speech_spectrum_db(frequency) - level_db), -_MOST_DB, _MOST_DB)
    length = fft.next_fast_len(len(samples) + 2 * window, real=True)
    spectrum = fft.rfft(np.pad(samples, (window, 0)), length)
    gain = 10 ** (np.interp(fft.rfftfreq(length, 1 / rate), frequency, gain_db) / 20)
    waveform: NDArray[np.float64] = fft.irfft(spectrum * gain, length)[window : window + len(samples)]
    return waveform


def _smooth(frequency: NDArray[np.float64], power: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over a band around every frequency."""
    total = np.concatenate([[0.0], np.cumsum(power)])
    first = np.searchsorted(frequency, frequency * 2**-_OCTAVES)
    last = np.searchsorted(frequency, frequency * 2**_OCTAVES, side="right")
    smooth: NDArray[np.float64] = (total[last] - total[first]) / (last - first)
    return smooth
