"""What a sound file's name says: its class and its speaker."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ranvier.data.class_names import plain_name
from ranvier.data.dataset import DataError
from ranvier.names import normal_name

# of well-known collections, all of which name class and speaker in the file's name
KNOWN = {
    "the Heidelberg Digits": r"lang-(?P<language>[a-z]+)_speaker-(?P<speaker>\d+)_trial-\d+_digit-(?P<digit>\d)\.",
    "the Free Spoken Digit Dataset": r"(^|/)(?P<label>\d)_(?P<speaker>[^_/]+)_\d+\.",
    "spoken words of this package": r"(^|/)(?P<label>[^/_]+)_(?P<speaker>[a-z]{2}-[a-z]+|blend-\d+)_\d+\.",
    "Google Speech Commands": r"(^|/)(?P<label>[^/]+)/(?P<speaker>[0-9a-f]{8})_nohash_\d+\.",
}

_SPLITS = {"train", "training", "test", "testing", "eval", "evaluation", "valid", "validation", "val", "dev"}


@dataclass(frozen=True)
class Naming:
    """Regular expressions that are searched in a file's path below the folder that was given, with / between folders.
    Patterns are compared in composed Unicode (NFC), as the paths are.

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
            found = re.search(normal_name(self.label), path)
            if found is None:
                raise DataError(f"{path}: the label pattern {self.label!r} is not found in its name")
            label = _group(found, "label")
        if self.speaker is not None:
            spoken = re.search(normal_name(self.speaker), path)
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
    """The naming of these paths, and in words what it was taken for: folders, or a known collection's.

    Class folders count more than a pattern that the files' names happen to fit: where there are folders below the one
    that was given, the pattern is taken only if each folder's name is its files' class or speaker by the pattern.

    Args:
        paths: names as :func:`~ranvier.audio.sound_files.find_sounds` gives them.

    Raises:
        DataError: the folders do not say what they mean: two levels that may be class and speaker either way, or a
            division into training and test.
    """
    _refuse_splits(paths)
    for title, pattern in KNOWN.items():
        found = [re.search(pattern, path) for path in paths]
        if paths and all(found) and _folders_agree(paths, [match for match in found if match is not None]):
            return Naming(label=pattern), f"named as in {title}"
    _refuse_crossed(paths)
    return Naming(), "classes named by folders"


def _inner_folders(path: str) -> list[str]:
    """Folders of a name, below the one that was given."""
    return path.split("/")[1:-1]


def _folders_agree(paths: Sequence[str], found: Sequence[re.Match[str]]) -> bool:
    folders = [inner[-1] if (inner := _inner_folders(path)) else None for path in paths]
    if len(set(folders)) < 2 or {"language", "digit"} <= found[0].groupdict().keys():
        return True  # only the names give classes, or no other collection has such names
    named = [(_group(match, "label"), match.groupdict().get("speaker")) for match in found]
    both = list(zip(folders, named, strict=True))
    are_classes = all(folder is None or plain_name(folder) == plain_name(label) for folder, (label, _) in both)
    are_speakers = all(folder is None or folder == speaker for folder, (_, speaker) in both)
    return are_classes or are_speakers


def _refuse_splits(paths: Sequence[str]) -> None:
    """A folder that holds train/ and test/ is two recordings."""
    tops: dict[str, set[str]] = {}
    for path in paths:
        folders = _inner_folders(path)
        tops.setdefault(path.split("/")[0], set()).add(folders[0] if folders else "")
    for top, below in tops.items():
        if len(below) > 1 and all(name.lower() in _SPLITS for name in below):
            raise DataError(
                f"{top}: its folders {', '.join(sorted(below))} are a division into training and test, not classes; "
                f"encode each of them into a recording of its own, or name the class by a label pattern"
            )


def _refuse_crossed(paths: Sequence[str]) -> None:
    """Two levels of folders that cross, as class/speaker and speaker/class do, do not say which is which."""
    pairs = {tuple(folders[-2:]) for path in paths if len(folders := _inner_folders(path)) >= 2}
    outer, inner = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    if len(outer) < 2 or len(inner) < 2 or len(pairs) < 2 * max(len(outer), len(inner)):
        return  # each inner folder lies in one outer folder only, or nearly so
    some_outer, some_inner = (", ".join(sorted(names)[:3]) for names in (outer, inner))
    raise DataError(
        f"folders in folders ({some_outer} / {some_inner}) may be class / speaker or speaker / class: say which by "
        r"a label pattern and a speaker pattern; '([^/]+)/[^/]+/[^/]+$' finds the outer and '([^/]+)/[^/]+$' the inner"
    )
