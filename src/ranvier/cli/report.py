"""``ranvier report``: a run, or several, as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ranvier.cli.output import say

RUN = "a run's folder, or the name of a run of the package (ranvier ls); a run's folder of that name here comes first"
NETWORK = "a network.safetensors, or " + RUN


def add_clips(parser: argparse.ArgumentParser, default: str) -> None:
    """The options of a command that runs a network over clips; ``default`` says which where ``--data`` is left out."""
    parser.add_argument("network", metavar="NETWORK", help=NETWORK)
    parser.add_argument(
        "--data", metavar="FILE", type=Path, help=f"recording in SHD's HDF5 format, .h5 or .h5.gz (default: {default})"
    )
    parser.add_argument(
        "--data-root", metavar="FOLDER", type=Path, help="where the run's data are now (default: where they were)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_report(commands: Any) -> None:
    """Its options."""
    report = commands.add_parser(
        "report",
        help="one HTML file about a run, or comparing several",
        description="Write one HTML file that needs nothing else: accuracies with intervals, learning curves, spikes "
        "through the layers, delays over the training, what ranvier probe found, mistakes, cost and how "
        "to make it again; for several runs a table and their curves first. Clips to look at are the run's own test "
        "clips, or validation clips where there are none; what the network does with them is kept beside the run "
        "(observed.npz).",
        allow_abbrev=False,
    )
    report.add_argument("runs", metavar="RUN", nargs="+", help=RUN)
    report.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="file to write (default: RUN/report.html; report.html here for several, and for a run of the package)",
    )
    report.add_argument("--data", metavar="FILE", type=Path, help="recording in SHD's format to take clips from")
    report.add_argument(
        "--data-root", metavar="FOLDER", type=Path, help="where the runs' data are now (default: where they were)"
    )


def run_report(options: argparse.Namespace) -> int:
    """Write it and say where."""
    from ranvier.cli.progress import ClipProgress
    from ranvier.recipes.pretrained import find_run, is_pretrained
    from ranvier.recipes.report import write_report

    runs = [find_run(name) for name in options.runs]
    out = options.out or (Path("report.html") if any(map(is_pretrained, runs)) else None)
    with ClipProgress("running clips") as progress:
        file = write_report(runs, out, data=options.data, data_root=options.data_root, progress=progress.clips)
    say(f"{file} written")
    return 0
