"""Google Speech Commands v0.02 (Warden 2018, arXiv 1804.03209): folders of words, a second of sound per file.

A file's name opens with the hash of its speaker (``bed/0a7c2a8d_nohash_0.wav``), and all files of a speaker are in one
split. The data set comes with lists of its validation and test files; ``_background_noise_`` holds minutes of noise.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ranvier.audio.mel import DEFAULT, MelSettings, log_mel
from ranvier.audio.sound import SHORTEST_S, Sound, read_sound
from ranvier.audio.sound_files import NOISE, is_hidden
from ranvier.data.dataset import DataError
from ranvier.data.frames import FrameDataset, frames_file, open_frames, write_frames
from ranvier.data.split import apportion, draw
from ranvier.names import normal_name

Split = Literal["train", "validation", "test"]
Classes = Literal[35, 12]

TEN_WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
_LISTS: dict[str, Split] = {"validation_list.txt": "validation", "testing_list.txt": "test"}
_NAME = re.compile(r"([0-9a-f]{8})_nohash_[0-9]+\.wav")
_HASHES = 2**27 - 1
_PIECE_S = 1.0
# each split cuts its silence from a stretch of its own of every noise file
_STRETCHES: dict[Split, tuple[float, float]] = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}
_CLIPS_AT_ONCE = 256


@dataclass(frozen=True)
class Utterance:
    """One file: who said which word.

    Attributes:
        path: the file.
        word: the folder it lies in.
        speaker: eight hexadecimal digits that stand for who spoke.
        split: where it belongs.
    """

    path: Path
    word: str
    speaker: str
    split: Split


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
        """Sound of one clip; one in which nothing is heard at all is a clip like any other.

        Raises:
            DataError: the file cannot be read as sound; the message names it.
        """
        path, start_s = self.paths[index], self.start_s[index]
        if np.isnan(start_s):
            return _read(path)
        noise = _read_noise(path, path.stat().st_mtime_ns)
        first = round(start_s * noise.rate)
        return Sound(noise.samples[first : first + round(_PIECE_S * noise.rate)], noise.rate)


def split_by_hash(name: str) -> Split:
    """Where a file belongs by the rule of the data set's README (``which_set``): 10% validation, 10% test.

    Percent p = 100 · (SHA-1 of what stands before ``_nohash_``, modulo 2^27) / (2^27 − 1); below 10 it is validation,
    below 20 test, else training. A speaker's files are never divided, and stay where they are when others join.

    Args:
        name: of the file, without its folder.
    """
    digest = hashlib.sha1(name.partition("_nohash_")[0].encode(), usedforsecurity=False).hexdigest()
    percent = int(digest, 16) % (_HASHES + 1) * (100.0 / _HASHES)
    if percent < 10:
        return "validation"
    return "test" if percent < 20 else "train"


def partition(root: str | os.PathLike[str]) -> tuple[Utterance, ...]:
    """Every utterance and its split, by the lists that come with the data; by :func:`split_by_hash` where none came.

    Args:
        root: folder of the word folders.

    Returns:
        All of them, sorted by word, then file name.

    Raises:
        DataError: this is no such folder, a word folder is empty or holds a file under another kind of name, only one
            of the two lists is there, or a list names a file that is not there or is on the other list.
    """
    root = Path(root)
    files = {normal_name(f"{path.parent.name}/{path.name}"): path for path in _wavs(root)}
    listed = _read_lists(root, files)
    utterances = []
    for name, path in files.items():
        speaker = _NAME.fullmatch(path.name)
        if speaker is None:
            raise DataError(f"{path}: is no name of an utterance (like 0a7c2a8d_nohash_0.wav allowed)")
        split = split_by_hash(path.name) if listed is None else listed.get(name, "train")
        utterances.append(Utterance(path, normal_name(path.parent.name), speaker[1], split))
    return tuple(utterances)


def disagreements(root: str | os.PathLike[str]) -> tuple[Utterance, ...]:
    """Utterances that the lists put elsewhere than :func:`split_by_hash` does; the published lists follow it.

    Raises:
        DataError: as :func:`partition`.
    """
    return tuple(one for one in partition(root) if one.split != split_by_hash(one.path.name))


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


def read_gsc(
    root: str | os.PathLike[str],
    split: Split,
    *,
    classes: Classes = 35,
    settings: MelSettings = DEFAULT,
    generator: np.random.Generator | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FrameDataset:
    """Log-mel frames of one split; they are kept in a file (2.4 GB for the 84,843 training clips) and read from there.

    Made anew when a file's name, size or date, the settings or the draw are others than before.

    Args:
        root: folder of the word folders.
        split: which one.
        classes: 35 or 12, see :func:`gsc_files`.
        settings: how sound becomes frames.
        generator: randomness of the draws, for 12 classes.
        cache: folder of the cache; None means the user's (``RANVIER_CACHE`` sets another).
        progress: called with (clips read, clips in all).

    Returns:
        The clips, in the order of :func:`gsc_files`.

    Raises:
        DataError: as :func:`gsc_files`; or a file cannot be read as sound.
        ValueError: an argument is not one of those allowed.
    """
    files = gsc_files(root, split, classes, generator=generator)
    shape = {"steps": len(files) * settings.steps, "sources": settings.bands}
    file = frames_file(f"gsc-{split}", [asdict(settings), _identity(files)], cache)
    frames = open_frames(file, **shape)
    if frames is None:
        write_frames(file, _each_log_mel(files, settings, progress), **shape)
        frames = open_frames(file, **shape)
        if frames is None:
            raise DataError(f"{file}: cannot be read back")
    return FrameDataset(
        frames=frames,
        offsets=np.arange(len(files) + 1, dtype=np.int64) * settings.steps,
        labels=files.labels,
        speakers=files.speakers,
        classes=files.classes,
        dt_ms=settings.dt_ms,
    )


def _wavs(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise DataError(f"{root}: is not a folder (the one with the word folders of Google Speech Commands allowed)")
    words = [path for path in _shown(root) if path.name != NOISE and path.is_dir()]
    if not words:
        raise DataError(f"{root}: has no word folders (those of Google Speech Commands needed)")
    for word in words:
        files = _recordings(word)
        if not files:
            raise DataError(f"{word}: holds no wav (a word folder of Google Speech Commands has 1 or more)")
        yield from files


def _shown(folder: Path) -> list[Path]:
    """What a folder holds, hidden files left out, sorted."""
    return sorted(path for path in folder.iterdir() if not is_hidden(path.name))


def _recordings(folder: Path) -> list[Path]:
    return [path for path in _shown(folder) if path.suffix == ".wav"]


def _read_lists(root: Path, files: dict[str, Path]) -> dict[str, Split] | None:
    """Split of every listed file, or None if there are no lists."""
    there = [name for name in _LISTS if (root / name).is_file()]
    if not there:
        return None
    if len(there) < len(_LISTS):
        (missing,) = _LISTS.keys() - set(there)
        raise DataError(f"{root}: has {there[0]} but no {missing} (both or neither allowed)")
    listed: dict[str, Split] = {}
    for name, split in _LISTS.items():
        lines = (root / name).read_text("utf-8-sig", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            if not (entry := _listed_name(line)):
                continue
            if entry not in files:
                raise DataError(f"{root / name}: line {number} names {entry[:80]!r}, which is not there")
            if listed.setdefault(entry, split) != split:
                raise DataError(f"{root / name}: line {number} names {entry!r}, which is on the other list as well")
    return listed


def _listed_name(line: str) -> str:
    """The word/file that a line of a list names, however its writer spells paths."""
    return normal_name(line.strip().replace("\\", "/").removeprefix("./"))


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
    noises = _recordings(folder) if folder.is_dir() else []
    if not noises:
        raise DataError(f"{folder}: holds no wav (12 classes need background noise for 'silence')")
    seconds = np.array([_read(path).seconds for path in noises])
    begin, end = _STRETCHES[split]
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


def _identity(files: GscFiles) -> list[list[str | int | float]]:
    """What tells the clips from others: word, name, size and date of the files, and where in them they begin."""
    identity: list[list[str | int | float]] = []
    for path, start_s in zip(files.paths, files.start_s.tolist(), strict=True):
        status = path.stat()
        start = -1.0 if math.isnan(start_s) else start_s
        identity.append([path.parent.name, path.name, status.st_size, status.st_mtime_ns, start])
    return identity


def _each_log_mel(
    files: GscFiles, settings: MelSettings, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.float32]]:
    for number in range(len(files)):
        yield log_mel(files.sound(number), settings)
        done = number + 1
        if progress is not None and (done % _CLIPS_AT_ONCE == 0 or done == len(files)):
            progress(done, len(files))
