"""Which frequency moves each place of the membrane most."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ranvier.audio.ear import membrane

_PLACES, _FREQUENCIES = 36, 800


@lru_cache
def characteristic_hz(channels: int) -> NDArray[np.float64]:
    """``[channel]`` the frequency of a tone whose velocity is largest there, in Hz; it falls from the base to the apex.

    It is taken at 36 places and interpolated between them, within 1%.

    Args:
        channels: places of the ear, evenly spread from the base to the apex, 1 or more.
    """
    places = np.linspace(0, membrane.LAST_PLACE, _PLACES)
    tones = np.geomspace(50, membrane.RATE / 2, _FREQUENCIES)
    peaks = [tones[np.abs(wave).argmax()] for wave in membrane.response(tones, places)]
    wanted = np.linspace(0, membrane.LAST_PLACE, channels) if channels > 1 else np.zeros(1)
    return np.exp(np.interp(wanted, places, np.log(peaks)))
