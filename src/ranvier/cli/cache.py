"""``ranvier data cache``: what the cache holds, and emptying it."""

from __future__ import annotations

import argparse
from typing import Any

from ranvier.cli.output import say


def add_cache(tasks: Any) -> None:
    """Its options."""
    cache = tasks.add_parser(
        "cache",
        help="show or empty the cache",
        description="What is kept for the next time in the cache folder (RANVIER_CACHE=FOLDER names another): "
        "unpacked and counted recordings, sound as spikes or frames, downloaded voices. All of it is made again when "
        "it is needed.",
        allow_abbrev=False,
    )
    cache.add_argument("--empty", action="store_true", help="remove it all")


def run_cache(options: argparse.Namespace) -> int:
    """Show it or remove it."""
    from ranvier.cli.show import show_cache
    from ranvier.data.cache import cache_folder
    from ranvier.data.cache_contents import cache_contents, empty_cache

    folder = cache_folder(None).absolute()
    if not options.empty:
        show_cache(folder, cache_contents(folder))
        return 0
    removed, kept = empty_cache(folder)
    say(f"{folder}: {len(removed)} entries removed, {sum(entry.size for entry in removed) / 1e6:,.1f} MB")
    for entry in kept:
        say(f"kept: {entry.path.name}, which another process is writing")
    return 0
