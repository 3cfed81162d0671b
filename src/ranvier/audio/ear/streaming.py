"""The ear as a stream: sound in as it comes, spikes out with a stated latency."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier.audio.ear import bands as bands_of
from ranvier.audio.ear import membrane as bm
from ranvier.audio.ear.bands import AHEAD, BEFORE, HOP, Band
from ranvier.audio.sound import Sound, checked
from ranvier.errors import RuleError

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000
_OFFSET_HZ = 20.0  # below it lies an offset, not sound
_POWER_S = 0.010  # over which the level is taken
_LEVEL_S = 2.0  # in which it falls by a factor e
_DELAY = 312  # samples by which the gain is ahead of the sound, 6.5 ms; at most 2 (BEFORE - 1)
_CROSSINGS, _PASSED, _KAISER = 16, 0.92, 5.65  # of the filter between two rates, 60 dB
_AT_ONCE = 480  # samples


@dataclass(frozen=True)
class StreamingEar:
    """The inner ear of SHD in a causal form, for sound as it comes.

    It differs from :class:`Ear` in what needs the whole sound: a running gain takes the place of the sound's level, an
    offset is filtered out (20 Hz), nothing fades in or out, and the lowest places, which move early, answer to 30 ms
    of sound ahead at most. Its spikes depend on the seed and on the sound from its beginning on, to the bit; not on how
    the sound is cut into pieces.

    The gain is target / max(sqrt(L), floor), where L follows the sound's power, taken over 10 ms, at once when it
    rises, and falls with a time constant of 2 s; it is 6.5 ms ahead of the sound.

    Args:
        channels: places along the membrane, from the base (high) to the apex (low), 1 ... 65535.
        fibres: nerve fibres per channel, 1 ... 500.
        level: root mean square of the loudest 10 ms after the gain, above 0.
        floor: root mean square below which sound is not raised further, as a share of full scale, above 0.
    """

    channels: int = 700
    fibres: int = 40
    level: float = 0.45
    floor: float = 0.01

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("channels", 1 <= self.channels <= 65535, "1 ... 65535"),
            ("fibres", 1 <= self.fibres <= 500, "1 ... 500"),
            ("level", 0 < self.level < math.inf, "above 0"),
            ("floor", 0 < self.floor < math.inf, "above 0"),
        ):
            if not good:
                raise RuleError(name, repr(getattr(self, name)), allowed)

    def prepare(self, cache: str | os.PathLike[str] | None = None) -> None:
        """Make the membrane's tables if they are not in the cache: some seconds. Else the first sound waits for it."""
        _bands(self.channels, None if cache is None else str(cache))

    def latency_ms(self, rate: int = bm.RATE) -> float:
        """The longest time from a spike's place in the sound to its coming out, below 50 ms; computing not counted.

        Args:
            rate: of the sound, samples per second.
        """
        filtered = 0.0 if rate == bm.RATE else (_reach(rate) + 1) / rate
        return 1000 * (filtered + (_DELAY + 1) / bm.RATE + (HOP + AHEAD + 1) / bm.STEPS_PER_SECOND)

    def stream(self, rate: int = bm.RATE, *, seed: int = 0, cache: str | os.PathLike[str] | None = None) -> EarStream:
        """An ear at rest.

        Args:
            rate: of the sound, samples per second, 8000 ... 192000.
            seed: of the nerve fibres, >= 0.
            cache: folder of the membrane's tables; None means the user's.

        Raises:
            RuleError: the rate or the seed is out of range.
        """
        return EarStream(self, rate, [seed], cache)

    def encode(
        self, sound: Sound, *, seed: int = 0, cache: str | os.PathLike[str] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
        """Spikes of a whole sound, from silence on.

        Args:
            sound: of any rate that :meth:`stream` takes.
            seed: of the nerve fibres, >= 0; what is drawn depends on it and on the sound's own samples.
            cache: as in :meth:`stream`.

        Returns:
            Times in seconds, rising, and the channel of every spike.

        Raises:
            DataError: the sound is silent, or holds samples that are not numbers.
        """
        digest = hashlib.sha256(sound.samples.tobytes() + str(sound.rate).encode()).digest()
        stream = EarStream(self, sound.rate, [seed, *np.frombuffer(digest, ">u4").tolist()], cache)
        first, last = stream.push(checked(sound.samples, "sound")), stream.finish()
        return np.concatenate([first[0], last[0]]), np.concatenate([first[1], last[1]])


class EarStream:
    """Encodes sound as it comes; :meth:`StreamingEar.stream` makes one.

    Attributes:
        ear: its settings.
        rate: of the sound, samples per second.
        samples: encoded so far.
    """

    def __init__(
        self, ear: StreamingEar, rate: int, seed: list[int], cache: str | os.PathLike[str] | None = None
    ) -> None:
        from ranvier.audio.ear import cells_cpu, stream_cpu

        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise RuleError("rate", str(rate), f"{LOWEST_RATE} ... {HIGHEST_RATE} samples per second")
        if not 0 <= seed[0] < 2**63:
            raise RuleError("seed", str(seed[0]), "0 ... 2^63 - 1")
        self.ear, self.rate, self.samples = ear, rate, 0
        self._seed, self._ended = seed, False
        self._bands = _bands(ear.channels, None if cache is None else str(cache))
        common = math.gcd(rate, bm.RATE)
        self._up, self._down = bm.RATE // common, rate // common
        self._phases = None if rate == bm.RATE else _phases(rate)
        reach = 0 if rate == bm.RATE else _reach(rate)
        self._raw = np.zeros(2 * reach)  # the last samples at the sound's own rate
        self._resampled = 0  # samples at the ear's rate
        self._level = np.zeros(stream_cpu.DELAYED + _DELAY)
        self._sound = np.zeros(2 * (BEFORE + HOP + AHEAD))  # what the next block needs
        # what precedes step 1, where the first block begins: a spike in it is found in the step after its own
        self._filled = 2 * (BEFORE - 1) - _DELAY
        self._block = 0
        self._cells = cells_cpu.silent(ear.channels, bm.STEPS_PER_SECOND)
        # made once: memory of this size is given back and asked for anew with every block otherwise
        self._velocity, self._uniform = np.empty((HOP, ear.channels), np.float32), np.empty((HOP, ear.channels))
        self._room = np.empty((2, cells_cpu.most_spikes(ear.channels, HOP, bm.STEPS_PER_SECOND)), np.int64)

    def push(self, samples: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
        """Encode the next samples.

        Args:
            samples: ``[sample]``, any number of them, finite; full scale is 1.

        Returns:
            Times of the spikes in seconds from the beginning of the sound, rising, and their channels.

        Raises:
            ValueError: another shape or value, or :meth:`finish` has been called.
        """
        waveform = np.asarray(samples, np.float64)
        if waveform.ndim != 1:
            raise ValueError(f"samples: has shape {waveform.shape} (one list allowed)")
        if not np.isfinite(waveform).all():
            at = int(np.argmin(np.isfinite(waveform)))
            raise ValueError(f"samples[{at}]: {waveform[at]} is not allowed (finite numbers)")
        if self._ended:
            raise ValueError("samples: the sound has been finished (a new stream)")
        return self._encode(waveform)

    def finish(self) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
        """The sound is over: the spikes that are still to come, up to its end.

        Returns:
            As :meth:`push`.

        Raises:
            ValueError: it has been called before.
        """
        if self._ended:
            raise ValueError("the sound has been finished already")
        encoded = self.samples
        silence = np.zeros(math.ceil(self.latency_s * self.rate) + 2)
        times, units = self._encode(silence)
        self.samples, self._ended = encoded, True
        kept = times * self.rate < encoded
        return times[kept], units[kept]

    @property
    def latency_s(self) -> float:
        """See :meth:`StreamingEar.latency_ms`."""
        return self.ear.latency_ms(self.rate) / 1000

    @property
    def seconds(self) -> float:
        """Up to which all spikes have come out."""
        return self._block * HOP / bm.STEPS_PER_SECOND

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of all that the stream is, for ``numpy.savez`` or :meth:`restore`."""
        numbers = np.array([self.samples, self._resampled, self._filled, self._block, self._ended], np.int64)
        return {"numbers": numbers} | {name: array.copy() for name, array in self._arrays().items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`state` gave, of this or another stream of the same ear, rate and seed.

        Raises:
            ValueError: an array is missing or has another type or shape.
        """
        mine = {"numbers": np.zeros(5, np.int64), **self._arrays()}
        for name, array in mine.items():
            given = np.asarray(state[name]) if name in state else None
            if given is None or given.shape != array.shape or given.dtype != array.dtype:
                what = "missing" if given is None else f"{given.dtype} {given.shape}"
                raise ValueError(f"state.{name}: is {what} ({array.dtype} {array.shape} allowed)")
        self.samples, self._resampled, self._filled, self._block = (int(n) for n in state["numbers"][:4])
        self._ended = bool(state["numbers"][4])
        for name, array in self._arrays().items():
            array[:] = state[name]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"raw": self._raw, "level": self._level, "sound": self._sound, "cells": self._cells}

    def _encode(self, samples: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
        from ranvier.audio.ear import stream_cpu

        found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        for start in range(0, len(samples), _AT_ONCE):
            piece = samples[start : start + _AT_ONCE]
            if self.samples == 0:
                self._level[stream_cpu.BEFORE] = piece[0]  # an offset from the beginning on is no click
            waveform = self._at_ears_rate(piece)
            self.samples += len(piece)
            at = 0
            while at < len(waveform):
                part = waveform[at : at + len(self._sound) - self._filled]
                stream_cpu.follow(
                    part, *_GAIN, self.ear.level, self.ear.floor, self._level,
                    self._sound[self._filled : self._filled + len(part)],
                )  # fmt: skip
                self._filled += len(part)
                at += len(part)
                if self._filled == len(self._sound):
                    found.append(self._next_block())
        steps = np.concatenate([np.empty(0, np.int64), *(times for times, _ in found)])
        units = np.concatenate([np.empty(0, np.int64), *(units for _, units in found)])
        return steps / bm.STEPS_PER_SECOND, units.astype(np.uint16)

    def _at_ears_rate(self, piece: NDArray[np.float64]) -> NDArray[np.float64]:
        """The samples at 48 kHz that these samples complete."""
        from ranvier.audio.ear import stream_cpu

        if self._phases is None:
            return piece
        reach = len(self._raw) // 2
        known = np.concatenate([self._raw, piece])
        given = self.samples + len(piece)
        # sample m needs those up to m down / up + reach
        last = max(0, -(-(given - reach) * self._up // self._down))
        out = np.empty(last - self._resampled)
        first = self.samples - len(self._raw)
        stream_cpu.resample(known, self._phases, self._up, self._down, self._resampled, first, len(out), out)
        self._resampled = last
        self._raw[:] = known[len(piece) :]
        return out

    def _next_block(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        from ranvier.audio.ear import cells_cpu

        for band in self._bands:
            band.velocity(self._sound, self._velocity)
        np.random.default_rng([*self._seed, self._block]).random(out=self._uniform)
        times, units = self._room
        first = 1 + self._block * HOP
        count = cells_cpu.spikes(
            self._velocity, self._uniform, self.ear.fibres, float(bm.STEPS_PER_SECOND), first, self._cells, 0, times,
            units,
        )  # fmt: skip
        self._block += 1
        self._filled = len(self._sound) - 2 * HOP
        self._sound[: self._filled] = self._sound[2 * HOP :]
        return times[:count].copy(), units[:count].copy()


_GAIN = (
    math.exp(-2 * math.pi * _OFFSET_HZ / bm.RATE),
    1 - math.exp(-1 / (_POWER_S * bm.RATE)),
    math.exp(-1 / (_LEVEL_S * bm.RATE)),
)


@lru_cache(maxsize=2)
def _bands(channels: int, cache: str | None) -> tuple[Band, ...]:
    return bands_of.bands(channels, cache)


def _reach(rate: int) -> int:
    """Samples to either side that the filter between two rates takes."""
    return math.ceil(_CROSSINGS * max(1.0, rate / bm.RATE))


@lru_cache(maxsize=2)
def _phases(rate: int) -> NDArray[np.float64]:
    """``[phase, tap]``, a windowed sinc for each place between two samples that a sample at 48 kHz has."""
    up, reach = bm.RATE // math.gcd(rate, bm.RATE), _reach(rate)
    distance = np.arange(up)[:, None] / up - np.arange(1 - reach, reach + 1)
    passed = _PASSED * min(1.0, bm.RATE / rate)
    taps = np.sinc(passed * distance) * np.i0(_KAISER * np.sqrt(np.maximum(1 - (distance / reach) ** 2, 0)))
    result: NDArray[np.float64] = taps / taps.sum(1, keepdims=True)
    return result
