"""SHD made anew from the recordings of the Heidelberg Digits."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ranvier.audio.encode import EncodeResult, EncodeSettings, encode_files
from ranvier.audio.naming import KNOWN, Naming
from ranvier.audio.sound_files import SoundFiles, find_sounds
from ranvier.audio.write_encoded import Labelled
from ranvier.data.dataset import DataError

_TITLE = "the Heidelberg Digits"
_TEST_SPEAKERS = (4, 5)
# of the published set: clips of the other speakers in its test set, and in all
_OTHERS_IN_TEST, _OTHERS = 424, 8156 + 424
SPEAKERS = tuple(f"{number:02d}" for number in range(12))
CLASSES = tuple(f"{language}-{digit}" for language in ("english", "german") for digit in range(10))


def divide(names: Sequence[str], generator: np.random.Generator) -> tuple[list[int], list[int]]:
    """Training and test clips, as the published SHD has them: speakers 4 and 5, and of the others 424 in 8,580.

    Args:
        names: files of the Heidelberg Digits.
        generator: draws the others' clips.

    Raises:
        DataError: a file is not named as in the Heidelberg Digits.
    """
    found = [re.search(KNOWN[_TITLE], name) for name in names]
    for name, match in zip(names, found, strict=True):
        if match is None or match["language"] not in ("english", "german") or match["speaker"] not in SPEAKERS:
            raise DataError(
                f"{name}: is not named as in the Heidelberg Digits (lang-..._speaker-..._trial-..._digit-...)"
            )
    held_out = [match is not None and int(match["speaker"]) in _TEST_SPEAKERS for match in found]
    others = np.flatnonzero(~np.array(held_out))
    drawn = set(generator.permutation(others)[: round(len(others) * _OTHERS_IN_TEST / _OTHERS)].tolist())
    test = [place for place in range(len(names)) if held_out[place] or place in drawn]
    return [place for place in range(len(names)) if not (held_out[place] or place in drawn)], test


def make_shd(
    audio: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[EncodeResult]:
    """Write ``shd_train.h5`` and ``shd_test.h5``: classes 0-9 English and 10-19 German digits, speakers by number.

    Args:
        audio: folder of the recordings.
        out: folder to write to; made if it is not there.
        seed: of the nerve fibres and of the division, >= 0.
        workers, progress: as in :func:`ranvier.audio.encode.encode`.

    Raises:
        DataError: the recordings are not there, are not the Heidelberg Digits, or a file exists already.
    """
    files = find_sounds([Path(audio)]).files
    parts = divide([name for _, name in files], np.random.default_rng(seed))
    out = Path(out)
    targets = [out / "shd_train.h5", out / "shd_test.h5"]
    if all(target.exists() for target in targets):
        raise DataError(f"{out}: holds shd_train.h5 and shd_test.h5 already")
    for name, part in zip(("training", "test"), parts, strict=True):
        if not part:
            raise DataError(f"{audio}: no clip for the {name} set (speakers 4 and 5 and one clip in twenty are test)")
    out.mkdir(parents=True, exist_ok=True)
    done = [0]

    def report_progress(part: int, _: int) -> None:
        if progress is not None:
            progress(done[0] + part, len(files))

    made = []
    for target, part in zip(targets, parts, strict=True):
        if target.exists():  # of a call that was stopped in between
            done[0] += len(part)
            continue
        made.append(
            encode_files(
                SoundFiles(tuple(files[place] for place in part)),
                target,
                EncodeSettings(Naming(label=KNOWN[_TITLE]), seed),
                Labelled(_TITLE, CLASSES, SPEAKERS),
                workers=workers,
                progress=report_progress,
            )
        )
        done[0] += len(part)
    return made
