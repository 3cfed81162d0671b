"""Speech, noise, ear, counts. The same seed makes the same bytes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ranvier.audio.ear import StreamingEar
from ranvier.audio.sound import Sound, trimmed
from ranvier.corpora.digits import CLASSES, GRID, SPLITS, Digits, write_digits
from ranvier.data.dataset import DataError

from .speech import Voice, say_alone

TAKES = 2
# Variants of eSpeak NG's formant synthesiser that sound like people; no two have their first five formants alike,
# within 4% and 60 Hz.
VOICES = (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Jacky", "Lee", "Mario", "Michael",
    "Mike", "Reed", "Storm", "adam", "anika", "announcer", "antonio", "belinda", "benjamin", "boris", "david", "ed",
    "edward", "f1", "f2", "f3", "f4", "grandma", "grandpa", "gustave", "ian", "iven", "kaukovalta", "linda", "m1",
    "m2", "m3", "m4", "m5", "m7", "marcelo", "norbert", "quincy", "sandro", "shelby", "steph", "travis", "victor",
    "zac",
)  # fmt: skip
SHARES = {"train": 35, "validation": 6, "test": 10}  # voices, drawn by the seed; no voice is in two splits
_ACCENTS = ("en", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-029")


@dataclass(frozen=True)
class Utterance:
    """One clip to be made: who says what, how, and how noisy it is."""

    split: str
    voice: str
    label: int
    take: int
    spoken: Voice
    noise_db: float


def voices(seed: int) -> dict[str, tuple[str, ...]]:
    """The voices of each split."""
    drawn = iter(np.random.default_rng(seed).permutation(VOICES).tolist())
    return {split: tuple(next(drawn) for _ in range(SHARES[split])) for split in SPLITS}


def utterances(seed: int) -> list[Utterance]:
    """Every clip of the set, in its order: speed, pitch and noise are drawn for each."""
    rows = []
    for split, names in voices(seed).items():
        for voice in names:
            accent = _ACCENTS[int(_generator(seed, voice).integers(len(_ACCENTS)))]
            for label in range(len(CLASSES)):
                for take in range(TAKES):
                    generator = _generator(seed, voice, label, take)
                    language = accent if label < 10 else "de"
                    spoken = Voice(
                        f"{language}+{voice}",
                        words_per_minute=int(generator.integers(130, 221)),
                        pitch=int(generator.integers(25, 76)),
                        pitch_range=int(generator.integers(30, 81)),
                    )
                    rows.append(Utterance(split, voice, label, take, spoken, float(generator.uniform(10, 40))))
    return rows


def speak(rows: Sequence[Utterance], seed: int, *, workers: int | None = None) -> Iterator[Sound]:
    """The sound of each: spoken, cut at its ends, with noise at its own number of decibels below the speech.

    Raises:
        DataError: eSpeak NG is not installed.
    """
    # eSpeak NG keeps the phases of one utterance for the next: each has a process of its own
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["tools.make_digits.speech"])
    with context.Pool(workers or os.cpu_count(), maxtasksperchild=1) as pool:
        said = pool.imap(say_alone, [(CLASSES[row.label], row.spoken) for row in rows])
        for row, sound in zip(rows, said, strict=True):
            if isinstance(sound, str):
                raise DataError(sound)
            yield _noisy(trimmed(sound), row.noise_db, _generator(seed, row.voice, row.label, row.take, 1))


def make_digits(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    wav: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Digits:
    """Make the digits and write them.

    Args:
        out: the file, ``.npz.xz``.
        seed: of voices' speeds, pitches, noise and of the nerve fibres, >= 0; the package has 0.
        wav: folder for the sound of every clip, to be listened to; None keeps none.
        workers: processes and threads; None means one per core.
        cache: folder of the ear's table; None means the user's.
        progress: called with (clips made, clips in all).

    Raises:
        DataError: eSpeak NG is not installed.
    """
    out = Path(out)
    if not out.name.endswith(".npz.xz"):
        raise DataError(f"{out}: is not a .npz.xz file's name")
    if not out.absolute().parent.is_dir():
        raise DataError(f"{out.parent}: no such folder")
    rows = utterances(seed)
    counts = encode(rows, seed, wav=None if wav is None else Path(wav), workers=workers, cache=cache, progress=progress)
    names = [voice for part in voices(seed).values() for voice in part]
    digits = Digits(
        counts=np.concatenate(counts),
        lengths=np.array([len(clip) for clip in counts]),
        labels=np.array([row.label for row in rows]),
        voices=np.array([names.index(row.voice) for row in rows]),
        splits=np.array([SPLITS.index(row.split) for row in rows]),
        names=tuple(names),
        ear="streaming",
    )
    write_digits(digits, out)
    return digits


def encode(
    rows: Sequence[Utterance],
    seed: int,
    *,
    wav: Path | None = None,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[NDArray[np.uint8]]:
    """Counts ``[step, source]`` of each."""
    import soundfile

    ear = StreamingEar()
    counts: list[NDArray[np.uint8]] = []

    def count(sound: Sound) -> NDArray[np.uint8]:
        times, units = ear.encode(sound, seed=seed, cache=cache)
        step, source, many = GRID.count(times, units)
        clip = np.zeros((int(step.max(initial=0)) + 1, GRID.sources), np.uint8)
        clip[step, source] = many
        return clip

    ear.prepare(cache)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        spoken = speak(rows, seed, workers=workers)
        while batch := [sound for _, sound in zip(range(64), spoken, strict=False)]:
            if wav is not None:
                wav.mkdir(parents=True, exist_ok=True)
                for row, sound in zip(rows[len(counts) :], batch, strict=False):
                    name = f"{CLASSES[row.label]}_{row.voice}_{row.take}.wav"
                    soundfile.write(wav / name, sound.samples, sound.rate, subtype="PCM_16")
            counts += pool.map(count, batch)
            if progress is not None:
                progress(len(counts), len(rows))
    return counts


def _generator(seed: int, voice: str, *place: int) -> np.random.Generator:
    return np.random.default_rng([seed, *voice.encode(), 0, *place])


def _noisy(sound: Sound, below_db: float, generator: np.random.Generator) -> Sound:
    power = np.mean(sound.samples**2) * 10 ** (-below_db / 10)
    noise = generator.standard_normal(len(sound.samples)) * np.sqrt(power)
    mixed = sound.samples + noise
    return Sound(mixed / max(1.0, float(np.abs(mixed).max())), sound.rate)
