"""Synthetic speech by eSpeak NG.

The library and its voices come with the package ``espeakng-loader``; both are GPL-3.0.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.audio.sound import Sound
from ranvier.data.dataset import DataError

# of speak_lib.h
_RETRIEVAL, _CHARS_UTF8, _POSITION_CHARACTER = 1, 1, 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Voice:
    """Who speaks, and how.

    Args:
        name: language and variant, as eSpeak NG names them, for example ``en-us+f3``.
        words_per_minute: 80 ... 450.
        pitch: 0 ... 100.
        pitch_range: 0 ... 100, how lively.
    """

    name: str
    words_per_minute: int = 175
    pitch: int = 50
    pitch_range: int = 50


class Speaker:
    """eSpeak NG, once per process: the library has one state, and what it says hangs on what it said before.

    Raises:
        DataError: the package ``espeakng-loader`` is not installed, or the library cannot be loaded.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise DataError(
                "eSpeak NG is not installed (pip install -r tools/make_digits/requirements.txt brings it)"
            ) from None
        self._library: Any = espeakng_loader.load_library()
        path = espeakng_loader.get_data_path().encode()
        self.rate = -1 if self._library is None else self._library.espeak_Initialize(_RETRIEVAL, 0, path, 0)
        if self.rate <= 0:
            raise DataError("eSpeak NG cannot be loaded (package espeakng-loader)")
        # without it breath is seeded by the clock
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._pieces: list[NDArray[np.int16]] = []
        self._hear = _Callback(self._piece)  # must outlive the library's use of it
        self._library.espeak_SetSynthCallback(self._hear)

    def _piece(self, samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: Voice) -> Sound:
        """The text spoken, as it comes: 22.05 kHz, with silence around.

        Raises:
            DataError: there is no such voice.
        """
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise DataError(f"voice {voice.name!r} is not known to eSpeak NG")
        for parameter, value in (
            (_RATE, voice.words_per_minute),
            (_VOLUME, 100),
            (_PITCH, voice.pitch),
            (_RANGE, voice.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces.clear()
        spoken = text.encode()
        failed = self._library.espeak_Synth(
            spoken, ctypes.c_size_t(len(spoken) + 1), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        self._library.espeak_Synchronize()
        if failed or not self._pieces:
            raise DataError(f"eSpeak NG could not say {text!r} with the voice {voice.name!r}")
        return Sound(np.concatenate(self._pieces) / 32768.0, self.rate)


def say_alone(text_and_voice: tuple[str, Voice]) -> Sound | str:
    """:meth:`Speaker.say` as the first thing that a process says; an error's text where it failed."""
    try:
        return Speaker().say(*text_and_voice)
    except DataError as error:
        return str(error)
