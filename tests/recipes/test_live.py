"""Live sound: the same decisions however it comes, where utterances begin, and what ends without one."""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ranvier.audio.pcm import open_pcm
from ranvier.data import DataError, write_recording
from ranvier.engine import Engine
from ranvier.errors import RuleError
from ranvier.network import Decoding, Input, Network
from ranvier.recipes.classify import chosen_clips, classify_clips, follow
from ranvier.recipes.evaluation import grid_of
from ranvier.recipes.live import Decision, Live, lead
from tests.networks import chained, dense_layer

RATE = 16_000
CHANNELS = 128


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANVIER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def two_bands(alignment: str = "zero") -> Network:
    """Tells what is high from what is low: the upper half of the channels excites one class, the lower the other."""
    high = (np.arange(CHANNELS) < CHANNELS // 2).astype(np.float32)
    weight = (np.stack([high - 0.5, 0.5 - high])[None] / 4).astype(np.float32)
    layer = dense_layer(
        weight, np.zeros((1, 2, CHANNELS), np.int16), np.zeros(2, np.float32), np.full(2, 0.9, np.float32),
        np.full(2, np.inf, np.float32), 0,
    )  # fmt: skip
    decoding = Decoding(tail_steps=5)
    return chained(10.0, [layer], ("high", "low"), Input(CHANNELS, 1, alignment), decoding)  # type: ignore[arg-type]


def burst(low_hz: float, high_hz: float, seconds: float = 0.35) -> NDArray[np.float64]:
    """Noise between two frequencies."""
    size = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(size))
    frequency = np.fft.rfftfreq(size, 1 / RATE)
    return np.fft.irfft(np.where((frequency > low_hz) & (frequency < high_hz), spectrum, 0), size) / 4


def speech() -> NDArray[np.float64]:
    """Low, high, low, with half a second around each, in faint noise."""
    pause, low, high = np.zeros(RATE // 2), burst(150, 600), burst(3_000, 7_000)
    sound = np.concatenate([pause, low, pause, high, pause, low, pause])
    return sound + np.random.default_rng(2).standard_normal(len(sound)) * 1e-4


def decisions(pieces: list[NDArray[np.float64]]) -> list[Decision]:
    live = Live(two_bands(), RATE)
    return [decision for piece in pieces for decision in live.push(piece)] + live.finish()


def test_utterances_are_found_and_told_apart() -> None:
    found = decisions([speech()])
    assert [decision.name for decision in found] == ["low", "high", "low"]
    for decision, begin_s in zip(found, (0.5, 1.35, 2.2), strict=True):
        assert begin_s - 0.08 < decision.begin_s < begin_s + 0.05
        assert decision.stable
        assert decision.begin_s + 0.1 < decision.decided_s < begin_s + 0.35 + 0.25


@pytest.mark.parametrize("piece", [1, 97, 160, 4_001])
def test_any_pieces_give_the_same_decisions(piece: int) -> None:
    sound = speech()[: 2 * RATE] if piece == 1 else speech()
    whole = decisions([sound])
    assert len(whole) == (2 if piece == 1 else 3)
    assert decisions(np.split(sound, np.arange(piece, len(sound), piece))) == whole


def test_the_end_of_the_sound_decides_what_goes_on() -> None:
    sound = speech()[: round(0.72 * RATE)]
    (decision,) = decisions([sound])
    assert decision.name == "low"
    assert decision.decided_s <= 0.73


def test_noise_without_end_is_background() -> None:
    """It begins as an utterance, of 2 s at most; then it is what everything else is compared with."""
    noise = np.random.default_rng(0).standard_normal(12 * RATE) * 0.1
    found = decisions([noise])
    assert len(found) <= 1
    click = np.zeros(2 * RATE)
    click[RATE : RATE + 160] = 0.5
    assert decisions([click]) == []


@pytest.mark.slow
def test_memory_does_not_grow() -> None:
    """What another 15 s of sound take on top is below 10 kB."""
    live = Live(two_bands(), RATE)
    piece = speech()[: 3 * RATE // 2]
    used = []
    tracemalloc.start()
    for _ in range(2):
        for part in np.split(np.tile(piece, 10), 150):
            live.push(part)
        used.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert live.utterances >= 18
    assert used[1] - used[0] < 10_000


def pipe(content: bytes) -> list[str]:
    stream = io.BytesIO(content)
    return [heard.decision.name for heard in follow(two_bands(), open_pcm(stream.read, rate=RATE))]


def test_a_pipe_is_followed_to_its_end() -> None:
    sound = (speech() * 32767).astype("<i2").tobytes()
    assert pipe(sound) == ["low", "high", "low"]
    for content, said in (
        (bytes(2 * RATE), "1 s of sound, all of it silent"),
        ((np.random.default_rng(0).standard_normal(RATE) * 3).astype("<i2").tobytes(), "1 s of sound, no utterance"),
        (b"", "is empty"),
        (bytes(11), "cut short within a sample"),
    ):
        with pytest.raises(DataError, match=said):
            pipe(content)
    # what was heard before it was cut short is said
    heard = follow(two_bands(), open_pcm(io.BytesIO(sound + b"x").read, rate=RATE))
    said_first = [next(heard).decision.name for _ in range(3)]
    with pytest.raises(DataError, match="cut short"):
        next(heard)
    assert said_first == ["low", "high", "low"]


def test_what_cannot_be_followed() -> None:
    with pytest.raises(RuleError, match="rate: 100 is not allowed"):
        Live(two_bands(), 100)
    with pytest.raises(DataError, match="first_event is not allowed for a stream"):
        Live(two_bands("first_event"), RATE)


def test_lead() -> None:
    assert lead(np.array([1.0, 3.0, 0.0]), "softmax", 3) == (1, 0.5)
    assert lead(np.array([2.0, 2.0]), "softmax", 3) == (0, 0.0)
    assert lead(np.array([2.0]), "softmax", 3) == (0, 1.0)
    assert lead(np.array([-1.0, -1.0 - np.log(3)]), "max", 7)[1] == pytest.approx(0.5)
    assert lead(np.array([2.0, 3.0]), "count", 10)[1] == pytest.approx((np.e - 1) / (np.e + 1))
    assert lead(np.array([0.0, 0.0]), "count", 0) == (0, 0.0)
    assert lead(np.array([-5.0, -5.0 - 7 * np.log(3)]), "sum", 7)[1] == pytest.approx(0.5)


def test_chosen_clips() -> None:
    assert chosen_clips("0,5, 7-9", 10) == {0, 5, 7, 8, 9}
    for text in ("10", "3-2", "x", "", "1,,2", "-1", "8-10"):
        with pytest.raises(DataError, match="--clips"):
            chosen_clips(text, 10)


def test_clips_of_a_recording(tmp_path: Path) -> None:
    times = [np.linspace(0, 0.2, 40)] * 4
    units = [np.full(40, unit) for unit in (3, 100, 5, 120)]
    write_recording(tmp_path / "x.h5", times, units, [0, 0, 0, 0], channels=CHANNELS)
    said = list(classify_clips(two_bands(), tmp_path / "x.h5", "1-2"))
    assert [(one.clip, one.name, one.second) for one in said] == [(1, "low", "high"), (2, "high", "low")]
    assert all(one.margin > 0.3 for one in said)
    assert len(list(classify_clips(two_bands(), tmp_path / "x.h5"))) == 4


def test_a_lead_by_the_sum_of_voltages_counts_the_tail(tmp_path: Path) -> None:
    write_recording(tmp_path / "x.h5", [np.linspace(0, 0.2, 40)], [np.full(40, 3)], [0], channels=CHANNELS)
    network = replace(two_bands(), decoding=Decoding(tail_steps=30, scores="sum"))
    (said,) = classify_clips(network, tmp_path / "x.h5")
    clip = grid_of(network).count(np.linspace(0, 0.2, 40), np.full(40, 3), per_second=1)
    voltage = Engine(network).run(clip, int(clip[0].max()) + 1).voltage  # of the clip and 30 steps of tail
    high, low = voltage.mean(0)
    assert said.margin == pytest.approx(np.tanh(abs(high - low) / 2), rel=1e-4)  # the difference of their softmax
