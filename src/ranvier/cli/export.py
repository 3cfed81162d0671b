"""``ranvier export``: a frozen network for another place to run it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ranvier.cli.output import say
from ranvier.cli.report import NETWORK


def add_export(commands: Any, *, asked: bool) -> None:
    """The command's options; its help lists the targets if it is ``asked`` for."""
    listed = []
    if asked:
        from ranvier.export import targets

        listed = [f"  {name:<12}{target.words}" for name, target in targets().items()]
    parser = commands.add_parser(
        "export",
        help="write a frozen network for a microcontroller or another simulator",
        description="Write a frozen network for another place to run it, with the same spikes. What a target cannot "
        "express is refused by name.",
        epilog="\n".join(["targets:", *listed]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("network", metavar="NETWORK", help=NETWORK)
    parser.add_argument("--to", metavar="TARGET", required=True, help="one of those below")
    parser.add_argument(
        "--out", metavar="PATH", type=Path, help="file or folder to write (default: here, by the network's name)"
    )
    parser.add_argument("--force", action="store_true", help="replace what is there; other files of a folder stay")


def run_export(options: argparse.Namespace) -> int:
    """Export and say what was written; returns the exit code."""
    from ranvier.export import targets
    from ranvier.recipes.config import ConfigError
    from ranvier.recipes.networks import load_network
    from ranvier.recipes.pretrained import find_run

    known = targets()
    if options.to not in known:
        raise ConfigError("--to", options.to, ", ".join(known))
    target = known[options.to]
    place = find_run(options.network).absolute()
    name = place.name if place.is_dir() else place.stem
    path: Path = options.out or Path(f"{name}{target.suffix}")
    if not options.force and path.exists() and not (path.is_dir() and not target.suffix and not any(path.iterdir())):
        raise ConfigError(path, fault="exists already (--force replaces it)")
    network = load_network(options.network)
    target.write(network, path)
    say(f"{path} written: {target.words}")
    if target.summary is not None:
        say(target.summary(network))
    return 0
