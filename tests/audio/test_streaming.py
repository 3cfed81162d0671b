"""The streaming ear: the same bits for any pieces, a stated latency, and near to the ear of whole clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ranvier.audio.ear import Ear, EarStream, StreamingEar, clip_generator, membrane, stream_cpu
from ranvier.audio.ear.bands import AHEAD, BEFORE, HOP, bands
from ranvier.audio.ear.streaming import _phases, _reach
from ranvier.audio.sound import Sound, read_sound
from ranvier.data import DataError
from ranvier.errors import RuleError
from tests.audio.test_ear import correlations, histogram

EAR = StreamingEar(channels=64)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ear")


def noise(seconds: float, rate: int = 48_000, size: float = 0.1) -> NDArray[np.float64]:
    return size * np.random.default_rng(0).standard_normal(round(seconds * rate))


def hear(stream: EarStream, samples: NDArray[np.float64], ends: list[int]) -> tuple[bytes, int]:
    """All spikes of a sound in pieces, as bytes, and how many."""
    parts = [stream.push(piece) for piece in np.split(samples, ends)]
    times, units = zip(*parts, stream.finish(), strict=True)
    return np.concatenate(times).tobytes() + np.concatenate(units).tobytes(), sum(map(len, times))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000, 96_000]), st.data())
def test_any_pieces_give_the_same_bits(cache: Path, rate: int, data: st.DataObject) -> None:
    samples = noise(0.12, rate)
    ends = data.draw(st.lists(st.integers(0, len(samples)), max_size=30).map(sorted))
    whole, spikes = hear(EAR.stream(rate, cache=cache), samples, [])
    assert spikes > 50
    assert hear(EAR.stream(rate, cache=cache), samples, ends)[0] == whole


@pytest.mark.parametrize("piece", [1, 7, 479, 481])
def test_equal_pieces_give_the_same_bits(cache: Path, piece: int) -> None:
    samples = noise(0.1, 44_100)
    whole, _ = hear(EAR.stream(44_100, cache=cache), samples, [])
    assert hear(EAR.stream(44_100, cache=cache), samples, list(range(piece, len(samples), piece)))[0] == whole


def test_the_seed_and_the_place_in_the_sound_say_what_is_drawn(cache: Path) -> None:
    samples = noise(0.2)
    one, other = (EAR.stream(seed=seed, cache=cache) for seed in (0, 1))
    assert hear(one, samples, [])[0] != hear(other, samples, [])[0]
    # the same sound, but for its end: the same spikes until the end could be known of
    first, again = EAR.stream(cache=cache), EAR.stream(cache=cache)
    times, units = first.push(samples)
    changed = samples.copy()
    changed[7200:] = 0
    others = again.push(changed)
    known = times < 0.15 - first.latency_s
    assert known.sum() > 50
    assert np.array_equal(times[known], others[0][: known.sum()])
    assert np.array_equal(units[known], others[1][: known.sum()])
    assert not np.array_equal(times, others[0])


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 192_000])
def test_spikes_come_within_the_latency(cache: Path, rate: int) -> None:
    stream, worst, spikes = EAR.stream(rate, cache=cache), 0.0, 0
    piece = rate // 1000
    for start, samples in enumerate(np.split(noise(0.3, rate), np.arange(piece, round(0.3 * rate), piece))):
        times, _ = stream.push(samples)
        heard = (start + 1) * piece / rate
        worst = max([worst, *(heard - times)])
        spikes += len(times)
        assert heard - stream.seconds < EAR.latency_ms(rate) / 1000 + 0.001
    assert spikes > 100
    assert worst < EAR.latency_ms(rate) / 1000 + 0.001 < 0.051
    assert EAR.latency_ms(rate) < 50


def test_a_state_goes_on_where_it_was_taken(cache: Path) -> None:
    samples = noise(0.2, 44_100)
    stream = EAR.stream(44_100, cache=cache)
    stream.push(samples[:3001])
    state = stream.state()
    rest = hear(stream, samples[3001:], [])
    other = EAR.stream(44_100, cache=cache)
    other.restore(state)
    assert hear(other, samples[3001:], []) == rest
    assert rest[1] > 50
    with pytest.raises(ValueError, match=r"state\.cells: is missing"):
        other.restore({name: array for name, array in state.items() if name != "cells"})
    with pytest.raises(ValueError, match=r"state\.raw: is float64 \(0,\) \(float64 \(32,\) allowed\)"):
        other.restore(state | {"raw": np.zeros(0)})


def test_the_membrane_in_blocks_is_the_membrane(cache: Path) -> None:
    """Against the whole table on a long noise; only the lowest places lose some of what comes long before the sound."""
    channels = 24
    sound = noise(1.0, size=1.0)
    whole = membrane.membrane(channels, cache).velocity(np.fft.rfft(sound), slice(0, channels))
    start = 12_000
    block = np.full((HOP, channels), np.nan, np.float32)
    for band in bands(channels, cache):
        band.velocity(sound[2 * (start - BEFORE) : 2 * (start + HOP + AHEAD)], block)
    error = np.sqrt(np.mean((block - whole[:, start : start + HOP].T) ** 2, 0) / np.mean(whole**2, 1))
    assert len(bands(channels, cache)) == 3
    assert (error[1:16] < 0.003).all()
    assert (error < 0.6).all()


def test_silence_stays_silent_and_an_offset_is_silence(cache: Path) -> None:
    """Only what cells do of themselves, one spike a channel and second."""
    loud = len(EAR.encode(Sound(noise(1.0), 48_000), cache=cache)[0])
    for samples in (np.zeros(48_000), np.full(48_000, 0.3), noise(1.0, size=1e-5)):
        assert hear(EAR.stream(cache=cache), samples, [])[1] < 100 < loud / 4


def test_the_gain_takes_the_level_away(cache: Path) -> None:
    """Within 5% from 0 to 30 dB below full scale; the floor is 40 dB below it."""
    counts = [hear(EAR.stream(cache=cache), noise(0.5, size=0.3 * 10 ** (-db / 20)), [])[1] for db in (0, 10, 30, 60)]
    assert counts[1] == pytest.approx(counts[0], rel=0.05)
    assert counts[2] == pytest.approx(counts[0], rel=0.05)
    assert counts[3] < counts[0] / 4


def test_resampling_is_scipys(cache: Path) -> None:
    rate, tone_hz = 16_000, 3_000
    samples = np.sin(2 * np.pi * tone_hz * np.arange(1600) / rate)
    reach = _reach(rate)
    out = np.empty(3 * (1600 - reach))
    padded = np.concatenate([np.zeros(reach), samples])
    stream_cpu.resample(padded, _phases(rate), 3, 1, 0, -reach, len(out), out)
    expected = resample_poly(samples, 3, 1)
    np.testing.assert_allclose(out[300:-300], expected[300 : len(out) - 300], atol=3e-3)


def test_it_hears_what_the_ear_of_whole_clips_hears(data_root: Path) -> None:
    """Spikes in all within 25%; histograms correlate to 85% of what two seeds of one ear do, over channels to 95%."""
    for name in ("speaker-01_trial-15_digit-7", "speaker-09_trial-14_digit-0"):
        sound = read_sound(data_root / "heidelberg-digits-audio" / f"lang-english_{name}.flac")
        clips = [Ear().encode(sound, clip_generator(seed, sound)) for seed in (0, 1)]
        streamed = StreamingEar().encode(sound)
        one, other, ours = (histogram(*spikes, sound.seconds) for spikes in (*clips, streamed))
        own, shared = correlations(one, other), correlations(one, ours)
        assert ours.sum() == pytest.approx(one.sum(), rel=0.25)
        assert shared[0] > 0.85 * own[0]
        assert shared[1] > 0.95 * own[1]


def test_what_a_stream_refuses(cache: Path) -> None:
    for field, value in (("channels", 0), ("fibres", 501), ("level", 0.0), ("floor", 0.0)):
        with pytest.raises(RuleError, match=f"{field}: .* is not allowed"):
            StreamingEar(**{field: value})  # type: ignore[arg-type]
    for rate in (7_999, 192_001):
        with pytest.raises(RuleError, match=f"rate: {rate} is not allowed"):
            EAR.stream(rate, cache=cache)
    with pytest.raises(RuleError, match="seed: -1 is not allowed"):
        EAR.stream(seed=-1, cache=cache)
    stream = EAR.stream(cache=cache)
    with pytest.raises(ValueError, match=r"samples\[2\]: nan is not allowed"):
        stream.push([0, 0, np.nan])
    with pytest.raises(ValueError, match="shape"):
        stream.push(np.zeros((2, 2)))
    assert [len(part) for part in stream.finish()] == [0, 0]
    with pytest.raises(ValueError, match="finished"):
        stream.push([0.0])
    with pytest.raises(ValueError, match="finished"):
        stream.finish()
    with pytest.raises(DataError, match="is silent"):
        EAR.encode(Sound(np.zeros(100), 48_000), cache=cache)
