"""The membrane in short blocks: its answers in time, cut to some hundredths of a second, in three bands of channels.

A low place answers slowly, and to low sound alone, so that it needs few points a second; a high one answers at once.
So each band has its own window and its own rate of points. The velocity in a block of steps is

    v = irfft(table * rfft(window of sound))    at the band's points, and between them by a windowed sinc

What the windows leave out lies 40 dB or more below the rest, but at the lowest places, which move by more than 30 ms
before the sound (:mod:`ranvier.audio.ear.membrane` says why): below 200 Hz their answer is shortened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ranvier.audio.ear import membrane as bm
from ranvier.data.cache import kept_array

HOP = 240
"""Steps of a block, 10 ms."""

AHEAD = 720
"""Steps of sound after a block that it needs, 30 ms."""

_VERSION = 1
_SPACING_HZ = 2  # of the frequencies that answers are computed at; within the half second that gives they fade out
_TAPS = 10  # of the sinc between a band's points
_BEYOND = _TAPS // 2  # points beyond a block that the sinc needs
_AT_ONCE = 64  # channels transformed together: they stay in the processor's cache
_KAISER = 5.65  # images lie 60 dB below
_FADE = 1 / 3  # share of either side of a window over which it falls


class _Plan(NamedTuple):
    """A band from ``place`` on: points are ``every`` so many steps; its answers reach so many steps."""

    place: float
    every: int
    ahead: int
    behind: int

    @property
    def before(self) -> int:
        """Steps of sound before a block."""
        return self.behind + self.beyond

    @property
    def beyond(self) -> int:
        """Steps of the points that the sinc needs on either side of a block."""
        return _BEYOND * self.every if self.every > 1 else 0

    @property
    def length(self) -> int:
        """Steps of sound for a block."""
        return self.before + HOP + self.beyond + self.ahead


# lengths are products of 2, 3 and 5; points are two to four times denser than what the places answer to asks for
_PLANS = (_Plan(0.0, 1, 192, 48), _Plan(1.45, 2, 480, 124), _Plan(2.1, 5, AHEAD - 25, 140))

BEFORE = max(plan.before for plan in _PLANS)
"""Steps of sound before a block that it needs."""


@dataclass(frozen=True, eq=False)
class Band:
    """Neighbouring channels.

    Attributes:
        channels: which.
        table: complex64 ``[frequency, channel]``, the answer to the spectrum of a window; with a point every step up
            to the sound's highest frequency, else up to the points'.
    """

    channels: slice
    table: NDArray[np.complex64]
    _plan: _Plan
    _weights: NDArray[np.float32]  # [tap, phase] of the sinc
    _folded: int  # first channels that answer to more than the steps' highest frequency

    def velocity(self, sound: NDArray[np.float64], into: NDArray[np.float32]) -> None:
        """Of the membrane in a block.

        Args:
            sound: samples, two a step, from ``BEFORE`` steps before the block to ``AHEAD`` steps after it.
            into: ``[HOP, every channel of the ear]``, where this band's are written.
        """
        from scipy import fft

        from ranvier.audio.ear.stream_cpu import interpolate

        plan, start = self._plan, 2 * (BEFORE - self._plan.before)
        spectrum = fft.rfft(sound[start : start + 2 * plan.length].astype(np.float32))[:, None]
        points = plan.length // plan.every
        half, first = points // 2 + 1, plan.before // plan.every
        for channel in range(0, self.table.shape[1], _AT_ONCE):
            table = self.table[:, channel : channel + _AT_ONCE]
            answer = table[:half] * spectrum[:half]
            if plan.every == 1 and channel < self._folded:  # what lies above the steps' highest frequency folds back
                answer += (table[: half - 2 : -1] * spectrum[: half - 2 : -1]).conj()
            moved: NDArray[np.float32] = fft.irfft(answer, points, axis=0, overwrite_x=True)
            place = self.channels.start + channel
            if plan.every == 1:
                into[:, place : place + moved.shape[1]] = moved[first : first + HOP]
            else:
                interpolate(moved, first - _BEYOND + 1, self._weights, into, place)


def bands(channels: int, cache: str | os.PathLike[str] | None = None) -> tuple[Band, ...]:
    """Those of an ear of so many channels; computed once and kept in the cache folder."""
    places = np.linspace(0, bm.LAST_PLACE, channels) if channels > 1 else np.zeros(1)
    ends = [*np.searchsorted(places, [plan.place for plan in _PLANS]).tolist(), channels]
    made = []
    for number, plan in enumerate(_PLANS):
        if ends[number] == ends[number + 1]:
            continue
        chosen = slice(ends[number], ends[number + 1])

        def make(plan: _Plan = plan, chosen: slice = chosen) -> NDArray[np.complex64]:
            return _table(plan, places[chosen])

        table = kept_array(f"membrane-stream-{_VERSION}-{channels}-{number}", make, cache)
        made.append(Band(chosen, np.ascontiguousarray(table), plan, _sinc(plan.every), _loud(plan, table)))
    return tuple(made)


def _table(plan: _Plan, places: NDArray[np.float64]) -> NDArray[np.complex64]:
    """Spectra of the answers, cut by the window."""
    rate = bm.RATE if plan.every == 1 else bm.STEPS_PER_SECOND // plan.every
    per_step = rate / bm.STEPS_PER_SECOND
    behind, ahead = round(plan.behind * per_step), round(plan.ahead * per_step)
    time = np.arange(-ahead, behind + 1)
    reach = np.where(time < 0, -time / ahead, time / behind)
    window = np.cos(np.pi / 2 * np.clip((reach - 1 + _FADE) / _FADE, 0, 1)) ** 2
    frequency_hz = np.maximum(np.arange(0, rate // 2 + 1, _SPACING_HZ), 1.0)
    length = round(plan.length * per_step)
    table = np.empty((length // 2 + 1, len(places)), np.complex64)
    for channel, answer in enumerate(bm.response(frequency_hz, places)):
        moved = np.fft.irfft(answer, rate // _SPACING_HZ)
        kernel = np.zeros(length)
        kernel[time] = moved[time] * window
        table[:, channel] = np.fft.rfft(kernel) / (2 * plan.every)  # fewer points come out than samples go in
    return table


def _loud(plan: _Plan, table: NDArray[np.complex64]) -> int:
    """First channels that answer to what lies above the steps' highest frequency, with 0.1% of their most or more."""
    if plan.every > 1:
        return 0
    size = np.abs(table)
    loud = np.flatnonzero(size[len(table) // 2 :].max(0) > 1e-3 * size.max(0))
    return int(loud.max(initial=-1)) + 1


def _sinc(every: int) -> NDArray[np.float32]:
    distance = np.arange(every) / every - np.arange(1 - _BEYOND, _BEYOND + 1)[:, None]
    weights = np.sinc(distance) * np.i0(_KAISER * np.sqrt(np.maximum(1 - (distance / _BEYOND) ** 2, 0)))
    result: NDArray[np.float32] = (weights / weights.sum(0)).astype(np.float32)
    return result
