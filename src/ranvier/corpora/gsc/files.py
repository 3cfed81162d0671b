"""Google Speech Commands v0.02 (Warden 2018, arXiv 1804.03209): folders of words, a second of sound per file.

A file's name opens with the hash of its speaker (``bed/0a7c2a8d_nohash_0.wav``), and all files of a speaker are in one
split. The data set comes with lists of its validation and test files; ``_background_noise_`` holds minutes of noise.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ranvier.audio.sound_files import NOISE, is_hidden
from ranvier.data.dataset import DataError
from ranvier.names import normal_name

Split = Literal["train", "validation", "test"]

_LISTS: dict[str, Split] = {"validation_list.txt": "validation", "testing_list.txt": "test"}
_NAME = re.compile(r"([0-9a-f]{8})_nohash_[0-9]+\.wav")
_HASHES = 2**27 - 1


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


def _wavs(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise DataError(f"{root}: is not a folder (the one with the word folders of Google Speech Commands allowed)")
    words = [path for path in _shown(root) if path.name != NOISE and path.is_dir()]
    if not words:
        raise DataError(f"{root}: has no word folders (those of Google Speech Commands needed)")
    for word in words:
        files = wav_files(word)
        if not files:
            raise DataError(f"{word}: holds no wav (a word folder of Google Speech Commands has 1 or more)")
        yield from files


def _shown(folder: Path) -> list[Path]:
    """What a folder holds, hidden files left out, sorted."""
    return sorted(path for path in folder.iterdir() if not is_hidden(path.name))


def wav_files(folder: Path) -> list[Path]:
    """The wavs of a folder, sorted."""
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
