"""``python -m tools.make_digits``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ranvier.data import DataError

from .make import make_digits


def main(arguments: list[str] | None = None) -> None:
    """Make the file; bad input is one line on standard error and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_digits", allow_abbrev=False)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help=".npz.xz to write; must not exist")
    parser.add_argument("--wav", metavar="FOLDER", type=Path, help="also write the sound of every clip there")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of voices, noise and ear, >= 0 (default: 0)")
    parser.add_argument("--workers", metavar="N", type=int, help="processes, >= 1 (default: one per core)")
    options = parser.parse_args(arguments)
    if options.out.exists():
        parser.error(f"{options.out}: exists already")
    if options.seed < 0 or (options.workers is not None and options.workers < 1):
        parser.error(f"--seed {options.seed}, --workers {options.workers}: not allowed (0 or more, 1 or more)")
    try:
        digits = make_digits(
            options.out, seed=options.seed, wav=options.wav, workers=options.workers, progress=_show_progress
        )
    except (DataError, OSError) as error:
        parser.error(str(error))
    print(f"{options.out} written: {len(digits.labels)} clips of {len(digits.names)} voices")


def _show_progress(done: int, total: int) -> None:
    print(f"{done} of {total} clips", file=sys.stderr)


if __name__ == "__main__":
    main()
