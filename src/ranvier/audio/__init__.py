"""Sound: reading files, resampling, log-mel frames, the inner ear that made SHD, and changes to sound."""

from ranvier.audio.augment_sound import add_noise, change_gain, change_speed
from ranvier.audio.ear import Ear
from ranvier.audio.encode import EncodeResult, encode
from ranvier.audio.mel import MelSettings, log_mel
from ranvier.audio.naming import Naming
from ranvier.audio.sound import Sound, read_sound, resampled, trimmed

__all__ = [
    "Ear",
    "EncodeResult",
    "MelSettings",
    "Naming",
    "Sound",
    "add_noise",
    "change_gain",
    "change_speed",
    "encode",
    "log_mel",
    "read_sound",
    "resampled",
    "trimmed",
]
