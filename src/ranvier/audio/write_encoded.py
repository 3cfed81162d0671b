"""The recording of encoded files: classes and speakers by name, and what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.audio.batches import Batch
from ranvier.data.dataset import DataError
from ranvier.data.hdf5_write import write_clips


@dataclass(frozen=True)
class EncodeResult:
    """What became of the files.

    Attributes:
        file: the recording that was written.
        clips: how many it holds.
        classes, speakers: names found; no classes where all files lie in one folder: no labels.
        left_out: file and reason, for each that was left out.
        notes: what else was passed over: files that are not sound, folders that gave no clip.
        naming: how names were read, in words.
        spikes: in all.
    """

    file: Path
    clips: int
    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    naming: str
    spikes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Labelled:
    """How clips get their classes and speakers: in words, all that there can be (None: those found), what is needed."""

    how: str
    classes: Sequence[str] | None = None
    speakers: Sequence[str] | None = None
    by_folder: bool = False
    needed: bool = False


def write_encoded(
    out: Path,
    batches: Sequence[Batch],
    labelled: Labelled,
    skipped: Sequence[tuple[str, str]],
    passed_over: Sequence[str],
    about: dict[str, Any],
) -> EncodeResult:
    """The recording of all batches.

    Args:
        out: to write.
        batches: in the order of their files.
        labelled: how clips get their classes.
        skipped: file and reason, of those that were not tried.
        passed_over: what else was passed over.
        about: attributes of the recording.

    Raises:
        DataError: nothing could be encoded, or there is one class only where more are needed.
    """
    rows = [row for batch in batches for row in batch.facts()]
    kept = [row for row in rows if "fault" not in row]
    faults = tuple((row["name"], row["fault"]) for row in rows if "fault" in row)
    if not kept:
        raise DataError(f"{out}: none of {len(rows)} files could be encoded; the first: {faults[0][1]}")
    left_out = (*faults, *((name, f"{name}: {reason}") for name, reason in skipped))
    notes = (*passed_over, *_silent_folders(rows))
    how, classes = labelled.how, labelled.classes
    classes = _names(row["label"] for row in kept) if classes is None else tuple(classes)
    speakers = labelled.speakers
    known = _names(row["speaker"] or "" for row in kept) if speakers is None else tuple(speakers)
    if len(classes) == 1 and labelled.needed:
        raise DataError(
            f"{out}: all {len(kept)} clips are of one class, {classes[0]!r} ({how}); name classes by folders "
            f"or by a label pattern" + (f"; {len(left_out)} files were skipped: {left_out[0][1]}" if left_out else "")
        )
    if len(classes) == 1 and labelled.by_folder:
        classes, how = (), "no labels: all files lie in one folder"
    named = any(row["speaker"] for row in kept)
    write_clips(
        out,
        (clip for batch in batches for clip in batch.clips()),
        np.array([classes.index(row["label"]) for row in kept]) if classes else None,
        size=len(kept),
        classes=classes,
        speakers=np.array([known.index(row["speaker"] or "") for row in kept]) if named else None,
        speaker_names=known if named else (),
        files=[row["name"] for row in kept],
        about={**about, "left_out": json.dumps([*(reason for _, reason in left_out), *notes])},
        time_unit="s",
    )
    spikes = sum(row["spikes"] for row in kept)
    return EncodeResult(out, len(kept), classes, known if named else (), left_out, how, spikes, notes)


def _silent_folders(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each folder of which no file could be encoded."""
    folders = {
        fault: {row["name"].rpartition("/")[0] for row in rows if ("fault" in row) is fault} for fault in (True, False)
    }
    return [f"{folder}: none of its files could be encoded" for folder in sorted(folders[True] - folders[False])]


def _names(found: Iterator[str] | Any) -> tuple[str, ...]:
    """Each once, numbers by their size."""
    return tuple(
        sorted(set(found), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    )
