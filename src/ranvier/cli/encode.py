"""``ranvier encode``: sound into spikes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.cli.output import print_error, say

if TYPE_CHECKING:
    from ranvier.audio.ear import Ear, StreamingEar


def add_encode(commands: Any) -> None:
    """Its options."""
    encode = commands.add_parser(
        "encode",
        help="turn folders of sound into a recording of spikes",
        description="Let the inner ear that made SHD encode sound files (wav, flac, ogg, mp3 and whatever else "
        "libsndfile reads; any rate; several channels are mixed) and write its spikes in SHD's HDF5 format. A class is "
        "a file's folder, unless a pattern says otherwise; names of the Heidelberg Digits, the Free Spoken Digit "
        "Dataset and Google Speech Commands are known. Files that are passed over are listed. The same sound and seed "
        "give the same spikes. A stopped call is continued by the same call. Files of one folder, whose names "
        "say nothing, give a recording without labels, for ranvier run.",
        allow_abbrev=False,
    )
    encode.add_argument("paths", metavar="PATH", type=Path, nargs="+", help="files and folders")
    encode.add_argument(
        "--out", metavar="FILE", type=Path, help="recording to write, .h5 (default: NAME.h5 here, NAME that of PATH)"
    )
    encode.add_argument("--force", action="store_true", help="replace FILE if it exists")
    encode.add_argument(
        "--label-pattern",
        metavar="REGEX",
        help="finds the class in a file's path: its group 'label', else its first group, else all it matches",
    )
    encode.add_argument("--speaker-pattern", metavar="REGEX", help="finds the speaker in a file's path, likewise")
    encode.add_argument(
        "--streaming",
        action="store_true",
        help="encode sound as it comes, with a running gain in place of the clip's level and a latency below 50 ms, "
        "for a network that is to run on live sound (ranvier run NETWORK -)",
    )
    encode.add_argument("--seed", metavar="N", type=whole, default=0, help="of the nerve fibres (default: 0)")
    encode.add_argument(
        "--ramp-ms",
        metavar="MS",
        help="fade at both ends in ms, or 'whole' for a fade over the whole sound, as lauscher 1.0.1 has it "
        "(default: 30)",
    )
    encode.add_argument(
        "--emphasis-hz",
        metavar="HZ",
        type=float,
        help="raise what lies above by 6 dB an octave first, against loud low ends (default: off, as in SHD)",
    )
    encode.add_argument(
        "--flatten",
        metavar="SHARE",
        type=float,
        help="take away a share (0 ... 1) of how a sound's long-term spectrum differs from that of speech, against the "
        "colour of a microphone or a room: 0.7 for few speakers (default: 0, as in SHD)",
    )
    encode.add_argument(
        "--channels", metavar="N", type=whole, default=700, help="places along the membrane (default: 700)"
    )
    encode.add_argument(
        "--longest", metavar="S", type=float, default=16.0, help="longer sounds are left out, in seconds (default: 16)"
    )
    encode.add_argument("--workers", metavar="N", type=count, help="threads (default: one per core)")
    _add_parts(encode)


def _add_parts(encode: argparse.ArgumentParser) -> None:
    encode.add_argument(
        "--shard",
        metavar="I/N",
        type=shard,
        help="encode only part I of N of the files, to NAME.I-of-N.shard beside FILE; ranvier data join makes FILE of "
        "all, the same bytes as one call",
    )
    encode.add_argument(
        "--slurm",
        metavar="KEY=VALUE,...",
        help="encode by jobs of a SLURM cluster with these parameters of submitit, for example "
        "partition=cpu,cpus_per_task=16,timeout_min=120, and join the parts; cluster=local takes processes of this "
        "machine in place of SLURM (needs submitit: pip install 'ranvier[cluster]')",
    )
    encode.add_argument("--shards", metavar="N", type=count, help="jobs of --slurm (default: one per 1,000 files)")
    encode.add_argument(
        "--jobs", metavar="N", type=count, help="jobs of --slurm at a time (default: all; on this machine 1)"
    )


def whole(text: str) -> int:
    """A number that argparse takes: 0 or more."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def count(text: str) -> int:
    """A number that argparse takes: 1 or more."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def shard(text: str) -> tuple[int, int]:
    """Which part of how many, as argparse takes it."""
    number, of = map(int, text.split("/"))
    if not 1 <= number <= of:
        raise ValueError
    return number, of


shard.__name__ = "part of the files (I/N, I in 1 ... N)"
whole.__name__ = "whole number (0 or more)"
count.__name__ = "whole number (1 or more)"


def _ear(options: argparse.Namespace) -> Ear | StreamingEar:
    from ranvier.audio.ear import Ear, StreamingEar
    from ranvier.data import DataError
    from ranvier.errors import RuleError

    given = {name: getattr(options, name) for name in ("ramp_ms", "emphasis_hz", "flatten")}
    settings = {name: value for name, value in given.items() if value is not None}
    if options.streaming and settings:
        raise DataError(f"--{next(iter(settings)).replace('_', '-')}: takes the whole clip (not with --streaming)")
    if options.ramp_ms is not None:
        try:
            settings["ramp_ms"] = None if options.ramp_ms == "whole" else float(options.ramp_ms)
        except ValueError:
            raise DataError(f"--ramp-ms: {options.ramp_ms!r} is not allowed (ms, 0 or more, or 'whole')") from None
    try:
        ear = StreamingEar if options.streaming else Ear
        return ear(channels=options.channels, **settings)
    except RuleError as error:
        raise DataError(f"--{error.place.replace('_', '-')}", error.value, error.allowed) from None


def run_encode(options: argparse.Namespace) -> int:
    """Do it and show what became of the files."""
    from ranvier.audio.encode import encode
    from ranvier.audio.naming import Naming
    from ranvier.cli.progress import ClipProgress
    from ranvier.cli.show import show_encoded
    from ranvier.data import DataError

    out: Path = options.out or Path(f"{options.paths[0].absolute().stem}.h5")
    naming = None
    if options.label_pattern is not None or options.speaker_pattern is not None:
        naming = Naming(options.label_pattern, options.speaker_pattern)
    settings = {
        "ear": _ear(options),
        "seed": options.seed,
        "naming": naming,
        "longest_s": options.longest,
        "workers": options.workers,
    }
    if options.slurm is None and (options.shards or options.jobs):
        raise DataError(f"--{'shards' if options.shards else 'jobs'}: is not allowed without --slurm")
    if options.shard is not None:
        if options.slurm is not None:
            raise DataError("--shard: is not allowed with --slurm (--shards N)")
        return _encode_part(options, out, settings)
    if out.exists() and not options.force:
        raise DataError(f"{out}: exists already (--force replaces it)")
    if options.slurm is not None:
        return _encode_by_jobs(options, out, settings)
    with ClipProgress("encoding") as progress:
        encoded = encode(options.paths, out, progress=progress.clips, wait=False, **settings)
    show_encoded(encoded)
    return 0


def _encode_part(options: argparse.Namespace, out: Path, settings: dict[str, Any]) -> int:
    from ranvier.audio.shards import encode_shard
    from ranvier.cli.progress import ClipProgress

    number, of = options.shard
    with ClipProgress("encoding") as progress:
        made = encode_shard(
            options.paths, out, number, of, progress=progress.clips, wait=False, force=options.force, **settings
        )
    say(f"{made.file} written: {made.clips} of {made.files} files encoded")
    say(f"with all {of}: ranvier data join {out.with_suffix('')}.*-of-{of}.shard --out {out}")
    return 0


def _encode_by_jobs(options: argparse.Namespace, out: Path, settings: dict[str, Any]) -> int:
    from ranvier.cli.show import show_encoded
    from ranvier.recipes.cluster import read_cluster
    from ranvier.recipes.encode_jobs import encode_on

    cluster = read_cluster(options.slurm)
    at_once = options.jobs or (1 if cluster.name == "local" else None)
    encoded = encode_on(
        cluster, options.paths, out, settings, shards=options.shards, at_once=at_once, notify=print_error
    )
    if isinstance(encoded, list):
        for fault in encoded:
            print_error(f"ranvier: {fault}")
        print_error("ranvier: jobs ended before their part was encoded: the same command goes on")
        return 1
    show_encoded(encoded)
    return 0
