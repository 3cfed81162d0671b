"""The clips of a split of Google Speech Commands, with 35 classes or 12, as sound that is still in its files."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ranvier.audio.sound import SHORTEST_S, Sound, read_sound
from ranvier.audio.sound_files import NOISE
from ranvier.corpora.gsc.files import Split, Utterance, partition, wav_files
from ranvier.data.dataset import DataError
from ranvier.data.split import apportion, draw

Classes = Literal[35, 12]

TEN_WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
_PIECE_S = 1.0
# each split cuts its silence from a span of its own of every noise file
_SPANS: dict[Split, tuple[float, float]] = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}


@dataclass(frozen=True, eq=False)
class GscFiles:
    """The clips of one split, as sound that is still in its files.

    Attributes:
        paths: per clip, its file.
        start_s: ``[clip]`` where in the file the clip begins, to last 1 s; NaN where it is the whole file.
        labels: ``[clip]`` index into ``classes``.
        speakers: ``[clip]`` the speaker's hexadecimal digits as a number, the same in every split; -1 for silence.
        classes: names of the classes.
    """

    paths: tuple[Path, ...]
    start_s: NDArray[np.float64]
    labels: NDArray[np.int64]
    speakers: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def sound(self, index: int) -> Sound:
        """Sound of one clip; one that is silent throughout is a clip like any other.

        Raises:
            DataError: the file cannot be read as sound; the message names it.
        """
        path, start_s = self.paths[index], self.start_s[index]
        if np.isnan(start_s):
            return _read(path)
        noise = _read_noise(path, path.stat().st_mtime_ns)
        first = round(start_s * noise.rate)
        return Sound(noise.samples[first : first + round(_PIECE_S * noise.rate)], noise.rate)


def gsc_files(
    root: str | os.PathLike[str], split: Split, classes: Classes = 35, *, generator: np.random.Generator | None = None
) -> GscFiles:
    """The clips of one split, before anything is made of their sound.

    Args:
        root: folder of the word folders.
        split: which one.
        classes: 35 takes every word that is there as a class of its own (35 in the published data), sorted by name.
            12 takes the ten commands, ``unknown`` and ``silence``. Unknown are other words drawn at random, each word's
            part of them, as many as a command has clips on average, or all there are; silence are as many pieces of 1 s
            drawn from ``_background_noise_``, each file's part of them: from the first 80% of each file for training,
            the next 10% for validation, the last 10% for test, so that no noise is in two splits.
        generator: randomness of the draws, for 12 classes.

    Raises:
        DataError: as :func:`partition`; the split is empty; or for 12 classes commands, other words or noise are
            missing.
        ValueError: an argument is not one of those allowed.
    """
    root = Path(root)
    if split not in get_args(Split):
        raise ValueError(f"split: {split!r} is not allowed ({', '.join(get_args(Split))})")
    if classes not in get_args(Classes):
        raise ValueError(f"classes: {classes} is not allowed (35 or 12)")
    everything = partition(root)
    words = tuple(dict.fromkeys(one.word for one in everything))
    chosen = [one for one in everything if one.split == split]
    if not chosen:
        raise DataError(f"{root}: no clip is in the {split} split (1 or more)")
    if classes == 35:
        return _files(chosen, [], words)
    if generator is None:
        raise ValueError("generator: needed to draw unknown words and silence for 12 classes")
    missing = [word for word in TEN_WORDS if word not in words]
    if missing:
        raise DataError(f"{root}: no folder {missing[0]!r} (12 classes need {' '.join(TEN_WORDS)})")
    known = [one for one in chosen if one.word in TEN_WORDS]
    others = [one for one in chosen if one.word not in TEN_WORDS]
    size = round(len(known) / len(TEN_WORDS))
    for kind, some in (("command", known), ("other word", others)):
        if not some:
            raise DataError(f"{root}: no {kind} is in the {split} split (12 classes need 1 or more)")
    voices = np.array([int(one.speaker, 16) for one in others])
    drawn = draw(np.array([one.word for one in others]), voices, min(size, len(others)), generator)
    silence = _draw_silence(root / NOISE, split, size, generator)
    return _files(known + [others[place] for place in drawn], silence, (*TEN_WORDS, "unknown", "silence"))


def _files(utterances: list[Utterance], silence: list[tuple[Path, float]], classes: tuple[str, ...]) -> GscFiles:
    label = {word: number for number, word in enumerate(classes)}
    words = [label.get(one.word, len(TEN_WORDS)) for one in utterances]  # others are in no class but "unknown"
    return GscFiles(
        paths=(*(one.path for one in utterances), *(path for path, _ in silence)),
        start_s=np.array([math.nan] * len(utterances) + [start_s for _, start_s in silence]),
        labels=np.array(words + [len(classes) - 1] * len(silence), np.int64),
        speakers=np.array([int(one.speaker, 16) for one in utterances] + [-1] * len(silence), np.int64),
        classes=classes,
    )


def _draw_silence(folder: Path, split: Split, count: int, generator: np.random.Generator) -> list[tuple[Path, float]]:
    """File and start in s of each piece, sorted; where a piece begins is uniform over all that the split may use."""
    noises = wav_files(folder) if folder.is_dir() else []
    if not noises:
        raise DataError(f"{folder}: holds no wav (12 classes need background noise for 'silence')")
    seconds = np.array([_read(path).seconds for path in noises])
    begin, end = _SPANS[split]
    room = np.maximum((end - begin) * seconds - _PIECE_S, 0)
    if not room.any():
        needed = _PIECE_S / (end - begin)
        raise DataError(f"{folder}: no file lasts long enough for {split} silence (above {needed:.3g} s needed)")
    noise = np.repeat(np.arange(len(noises)), apportion(room, count, generator))
    starts = begin * seconds[noise] + generator.uniform(size=count) * room[noise]
    return sorted(zip((noises[number] for number in noise), starts.tolist(), strict=True))


def _read(path: Path) -> Sound:
    try:
        return read_sound(path, longest_s=math.inf)
    except DataError:
        silent = _silent(path)
        if silent is None:
            raise
        return silent


def _silent(path: Path) -> Sound | None:
    """The sound of a file in which every sample is alike, None for all others."""
    import soundfile

    try:
        samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except soundfile.SoundFileError:
        return None
    if len(samples) < SHORTEST_S * rate or not (samples == samples[0]).all():
        return None
    return Sound(samples.mean(1), rate)


@lru_cache(maxsize=1)
def _read_noise(path: Path, _changed: int) -> Sound:
    # pieces are sorted by file, so a minute of noise is read once and not once per second of it
    return _read(path)
