"""``ranvier data``: fetch, check and make data sets."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.cli.cache import add_cache, run_cache
from ranvier.cli.encode import count, whole
from ranvier.cli.output import say

if TYPE_CHECKING:
    from ranvier.data.camera import Camera


def add_data(commands: Any, parser_class: type[argparse.ArgumentParser]) -> None:
    """Its commands and their options."""
    data = commands.add_parser("data", help="fetch, check and make data sets", description="Data sets.")
    tasks = data.add_subparsers(dest="task", required=True, metavar="WHAT", parser_class=parser_class)
    fetch = tasks.add_parser(
        "fetch",
        help="download SHD or SSC",
        description="Download a published data set, or take it from a folder of tonic's or SpikingJelly's. A stopped "
        "download is continued; nothing is used before its checksum is right.",
        allow_abbrev=False,
    )
    fetch.add_argument("name", metavar="NAME", help="shd, ssc, or one of an installed package")
    fetch.add_argument("--out", metavar="FOLDER", type=Path, help="where to (default: data/NAME)")
    check = tasks.add_parser(
        "check",
        help="report on a recording",
        description="What a recording holds, and everything that is wrong with it.",
        allow_abbrev=False,
    )
    check.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="recording in SHD's format, .h5 or .h5.gz; or events (t, x) in .npz, .npy, .h5 or .csv, a folder of them "
        "for each class; or events of a camera, with --camera",
    )
    check.add_argument("--channels", metavar="N", type=count, help="channels (default: the file's own, else 700)")
    check.add_argument(
        "--time-unit",
        choices=["s", "ms", "us"],
        help="unit of the times (default: what the file says, else s, up to 60 s a clip)",
    )
    camera = check.add_argument_group("events of a camera", "as the fields of the recipe folder")
    camera.add_argument(
        "--camera",
        metavar="WIDTHxHEIGHT",
        help="its pixels, whose events (t, x, y, p) the files hold, in a unit that these or --time-unit name",
    )
    camera.add_argument("--pool", metavar="N", type=count, help="N x N pixels of a polarity are a channel (default: 1)")
    camera.add_argument("--merge-polarities", action="store_true", help="both are one channel, and p may be missing")
    check.add_argument("--json", action="store_true", help="print JSON instead of tables")
    shd = tasks.add_parser(
        "make-shd",
        help="make SHD anew from the Heidelberg Digits",
        description="Encode the recordings of the Heidelberg Digits with our ear and divide them as the published SHD "
        "is divided: speakers 4 and 5 and one clip in twenty of the others are the test set.",
        allow_abbrev=False,
    )
    shd.add_argument(
        "audio", metavar="AUDIO_FOLDER", type=Path, help="folder of lang-..._speaker-..._trial-..._digit-....flac"
    )
    shd.add_argument(
        "--out", metavar="FOLDER", type=Path, required=True, help="folder for shd_train.h5 and shd_test.h5"
    )
    shd.add_argument(
        "--seed", metavar="N", type=whole, default=0, help="of the nerve fibres and the division (default: 0)"
    )
    shd.add_argument("--workers", metavar="N", type=count, help="threads (default: one per core)")
    add_cache(tasks)
    _add_join(tasks)


def _add_join(tasks: Any) -> None:
    join = tasks.add_parser(
        "join",
        help="make one recording of several, for more voices to learn from",
        description="Write the clips of several recordings as one. Classes are the first recording's (zero to nine are "
        "0 to 9), clips of other classes are left out. Speakers of the further recordings are named FILE-SPEAKER. The "
        "shards of ranvier encode --shard make the recording that one call would have made, to the byte.",
        allow_abbrev=False,
    )
    join.add_argument(
        "files", metavar="FILE", type=Path, nargs="+", help="recordings, .h5 or .h5.gz, two or more; or all shards"
    )
    join.add_argument("--out", metavar="FILE", type=Path, required=True, help="recording to write, .h5")


def run_data(options: argparse.Namespace) -> int:
    """Do what was asked."""
    do = {
        "fetch": _fetch,
        "check": _check,
        "cache": run_cache,
        "make-shd": _make_shd,
        "join": _join,
    }
    return do[options.task](options)


def _fetch(options: argparse.Namespace) -> int:
    from ranvier.cli.progress import ClipProgress
    from ranvier.corpora.fetch import fetch

    folder = options.out or Path("data") / options.name
    with ClipProgress("downloading") as progress:
        files = fetch(options.name, folder, progress=progress.clips)
    for file in files:
        say(str(file))
    say(f"train with: ranvier train {options.name} --data-root {folder}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from ranvier.cli.show import show_inspection
    from ranvier.data.inspection import inspect_recording

    inspection = inspect_recording(
        options.file, channels=options.channels, time_unit=options.time_unit, camera=_camera(options)
    )
    if options.json:
        print(json.dumps(inspection.as_dict(), indent=2))
    else:
        show_inspection(inspection)
    return 2 if inspection.faults else 0


def _camera(options: argparse.Namespace) -> Camera | None:
    """The camera whose events are to be checked."""
    from ranvier.data.camera import Camera
    from ranvier.errors import ConfigError, RuleError

    for name, given in (("--pool", options.pool is not None), ("--merge-polarities", options.merge_polarities)):
        if given and options.camera is None:
            raise ConfigError(f"{name}: is not allowed without --camera")
    if options.camera is None:
        return None
    if options.channels is not None:
        raise ConfigError("--channels: is not allowed with --camera, whose pixels are the channels")
    try:
        return Camera.of(options.camera, pool=options.pool or 1, merged=options.merge_polarities)
    except RuleError as error:
        raise ConfigError(f"--{'pool' if error.place == 'pool' else 'camera'}", fault=error.fault) from None


def _make_shd(options: argparse.Namespace) -> int:
    from ranvier.cli.progress import ClipProgress
    from ranvier.cli.show import show_encoded
    from ranvier.corpora.heidelberg import make_shd

    with ClipProgress("encoding") as progress:
        made = make_shd(options.audio, options.out, seed=options.seed, workers=options.workers, progress=progress.clips)
    for encoded in made:
        show_encoded(encoded)
    return 0


def _join(options: argparse.Namespace) -> int:
    from ranvier.cli.progress import ClipProgress
    from ranvier.data.join import join

    if any(file.suffix == ".shard" for file in options.files):
        return _join_shards(options)
    with ClipProgress("joining") as progress:
        parts = join(options.files, options.out, progress=progress.clips)
    for part in parts:
        left_out = f"; {sum(part.left_out.values())} left out: {', '.join(part.left_out)}" if part.left_out else ""
        say(f"{part.path}: {part.clips} clips, speakers: {part.speakers}{left_out}")
    say(f"{options.out} written: {sum(part.clips for part in parts)} clips")
    return 0


def _join_shards(options: argparse.Namespace) -> int:
    from ranvier.audio.shards import join_shards
    from ranvier.cli.show import show_encoded
    from ranvier.data import DataError

    if options.out.exists():
        raise DataError(f"{options.out}: exists already")
    show_encoded(join_shards(options.files, options.out))
    return 0
