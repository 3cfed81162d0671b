"""Augmentation of sound: pure functions."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ranvier.audio.sound import Sound, resampled
from ranvier.data.dataset import DataError

Colour = Literal["white", "pink"]

SPEEDS = (0.25, 4.0)
MOST_DB = 120.0


def change_speed(sound: Sound, factor: float) -> Sound:
    """Play a sound faster or slower, as a tape: it lasts 1/factor as long, and every frequency is factor times as high.

    Args:
        sound: the sound.
        factor: 0.25 ... 4; taken to the nearest 1/rate.

    Returns:
        The sound at its old rate. What would lie above half the rate is filtered out (soxr, very high quality).

    Raises:
        DataError: factor is out of range.
    """
    if not SPEEDS[0] <= factor <= SPEEDS[1]:
        raise DataError(f"factor: {factor} is not allowed ({SPEEDS[0]:g} ... {SPEEDS[1]:g})")
    # as if as many samples had been taken in a shorter time
    return resampled(Sound(sound.samples, round(sound.rate * factor)), sound.rate)


def change_gain(sound: Sound, gain_db: float) -> Sound:
    """Make a sound louder or softer: samples times 10^(gain_db / 20).

    Args:
        sound: the sound.
        gain_db: -120 ... 120 dB.

    Returns:
        The sound. Nothing is clipped: samples may leave -1 ... 1.

    Raises:
        DataError: gain_db is out of range.
    """
    _check_db("gain_db", gain_db)
    return Sound(sound.samples * 10 ** (gain_db / 20), sound.rate)


def add_noise(sound: Sound, snr_db: float, generator: np.random.Generator, *, colour: Colour = "white") -> Sound:
    """Add Gaussian noise: 10 log10(variance of the sound / mean square of the noise) = snr_db, to the digit.

    Args:
        sound: the sound.
        snr_db: -120 ... 120 dB, over the whole sound, its pauses counted.
        generator: randomness of the noise.
        colour: ``white``, power alike at all frequencies, or ``pink``, power in proportion to 1/frequency, none at 0.

    Returns:
        The sound. Nothing is clipped: samples may leave -1 ... 1.

    Raises:
        DataError: snr_db or colour is not allowed, or the sound is silent.
    """
    _check_db("snr_db", snr_db)
    if np.ptp(sound.samples) == 0:
        raise DataError("the sound is silent: no noise stands in a ratio to it")
    noise = _noise(len(sound.samples), colour, generator)
    scale = np.sqrt(np.var(sound.samples) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return Sound(sound.samples + scale * noise, sound.rate)


def _noise(samples: int, colour: Colour, generator: np.random.Generator) -> NDArray[np.float64]:
    white = generator.standard_normal(samples)
    if colour == "white":
        return white
    if colour != "pink":
        raise DataError(f"colour: {colour!r} is not allowed (white or pink)")
    spectrum = np.fft.rfft(white)
    spectrum[0] = 0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    return np.fft.irfft(spectrum, samples)


def _check_db(name: str, value: float) -> None:
    if not -MOST_DB <= value <= MOST_DB:
        raise DataError(f"{name}: {value} is not allowed (-{MOST_DB:g} ... {MOST_DB:g} dB)")
