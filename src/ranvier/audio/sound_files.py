"""Which files below some folders are sound, and what was passed over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ranvier.data.dataset import DataError
from ranvier.names import normal_name

NOISE = "_background_noise_"
"""Folder of Google Speech Commands that holds noise, not words."""

# endings of the formats that libsndfile recognises by their content; others are recognised by their first bytes
# fmt: off
_SOUND = frozenset([
    ".8svx", ".aif", ".aifc", ".aiff", ".au", ".avr", ".bwf", ".caf", ".flac", ".htk", ".ircam", ".mp3", ".mpc",
    ".nist", ".oga", ".ogg", ".opus", ".paf", ".pvf", ".rf64", ".sds", ".sf", ".snd", ".sph", ".svx", ".voc", ".w64",
    ".wav", ".wave", ".wavex", ".xi",
])
_UNREADABLE = frozenset([
    ".3gp", ".aac", ".ac3", ".amr", ".ape", ".dts", ".m4a", ".m4b", ".mid", ".mka", ".mp4", ".pcm", ".ra", ".raw",
    ".tta", ".webm", ".wma", ".wv",
])
# fmt: on
_FIRST_BYTES = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"riff\x2e\x91\xcf\x11",
    b"fLaC",
    b"OggS",
    b"FORM",
    b"caff",
    b"ID3",
    b"Creative Voice File",
    b"NIST_1A",
)  # fmt: skip


@dataclass(frozen=True)
class SoundFiles:
    """What was found below some folders.

    Attributes:
        files: sound files, each with its name: its path below the parent of the folder that was given, with / between
            folders, in composed Unicode (NFC); sorted by name.
        skipped: name and reason of each file that looks like sound but cannot be read as such.
        notes: what else was passed over, a line for each kind: files that are not sound, folders without sound.
    """

    files: tuple[tuple[Path, str], ...]
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden: .DS_Store, or the companion ``._NAME`` that macOS writes beside a file."""
    return name.startswith(".")


def find_sounds(places: Sequence[Path]) -> SoundFiles:
    """Every sound file at or below the given places.

    A file is taken by its ending, whatever its case, or by its first bytes; a file that is named itself always. Hidden
    files are passed over without a word. Links are followed, each folder once.

    Raises:
        DataError: a place is not there, or there is no sound at all.
    """
    found: dict[Path, str] = {}
    skipped: list[tuple[str, str]] = []
    notes: list[str] = []
    for place in places:
        top = place.absolute()
        if place.is_file():
            found[place] = normal_name(f"{top.parent.name}/{place.name}")
        elif place.is_dir():
            _search(place, top.name, found, skipped, notes)
        else:
            raise DataError(f"{place}: no such file or folder")
    if not found:
        reasons = "; ".join([*(f"{name}: {reason}" for name, reason in skipped[:3]), *notes])
        raise DataError(
            f"{', '.join(map(str, places))}: no sound files (wav, flac, ogg, mp3 and whatever else libsndfile reads)"
            + (f"; {reasons}" if reasons else "")
        )
    files = sorted(found.items(), key=lambda item: (item[1], item[0]))
    return SoundFiles(tuple(files), tuple(sorted(skipped)), tuple(notes))


def _search(place: Path, top: str, found: dict[Path, str], skipped: list[tuple[str, str]], notes: list[str]) -> None:
    other: Counter[str] = Counter()
    for folder, folders, files in _walk(place):
        below = folder.relative_to(place)
        name = normal_name((top / below).as_posix()) if below.parts else normal_name(top)
        if folder.name == NOISE and below.parts:
            notes.append(f"{name}: {len(files)} files of background noise are not encoded")
            continue
        sounds = 0
        for path in files:
            reason = _refusal(path)
            if reason is None:
                found[path] = f"{name}/{normal_name(path.name)}"
                sounds += 1
            elif reason:
                skipped.append((f"{name}/{normal_name(path.name)}", reason))
            else:
                other[path.suffix.lower() or "without an ending"] += 1
        if not sounds and not folders and below.parts:
            notes.append(f"{name}: holds no sound file")
    if other:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(other.items()))
        notes.append(f"{normal_name(top)}: {other.total()} files are not sound ({kinds})")


def _walk(place: Path) -> Iterator[tuple[Path, list[str], list[Path]]]:
    """Folders below a place, each once even where links lead in a circle: folder, names of its folders, its files."""
    known: set[str] = set()
    for folder, folders, files in os.walk(place, followlinks=True):
        real = os.path.realpath(folder)
        if real in known:
            folders.clear()
            continue
        known.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield Path(folder), folders, [Path(folder, name) for name in sorted(files) if not is_hidden(name)]
        if Path(folder).name == NOISE and Path(folder) != place:
            folders.clear()


def is_sound(path: Path) -> bool:
    """Whether a file is taken for sound, by its ending or its first bytes."""
    return _refusal(path) is None


def _refusal(path: Path) -> str | None:
    """None for a sound file; why a file that should be one is not; empty for any other file."""
    suffix = path.suffix.lower()
    if not path.exists():
        return "is a link to a file that is not there"
    if not path.is_file():
        return "is not a plain file"
    if suffix in _SOUND:
        return None
    try:
        with path.open("rb") as file:
            first = file.read(32)
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    # FORM is AIFF's first word, and that of other files too
    if first.startswith(_FIRST_BYTES) and (not first.startswith(b"FORM") or first[8:12] in (b"AIFF", b"AIFC", b"8SVX")):
        riff = first[:4] in (b"RIFF", b"RIFX", b"RF64")
        if not riff or first[8:12] == b"WAVE":
            return None
    if suffix in _UNREADABLE:
        return f"is of a format that libsndfile does not read ({suffix}; convert it to wav or flac)"
    return ""
