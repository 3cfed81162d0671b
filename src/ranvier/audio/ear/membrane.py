"""How the basilar membrane moves: the hydrodynamic model of Sieroka, Dosch and Rupp (2006), as Cramer et al. use it.

The membrane is a line of places x in [0, 3.5] whose stiffness falls along it, so that each resonates at a pitch of its
own. Its velocity at x answers the sound at the angular frequency w by

    V(w, x) = 2 w / Z(w, x) * p(w, x) / p(w, 0) * z_in(w)
    Z(w, x) = S e^(-a x) - s - m w^2 - i w R e^(-a x / 2)                  stiffness, mass, damping
    k(w, x) = w sqrt(1 / (h Z))                                            wave number
    G(w, x) = 2 k(w, 0) / a + int_0^x k(w, x') dx'                         phase of the wave
    p(w, x) = sqrt(G / k) H1_0(G)                                          pressure; H1, H2 are Hankel functions
    z_in(w) = i sqrt(2 S / h) H2_0(q) / H2_1(q),    q = 2 w / a sqrt(2 / (h S))

With u = e^(a x / 2) and K = s + m w^2 the integral is 2 w / (a sqrt(h K)) times the growth, from 1 to u, of
arcsin((2 K u + i w R) / D), D^2 = 4 K S - w^2 R^2. Its argument stays above the real axis, so that the principal branch
is right everywhere.

V is that of time running backwards (e^(-i w t)) while spectra are those of time running forwards. So the membrane moves
before the sound comes: at the lowest place by 23 ms in the middle, and by up to 0.2 s. SHD and SSC were made so, and so
it is here.

Source: Sieroka, Dosch, Rupp, J. Acoust. Soc. Am. 120, 297 (2006); the parameters are those of Cramer, Stradmann,
Schemmel, Zenke, IEEE TNNLS (2020), doi 10.1109/TNNLS.2020.3044364.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.data.cache import kept_array

Waves = NDArray[np.complex128]

RATE = 48_000  # of the sound, samples per second
STEPS_PER_SECOND = RATE // 2  # of the membrane
BLOCK = STEPS_PER_SECOND  # steps that are transformed together
AHEAD, BEHIND = 4800, 2400  # steps: the membrane answers sound up to 0.2 s ahead and 0.1 s behind
VALID = BLOCK - AHEAD - BEHIND  # steps of a block that no edge has touched

LAST_PLACE = 3.5  # the apex; the base is 0
_STIFFNESS, _STIFFNESS_LOSS, _FALL = 1e9, 3500.0, 3.0
_MASS, _HEIGHT = 0.05, 0.1
_DAMPING = 0.15 * np.sqrt(_STIFFNESS * _MASS)
_GONE = 20.0  # a wave damped by e^-20 is below what single precision holds of the table
_AT_ONCE = 50  # channels whose table one thread makes
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Membrane:
    """The velocity's answer to the spectrum of a block of sound.

    A sound of 2 ``BLOCK`` samples has the frequencies 0 ... ``BLOCK`` Hz; the velocity is taken at half its rate, where
    those above the middle fold back, which only the first places notice.

    Attributes:
        low: complex64 ``[channel, BLOCK / 2 + 1]``, for 0 Hz ... the middle.
        high: complex64 ``[first channels, BLOCK / 2 + 1]``, conjugated, for ``BLOCK`` Hz ... the middle.
    """

    low: NDArray[np.complex64]
    high: NDArray[np.complex64]

    def velocity(self, spectrum: NDArray[np.complex128], channels: slice) -> NDArray[np.float64]:
        """``[channel, BLOCK]`` of the given channels from the ``rfft`` of ``2 BLOCK`` samples."""
        from scipy import fft

        half = BLOCK // 2 + 1
        answer = self.low[channels] * spectrum[:half]
        folded = self.high[channels]
        answer[: len(folded)] += folded * spectrum[: half - 2 : -1].conj()
        moved: NDArray[np.float64] = fft.irfft(answer, BLOCK, overwrite_x=True)
        return moved


def membrane(channels: int, cache: str | os.PathLike[str] | None = None) -> Membrane:
    """The membrane at so many places, evenly spread; computed once and kept in the cache folder."""
    half = BLOCK // 2 + 1
    low = kept_array(f"membrane-{_VERSION}-{channels}-low", lambda: _table(channels, np.arange(half)), cache)
    high = kept_array(f"membrane-{_VERSION}-{channels}-high", lambda: _folded(channels), cache)
    return Membrane(low, high)


def response(frequency_hz: NDArray[np.float64], places: NDArray[np.float64]) -> Iterator[Waves]:
    """V at each of ``places`` in [0, 3.5]; 0 where the wave has died out. Frequencies above 0."""
    from scipy.special import hankel1e, hankel2e

    omega = 2 * np.pi * frequency_hz
    inertia = _STIFFNESS_LOSS + _MASS * omega**2
    width = np.sqrt(4 * inertia * _STIFFNESS - (omega * _DAMPING) ** 2)

    def impedance(u: float) -> Any:
        return _STIFFNESS / u**2 - inertia - 1j * omega * _DAMPING / u

    def wave_number(near: Waves) -> Any:
        return omega * np.sqrt(1 / (_HEIGHT * near))

    def turned(u: float) -> Any:
        return np.arcsin((2 * inertia * u + 1j * omega * _DAMPING) / width)

    number_0, turned_0 = wave_number(impedance(1.0)), turned(1.0)
    phase_0 = 2 * number_0 / _FALL
    q = 2 * omega / _FALL * np.sqrt(2 / (_HEIGHT * _STIFFNESS))
    z_in = 1j * np.sqrt(2 * _STIFFNESS / _HEIGHT) * hankel2e(0, q) / hankel2e(1, q)
    base = 2 * omega * z_in * np.sqrt(number_0 / phase_0) / hankel1e(0, phase_0)
    for place in places:
        u = np.exp(_FALL * place / 2)
        travelled = 2 * omega / (_FALL * np.sqrt(_HEIGHT * inertia)) * (turned(u) - turned_0)
        alive = travelled.imag < _GONE
        near = impedance(u)[alive]
        number, phase = wave_number(impedance(u))[alive], (phase_0 + travelled)[alive]
        wave = np.sqrt(phase / number) * hankel1e(0, phase) * np.exp(1j * travelled[alive])
        result = np.zeros(len(frequency_hz), np.complex128)
        result[alive] = base[alive] / near * wave
        yield result


def _table(channels: int, bins: NDArray[np.int64]) -> NDArray[np.complex64]:
    """V of every channel, halved for what stands twice in the spectrum of a real signal."""
    frequency_hz = np.maximum(bins, 1) * (RATE / (2 * BLOCK))
    share = np.where((bins == 0) | (bins == BLOCK // 2), 1.0, 0.5)
    table = np.empty((channels, len(bins)), np.complex64)
    places = np.linspace(0, LAST_PLACE, channels) if channels > 1 else np.zeros(1)

    def fill(first: int) -> None:
        chosen = slice(first, first + _AT_ONCE)
        for channel, answer in enumerate(response(frequency_hz, places[chosen]), first):
            table[channel] = answer * share

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(0, channels, _AT_ONCE)))
    return table


def _folded(channels: int) -> NDArray[np.complex64]:
    bins = BLOCK - np.arange(BLOCK // 2 + 1)
    table = _table(channels, bins)
    table[:, [0, -1]] = 0  # the sound's last frequency is left out, and the middle stands in the lower half
    loud = np.flatnonzero(np.abs(table).max(1) > 1e-6 * np.abs(table).max())
    return table[: loud[-1] + 1].conj()
