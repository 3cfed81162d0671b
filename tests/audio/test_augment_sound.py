"""Augmented sound against what its frequencies and its power must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ranvier.audio.augment_sound import Colour, add_noise, change_gain, change_speed
from ranvier.audio.sound import Sound
from ranvier.data import DataError


def locked(samples: NDArray[np.float64], rate: int) -> Sound:
    """A sound where to write is an error."""
    samples.setflags(write=False)
    return Sound(samples, rate)


def sine(frequency_hz: float, rate: int = 16_000, seconds: float = 1.0) -> Sound:
    return locked(0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate)) / rate), rate)


def loudest_hz(sound: Sound) -> float:
    size = 2**18
    power = np.abs(np.fft.rfft(sound.samples * np.hanning(len(sound.samples)), size))
    return float(power.argmax()) * sound.rate / size


def rms(samples: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(samples**2)))


@pytest.mark.parametrize("factor", [0.25, 0.9, 0.97, 1.1, 2.0, 4.0])
@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_speed_changes_pitch_and_tempo_together(factor: float, rate: int) -> None:
    faster = change_speed(sine(440, rate), factor)
    assert faster.rate == rate
    assert faster.seconds == pytest.approx(1 / factor, abs=2e-4)
    assert loudest_hz(faster) == pytest.approx(440 * factor, rel=1e-3)
    middle = faster.samples[len(faster.samples) // 4 : -len(faster.samples) // 4]
    assert rms(middle) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_what_would_lie_above_half_the_rate_is_gone() -> None:
    assert rms(change_speed(sine(6_000), 2.0).samples[500:-500]) < 1e-6


def test_speed_1_is_the_sound_itself() -> None:
    sound = sine(440)
    np.testing.assert_array_equal(change_speed(sound, 1.0).samples, sound.samples)


@pytest.mark.parametrize(("gain_db", "factor"), [(0.0, 1.0), (20.0, 10.0), (-40.0, 0.01), (6.0, 1.9952623149688795)])
def test_gain_is_in_decibels_of_power(gain_db: float, factor: float) -> None:
    sound = sine(440)
    louder = change_gain(sound, gain_db)
    np.testing.assert_allclose(louder.samples, sound.samples * factor, rtol=1e-12)
    assert louder.rate == sound.rate
    assert not np.shares_memory(louder.samples, sound.samples)


@given(
    snr_db=st.floats(-60, 60),
    samples=st.integers(320, 3000),
    offset=st.sampled_from([0.0, 0.3]),
    colour=st.sampled_from(["white", "pink"]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_noise_has_the_asked_ratio_and_its_seed(
    snr_db: float, samples: int, offset: float, colour: Colour, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    sound = locked(offset + generator.uniform(-0.5, 0.5, samples), 16_000)
    noisy, again, other = (
        add_noise(sound, snr_db, np.random.default_rng(number), colour=colour) for number in (seed, seed, seed + 1)
    )
    noise = noisy.samples - sound.samples
    assert 10 * np.log10(np.var(sound.samples) / np.mean(noise**2)) == pytest.approx(snr_db, abs=1e-6)
    assert (noisy.rate, str(noisy.samples.dtype)) == (sound.rate, "float64")
    np.testing.assert_array_equal(again.samples, noisy.samples)
    assert not np.array_equal(other.samples, noisy.samples)


@pytest.mark.parametrize(("colour", "slope"), [("white", 0.0), ("pink", -1.0)])
def test_noise_has_the_spectrum_of_its_colour(colour: Colour, slope: float) -> None:
    sound = sine(440, seconds=8.0)
    noise = add_noise(sound, 0.0, np.random.default_rng(0), colour=colour).samples - sound.samples
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = 2 ** np.arange(5, 16)
    means = [power[low : 2 * low].mean() for low in octaves]
    assert np.polyfit(np.log(octaves), np.log(means), 1)[0] == pytest.approx(slope, abs=0.05)
    assert abs(noise.mean()) < (1e-12 if colour == "pink" else 0.02)


def test_noise_is_gaussian() -> None:
    sound = sine(440, seconds=4.0)
    for colour in ("white", "pink"):
        noise = add_noise(sound, 0.0, np.random.default_rng(0), colour=colour).samples - sound.samples
        assert np.mean(noise**4) / np.mean(noise**2) ** 2 == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.2, 4.5, float("nan"), float("inf")])
def test_speeds_out_of_range_are_refused(factor: float) -> None:
    with pytest.raises(DataError, match=rf"factor: {factor} is not allowed \(0.25 ... 4\)"):
        change_speed(sine(440), factor)


@pytest.mark.parametrize("level", [121.0, -121.0, float("nan"), float("inf")])
def test_levels_out_of_range_are_refused(level: float) -> None:
    with pytest.raises(DataError, match=f"gain_db: {level} is not allowed"):
        change_gain(sine(440), level)
    with pytest.raises(DataError, match=f"snr_db: {level} is not allowed"):
        add_noise(sine(440), level, np.random.default_rng(0))


def test_a_colour_that_is_not_known_is_refused() -> None:
    with pytest.raises(DataError, match=r"colour: 'brown' is not allowed \(white or pink\)"):
        add_noise(sine(440), 0.0, np.random.default_rng(0), colour="brown")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_silence_has_no_ratio(value: float) -> None:
    with pytest.raises(DataError, match="silent"):
        add_noise(Sound(np.full(400, value), 8_000), 10.0, np.random.default_rng(0))
