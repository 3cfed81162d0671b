"""Whole folders of sound into one recording of spikes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.audio.ear import Ear, StreamingEar, clip_generator
from ranvier.audio.naming import Naming, guess_naming
from ranvier.audio.sound import LONGEST_S, read_sound
from ranvier.audio.sound_files import SoundFiles, find_sounds
from ranvier.data.dataset import DataError
from ranvier.data.hdf5_write import write_clips
from ranvier.files import write_atomically, write_text
from ranvier.locks import file_lock

_VERSION = 2  # of what encoding one file gives
_FILES_AT_ONCE = 32

AnyEar = Ear | StreamingEar

Clip = tuple[NDArray[np.float16], NDArray[np.uint16]]
"""Times in seconds, and channels."""


@dataclass(frozen=True)
class EncodeResult:
    """What became of the files.

    Attributes:
        file: the recording that was written.
        clips: how many it holds.
        classes, speakers: names found; no classes where nothing tells the clips apart: the recording has no labels.
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


def encode(
    places: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    ear: AnyEar | None = None,
    seed: int = 0,
    naming: Naming | None = None,
    longest_s: float = LONGEST_S,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    wait: bool = True,
    need_classes: bool = False,
) -> EncodeResult:
    """Encode sound files with an ear, and write its spikes in SHD's HDF5 format.

    Files that lie in one folder, named in no known way, give a recording without labels.

    A file's spikes depend on its samples, the seed and the ear alone. Unreadable files are skipped and listed. An
    interrupted call is continued by the same call: what is done is kept in a folder beside ``out`` until all is done.

    Args:
        places: files and folders, searched for whatever libsndfile reads; see
            :func:`ranvier.audio.sound_files.find_sounds`.
        out: the recording to write, ``.h5``.
        ear: the ear, of whole clips or streaming; None means the one of SHD.
        seed: of the nerve fibres, >= 0.
        naming: how classes and speakers are named; None recognises well-known collections, else takes folders' names.
        longest_s: longer sounds are left out.
        workers: threads; None means one per core.
        cache: folder of the membrane's table; None means the user's.
        progress: called with (files done, files in all).
        wait: for another call that writes ``out``, to replace what it wrote; False refuses instead.
        need_classes: refuse clips of one class.

    Raises:
        DataError: a place is not there, nothing could be encoded, there is one class only where more are needed, or
            another call writes ``out`` and is not waited for.
    """
    found = find_sounds([Path(place) for place in places])
    how = (
        "named by the given pattern" if naming is not None and naming.label is not None else "classes named by folders"
    )
    if naming is None:
        naming, how = guess_naming([name for _, name in found.files])
    return encode_files(
        found, Path(out), ear=ear, seed=seed, naming=naming, how=how, longest_s=longest_s, workers=workers, cache=cache,
        progress=progress, wait=wait, need_classes=need_classes,
    )  # fmt: skip


def fingerprint(files: Sequence[tuple[Path, str]], *settings: Any) -> str:
    """Of files (name, size, time of change), of what encoding them gives today, and of settings."""
    known = [(name, path.stat().st_size, path.stat().st_mtime_ns) for path, name in files]
    return hashlib.sha256(json.dumps([_VERSION, known, *settings]).encode()).hexdigest()


def encode_files(
    found: SoundFiles,
    out: Path,
    *,
    naming: Naming,
    how: str,
    classes: Sequence[str] | None = None,
    speakers: Sequence[str] | None = None,
    ear: AnyEar | None = None,
    seed: int = 0,
    longest_s: float = LONGEST_S,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    wait: bool = True,
    need_classes: bool = False,
) -> EncodeResult:
    """:func:`encode` for files that have been found: each with the name that ``naming`` reads.

    ``how`` says in words how names are read; ``classes`` and ``speakers`` name all there can be, None those found.
    """
    ear, files = ear or Ear(), found.files
    if not files:
        raise DataError(f"{out}: there are no sound files for it")
    if not 0 <= seed < 2**63:
        raise DataError(f"seed: {seed} is not allowed (0 ... 2^63 - 1)")
    _check_out(out)
    with _only_writer(out, wait):
        work = _work_folder(out, files, ear, seed, naming, longest_s)
        batches = [files[start : start + _FILES_AT_ONCE] for start in range(0, len(files), _FILES_AT_ONCE)]

        def encode_one(item: tuple[Path, str]) -> dict[str, Any]:
            return _encoded(item, ear, seed, naming, longest_s, cache)

        done = 0
        ear.prepare(cache)
        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            try:
                for number, batch in enumerate(batches):
                    if not (work / f"{number}.npz").exists():
                        _store(work, number, list(pool.map(encode_one, batch)))
                    done += len(batch)
                    if progress is not None:
                        progress(done, len(files))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        about = {"ear": json.dumps(ear_settings(ear)), "seed": seed}
        labelled = _Labelled(how, classes, speakers, by_folder=naming.label is None, needed=need_classes)
        return _written(out, work, len(batches), labelled, found, about)


def ear_settings(ear: AnyEar) -> dict[str, Any]:
    """What a recording notes of the ear that made it; ``form`` is there for the streaming one alone."""
    return {**asdict(ear), **({"form": "streaming"} if isinstance(ear, StreamingEar) else {})}


@dataclass(frozen=True)
class _Labelled:
    """How clips get their classes and speakers: in words, all that there can be, and what is asked for."""

    how: str
    classes: Sequence[str] | None
    speakers: Sequence[str] | None
    by_folder: bool
    needed: bool


def _written(
    out: Path,
    work: Path,
    batches: int,
    labelled: _Labelled,
    found: SoundFiles,
    about: dict[str, Any],
) -> EncodeResult:
    """The recording of all batches; their folder goes."""
    rows = [row for number in range(batches) for row in _facts(work, number)]
    kept = [row for row in rows if "fault" not in row]
    faults = tuple((row["name"], row["fault"]) for row in rows if "fault" in row)
    if not kept:
        shutil.rmtree(work)
        raise DataError(f"{out}: none of {len(rows)} files could be encoded; the first: {faults[0][1]}")
    left_out = (*faults, *((name, f"{name}: {reason}") for name, reason in found.skipped))
    notes = (*found.notes, *_silent_folders(rows))
    how, classes = labelled.how, labelled.classes
    classes = _names(row["label"] for row in kept) if classes is None else tuple(classes)
    speakers = labelled.speakers
    known = _names(row["speaker"] or "" for row in kept) if speakers is None else tuple(speakers)
    if len(classes) == 1 and labelled.needed:
        shutil.rmtree(work)
        raise DataError(
            f"{out}: all {len(kept)} clips are of one class, {classes[0]!r} ({how}); name classes by folders "
            f"or by a label pattern" + (f"; {len(left_out)} files were skipped: {left_out[0][1]}" if left_out else "")
        )
    if len(classes) == 1 and labelled.by_folder:
        classes, how = (), "no labels: all files lie in one folder"
    named = any(row["speaker"] for row in kept)
    write_clips(
        out,
        (clip for number in range(batches) for clip in _clips(work, number)),
        np.array([classes.index(row["label"]) for row in kept]) if classes else None,
        size=len(kept),
        classes=classes,
        speakers=np.array([known.index(row["speaker"] or "") for row in kept]) if named else None,
        speaker_names=known if named else (),
        files=[row["name"] for row in kept],
        about={**about, "left_out": json.dumps([*(reason for _, reason in left_out), *notes])},
        time_unit="s",
    )
    shutil.rmtree(work)
    spikes = sum(row["spikes"] for row in kept)
    return EncodeResult(out, len(kept), classes, known if named else (), left_out, how, spikes, notes)


def _silent_folders(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each folder of which no file could be encoded."""
    folders = {
        fault: {row["name"].rpartition("/")[0] for row in rows if ("fault" in row) is fault} for fault in (True, False)
    }
    return [f"{folder}: none of its files could be encoded" for folder in sorted(folders[True] - folders[False])]


def encode_file(
    path: Path, ear: AnyEar, seed: int, *, longest_s: float = LONGEST_S, cache: str | os.PathLike[str] | None = None
) -> Clip:
    """Spikes of one file, in the types of the format."""
    sound = read_sound(path, longest_s=longest_s)
    if isinstance(ear, StreamingEar):
        times, units = ear.encode(sound, seed=seed, cache=cache)
    else:
        times, units = ear.encode(sound, clip_generator(seed, sound), cache=cache)
    return times.astype(np.float16), units


def _encoded(
    item: tuple[Path, str], ear: AnyEar, seed: int, naming: Naming, longest_s: float, cache: Any
) -> dict[str, Any]:
    path, name = item
    try:
        label, speaker = naming.read(name)
        times, units = encode_file(path, ear, seed, longest_s=longest_s, cache=cache)
        name.encode()
    except UnicodeEncodeError:
        return {"name": ascii(name), "fault": f"{name!a}: its name is not UTF-8"}
    except (DataError, OSError) as error:
        text = str(error)
        return {"name": name, "fault": text if str(path) in text or name in text else f"{path}: {text}"}
    return {"name": name, "label": label, "speaker": speaker, "spikes": len(times), "times": times, "units": units}


def _names(found: Iterator[str] | Any) -> tuple[str, ...]:
    """Each once, numbers by their size."""
    return tuple(
        sorted(set(found), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    )


def _check_out(out: Path) -> None:
    if out.suffix != ".h5":
        raise DataError(f"{out}: is not a .h5 file's name")
    if not out.absolute().parent.is_dir():
        raise DataError(f"{out.parent}: no such folder")


@contextlib.contextmanager
def _only_writer(out: Path, wait: bool) -> Iterator[None]:
    # the body is not under the try: a BlockingIOError of its own is not another process's lock
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(file_lock(out.with_name(f"{out.name}.lock"), wait=wait))
        except BlockingIOError:
            raise DataError(f"{out}: another process is making it") from None
        yield


def _work_folder(
    out: Path, files: Sequence[tuple[Path, str]], ear: AnyEar, seed: int, naming: Naming, longest_s: float
) -> Path:
    """Where finished batches lie; one of other files or settings is emptied."""
    key = fingerprint(files, ear_settings(ear), seed, asdict(naming), longest_s, _FILES_AT_ONCE)
    work = out.with_name(f"{out.name}.part")
    mark = work / "settings"
    if not (mark.exists() and mark.read_text(encoding="utf-8") == key):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        write_text(mark, key)
    return work


def _store(work: Path, number: int, rows: list[dict[str, Any]]) -> None:
    encoded = [row for row in rows if "fault" not in row]
    facts = [{name: value for name, value in row.items() if name not in ("times", "units")} for row in rows]
    with write_atomically(work / f"{number}.npz") as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            facts=np.array(json.dumps(facts)),
            times=np.concatenate([row["times"] for row in encoded] or [np.empty(0, np.float16)]),
            units=np.concatenate([row["units"] for row in encoded] or [np.empty(0, np.uint16)]),
        )


def _facts(work: Path, number: int) -> list[dict[str, Any]]:
    with np.load(work / f"{number}.npz") as batch:
        facts: list[dict[str, Any]] = json.loads(str(batch["facts"]))
        return facts


def _clips(work: Path, number: int) -> Iterator[Clip]:
    with np.load(work / f"{number}.npz") as batch:
        facts, times, units = json.loads(str(batch["facts"])), batch["times"], batch["units"]
    at = 0
    for row in facts:
        if "fault" not in row:
            stop = at + row["spikes"]
            yield times[at:stop], units[at:stop]
            at = stop
