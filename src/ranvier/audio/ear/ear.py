"""From a sound to spikes."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ranvier.audio.ear import membrane as bm
from ranvier.audio.ear.flatten import flattened
from ranvier.audio.sound import Sound, checked, resampled, without_offset
from ranvier.data.dataset import DataError
from ranvier.errors import RuleError

_AT_ONCE = 48  # channels transformed together


@dataclass(frozen=True)
class Ear:
    """The inner ear that made SHD and SSC: normalisation, window, membrane, hair cells, nerve fibres, bushy cells.

    Args:
        channels: places along the membrane, from the base (high) to the apex (low), >= 1.
        ramp_ms: the sound fades in and out by half a Hann window of so many ms; None fades over the whole sound, half
            of it in and half of it out, as the package lauscher 1.0.1 does. The published files are as with 30 ms.
        level: root mean square that the sound is brought to first, > 0.
        fibres: nerve fibres per channel, in [1, 500].
        emphasis_hz: what lies above is raised by 6 dB an octave before the level is set, as the middle ear and
            recognisers of speech do, so that the loud low end of a voice or a microphone does not hide the rest; None
            leaves the sound as it is, as in SHD.
        flatten: share of how the sound's long-term spectrum differs from that of speech that is taken away first, in
            [0, 1], against the colour of a microphone or a room; 0, as in SHD, leaves it.

    Source: Cramer, Stradmann, Schemmel, Zenke, IEEE TNNLS (2020), doi 10.1109/TNNLS.2020.3044364.
    """

    channels: int = 700
    ramp_ms: float | None = 30.0
    level: float = 0.3
    fibres: int = 40
    emphasis_hz: float | None = None
    flatten: float = 0.0

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("channels", 1 <= self.channels <= 65535, "1 ... 65535"),
            ("ramp_ms", self.ramp_ms is None or 0 <= self.ramp_ms < math.inf, "0 or more, or None"),
            ("level", self.level > 0, "above 0"),
            ("fibres", 1 <= self.fibres <= 500, "1 ... 500"),
            ("flatten", 0 <= self.flatten <= 1, "0 ... 1"),
            ("emphasis_hz", self.emphasis_hz is None or 0 < self.emphasis_hz < math.inf, "above 0, or None"),
        ):
            if not good:
                raise RuleError(name, repr(getattr(self, name)), allowed)

    def prepare(self, cache: str | os.PathLike[str] | None = None) -> None:
        """Make the membrane's table if it is not in the cache: several seconds. Else the first sound waits for it."""
        _membrane(self.channels, None if cache is None else str(cache))

    def encode(
        self, sound: Sound, generator: np.random.Generator, *, cache: str | os.PathLike[str] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
        """Spikes of one sound.

        Args:
            sound: of any rate; it is resampled to 48 kHz.
            generator: randomness of the nerve fibres.
            cache: folder of the membrane's table; None means the user's.

        Returns:
            Times in seconds, rising, and the channel of every spike.

        Raises:
            DataError: the sound is silent or holds samples that are not numbers.
        """
        from ranvier.audio.ear import cells_cpu

        # before resampling, whose filter rings where an offset begins and ends
        centred = Sound(without_offset(sound.samples), sound.rate)
        waveform = self._prepared(resampled(centred, bm.RATE).samples)
        membrane = _membrane(self.channels, None if cache is None else str(cache))
        state = cells_cpu.silent(self.channels, bm.STEPS_PER_SECOND)
        steps = -(-len(waveform) // 2)
        found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        for start in range(0, steps, bm.VALID):
            length = min(bm.VALID, steps - start)
            spectrum = _spectrum(waveform, start)
            for first in range(0, self.channels, _AT_ONCE):
                channels = slice(first, min(first + _AT_ONCE, self.channels))
                moved = membrane.velocity(spectrum, channels)[:, bm.BEHIND : bm.BEHIND + length]
                found.append(self._step(moved, generator, start, state, first))
        times, units = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((units, times))
        return times[order] / bm.STEPS_PER_SECOND, units[order].astype(np.uint16)

    def _prepared(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Flattened, emphasised, brought to the level, faded in and out."""
        waveform = checked(samples, "sound")
        if self.flatten > 0:
            waveform = flattened(waveform, bm.RATE, self.flatten)
        if self.emphasis_hz is not None:
            waveform = waveform + np.diff(waveform, prepend=waveform[0]) * (bm.RATE / (2 * np.pi * self.emphasis_hz))
        power = float(np.sqrt(np.mean(waveform**2)))
        if not np.isfinite(power) or power == 0:
            raise DataError(f"sound: its root mean square is {power:g} (a finite number above 0 allowed)")
        waveform = waveform * (self.level / power)
        ramp = len(waveform) // 2
        if self.ramp_ms is not None:
            ramp = min(ramp, round(self.ramp_ms / 1000 * bm.RATE))
        rising = np.hanning(2 * ramp)[:ramp]
        waveform[:ramp] *= rising
        waveform[len(waveform) - ramp :] *= rising[::-1]
        return waveform

    def _step(
        self,
        moved: NDArray[np.float64],
        generator: np.random.Generator,
        start: int,
        state: NDArray[np.float64],
        first: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        from ranvier.audio.ear import cells_cpu

        rows, length = moved.shape
        uniform = generator.random((rows, length))
        most = cells_cpu.most_spikes(rows, length, bm.STEPS_PER_SECOND)
        times, units = np.empty(most, np.int64), np.empty(most, np.int64)
        count = cells_cpu.spikes(
            np.ascontiguousarray(moved.T), np.ascontiguousarray(uniform.T), self.fibres, float(bm.STEPS_PER_SECOND),
            start, state[:, first : first + rows], first, times, units,
        )  # fmt: skip
        return times[:count], units[:count]


def clip_generator(seed: int, sound: Sound) -> np.random.Generator:
    """A generator that hangs on the seed and the sound's own samples: not on its name, its place or its neighbours."""
    digest = hashlib.sha256(sound.samples.tobytes() + str(sound.rate).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, ">u4").tolist()])


@lru_cache(maxsize=2)
def _membrane(channels: int, cache: str | None) -> bm.Membrane:
    return bm.membrane(channels, cache)


def _spectrum(waveform: NDArray[np.float64], start: int) -> NDArray[np.complex128]:
    """Of the block whose valid steps begin at ``start``: with what came before them, and what comes after."""
    from scipy import fft

    block = np.zeros(2 * bm.BLOCK)
    begin = 2 * (start - bm.BEHIND)
    piece = waveform[max(0, begin) : begin + 2 * bm.BLOCK]
    at = max(0, -begin)
    block[at : at + len(piece)] = piece
    spectrum: NDArray[np.complex128] = fft.rfft(block)
    return spectrum
