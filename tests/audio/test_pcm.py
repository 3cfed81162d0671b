"""Sound from a pipe: raw or with a header, whole, cut short, or something else."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from ranvier.audio.pcm import PcmStream, open_pcm
from ranvier.data import DataError

SAMPLES = np.random.default_rng(0).integers(-32768, 32768, 2_000).astype("<i2")


def reader(content: bytes, most: int = 1 << 20) -> Callable[[int], bytes]:
    stream = io.BytesIO(content)
    return lambda size: stream.read(min(size, most))


def samples(stream: PcmStream) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.concatenate(list(stream))


def wav(subtype: str = "PCM_16", channels: int = 1) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.tile(SAMPLES[:, None], channels), 16_000, subtype=subtype, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("most", [1, 3, 7, 1 << 20])
def test_raw_sound(most: int) -> None:
    stream = open_pcm(reader(SAMPLES.tobytes(), most))
    assert (stream.rate, stream.channels, stream.size) == (48_000, 1, None)
    np.testing.assert_array_equal(samples(stream), SAMPLES / 32768)
    assert open_pcm(reader(SAMPLES.tobytes()), rate=8_000).rate == 8_000


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("most", [1, 5, 1 << 20])
def test_a_wav_header_is_read(most: int, channels: int) -> None:
    stream = open_pcm(reader(wav(channels=channels) + b"LIST after the sound", most))
    assert (stream.rate, stream.channels, stream.size) == (16_000, channels, 4_000 * channels)
    np.testing.assert_array_equal(samples(stream), SAMPLES / 32768)


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_an_open_wav_is_endless(size: int) -> None:
    content = wav()
    at = content.index(b"data") + 4
    stream = open_pcm(reader(content[:at] + struct.pack("<I", size) + content[at + 4 :]))
    assert stream.size is None
    assert len(samples(stream)) == 2_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"a", "is cut short within a sample: 1 bytes"),
        (SAMPLES.tobytes()[:-1], "is cut short within a sample: 3999 bytes"),
        (wav()[:-2], "is cut short: 3998 bytes of the 4000 that it declares"),
        (wav()[:30], "its WAV header is cut short"),
        (wav("FLOAT"), "is WAV of format 3 with 32 bits"),
        (wav("PCM_24"), "with 24 bits"),
        (b"fLaC" + bytes(100), "is FLAC"),
        (b"OggS" + bytes(100), "is Ogg"),
    ],
    ids=range(
        9
    ),  # a float WAV holds the time at which it was made, and processes collect the same tests by their names
)
def test_what_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        list(open_pcm(reader(content)))


def test_what_comes_before_a_cut_is_heard() -> None:
    pieces = iter(open_pcm(reader(SAMPLES.tobytes() + b"x")))
    heard = [len(next(pieces)) for _ in range(5)]
    assert sum(heard) == 2_000
    with pytest.raises(DataError, match="cut short"):
        next(pieces)


def test_the_rate_of_a_header_stands() -> None:
    with pytest.raises(DataError, match="16000 samples per second, --rate 48000"):
        open_pcm(reader(wav()), rate=48_000)
    assert open_pcm(reader(wav()), rate=16_000).rate == 16_000
