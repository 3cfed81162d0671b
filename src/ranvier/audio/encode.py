"""Whole folders of sound into one recording of spikes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.audio.batches import Batch, Clip, store_batch
from ranvier.audio.ear import Ear, StreamingEar, clip_generator
from ranvier.audio.naming import Naming, guess_naming
from ranvier.audio.sound import LONGEST_S, read_sound
from ranvier.audio.sound_files import SoundFiles, find_sounds
from ranvier.audio.write_encoded import EncodeResult as EncodeResult
from ranvier.audio.write_encoded import Labelled, write_encoded
from ranvier.data.dataset import DataError
from ranvier.files import write_text
from ranvier.locks import NoLockError, claim, file_lock, wait_claim

VERSION = 2  # of what encoding one file gives
_FILES_AT_ONCE = 32

AnyEar = Ear | StreamingEar


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
    found, naming, how = named_sounds(places, naming)
    settings = EncodeSettings(naming, seed, ear or Ear(), longest_s)
    labelled = Labelled(how, by_folder=naming.label is None, needed=need_classes)
    return encode_files(
        found, Path(out), settings, labelled, workers=workers, cache=cache, progress=progress, wait=wait
    )


def named_sounds(places: Sequence[str | os.PathLike[str]], naming: Naming | None) -> tuple[SoundFiles, Naming, str]:
    """The files at some places, how they are named, and that in words."""
    found = find_sounds([Path(place) for place in places])
    if naming is None:
        return found, *guess_naming([name for _, name in found.files])
    how = "classes named by folders" if naming.label is None else "named by the given pattern"
    return found, naming, how


def fingerprint(files: Sequence[tuple[Path, str]], *settings: Any) -> str:
    """Of files (name, size, time of change), of what encoding them gives today, and of settings."""
    known = [(name, path.stat().st_size, path.stat().st_mtime_ns) for path, name in files]
    return hashlib.sha256(json.dumps([VERSION, known, *settings]).encode()).hexdigest()


def encode_files(
    found: SoundFiles,
    out: Path,
    settings: EncodeSettings,
    labelled: Labelled,
    *,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    wait: bool = True,
) -> EncodeResult:
    """:func:`encode` for files that have been found."""
    if not found.files:
        raise DataError(f"{out}: there are no sound files for it")
    check_out(out)
    with only_writer(out, wait):
        batches = encode_batches(found.files, out, settings, workers=workers, cache=cache, progress=progress)
        about = {"ear": json.dumps(ear_settings(settings.ear)), "seed": settings.seed}
        try:
            result = write_encoded(out, batches, labelled, found.skipped, found.notes, about)
        except DataError:
            shutil.rmtree(work_folder(out))
            raise
        shutil.rmtree(work_folder(out))
        return result


@dataclass(frozen=True)
class EncodeSettings:
    """What the spikes of a file, and its label, depend on besides its sound.

    Attributes:
        naming: how classes and speakers are named.
        seed: of the nerve fibres, 0 ... 2^63 - 1.
        ear: the ear.
        longest_s: longer sounds are left out.

    Raises:
        DataError: the seed is out of range.
    """

    naming: Naming
    seed: int = 0
    ear: AnyEar = field(default_factory=Ear)
    longest_s: float = LONGEST_S

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise DataError(f"seed: {self.seed} is not allowed (0 ... 2^63 - 1)")


def encode_batches(
    files: Sequence[tuple[Path, str]],
    out: Path,
    settings: EncodeSettings,
    *,
    workers: int | None,
    cache: str | os.PathLike[str] | None,
    progress: Callable[[int, int], None] | None,
) -> list[Batch]:
    """Encode what is not in the folder beside ``out`` yet; the caller holds :func:`only_writer` and removes it."""
    work = _prepare_work(out, files, settings)
    chunks = [files[start : start + _FILES_AT_ONCE] for start in range(0, len(files), _FILES_AT_ONCE)]

    def encode_one(item: tuple[Path, str]) -> dict[str, Any]:
        return _encoded(item, settings, cache)

    batches, done = [], 0
    settings.ear.prepare(cache)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        try:
            for number, chunk in enumerate(chunks):
                batches.append(Batch(work / f"{number}.npz"))
                if not batches[-1].file.exists():
                    store_batch(batches[-1].file, list(pool.map(encode_one, chunk)))
                done += len(chunk)
                if progress is not None:
                    progress(done, len(files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return batches


def ear_settings(ear: AnyEar) -> dict[str, Any]:
    """What a recording notes of the ear that made it; ``form`` is there for the streaming one alone."""
    return {**asdict(ear), **({"form": "streaming"} if isinstance(ear, StreamingEar) else {})}


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


def _encoded(item: tuple[Path, str], settings: EncodeSettings, cache: Any) -> dict[str, Any]:
    path, name = item
    try:
        label, speaker = settings.naming.read(name)
        times, units = encode_file(path, settings.ear, settings.seed, longest_s=settings.longest_s, cache=cache)
        name.encode()
    except UnicodeEncodeError:
        return {"name": ascii(name), "fault": f"{name!a}: its name is not UTF-8"}
    except (DataError, OSError) as error:
        text = str(error)
        return {"name": name, "fault": text if str(path) in text or name in text else f"{path}: {text}"}
    return {"name": name, "label": label, "speaker": speaker, "spikes": len(times), "times": times, "units": units}


def check_out(out: Path) -> None:
    """Refuse what cannot be a recording's place."""
    if out.suffix != ".h5":
        raise DataError(f"{out}: is not a .h5 file's name")
    if not out.absolute().parent.is_dir():
        raise DataError(f"{out.parent}: no such folder")


@contextlib.contextmanager
def only_writer(out: Path, wait: bool) -> Iterator[None]:
    """No other process makes that file meanwhile.

    Raises:
        DataError: another process makes it, and ``wait`` is False.
    """
    # the body is not under the try: a BlockingIOError of its own is not another process's lock
    with contextlib.ExitStack() as held:
        try:
            try:
                held.enter_context(file_lock(out.with_name(f"{out.name}.lock"), wait=wait))
            except NoLockError:
                held.enter_context(wait_claim(out) if wait else claim(out))
        except BlockingIOError:
            raise DataError(f"{out}: another process is making it") from None
        yield


def work_folder(out: Path) -> Path:
    """Where finished batches lie until all are done."""
    return out.with_name(f"{out.name}.part")


def _prepare_work(out: Path, files: Sequence[tuple[Path, str]], settings: EncodeSettings) -> Path:
    """The work folder; one of other files or settings is emptied."""
    ear, naming = ear_settings(settings.ear), asdict(settings.naming)
    key = fingerprint(files, ear, settings.seed, naming, settings.longest_s, _FILES_AT_ONCE)
    work = work_folder(out)
    mark = work / "settings"
    if not (mark.exists() and mark.read_text(encoding="utf-8") == key):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        write_text(mark, key)
    return work
