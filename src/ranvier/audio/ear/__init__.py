"""An inner ear: sound in, the spikes of its auditory nerve's first relay out, of a whole clip or as the sound comes."""

from ranvier.audio.ear.ear import Ear, clip_generator
from ranvier.audio.ear.streaming import EarStream, StreamingEar

__all__ = ["Ear", "EarStream", "StreamingEar", "clip_generator"]
