"""``ranvier data``: fetch, check and make data sets."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ranvier.cli.cache import add_cache, run_cache
from ranvier.cli.encode import count, whole
from ranvier.cli.output import say


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
        help="recording in SHD's format, .h5 or .h5.gz; or events (t, x) in .npz, .npy or .csv, a folder of them for "
        "each class",
    )
    check.add_argument("--channels", metavar="N", type=count, help="channels (default: the file's own, else 700)")
    check.add_argument(
        "--time-unit",
        choices=["s", "ms", "us"],
        help="unit of the times (default: what the file says, else s, up to 60 s a clip)",
    )
    check.add_argument("--json", action="store_true", help="print JSON instead of tables")
    shd = tasks.add_parser(
        "make-shd",
        help="make SHD anew from the Heidelberg Digits",
        description="Let our ear hear the recordings of the Heidelberg Digits and divide them as the published SHD is "
        "divided: speakers 4 and 5 and one clip in twenty of the others are the test set.",
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
    _add_speak(tasks)
    digits = tasks.add_parser(
        "make-digits",
        help="make the package's spoken digits anew",
        description="Synthetic speech (eSpeak NG, pip install 'ranvier[speech]'), noise, our ear: the 2,040 clips that "
        "ranvier train learns from, to the byte.",
        allow_abbrev=False,
    )
    digits.add_argument("--out", metavar="FILE", type=Path, required=True, help="file to write, .npz.xz")
    digits.add_argument("--wav", metavar="FOLDER", type=Path, help="also write the sound of every clip there")
    digits.add_argument(
        "--seed", metavar="N", type=whole, default=0, help="of voices, noise and nerve fibres (default: 0)"
    )
    digits.add_argument("--workers", metavar="N", type=count, help="processes (default: one per core)")


def _add_join(tasks: Any) -> None:
    join = tasks.add_parser(
        "join",
        help="make one recording of several, for more voices to learn from",
        description="Write the clips of several recordings as one. Classes are the first recording's (zero to nine are "
        "0 to 9), clips of other classes are left out; the other recordings' clips are brought nearer to the first's "
        "mean spectrum and number of spikes. Their speakers are named FILE-SPEAKER.",
        allow_abbrev=False,
    )
    join.add_argument("files", metavar="FILE", type=Path, nargs="+", help="recordings, .h5 or .h5.gz; two or more")
    join.add_argument("--out", metavar="FILE", type=Path, required=True, help="recording to write, .h5")
    join.add_argument(
        "--match",
        metavar="SHARE",
        type=float,
        default=0.7,
        help="how far spectra are brought to the first's mean: 0 leaves clips as they are, 1 goes all the way "
        "(default: 0.7)",
    )
    join.add_argument(
        "--unseen",
        metavar="NAME,...",
        type=lambda names: [names] if names else [],
        default=[],
        help="speakers of the first recording that are kept for a test: their clips do not count in its mean; a name "
        "that holds commas is tried first, in quotes for the shell",
    )
    join.add_argument("--seed", metavar="N", type=whole, default=0, help="of what is thinned or doubled (default: 0)")


def _add_speak(tasks: Any) -> None:
    spoken = tasks.add_parser(
        "speak",
        help="have words spoken by many voices, to learn from",
        description="Let the 54 voices of the network Kokoro-82M, and blends of them, say English words, at many "
        "speeds, and write each as WORD_VOICE_TAKE.wav, for ranvier encode. Needs pip install 'ranvier[speech]'; the "
        "first call downloads the voices (121 MB). A stopped call is continued by the same call.",
        allow_abbrev=False,
    )
    spoken.add_argument(
        "words", metavar="WORD", nargs="+", help="what is said, and a class each, two or more; 7 is read as seven"
    )
    spoken.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="folder to make")
    spoken.add_argument(
        "--voices", metavar="N", type=count, default=108, help="voices; from the 55th, blends of two (default: 108)"
    )
    spoken.add_argument("--takes", metavar="N", type=count, default=3, help="of a word by a voice (default: 3)")
    spoken.add_argument(
        "--rate", metavar="HZ", type=count, default=24000, help="samples per second, 8000 ... 48000 (default: 24000)"
    )
    spoken.add_argument(
        "--noise",
        action="store_true",
        help="with white or pink noise, 10 to 40 dB below the speech, for networks that are to hear recordings",
    )
    spoken.add_argument("--seed", metavar="N", type=whole, default=0, help="of voices, manner, noise (default: 0)")
    spoken.add_argument("--workers", metavar="N", type=count, help="threads (default: one per core)")


def run_data(options: argparse.Namespace) -> int:
    """Do what was asked."""
    do = {
        "fetch": _fetch,
        "check": _check,
        "cache": run_cache,
        "make-shd": _make_shd,
        "join": _join,
        "speak": _speak,
        "make-digits": _make_digits,
    }
    return do[options.task](options)


def _fetch(options: argparse.Namespace) -> int:
    from ranvier.cli.show import ClipProgress
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

    inspection = inspect_recording(options.file, channels=options.channels, time_unit=options.time_unit)
    if options.json:
        print(json.dumps(inspection.as_dict(), indent=2))
    else:
        show_inspection(inspection)
    return 2 if inspection.faults else 0


def _make_shd(options: argparse.Namespace) -> int:
    from ranvier.cli.show import ClipProgress, show_encoded
    from ranvier.corpora.heidelberg import make_shd

    with ClipProgress("hearing") as progress:
        made = make_shd(options.audio, options.out, seed=options.seed, workers=options.workers, progress=progress.clips)
    for encoded in made:
        show_encoded(encoded)
    return 0


def _join(options: argparse.Namespace) -> int:
    from ranvier.cli.show import ClipProgress
    from ranvier.data.join import join

    with ClipProgress("joining") as progress:
        parts = join(
            options.files,
            options.out,
            match=options.match,
            unseen=options.unseen,
            seed=options.seed,
            progress=progress.clips,
        )
    for part in parts:
        left_out = f"; {sum(part.left_out.values())} left out: {', '.join(part.left_out)}" if part.left_out else ""
        say(f"{part.path}: {part.clips} clips, speakers: {part.speakers}{left_out}")
    say(f"{options.out} written: {sum(part.clips for part in parts)} clips")
    return 0


def _speak(options: argparse.Namespace) -> int:
    from ranvier.cli.show import ClipProgress
    from ranvier.corpora.download import Terms
    from ranvier.data.speak import speak

    with ClipProgress("downloading the voices") as progress:

        def spoken(done: int, total: int) -> None:
            progress.title = "speaking"
            progress.clips(done, total)

        rows = speak(
            options.words,
            options.out,
            voices=options.voices,
            takes=options.takes,
            rate=options.rate,
            noise=options.noise,
            seed=options.seed,
            workers=options.workers,
            progress=spoken,
            terms=Terms(progress.clips),
        )
    voices = len({row.voice.name for row in rows})
    say(f"{options.out} written: {len(rows)} files of {voices} voices")
    say(f"hear them with: ranvier encode {options.out} --out {options.out.name}.h5")
    return 0


def _make_digits(options: argparse.Namespace) -> int:
    from ranvier.cli.show import ClipProgress
    from ranvier.data import DataError
    from ranvier.data.make_digits import make_digits

    if options.out.exists():
        raise DataError(f"{options.out}: exists already")
    with ClipProgress("speaking and hearing") as progress:
        digits = make_digits(
            options.out, seed=options.seed, wav=options.wav, workers=options.workers, progress=progress.clips
        )
    size = options.out.stat().st_size / 1e6
    say(f"{options.out} written: {len(digits.labels)} clips of {len(digits.names)} voices, {size:.1f} MB")
    return 0
