"""An inner ear: sound in, the spikes of its auditory nerve's first relay out."""

from ranvier.audio.ear.ear import Ear, clip_generator

__all__ = ["Ear", "clip_generator"]
