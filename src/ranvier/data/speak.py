"""Words spoken by many voices, as sound files to learn from."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.dataset import DataError
from ranvier.data.download import Terms, temporary_file
from ranvier.data.kokoro import VOICES, KokoroSpeaker, fetch_kokoro
from ranvier.data.lock import alone
from ranvier.data.sound import resampled, trimmed

RATES = (8000, 48000)
_SPEEDS = (0.9, 1.6)  # people who say single words are quicker than Kokoro, who reads
_STYLE_ROWS = (3, 60)  # as in texts of 3 to 59 phonemes
_MARKS = (".", "!", "?")
_MARKED = 0.6  # of the takes end with one of them, and so with another melody
_SHARES = (0.3, 0.7)  # of the first of two voices in a blend
_PEAK = 0.7  # of full scale
_PLAN = "plan.json"
_LONGEST = 60
# what English eSpeak NG can read, and what can be a class and part of a file's name
_ALLOWED = re.compile(r"[A-Za-z0-9]+(?:[ .'-]+[A-Za-z0-9]+)*")


@dataclass(frozen=True)
class Speaker:
    """One who speaks: a voice, or a blend of two.

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
class Utterance:
    """One file to be made: who says what, and how."""

    word: str
    speaker: Speaker
    take: int
    mark: str
    speed: float
    style_row: int

    @property
    def file(self) -> str:
        """Its name, which :func:`ranvier.data.encode.encode` reads: class, speaker, take."""
        return f"{self.word}_{self.speaker.name}_{self.take}.wav"


def speakers(count: int, seed: int) -> list[Speaker]:
    """So many of them, drawn by the seed: Kokoro's 54 voices first, then blends of two."""
    order = np.random.default_rng([seed, 0]).permutation(VOICES).tolist()
    drawn = [Speaker(name.replace("_", "-"), ((name, 1.0),)) for name in order[:count]]
    for number in range(1, count - len(drawn) + 1):
        generator = np.random.default_rng([seed, 1, number])
        first, second = generator.choice(VOICES, 2, replace=False).tolist()
        share = float(generator.uniform(*_SHARES))
        drawn.append(Speaker(f"blend-{number}", ((first, share), (second, 1 - share))))
    return drawn


def utterances(words: Sequence[str], *, voices: int, takes: int, seed: int) -> list[Utterance]:
    """Every file to be made. How a word is said hangs on the word, the voice, the take and the seed alone."""
    rows = []
    for speaker in speakers(voices, seed):
        for word in words:
            for take in range(takes):
                generator = np.random.default_rng([seed, 2, *speaker.name.encode(), 0, *word.encode(), 0, take])
                mark = _MARKS[int(generator.integers(len(_MARKS)))] if generator.random() < _MARKED else ""
                speed = float(generator.uniform(*_SPEEDS))
                rows.append(Utterance(word, speaker, take, mark, speed, int(generator.integers(*_STYLE_ROWS))))
    return rows


def speak(
    words: Sequence[str],
    out: str | os.PathLike[str],
    *,
    voices: int = 108,
    takes: int = 3,
    rate: int = 24000,
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
        words: what is said, and the names of the classes: A-Z a-z 0-9, with spaces . ' - between them; ``7`` is read
            as seven.
        out: the folder to make; it must not exist.
        voices: how many, >= 1: Kokoro's 54 in an order drawn by the seed, then blends of two.
        takes: of each word by each voice, >= 1.
        rate: samples per second of the files, 8000 ... 48000; the voices have 24000.
        seed: >= 0.
        workers: processes; None means one per core.
        cache: folder that Kokoro is downloaded into; None means the user's.
        progress: called with (files made, files in all).
        terms: what is wanted of the download.

    Raises:
        DataError: something is not allowed, the extra ``speech`` is not installed, Kokoro cannot be downloaded, or
            ``out`` cannot be written.
    """
    out = Path(out)
    _refuse(words, out, voices, takes, rate, seed)
    kokoro = fetch_kokoro(cache, terms=terms)
    rows = utterances(words, voices=voices, takes=takes, seed=seed)
    plan = {"words": list(words), "voices": voices, "takes": takes, "rate": rate, "seed": seed}
    with alone(out.with_name(f"{out.name}.lock")):
        folder = _begin(out, plan)
        missing = [row for row in rows if not (folder / row.file).exists()]
        processes = min(workers or os.cpu_count() or 1, max(1, len(missing)))
        # spawned, for the network's threads of this process cannot be forked
        with multiprocessing.get_context("spawn").Pool(processes, _begin_process, (kokoro, folder, rate)) as pool:
            for done, _ in enumerate(pool.imap_unordered(_make, missing), len(rows) - len(missing) + 1):
                if progress is not None:
                    progress(done, len(rows))
        (folder / _PLAN).unlink()
        folder.replace(out)
    return rows


def _refuse(words: Sequence[str], out: Path, voices: int, takes: int, rate: int, seed: int) -> None:
    for name, value, lowest, highest in (
        ("voices", voices, 1, 10_000),
        ("takes", takes, 1, 10_000),
        ("rate", rate, *RATES),
        ("seed", seed, 0, 2**63 - 1),
    ):
        if not lowest <= value <= highest:
            raise DataError(f"{name}: {value} is not allowed ({lowest} ... {highest})")
    for word in words:
        if not _ALLOWED.fullmatch(word) or len(word) > _LONGEST:
            raise DataError(
                f"words: {word!r} is not allowed (A-Z a-z 0-9, with spaces . ' - between them, up to {_LONGEST})"
            )
    if len(words) < 2 or len({word.casefold() for word in words}) < len(words):
        raise DataError("words: two or more are needed, each once")
    if not out.absolute().parent.is_dir():
        raise DataError(f"{out.parent}: no such folder")
    if out.exists():
        raise DataError(f"{out}: exists already")


def _begin(out: Path, plan: dict[str, Any]) -> Path:
    """The folder of what is done, begun by this call or by an earlier one that was the same."""
    folder = out.with_name(f"{out.name}.part")
    settings = json.dumps(plan)
    try:
        folder.mkdir(exist_ok=True)
        if not (folder / _PLAN).exists() and not any(folder.iterdir()):
            with temporary_file(folder / _PLAN) as temporary:
                temporary.write_text(settings, encoding="utf-8")
                temporary.replace(folder / _PLAN)
        if not (folder / _PLAN).exists() or (folder / _PLAN).read_text(encoding="utf-8") != settings:
            raise DataError(f"{folder}: is not the beginning of this call (remove it, or give another folder to write)")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error})") from None
    return folder


class _Process:
    """What a process keeps between files."""

    kokoro: Sequence[Path]
    folder: Path
    rate: int

    @staticmethod
    @lru_cache
    def speaker() -> KokoroSpeaker:
        """Loaded for the first file and not before: what fails there is told, in a pool's beginning it is not."""
        return KokoroSpeaker(*_Process.kokoro)


def _begin_process(kokoro: Sequence[Path], folder: Path, rate: int) -> None:
    _Process.kokoro, _Process.folder, _Process.rate = kokoro, folder, rate


def _make(row: Utterance) -> None:
    """Say it and write it, whole or not at all."""
    import soundfile

    speaker = _Process.speaker()
    phonemes = speaker.phonemes(row.word, british=row.speaker.british) + row.mark
    spoken = speaker.say(phonemes, speaker.style(row.speaker.blend, row.style_row), row.speed)
    sound = resampled(trimmed(spoken), _Process.rate)
    samples = sound.samples * (_PEAK / np.abs(sound.samples).max())
    with temporary_file(_Process.folder / row.file) as temporary:
        soundfile.write(temporary, samples, sound.rate, subtype="PCM_16", format="WAV")
        temporary.replace(_Process.folder / row.file)
