"""The inner ear against lauscher, part by part and whole, and against itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lauscher.transformations import BasilarMembrane, BushyCell, HairCell
from numpy.typing import NDArray
from scipy.stats import binom, kstest

from ranvier.audio.ear import Ear, cells_cpu, clip_generator, membrane
from ranvier.audio.sound import Sound, read_sound
from ranvier.data import DataError

STEPS = membrane.STEPS_PER_SECOND


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One table of the membrane for all tests of a process."""
    return tmp_path_factory.mktemp("ear")


def noise(seconds: float, rate: int = 48_000, seed: int = 0) -> Sound:
    return Sound(np.random.default_rng(seed).standard_normal(round(seconds * rate)), rate)


def histogram(times: NDArray[Any], units: NDArray[Any], seconds: float) -> NDArray[np.float64]:
    """Spikes ``[10 ms, 5 channels]``."""
    bins = [np.arange(0, seconds + 0.01, 0.01), np.arange(0, 701, 5)]
    counted: NDArray[np.float64] = np.histogram2d(times, units, bins)[0]
    return counted


def correlations(a: NDArray[np.float64], b: NDArray[np.float64]) -> list[float]:
    """Of the histograms, of their profiles over channels, and over time."""
    pairs = ((a, b), (a.sum(0), b.sum(0)), (a.sum(1), b.sum(1)))
    return [float(np.corrcoef(x.ravel(), y.ravel())[0, 1]) for x, y in pairs]


@pytest.mark.parametrize("channel", [0, 50, 150, 300, 450, 699])
def test_the_membrane_is_lauschers(channel: int) -> None:
    theirs = BasilarMembrane()
    frequency_hz = np.geomspace(1.0, 23_999.0, 500)
    with np.errstate(all="ignore"):
        expected = theirs._v(2 * np.pi * frequency_hz, theirs.ch[channel])
    known = np.isfinite(expected)
    (ours,) = membrane.response(frequency_hz, theirs.ch[channel : channel + 1])
    assert known.sum() > 100
    np.testing.assert_allclose(ours[known], expected[known], atol=1e-8 * np.abs(expected[known]).max())


def test_blocks_join_without_a_seam(cache: Path) -> None:
    """A sound of two blocks, against its membrane in one transform of its whole length."""
    seconds, chosen = 1.1, [100, 400, 699]
    heard = noise(seconds).samples
    whole = 2 * membrane.BLOCK * 3  # a long silence on both sides
    padded = np.zeros(whole)
    padded[2 * membrane.AHEAD : 2 * membrane.AHEAD + len(heard)] = heard
    frequency_hz = np.maximum(np.arange(whole // 2) * membrane.RATE / whole, 1.0)
    spectrum = np.fft.rfft(padded)[:-1]
    table = membrane.membrane(700, cache)
    places = np.linspace(0, 3.5, 700)
    from ranvier.audio.ear.ear import _spectrum

    for channel in chosen:
        (answer,) = membrane.response(frequency_hz, places[channel : channel + 1])
        moved = np.real(np.fft.ifft(answer * spectrum))
        expected = moved[membrane.AHEAD :]
        for start in (0, membrane.VALID):
            block = table.velocity(_spectrum(heard, start), slice(channel, channel + 1))[0]
            length = min(membrane.VALID, len(heard) // 2 - start)
            ours = block[membrane.BEHIND : membrane.BEHIND + length]
            error = np.abs(ours - expected[start : start + length]).max() / np.abs(expected).max()
            assert error < 2e-3, (channel, start, error)  # what rings for longer than a block's edges


def test_the_number_of_fibres_that_fire_is_binomial() -> None:
    uniform = np.random.default_rng(0).random(200_000)
    for ready, p in ((40, 0.004), (40, 0.3), (17, 0.9), (1, 0.5)):
        counts = np.array([cells_cpu.fired(ready, p, u) for u in uniform])
        observed = np.bincount(counts, minlength=ready + 1) / len(uniform)
        spread = np.sqrt(binom.pmf(np.arange(ready + 1), ready, p) / len(uniform))
        assert (np.abs(observed - binom.pmf(np.arange(ready + 1), ready, p)) <= 5 * spread + 1e-6).all(), (ready, p)
    assert cells_cpu.fired(0, 0.5, 0.0) == 0
    assert cells_cpu.fired(40, 1.0, 0.999) == 40


def _ours(velocity: NDArray[np.float64], seed: int, channels: int) -> NDArray[np.int64]:
    """Steps of the spikes of many channels that hear the same."""
    state = cells_cpu.silent(channels, STEPS)
    uniform = np.random.default_rng(seed).random((channels, len(velocity))).T.copy()
    times, units = np.empty(10**6, np.int64), np.empty(10**6, np.int64)
    moved = np.tile(velocity[:, None], (1, channels))
    count = cells_cpu.spikes(moved, uniform, 40, float(STEPS), 0, state, 0, times, units)
    return times[:count]


@pytest.mark.parametrize("size", [0.0, 30.0, 400.0])
def test_cells_are_lauschers_in_distribution(size: float) -> None:
    """Hair cell, fibres and bushy cell of lauscher, repeated, against as many channels of ours: counts and times."""
    steps, repeats = 1200, 24
    velocity = size * np.sin(2 * np.pi * 500 * np.arange(steps) / STEPS)
    probability = HairCell()._meddis(velocity, STEPS)
    np.random.seed(3)  # lauscher draws from NumPy's global state
    bushy = BushyCell()
    expected = [
        np.flatnonzero(bushy._lif(bushy._sample(probability, STEPS).astype(float), STEPS)) for _ in range(repeats)
    ]
    ours = _ours(velocity, 1, 400)
    theirs = np.concatenate(expected)
    mean, spread = len(theirs) / repeats, np.std([len(spikes) for spikes in expected]) / np.sqrt(repeats)
    assert len(ours) / 400 == pytest.approx(mean, abs=4 * max(spread, 0.1))
    if size:
        assert kstest(ours, theirs).pvalue > 1e-4


def test_a_bushy_cell_rests_for_a_millisecond() -> None:
    state = cells_cpu.silent(1, STEPS)
    velocity, uniform = np.full((4800, 1), 1e6), np.zeros((4800, 1))  # every fibre that is ready fires
    times, units = np.empty(10**5, np.int64), np.empty(10**5, np.int64)
    count = cells_cpu.spikes(velocity, uniform, 40, float(STEPS), 0, state, 7, times, units)
    assert count > 50
    assert (np.diff(times[:count]) > 24).all()
    assert (units[:count] == 7).all()


@pytest.mark.parametrize(
    "clip",
    [
        "lang-english_speaker-01_trial-15_digit-7",
        "lang-english_speaker-09_trial-14_digit-0",
        "lang-german_speaker-06_trial-0_digit-2",
    ],
)
def test_spikes_are_lauschers(clip: str, data_root: Path, cache: Path) -> None:
    """Totals within 3%; histogram and profiles correlate as two seeds of one ear do, to 98%."""
    sound = read_sound(data_root / "heidelberg-digits-audio" / f"{clip}.flac")
    times_s, units = np.load(data_root / "lauscher" / f"{clip}.npz")["arr_0"]
    theirs = histogram(times_s, units, sound.seconds)
    ear = Ear(ramp_ms=None)
    one, other = (
        histogram(*ear.encode(sound, clip_generator(seed, sound), cache=cache), sound.seconds) for seed in (0, 1)
    )
    assert one.sum() == pytest.approx(theirs.sum(), rel=0.03)
    among_ours, against = correlations(one, other), correlations(one, theirs)
    assert among_ours[0] > 0.6  # there is something to compare
    for name, own, cross in zip(("histogram", "channels", "time"), among_ours, against, strict=True):
        assert cross >= 0.98 * own, (name, cross, own)


def test_short_ramps_keep_the_ends_of_a_word(data_root: Path, cache: Path) -> None:
    sound = read_sound(data_root / "heidelberg-digits-audio" / "lang-english_speaker-01_trial-15_digit-7.flac")
    whole, short = (
        len(Ear(ramp_ms=ramp).encode(sound, clip_generator(0, sound), cache=cache)[0]) for ramp in (None, 30.0)
    )
    assert short > 1.1 * whole


def test_same_sound_and_seed_same_spikes(cache: Path) -> None:
    ear = Ear(channels=20)
    sound = noise(0.1)

    def spikes(seed: int, heard: Sound = sound) -> bytes:
        return b"".join(part.tobytes() for part in ear.encode(heard, clip_generator(seed, heard), cache=cache))

    assert spikes(0) == spikes(0)
    assert spikes(0) != spikes(1)
    assert spikes(0) != spikes(0, noise(0.1, seed=1))
    # the same on every machine: double precision, no sum reordered
    assert hashlib.sha256(spikes(0)).hexdigest()[:16] == GOLDEN


GOLDEN = "5eafbc75c179aa03"


def test_the_rate_of_the_file_does_not_matter(cache: Path) -> None:
    """A tone that both rates can hold excites the same places."""
    ear, profiles = Ear(), []
    for rate in (8_000, 44_100):
        sound = Sound(np.sin(2 * np.pi * 1000 * np.arange(rate // 5) / rate), rate)
        _, units = ear.encode(sound, clip_generator(0, sound), cache=cache)
        profiles.append(np.bincount(units, minlength=700).reshape(35, 20).sum(1))
    assert np.corrcoef(*profiles)[0, 1] > 0.97
    assert sum(profiles[0]) == pytest.approx(sum(profiles[1]), rel=0.1)
    # a little before the place that resonates at 1 kHz, 2.08 of 3.5 or channel 415, as a travelling wave does
    assert 17 <= profiles[1].argmax() <= 20


def test_emphasis_raises_what_lies_high(cache: Path) -> None:
    """Of two equal tones the higher one wins, and with no emphasis nothing changes."""
    rate = 16_000
    at = np.arange(rate // 5) / rate
    sound = Sound(np.sin(2 * np.pi * 200 * at) + np.sin(2 * np.pi * 3000 * at), rate)
    shares = []
    for emphasis_hz in (None, 300.0):
        _, units = Ear(emphasis_hz=emphasis_hz).encode(sound, clip_generator(0, sound), cache=cache)
        shares.append(np.mean(units < 400))
    assert shares[1] > shares[0] + 0.05


def test_spikes_are_in_order_and_within_the_sound(cache: Path) -> None:
    sound = noise(0.9)
    times, units = Ear(channels=30).encode(sound, clip_generator(0, sound), cache=cache)
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] < 0.9
    assert units.dtype == np.uint16
    assert set(range(30)) >= set(units.tolist())
    assert np.ptp(times) > 0.8


def test_what_an_ear_cannot_be() -> None:
    for field, value in (("channels", 0), ("ramp_ms", -1.0), ("level", 0.0), ("fibres", 0), ("emphasis_hz", 0.0)):
        with pytest.raises(ValueError, match=f"{field}: .* is not allowed"):
            Ear(**{field: value})  # type: ignore[arg-type]


def test_what_an_ear_cannot_hear(cache: Path) -> None:
    for samples in (np.zeros(4800), np.full(4800, np.nan)):
        with pytest.raises(DataError):
            Ear(channels=8).encode(Sound(samples, 48_000), np.random.default_rng(0), cache=cache)
