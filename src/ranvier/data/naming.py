"""What a sound file's name says: its class and its speaker."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ranvier.data.dataset import DataError

# of well-known collections, all of which name class and speaker in the file's name
KNOWN = {
    "the Heidelberg Digits": r"lang-(?P<language>[a-z]+)_speaker-(?P<speaker>\d+)_trial-\d+_digit-(?P<digit>\d)\.",
    "the Free Spoken Digit Dataset": r"(^|/)(?P<label>\d)_(?P<speaker>[^_/]+)_\d+\.",
    "spoken words of this package": r"(^|/)(?P<label>[^/_]+)_(?P<speaker>[a-z]{2}-[a-z]+|blend-\d+)_\d+\.",
    "Google Speech Commands": r"(^|/)(?P<label>[^/]+)/(?P<speaker>[0-9a-f]{8})_nohash_\d+\.",
}


@dataclass(frozen=True)
class Naming:
    """Regular expressions that are searched in a file's path below the folder that was given, with / between folders.

    Args:
        label: the group ``label``, else the first group, else the whole match, is the class; None takes the folder's
            name.
        speaker: the same for the speaker; None takes the group ``speaker`` of ``label`` if it has one, else says
            nothing.

    Raises:
        DataError: one of them is not a regular expression.
    """

    label: str | None = None
    speaker: str | None = None

    def __post_init__(self) -> None:
        for name in ("label", "speaker"):
            pattern = getattr(self, name)
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise DataError(f"{name} pattern {pattern!r}: not a regular expression ({error})") from None

    def read(self, path: str) -> tuple[str, str | None]:
        """Class and speaker of a file; the speaker is None where nothing names one.

        Raises:
            DataError: a pattern is not found in the path.
        """
        if self.label is None:
            *folders, _ = path.split("/")
            label = folders[-1] if folders else ""
            found = None
        else:
            found = re.search(self.label, path)
            if found is None:
                raise DataError(f"{path}: the label pattern {self.label!r} is not found in its name")
            label = _group(found, "label")
        if self.speaker is not None:
            spoken = re.search(self.speaker, path)
            if spoken is None:
                raise DataError(f"{path}: the speaker pattern {self.speaker!r} is not found in its name")
            return label, _group(spoken, "speaker")
        return label, found.groupdict().get("speaker") if found is not None else None


def _group(found: re.Match[str], name: str) -> str:
    named = found.groupdict()
    if name in named:
        part = named[name]
    elif name == "label" and {"language", "digit"} <= named.keys():  # of the Heidelberg Digits: twenty classes
        part = f"{named['language']}-{named['digit']}"
    else:
        part = found.group(1) if found.re.groups else found.group(0)
    if not part:
        raise DataError(f"{found.string}: the {name} pattern {found.re.pattern!r} finds nothing in its name")
    return str(part)


def guess_naming(paths: Sequence[str]) -> tuple[Naming, str]:
    """The naming of these paths, and in words what it was taken for: a known collection's, else folders."""
    for title, pattern in KNOWN.items():
        if paths and all(re.search(pattern, path) for path in paths):
            return Naming(label=pattern), f"named as in {title}"
    return Naming(), "classes named by folders"


def find_sounds(places: Sequence[Path], suffixes: Sequence[str]) -> list[tuple[Path, str]]:
    """Sound files at or below the given places, each with its path below the place's parent folder, sorted.

    Below a folder, names that begin with . or _ are left out.

    Raises:
        DataError: a place is not there, or there is no sound at all.
    """
    found: dict[Path, str] = {}
    for place in places:
        if place.is_file():
            found[place] = f"{place.absolute().parent.name}/{place.name}"
        elif place.is_dir():
            for path in place.rglob("*"):
                below = path.relative_to(place)
                hidden = any(part.startswith((".", "_")) for part in below.parts)  # as _background_noise_
                if path.suffix.lower() in suffixes and path.is_file() and not hidden:
                    found[path] = f"{place.absolute().name}/{below.as_posix()}"
        else:
            raise DataError(f"{place}: no such file or folder")
    if not found:
        raise DataError(f"{', '.join(map(str, places))}: no sound files ({', '.join(suffixes)})")
    return sorted(found.items(), key=lambda item: (item[1], item[0]))
