"""Google Speech Commands as a recipe asks for them: log-mel frames, or an ear's spikes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ranvier.audio.mel import DEFAULT, PAPER
from ranvier.corpora.gsc import Classes, Split, partition, read_gsc
from ranvier.data import Grid, SpikeDataset, read_recording
from ranvier.data.cache import cache_folder, cache_lock
from ranvier.data.frames import FrameDataset
from ranvier.recipes.config import ConfigError
from ranvier.recipes.sections import GSCData

EAR_GRID = Grid(channels=700, pool=5, dt_ms=10.0)


def read_words(
    data: GSCData, root: Path, split: Split, progress: Callable[[int, int], None] | None
) -> SpikeDataset | FrameDataset:
    """One of the official splits; what was computed once lies in the cache.

    Raises:
        ConfigError: the ear is asked for silence.
        DataError: the folder is not one of Google Speech Commands.
    """
    if data.input == "ear":
        if data.words == "12":
            raise ConfigError("data.words: 12 is not allowed with data.input = ear (35; the ear hears no silence)")
        return _heard(data, root, split, progress)
    generator = np.random.default_rng(data.split_seed)
    settings = PAPER if data.input == "mel-paper" else DEFAULT
    words: Classes = 35 if data.words == "35" else 12
    return read_gsc(root, split, classes=words, settings=settings, generator=generator, progress=progress)


def _heard(data: GSCData, root: Path, split: Split, progress: Callable[[int, int], None] | None) -> SpikeDataset:
    from ranvier.audio.ear import Ear
    from ranvier.audio.encode import encode_files, fingerprint
    from ranvier.audio.naming import KNOWN, Naming
    from ranvier.audio.sound_files import SoundFiles

    spoken = partition(root)
    files = [(one.path, f"{one.word}/{one.path.name}") for one in spoken if one.split == split]
    classes, title = sorted({one.word for one in spoken}), "Google Speech Commands"
    key = fingerprint(files, asdict(Ear()), classes, data.ear_seed)
    out = cache_folder(None) / f"gsc-{split}-{key[:16]}.h5"
    if not out.exists():
        with cache_lock(out, "the ear's spikes"):
            if not out.exists():
                encode_files(
                    SoundFiles(tuple(files)), out, naming=Naming(label=KNOWN[title]), how=title, classes=classes,
                    seed=data.ear_seed, progress=progress,
                )  # fmt: skip
    return read_recording(out, EAR_GRID, progress=progress)
