"""Reading sound: every rate, width and number of channels, and one clear line for what is not sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ranvier.audio.sound import Sound, read_sound, resampled, trimmed
from ranvier.data import DataError


def tone(seconds: float = 0.2, rate: int = 16_000, frequency_hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize(
    ("suffix", "subtype", "rate", "exact"),
    [
        ("wav", "PCM_16", 16_000, 1e-4),
        ("wav", "PCM_U8", 8_000, 1e-2),
        ("wav", "FLOAT", 96_000, 1e-7),
        ("flac", "PCM_24", 44_100, 1e-6),
        ("ogg", "VORBIS", 22_050, 0.1),
    ],
)
def test_formats_widths_and_rates(tmp_path: Path, suffix: str, subtype: str, rate: int, exact: float) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(rate=rate), rate, subtype=subtype)
    sound = read_sound(path)
    assert sound.rate == rate
    assert sound.seconds == pytest.approx(0.2, abs=1e-3)
    np.testing.assert_allclose(sound.samples, tone(rate=rate), atol=exact)


def test_channels_are_mixed_to_their_mean(tmp_path: Path) -> None:
    path = tmp_path / "six.wav"
    parts = tone()[:, None] * np.array([1.0, 0.5, 0.0, -0.25, 0.75, 1.0])
    soundfile.write(path, parts, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_sound(path).samples, parts.mean(1), atol=1e-7)


def test_resampling_keeps_a_tone_at_its_pitch() -> None:
    heard = resampled(Sound(tone(1.0, 8_000, 1000.0), 8_000), 48_000)
    assert (heard.rate, len(heard.samples)) == (48_000, 48_000)
    spectrum = np.abs(np.fft.rfft(heard.samples))
    assert spectrum.argmax() == 1000
    same = Sound(tone(), 48_000)
    assert resampled(same, 48_000) is same


def _nan(path: Path) -> None:
    samples = tone()
    samples[123] = np.nan
    soundfile.write(path, samples, 16_000, subtype="FLOAT")


def _cut(path: Path) -> None:
    soundfile.write(path, tone(1.0), 16_000)
    path.write_bytes(path.read_bytes()[:30])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no samples": (lambda path: soundfile.write(path, np.empty(0), 16_000), "is empty (no samples)"),
    "silent": (lambda path: soundfile.write(path, np.zeros(4000), 16_000), "is silent (every sample is 0)"),
    "a constant": (lambda path: soundfile.write(path, np.full(4000, 0.5), 16_000), "is silent (every sample is 0.5)"),
    "not a number": (_nan, "sample 123 is nan (finite numbers allowed)"),
    "5 ms": (lambda path: soundfile.write(path, tone(0.005), 16_000), "lasts 0.005 s (0.02 ... 16 s allowed)"),
    "10 minutes": (lambda path: soundfile.write(path, tone(600), 16_000), "lasts 600 s (0.02 ... 16 s allowed)"),
    "text": (lambda path: path.write_text("not a sound\n"), "is not a sound file that can be read"),
    "nothing": (lambda path: path.write_bytes(b""), "is not a sound file that can be read"),
    "cut short": (_cut, "is not a sound file that can be read"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_sound_gets_one_line(tmp_path: Path, fault: str) -> None:
    make, message = FAULTS[fault]
    path = tmp_path / "bad.wav"
    make(path)
    with pytest.raises(DataError) as raised:
        read_sound(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such sound file"):
        read_sound(tmp_path / "none.wav")


def test_silence_at_both_ends_is_trimmed_to_20_ms() -> None:
    samples = np.zeros(3000)
    samples[1000:1500] = tone(1, 500, 7)
    samples[1000] = samples[1499] = 0.5
    samples[300] = samples[2200] = 0.009  # softer than 2% of the loudest
    short = trimmed(Sound(samples, 8000))
    assert short.rate == 8000
    np.testing.assert_array_equal(short.samples, samples[840:1659])
    np.testing.assert_array_equal(trimmed(Sound(samples[1000:1500], 8000)).samples, samples[1000:1500])
    with pytest.raises(DataError, match="silent"):
        trimmed(Sound(np.zeros(100), 8000))
    with pytest.raises(DataError, match="sample 3 is nan"):
        trimmed(Sound(np.array([0.0, 1, 2, np.nan]), 8000))
