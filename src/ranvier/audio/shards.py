"""Many sound files encoded in parts, by any number of processes and machines, and put together to the same bytes.

A shard is a zip file: ``about.json``, and the batches of its share of the files, in order.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ranvier.audio.batches import Batch
from ranvier.audio.ear import Ear
from ranvier.audio.encode import (
    VERSION,
    AnyEar,
    EncodeSettings,
    check_out,
    ear_settings,
    encode_batches,
    named_sounds,
    only_writer,
    work_folder,
)
from ranvier.audio.naming import Naming
from ranvier.audio.sound import LONGEST_S
from ranvier.audio.sound_files import SoundFiles
from ranvier.audio.write_encoded import EncodeResult, Labelled, write_encoded
from ranvier.data.dataset import DataError
from ranvier.files import write_atomically

_FORMAT = 1
_NAME = re.compile(r"(?P<stem>.+)\.\d+-of-\d+\.shard")
_SETTINGS = ("encoding", "of", "seed", "ear", "label_pattern", "speaker_pattern", "longest_s", "files")


@dataclass(frozen=True)
class ShardResult:
    """What became of the files of a shard.

    Attributes:
        file: that was written.
        files: how many were its share.
        clips: how many of them could be encoded.
    """

    file: Path
    files: int
    clips: int


def shard_file(out: Path, number: int, of: int) -> Path:
    """``spikes.2-of-8.shard`` for ``spikes.h5``."""
    return out.with_name(f"{out.stem}.{number}-of-{of}.shard")


def encode_shard(
    places: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    number: int,
    of: int,
    *,
    ear: AnyEar | None = None,
    seed: int = 0,
    naming: Naming | None = None,
    longest_s: float = LONGEST_S,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    wait: bool = True,
    force: bool = False,
) -> ShardResult:
    """Encode one of ``of`` equal shares of the files, which :func:`join_shards` puts together.

    What a file's spikes are does not depend on the shares. A shard that is there already is kept.

    Args:
        places, ear, seed, naming, longest_s, workers, cache, progress, wait: as in :func:`ranvier.audio.encode`.
        out: the recording to be, ``.h5``; the shard lies beside it (:func:`shard_file`).
        number: of the shard, 1 ... ``of``.
        of: how many shards there are.
        force: replace a shard that is there.

    Raises:
        DataError: as :func:`ranvier.audio.encode`; a shard that is there is of other files or settings.
    """
    if not 1 <= number <= of:
        raise DataError(f"shard: {number} of {of} is not allowed (1 ... {of})")
    out = Path(out)
    check_out(out)
    found, naming, how = named_sounds(places, naming)
    settings = EncodeSettings(naming, seed, ear or Ear(), longest_s)
    about = {**_about(found, settings, how, of), "shard": number}
    file = shard_file(out, number, of)
    with only_writer(file, wait):
        if file.exists() and not force:
            there = _Shard.read(file)
            _check_same(there, about, "this call's")
            return there.result()
        first, last = (len(found.files) * end // of for end in (number - 1, number))
        share = found.files[first:last]
        batches = encode_batches(share, file, settings, workers=workers, cache=cache, progress=progress)
        with write_atomically(file) as temporary, zipfile.ZipFile(temporary, "w") as whole:
            whole.writestr("about.json", json.dumps({**about, "batches": len(batches)}))
            for place, batch in enumerate(batches):
                whole.write(batch.file, f"{place}.npz")
        shutil.rmtree(work_folder(file))
    return _Shard.read(file).result()


def join_shards(files: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> EncodeResult:
    """Put all shards together: the bytes of :func:`ranvier.audio.encode` for the same files.

    Args:
        files: all shards, in any order.
        out: the recording to write, ``.h5``.

    Raises:
        DataError: a shard is missing, there twice, damaged, or of other files or settings than the first.
    """
    out = Path(out)
    check_out(out)
    shards: dict[int, _Shard] = {}
    for file in map(Path, files):
        shard = _Shard.read(file)
        first = next(iter(shards.values()), shard)
        _check_same(shard, first.about, f"{first.file}'s")
        if (other := shards.setdefault(shard.number, shard)) is not shard:
            raise DataError(f"{file}: is shard {shard.number} of {shard.of} as {other.file} is (each once)")
    for number in range(1, first.of + 1):
        if number not in shards:
            match = _NAME.fullmatch(first.file.name)
            name = shard_file(Path(match["stem"] if match else "x"), number, first.of).name
            raise DataError(f"{first.file.with_name(name)}: is missing (all {first.of} shards)")
    about = first.about
    labelled = Labelled(about["how"], by_folder=about["label_pattern"] is None)
    noted = {"ear": json.dumps(about["ear"]), "seed": about["seed"]}
    batches = [batch for number in sorted(shards) for batch in shards[number].batches()]
    skipped = [(name, reason) for name, reason in about["skipped"]]
    with only_writer(out, wait=False):
        return write_encoded(out, batches, labelled, skipped, about["notes"], noted)


@dataclass(frozen=True)
class _Shard:
    """A shard's file, and what it says of itself."""

    file: Path
    about: dict[str, Any]

    @classmethod
    def read(cls, file: Path) -> _Shard:
        try:
            with zipfile.ZipFile(file) as whole:
                about = json.loads(whole.read("about.json"))
                damaged = whole.testzip()
                there = set(whole.namelist())
            if about["format"] != _FORMAT:
                raise DataError(f"{file}: is of another version of Ranvier (encode it again)")
            if damaged is not None or not {f"{place}.npz" for place in range(about["batches"])} <= there:
                raise DataError(f"{file}: is damaged")
        except FileNotFoundError:
            raise DataError(f"{file}: no such file") from None
        except (zipfile.BadZipFile, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError):
            raise DataError(f"{file}: is not a shard of encoded clips (ranvier encode --shard)") from None
        return cls(file, about)

    @property
    def number(self) -> int:
        return int(self.about["shard"])

    @property
    def of(self) -> int:
        return int(self.about["of"])

    def batches(self) -> Iterator[Batch]:
        return (Batch(self.file, f"{place}.npz") for place in range(self.about["batches"]))

    def result(self) -> ShardResult:
        rows = [row for batch in self.batches() for row in batch.facts()]
        return ShardResult(self.file, len(rows), sum("fault" not in row for row in rows))


def _about(found: SoundFiles, settings: EncodeSettings, how: str, of: int) -> dict[str, Any]:
    """What is the same for all shards."""
    known = json.dumps([(name, path.stat().st_size) for path, name in found.files])
    naming = asdict(settings.naming)
    return {
        "format": _FORMAT,
        "encoding": VERSION,
        "of": of,
        "seed": settings.seed,
        "ear": ear_settings(settings.ear),
        "label_pattern": naming["label"],
        "speaker_pattern": naming["speaker"],
        "longest_s": settings.longest_s,
        "how": how,
        "files": f"{len(found.files)} ({hashlib.sha256(known.encode()).hexdigest()[:12]})",
        "skipped": found.skipped,
        "notes": found.notes,
    }


def _check_same(shard: _Shard, about: dict[str, Any], whose: str) -> None:
    for name in _SETTINGS:
        if shard.about[name] != about[name]:
            raise DataError(f"{shard.file}: its {name} is {shard.about[name]}, {whose} is {about[name]}")
