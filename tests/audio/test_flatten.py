"""Taking the colour of a microphone off a sound."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from ranvier.audio.ear import Ear, clip_generator
from ranvier.audio.ear.flatten import flattened, speech_spectrum_db
from ranvier.audio.sound import Sound, read_sound
from ranvier.data import DataError

RATE = 16_000
Samples = NDArray[np.float64]


def noise(seconds: float = 4.0) -> Samples:
    return np.random.default_rng(0).standard_normal(round(seconds * RATE))


def microphone(sound: Samples, db_per_octave: float, rate: int = RATE) -> Samples:
    """The sound with a spectrum that rises or falls from 100 Hz on."""
    frequency = np.maximum(np.fft.rfftfreq(len(sound), 1 / rate), 100.0)
    gain = 10 ** (db_per_octave * np.log2(frequency / 100.0) / 20)
    return np.fft.irfft(np.fft.rfft(sound) * gain, len(sound))


def levels(sound: Samples) -> Samples:
    """In dB, by third of an octave from 200 to 4000 Hz, the first as 0."""
    frequency, power = signal.welch(sound, RATE, nperseg=2048)
    edges = 200 * 2 ** (np.arange(14) / 3)
    bands = [power[(frequency >= a) & (frequency < b)].mean() for a, b in pairwise(edges)]
    decibels: Samples = 10 * np.log10(np.array(bands) / bands[0])
    return decibels


def test_all_of_the_colour_is_taken_away() -> None:
    expected = levels(noise()) + speech_spectrum_db(200 * 2 ** ((np.arange(13) + 0.5) / 3))
    for tilt in (-6.0, -4.0, -2.0):
        after = levels(flattened(microphone(noise(), tilt), RATE, 1.0))
        np.testing.assert_allclose(after, expected - expected[0], atol=1.5)


def test_a_share_takes_a_share() -> None:
    before = levels(microphone(noise(), 3.0)) - levels(microphone(noise(), -3.0))
    assert before[-1] > 20
    for share in (0.3, 0.7):
        dark, bright = (levels(flattened(microphone(noise(), tilt), RATE, share)) for tilt in (-3.0, 3.0))
        np.testing.assert_allclose(bright - dark, (1 - share) * before, atol=1.0)


def test_nothing_is_taken_by_no_share() -> None:
    np.testing.assert_allclose(flattened(noise(), RATE, 0.0), noise(), atol=1e-10)


def test_nothing_is_moved_in_time() -> None:
    sound = 1e-3 * noise(0.5)
    sound[3000] = 1.0
    after = flattened(sound, RATE, 1.0)
    assert len(after) == len(sound)
    assert np.abs(after).argmax() == 3000
    np.testing.assert_allclose(after[2990:3000], after[3010:3000:-1], atol=0.02)  # alike before and after


@pytest.mark.parametrize("samples", [5, 100, 1023, 1025])
def test_short_sounds_stay_as_long(samples: int) -> None:
    after = flattened(noise()[:samples], RATE, 0.7)
    assert after.shape == (samples,)
    assert np.isfinite(after).all()


def test_what_is_silent_is_not_raised_without_end() -> None:
    """A tone alone: what lies 100 dB below it is raised by 20 dB at most."""
    tone = np.sin(2 * np.pi * 400 * np.arange(2 * RATE) / RATE) + 1e-5 * noise(2.0)
    before, after = (signal.welch(sound, RATE, nperseg=2048)[1] for sound in (tone, flattened(tone, RATE, 1.0)))
    raised = 10 * np.log10(after[256:] / before[256:])
    assert raised.max() < 21
    assert raised.min() > 8  # and yet as speech is there


def test_a_share_is_a_share() -> None:
    with pytest.raises(DataError, match=r"share: 1\.1 is not allowed"):
        flattened(noise(), RATE, 1.1)
    with pytest.raises(ValueError, match="flatten: -1 is not allowed"):
        Ear(flatten=-1)


def test_two_microphones_sound_more_alike_to_a_flattening_ear(
    data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.getbasetemp() / "ear0"
    cache.mkdir(exist_ok=True)
    clip = read_sound(data_root / "fsdd" / "3_george_7.wav")
    heard = []
    for flatten in (0.0, 0.7):
        profiles = []
        for tilt in (-4.0, 4.0):
            sound = Sound(microphone(clip.samples, tilt, clip.rate), clip.rate)
            _, units = Ear(flatten=flatten).encode(sound, clip_generator(0, sound), cache=cache)
            profiles.append(np.bincount(units // 5, minlength=140))
        heard.append(np.abs(profiles[0] - profiles[1]).sum() / np.sum(profiles))
    assert heard[1] < 0.6 * heard[0]
