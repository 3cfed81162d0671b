"""Published recordings, downloaded and checked."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import pooch

from ranvier.corpora.download import Download, SourceError, SpoiledError, Terms, silent, size
from ranvier.corpora.published import PACKINGS, Recording, Source
from ranvier.corpora.registry import corpus_class, corpus_names
from ranvier.data.cache import unpacked
from ranvier.data.dataset import DataError
from ranvier.data.file_kind import file_kind
from ranvier.data.hdf5 import find_recording
from ranvier.data.recording import Recording as SpikeRecording
from ranvier.data.unpack import unpack, unpacked_size
from ranvier.files import free_bytes, write_atomically
from ranvier.locks import file_lock

_CHUNK = 1 << 16


def fetch(
    name: str,
    root: str | os.PathLike[str],
    *,
    sources: Sequence[Recording] | None = None,
    progress: Callable[[int, int], None] | None = None,
    timeout_s: float = 30.0,
    free_bytes: Callable[[Path], int] = free_bytes,
    nearby: Sequence[str | os.PathLike[str]] | None = None,
) -> list[Path]:
    """Put a data set into a folder, and download only what is nowhere at hand.

    For each recording, in this order: one that lies in ``root`` is checked and kept; one that tonic or SpikingJelly
    downloaded earlier, or that was put there by hand, is checked and linked, copied or unpacked; what is left is
    downloaded. A download is checked by its md5 before it is unpacked (the mirror's gzip files of SSC's training and
    test recordings have no published md5: there gzip's own checksum, the HDF5 header and the number of clips must do).
    It goes on where it was cut off, at the same source, at the next one or at the next call. Two calls for the same
    folder at the same time wait for one another.

    Args:
        name: of a data set that is published as recordings: ``shd`` (training, test), ``ssc`` (training, validation,
            test), or one of an installed package.
        root: the folder; made if need be.
        sources: the recordings and where they are; None means the published ones.
        progress: called with (bytes that are there, bytes in all or 0 where the server does not say), for one
            recording after another.
        timeout_s: a source that sends nothing for so long, in seconds, is given up.
        free_bytes: returns how many bytes are free in a folder.
        nearby: folders that recordings of other tools may lie below (as they are, in ``data``, in a folder named
            after the set, in SpikingJelly's ``extract`` and ``download``); None means ``root``, the current folder
            and ``~/data``.

    Returns:
        The recordings in ``root``: ``.h5``, or ``.h5.gz`` where that was there before.

    Raises:
        DataError: no such data set, a recording in ``root`` is damaged, the disk is too small, or no source had a
            whole file; then the message says what was wrong with each, and what to do by hand. Nothing unfinished
            lies under a final name.
    """
    recordings = _published(name) if sources is None else tuple(sources)
    root = Path(root).expanduser()
    folders = [root, Path.cwd(), Path.home() / "data"] if nearby is None else [Path(folder) for folder in nearby]
    terms = Terms(progress or silent, timeout_s, free_bytes)
    there = []
    for recording in recordings:
        kept = _kept(root, recording)
        if kept is None:
            try:
                root.mkdir(parents=True, exist_ok=True)
                with file_lock(root / f"{recording.name}.h5.lock"):
                    # another process may have brought it in the meantime
                    kept = _kept(root, recording) or _bring(recording, recordings, root, folders, terms)
            except OSError as error:
                raise DataError(f"{root}: {recording.name}.h5 cannot be written ({error.strerror or error})") from None
        there.append(kept)
    return there


def _published(name: str) -> tuple[Recording, ...]:
    published = {known: corpus_class(known).published for known in corpus_names()}
    if not published.get(name):
        names = ", ".join(known for known, recordings in published.items() if recordings)
        raise DataError(f"data set {name!r} is not known ({names} can be fetched)")
    return published[name]


def _kept(root: Path, recording: Recording) -> Path | None:
    """The recording in ``root``, checked, or None."""
    path = find_recording(root, recording.name)
    if path is not None:
        fault = _fault(unpacked(path, None), recording.clips)
        if fault is not None:
            raise DataError(f"{path}: {fault}; move it away to fetch it anew")
    return path


def _fault(file: Path, clips: int) -> str | None:
    """What is wrong with an unpacked recording, without reading its spikes."""
    kind, what = file_kind(file)
    if kind != "hdf5":
        return f"not a whole HDF5 file ({what})"
    try:
        opened = SpikeRecording.open(file)
        opened.refuse()
    except DataError as error:
        return error.fault or str(error)
    if opened.own_channels is not None:  # as many clips as the published one may have
        return "was made anew by an inner-ear model of this package (the published recording allowed)"
    return f"has {opened.size} clips ({clips} allowed)" if opened.size != clips else None


def _bring(
    recording: Recording, recordings: Sequence[Recording], root: Path, folders: Sequence[Path], terms: Terms
) -> Path:
    """The recording, from this disk or else from its sources."""
    target = root / f"{recording.name}.h5"
    failed: list[str] = []
    for found in _found(recording.name, folders):
        try:
            _take(found, recording, target, terms)
            return target
        except SpoiledError as error:
            failed.append(f"{found}: {error}")
    for source in recording.sources:
        part = target.with_name(f"{target.name}{source.packing}.part")
        try:
            _from_source(source, recording, part, target, terms)
            return target
        except SourceError as error:
            failed.append(f"{source.url}: {error}")
    missing = [other for other in recordings if find_recording(root, other.name) is None and other.sources]
    advice = (
        f"download {' and '.join(other.sources[0].url for other in missing)} on another machine, put what you get "
        f"into {root.absolute()} as it is, and try again"
    )
    raise DataError(f"{target}: could not be fetched ({'; '.join(failed) or 'it has no source'}); {advice}")


def _found(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    """Files of that name where tonic, SpikingJelly or a hand may have put them; unpacked ones first."""
    upper, lower = name.partition("_")[0].upper(), name.partition("_")[0].lower()
    # tonic 1.0 puts SSC into SSC/SSC
    own = ("", upper, lower, f"{upper}/{upper}")
    places = [
        folder.expanduser() / parent / mine / leaf
        for folder in folders
        for parent in ("", "data")
        for mine in own
        for leaf in ("", "extract", "download")
    ]
    for suffix in ("", *PACKINGS):
        for place in dict.fromkeys(places):
            file = place / f"{name}.h5{suffix}"
            if file.is_file():
                yield file


def _take(found: Path, recording: Recording, target: Path, terms: Terms) -> None:
    """Link, copy or unpack a file of this disk; it is left as it is."""
    if found.suffix in PACKINGS:
        known = {source.md5 for source in recording.sources if source.packing == found.suffix}
        if known and None not in known and _md5(found) not in known:
            raise SpoiledError(f"its md5 is {_md5(found)}, not {' or '.join(sorted(filter(None, known)))}")
        _unpack(found, found.suffix, recording, target, terms)
        return
    fault = _fault(found, recording.clips)
    if fault is not None:
        raise SpoiledError(fault)
    with write_atomically(target) as temporary:
        try:
            os.link(found.resolve(), temporary)
        except OSError:  # another disk, or one without links
            terms.room(target.parent, f"a copy of {found}", found.stat().st_size)
            shutil.copyfile(found, temporary)


def _from_source(source: Source, recording: Recording, part: Path, target: Path, terms: Terms) -> None:
    """Download, check, unpack."""
    resumed = size(part) > 0
    try:
        if not (resumed and source.md5 is not None and _md5(part) == source.md5):
            Download(part, terms).run(source.url)
        if source.md5 is not None and (md5 := _md5(part)) != source.md5:
            raise SpoiledError(f"its md5 is {md5}, not {source.md5}")
        _unpack(part, source.packing, recording, target, terms)
    except SpoiledError:
        part.unlink(missing_ok=True)
        if not resumed:
            raise
        # what lay there may have been the beginning of another file
        _from_source(source, recording, part, target, terms)
    part.unlink(missing_ok=True)


def _unpack(packed: Path, packing: str, recording: Recording, target: Path, terms: Terms) -> None:
    """Unpack and check under another name; only what is right gets the final one."""
    with write_atomically(target) as temporary:
        try:
            with _content(packed, packing, target.name) as (content, size):
                terms.room(target.parent, target.name, size)
                with temporary.open("wb") as plain:
                    unpack(content, plain, packed)
        except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            raise SpoiledError(f"not a whole {packing[1:]} file ({error})") from None
        fault = _fault(temporary, recording.clips)
        if fault is not None:
            raise SpoiledError(fault)


@contextlib.contextmanager
def _content(packed: Path, packing: str, member: str) -> Iterator[tuple[IO[bytes] | gzip.GzipFile, int]]:
    """What a packed file holds, to be read, and how many bytes it is said to have."""
    if packing == ".gz":
        with gzip.open(packed) as content:
            yield content, unpacked_size(packed)
    else:
        with zipfile.ZipFile(packed) as archive:
            names = archive.namelist()
            if member not in names:
                raise SpoiledError(f"holds {', '.join(map(repr, names[:3])) or 'nothing'} ({member!r} allowed)")
            with archive.open(member) as content:
                yield content, archive.getinfo(member).file_size


def _md5(file: Path) -> str:
    return str(pooch.file_hash(str(file), alg="md5"))
