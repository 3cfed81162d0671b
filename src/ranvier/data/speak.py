"""Words spoken by many voices, as sound files to learn from."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.augment_sound import Colour, add_noise
from ranvier.data.dataset import DataError
from ranvier.data.download import Terms
from ranvier.data.kokoro import VOICES, Kokoro, fetch_kokoro
from ranvier.data.sound import resampled, trimmed
from ranvier.files import write_atomically, write_text
from ranvier.locks import file_lock

RATES = (8000, 48000)
_SPEEDS = (0.9, 1.6)  # people who say single words are quicker than Kokoro, who reads
_STYLE_ROWS = (3, 60)  # as in texts of 3 to 59 phonemes
_MARKS = (".", "!", "?")
_MARKED = 0.6  # of the takes end with one of them, and so with another melody
_SHARES = (0.3, 0.7)  # of the first of two voices in a blend
_NOISE_DB = (10.0, 40.0)  # below the speech
_COLOURS: tuple[Colour, ...] = ("white", "pink")
_PEAK = 0.7  # of full scale
_PLAN = "plan.json"
_LONGEST = 60
# what English eSpeak NG can read, and what can be a class and part of a file's name
_ALLOWED = re.compile(r"[A-Za-z0-9]+(?:[ .'-]+[A-Za-z0-9]+)*")


@dataclass(frozen=True)
class SpokenVoice:
    """One who speaks: a voice of Kokoro's, or a blend of two.

    Attributes:
        name: ``af-heart``; blends are ``blend-1`` and so on.
        blend: voices of Kokoro and their shares.
    """

    name: str
    blend: tuple[tuple[str, float], ...]

    @property
    def british(self) -> bool:
        """British English is spoken where the first voice does; all others speak American English."""
        return self.blend[0][0].startswith("b")


@dataclass(frozen=True)
class Background:
    """Noise of a file.

    Attributes:
        below_db: 10 ... 40 dB below the speech.
        colour: white or pink.
        seed: of its samples.
    """

    below_db: float
    colour: Colour
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Utterance:
    """One file to be made: who says what, and how.

    Attributes:
        word: what is said.
        voice: who says it.
        take: 0, 1, ...
        mark: at the end, for the melody: ``. ! ?`` or nothing.
        speed: 0.9 ... 1.6 times the voice's own.
        style_row: 3 ... 59, of the voice's styles.
        background: what is heard besides, if anything.
    """

    word: str
    voice: SpokenVoice
    take: int
    mark: str
    speed: float
    style_row: int
    background: Background | None = None

    @property
    def file(self) -> str:
        """Its name, which :func:`ranvier.data.encode.encode` reads: class, speaker, take."""
        return f"{self.word}_{self.voice.name}_{self.take}.wav"


def spoken_voices(count: int, seed: int) -> list[SpokenVoice]:
    """So many voices, drawn by the seed: Kokoro's 54 voices first, then blends of two."""
    order = np.random.default_rng([seed, 0]).permutation(VOICES).tolist()
    drawn = [SpokenVoice(name.replace("_", "-"), ((name, 1.0),)) for name in order[:count]]
    for number in range(1, count - len(drawn) + 1):
        generator = np.random.default_rng([seed, 1, number])
        first, second = generator.choice(VOICES, 2, replace=False).tolist()
        share = float(generator.uniform(*_SHARES))
        drawn.append(SpokenVoice(f"blend-{number}", ((first, share), (second, 1 - share))))
    return drawn


def utterances(words: Sequence[str], *, voices: int, takes: int, seed: int, noise: bool = False) -> list[Utterance]:
    """Every file to be made, by voice, word, take; how it is said hangs on these three and the seed alone.

    With noise it is said as without.
    """
    rows = []
    for voice in spoken_voices(voices, seed):
        for word in words:
            for take in range(takes):
                place = (*voice.name.encode(), 0, *word.encode(), 0, take)
                generator = np.random.default_rng([seed, 2, *place])
                mark = _MARKS[int(generator.integers(len(_MARKS)))] if generator.random() < _MARKED else ""
                speed = float(generator.uniform(*_SPEEDS))
                style_row = int(generator.integers(*_STYLE_ROWS))
                background = _background((seed, 3, *place)) if noise else None
                rows.append(Utterance(word, voice, take, mark, speed, style_row, background))
    return rows


def _background(seed: tuple[int, ...]) -> Background:
    generator = np.random.default_rng([*seed, 0])
    below_db = float(generator.uniform(*_NOISE_DB))
    return Background(below_db, _COLOURS[int(generator.integers(len(_COLOURS)))], (*seed, 1))


def speak(
    words: Sequence[str],
    out: str | os.PathLike[str],
    *,
    voices: int = 108,
    takes: int = 3,
    rate: int = 24000,
    noise: bool = False,
    seed: int = 0,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    terms: Terms | None = None,
) -> list[Utterance]:
    """Let Kokoro's voices say English words, and write each as a wav file ``WORD_VOICE_TAKE.wav``.

    Speed (0.9 to 1.6 times the voice's own), melody and manner are drawn for each file; silence at the ends is cut to
    20 ms. The same call gives the same files on machines with the same kind of processor (the network computes with
    8-bit weights, whose rounding differs between kinds). An interrupted call is continued by the same call: what is
    done lies in a folder ``OUT.part``, which gets the name ``out`` when all is done.

    Args:
        words: what is said, and the names of the classes: two or more that do not sound alike, of A-Z a-z 0-9, with
            spaces . ' - between them; ``7`` is read as seven.
        out: the folder to make; it must not exist.
        voices: how many, >= 1: Kokoro's 54 in an order drawn by the seed, then blends of two.
        takes: of each word by each voice, >= 1.
        rate: samples per second of the files, 8000 ... 48000; the voices have 24000.
        noise: with white or pink noise, 10 to 40 dB below the speech, drawn for each file.
        seed: >= 0.
        workers: threads, >= 1; None means one per core.
        cache: folder that Kokoro is downloaded into; None means the user's.
        progress: called with (files made, files in all).
        terms: what is wanted of the download.

    Returns:
        All files, those of an earlier call included, by voice, word, take.

    Raises:
        DataError: something is not allowed, the extra ``speech`` is not installed, Kokoro cannot be downloaded,
            another process makes the same folder, or it cannot be written.
    """
    out = Path(out)
    _refuse(words, out, voices, takes, rate, seed, workers)
    plan = {"words": sorted(words), "voices": voices, "takes": takes, "rate": rate, "noise": noise, "seed": seed}
    part = out.with_name(f"{out.name}.part")
    _refuse_other(part, plan)
    kokoro = Kokoro(*fetch_kokoro(cache, terms=terms))
    _refuse_homophones(words, kokoro)
    rows = utterances(words, voices=voices, takes=takes, seed=seed, noise=noise)
    try:
        with file_lock(out.with_name(f"{out.name}.lock"), wait=False):
            _refuse_existing(out)
            _begin(part, plan)
            missing = [row for row in rows if not (part / row.file).exists()]
            with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
                try:
                    made = pool.map(lambda row: _make(row, kokoro, part, rate), missing)
                    for done, _ in enumerate(made, len(rows) - len(missing) + 1):
                        if progress is not None:
                            progress(done, len(rows))
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
            part.replace(out)
            (out / _PLAN).unlink()
    except BlockingIOError:
        raise DataError(f"{out}: another process is making it") from None
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error})") from None
    return rows


def _refuse(
    words: Sequence[str], out: Path, voices: int, takes: int, rate: int, seed: int, workers: int | None
) -> None:
    for name, value, lowest, highest in (
        ("voices", voices, 1, 10_000),
        ("takes", takes, 1, 10_000),
        ("rate", rate, *RATES),
        ("seed", seed, 0, 2**63 - 1),
        ("workers", 1 if workers is None else workers, 1, 10_000),
    ):
        if not lowest <= value <= highest:
            raise DataError(f"{name}: {value} is not allowed ({lowest} ... {highest})")
    if isinstance(words, str):
        raise DataError(f"words: {words!r} is one (a list of two or more is needed)")
    for word in words:
        if not _ALLOWED.fullmatch(word) or len(word) > _LONGEST:
            raise DataError(
                f"words: {word!r} is not allowed (A-Z a-z 0-9, with spaces . ' - between them, up to {_LONGEST})"
            )
    if len(words) < 2 or len({word.casefold() for word in words}) < len(words):
        raise DataError("words: two or more are needed, each once")
    if not out.absolute().parent.is_dir():
        raise DataError(f"{out.parent}: no such folder")
    _refuse_existing(out)


def _refuse_existing(out: Path) -> None:
    if os.path.lexists(out):
        raise DataError(f"{out}: exists already")


def _refuse_homophones(words: Sequence[str], kokoro: Kokoro) -> None:
    """Nobody could tell them apart."""
    sounds: dict[str, str] = {}
    for word in words:
        other = sounds.setdefault(kokoro.phonemes(word), word)
        if other != word:
            raise DataError(f"words: {other!r} and {word!r} sound alike (words that differ are needed)")


def _refuse_other(part: Path, plan: dict[str, Any]) -> None:
    """A folder that is there, but is not the beginning of this call."""
    if not os.path.lexists(part) or _is_empty(part):
        return
    try:
        begun = json.loads((part / _PLAN).read_bytes())
        differs = [f"{name} {begun[name]}" for name in plan if begun[name] != plan[name]]
    except (OSError, ValueError, KeyError, TypeError):
        differs = ["something else"]
    if differs:
        raise DataError(f"{part}: was begun with {', '.join(differs)} (remove it, or give another folder to write)")


def _is_empty(part: Path) -> bool:
    """But for what a process that was killed left of a file."""
    return part.is_dir() and all(path.suffix == ".tmp" for path in part.iterdir())


def _begin(part: Path, plan: dict[str, Any]) -> None:
    """Make the folder of what is done, unless an earlier call has."""
    _refuse_other(part, plan)
    part.mkdir(exist_ok=True)
    for left in part.glob("*.tmp"):
        left.unlink()
    if not (part / _PLAN).exists():
        write_text(part / _PLAN, json.dumps(plan))


def _make(row: Utterance, kokoro: Kokoro, folder: Path, rate: int) -> None:
    """Say it and write it, whole or not at all."""
    import soundfile

    phonemes = kokoro.phonemes(row.word, british=row.voice.british) + row.mark
    spoken = kokoro.say(phonemes, kokoro.style(row.voice.blend, row.style_row), row.speed)
    sound = resampled(trimmed(spoken), rate)
    if row.background is not None:
        generator = np.random.default_rng(row.background.seed)
        sound = add_noise(sound, row.background.below_db, generator, colour=row.background.colour)
    samples = sound.samples * (_PEAK / np.abs(sound.samples).max())
    file = io.BytesIO()
    soundfile.write(file, samples, sound.rate, format="WAV", subtype="PCM_16")
    with write_atomically(folder / row.file) as temporary:
        temporary.write_bytes(file.getvalue())
