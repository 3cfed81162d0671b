"""Log-mel frames, against librosa on real clips and against sounds whose frames are known."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from ranvier.audio.mel import DEFAULT, PAPER, MelSettings, log_mel, mel_bank
from ranvier.audio.sound import Sound, read_sound
from tests.conftest import DATA

BOTH = pytest.mark.parametrize("settings", [PAPER, DEFAULT], ids=["paper", "default"])


@pytest.fixture(scope="module")
def clips() -> list[Sound]:
    """Real clips of three words, among them the shortest and one of 44.1 kHz that is longer than a second."""
    root = DATA / "gsc-mini"
    if not root.is_dir():
        pytest.skip(f"the recordings are not at {root} (RANVIER_TEST_DATA names another folder)")
    files = sorted(root.glob("*/*.wav"), key=lambda path: (path.stat().st_size, path.name))
    sounds = [read_sound(path) for path in [files[0], *files[5::40]]]
    assert sounds[0].seconds < 0.8
    last = sounds[-1].samples
    return [*sounds, Sound(np.concatenate([last, last[::-1], last])[:60000], 44100)]


def by_librosa(sound: Sound, settings: MelSettings) -> NDArray[Any]:
    """dB, ``[step, band]``."""
    samples = librosa.util.fix_length(sound.samples, size=round(settings.seconds * sound.rate))
    samples = librosa.resample(samples, orig_sr=sound.rate, target_sr=settings.rate_hz, res_type="soxr_vhq")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters detected")
        power = librosa.feature.melspectrogram(
            y=samples,
            sr=settings.rate_hz,
            n_fft=settings.fft,
            win_length=settings.window,
            hop_length=settings.hop,
            window="hann",
            center=True,
            pad_mode="reflect",
            power=2.0,
            n_mels=settings.bands,
            fmin=settings.lowest_hz,
            fmax=settings.highest_hz,
            htk=True,
            norm=None,
            dtype=np.float64,
        )
    level: NDArray[Any] = librosa.power_to_db(power, ref=1.0, amin=10 ** (settings.floor_db / 10), top_db=None).T
    return level


def tone(hz: float, rate: int = 16000, size: float = 0.5) -> Sound:
    return Sound(size * np.sin(2 * np.pi * hz * np.arange(rate) / rate), rate)


@BOTH
def test_is_librosa_on_real_clips(clips: list[Sound], settings: MelSettings) -> None:
    for clip in clips:
        frames = log_mel(clip, settings)
        assert frames.dtype == np.float32
        assert frames.shape == (101, 140)
        level = frames * settings.unit_db + settings.zero_db
        np.testing.assert_allclose(level, by_librosa(clip, settings), rtol=1e-4, atol=1e-4)


def test_is_librosa_for_settings_that_are_neither() -> None:
    sound = Sound(np.random.default_rng(0).normal(size=30000) * 0.1, 22050)
    odd = MelSettings(
        rate_hz=11025, window=254, fft=300, hop=77, bands=23, lowest_hz=0, highest_hz=5000, seconds=0.8, floor_db=-20
    )
    level = log_mel(sound, odd)
    assert level.shape == (1 + 8820 // 77, 23)
    np.testing.assert_allclose(level, by_librosa(sound, odd), rtol=1e-4, atol=1e-4)
    scaled = log_mel(sound, replace(odd, zero_db=-7.0, unit_db=12.5))
    np.testing.assert_allclose(scaled, (level + 7) / 12.5, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("settings", "empty"), [(PAPER, range(87, 140)), (DEFAULT, range(0))])
def test_the_papers_upper_53_bands_are_empty_and_none_of_ours(settings: MelSettings, empty: range) -> None:
    assert np.flatnonzero(~mel_bank(settings).any(1)).tolist() == list(empty)
    noise = Sound(np.random.default_rng(1).normal(size=16000) * 0.1, 16000)
    lowest = (settings.floor_db - settings.zero_db) / settings.unit_db
    never = np.flatnonzero((log_mel(noise, settings) == np.float32(lowest)).all(0))
    assert never.tolist() == list(empty)


def test_a_narrower_lower_edge_would_empty_other_bands() -> None:
    """The paper's 50 Hz it is: from 20 Hz on, 54 would be."""
    assert (~mel_bank(replace(PAPER, lowest_hz=20.0)).any(1)).sum() != 53


@BOTH
def test_both_are_140_inputs_each_10_ms(settings: MelSettings) -> None:
    assert (settings.bands, settings.steps, settings.dt_ms) == (140, 101, 10.0)


@BOTH
def test_nothing_at_all_lies_on_the_floor(settings: MelSettings) -> None:
    frames = log_mel(Sound(np.zeros(16000), 16000), settings)
    assert (frames == (0 if settings is DEFAULT else -100)).all()


@pytest.mark.parametrize("hz", [300.0, 1000.0, 3000.0, 6500.0])
def test_a_tone_is_loudest_in_its_band_and_as_loud_as_its_size_says(hz: float) -> None:
    settings = replace(DEFAULT, zero_db=0.0, unit_db=1.0)
    level = log_mel(tone(hz), settings)[20:80]
    mel = 2595 * np.log10(1 + np.array([50, 8000, hz]) / 700)
    band = (mel[2] - mel[0]) / (mel[1] - mel[0]) * 141 - 1
    assert np.abs(level.argmax(1) - band).max() <= 1.0
    # Parseval: neighbouring triangles add up to 1, so the bands share all of the tone's power under the window
    np.testing.assert_allclose((10 ** (level / 10)).sum(1), 1024 * 0.5**2 / 4 * 3 / 8 * 512, rtol=2e-3)
    quieter = log_mel(tone(hz, size=0.125), settings)[20:80]
    loud = level > level.max() - 20
    np.testing.assert_allclose((level - quieter)[loud], 20 * np.log10(4), atol=1e-3)


@BOTH
@pytest.mark.parametrize("step", [0, 37, 99])
def test_a_click_is_in_its_step(settings: MelSettings, step: int) -> None:
    samples = np.zeros(16000)
    samples[step * 160] = 1.0
    heard = log_mel(Sound(samples, 16000), settings)[:, 40]
    assert heard.argmax() == step
    # a window of 32 ms reaches one step to either side, and no further
    beyond = np.abs(np.arange(101) - step) > 2
    assert (heard[beyond] < heard[step] - 50 / settings.unit_db).all()


@BOTH
def test_short_clips_end_in_silence_and_long_ones_are_cut(settings: MelSettings) -> None:
    samples = np.random.default_rng(2).normal(size=24000) * 0.1
    whole = log_mel(Sound(samples[:16000], 16000), settings)
    np.testing.assert_array_equal(log_mel(Sound(samples, 16000), settings), whole)
    short = log_mel(Sound(samples[:9000], 16000), settings)
    ended = samples[:16000].copy()
    ended[9000:] = 0
    np.testing.assert_array_equal(short, log_mel(Sound(ended, 16000), settings))
    assert (short[70:] <= -30 / settings.unit_db if settings is PAPER else short[70:] == 0).all()


def test_real_speech_lies_where_a_network_can_take_it(clips: list[Sound]) -> None:
    frames = np.concatenate([log_mel(clip, DEFAULT) for clip in clips])
    assert frames.min() >= 0
    assert frames.max() < 3
    assert 0.3 < frames.mean() < 1.5
    assert 0.2 < frames.std() < 1.0


def test_the_sound_and_the_bank_stay_as_they_were() -> None:
    sound = tone(440)
    before = sound.samples.copy()
    log_mel(sound, DEFAULT)
    np.testing.assert_array_equal(sound.samples, before)
    with pytest.raises(ValueError, match="read-only"):
        mel_bank(DEFAULT)[0, 0] = 1


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("rate_hz", 0, "1 or more"),
        ("hop", 0, "1 or more"),
        ("bands", 0, "1 or more"),
        ("fft", 1023, "even, 2 or more"),
        ("window", 1026, "2 ... fft = 1024"),
        ("window", 0, "even, 2"),
        ("window", 511, "even, 2"),
        ("lowest_hz", -1.0, "0 ... below 8000"),
        ("lowest_hz", 8000.0, "0 ... below 8000"),
        ("seconds", 0.016, "more than half a window"),
        ("unit_db", 0.0, "above 0"),
    ],
)
def test_settings_that_cannot_be_are_told_by_name(field: str, value: Any, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: .*{allowed}"):
        replace(DEFAULT, **{field: value})


def test_a_clip_of_less_than_half_a_window_is_filled_up() -> None:
    frames = log_mel(Sound(np.full(10, 0.5), 16000), DEFAULT)
    assert frames.shape == (101, 140)
    assert frames[0].max() > 0
    assert (frames[3:] == 0).all()
