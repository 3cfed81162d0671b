"""``ranvier probe``: does a network use its delays?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ranvier.cli.report import add_clips


def add_probe(commands: Any) -> None:
    """The command's options."""
    parser = commands.add_parser(
        "probe",
        help="does a network use its delays, and the timing of its input?",
        description="Accuracy of a frozen network with its delays permuted or made equal, with its clips backwards, "
        "with equal counts in all channels, and with events moved or deleted: a table and a figure. That shows whether "
        "delays are used; a control, trained alike with fixed delays, shows what learning them is worth. Of a run it "
        "keeps them in its folder (probe.json), and ranvier report shows them.",
        allow_abbrev=False,
    )
    add_clips(parser, "the run's test clips, or else its validation clips")
    parser.add_argument(
        "--control", metavar="RUN", type=Path,
        help="folder of a run of the same recipe and seed with model.delays = fixed (default: no control)",
    )  # fmt: skip
    parser.add_argument("--seed", metavar="SEED", type=int, default=0, help="seed of what is drawn (default: 0)")
    parser.add_argument(
        "--figure",
        metavar="FILE",
        type=Path,
        help="PNG to write (default: probe.png in the run's folder, here for a run of the package)",
    )


def run_probe(options: argparse.Namespace) -> int:
    """Probe, draw, print; returns the exit code."""
    from ranvier.analysis import figures
    from ranvier.cli.progress import ClipProgress
    from ranvier.cli.show import show_probe
    from ranvier.recipes.config import ConfigError
    from ranvier.recipes.pretrained import find_run, is_pretrained
    from ranvier.recipes.probe import find_clips, probe, read_control
    from ranvier.runs import ProbeRecord, network_hash, write_probe

    if options.seed < 0:
        raise ConfigError(f"--seed: {options.seed} is not allowed (0 or more)")
    place = find_run(options.network)
    folder = Path() if is_pretrained(place) else place
    figure: Path | None = options.figure or (folder / "probe.png" if folder.is_dir() else None)
    if figure is not None and (figure.suffix != ".png" or not figure.absolute().parent.is_dir()):
        raise ConfigError(f"--figure: {figure} is not a .png file's name in a folder that is there")
    control = None if options.control is None else read_control(place, options.control)
    network, dataset, clips, what = find_clips(place, options.data, options.data_root)
    with ClipProgress("running clips") as progress:
        found = probe(network, dataset, clips, control=control, seed=options.seed, progress=progress.clips)
    named = None if options.control is None else str(options.control)
    if place.is_dir() and not is_pretrained(place):
        kept = network_hash(place / "network.safetensors")
        write_probe(place, ProbeRecord(network=kept, data=what, seed=options.seed, control=named, results=tuple(found)))
    if figure is not None:
        chance = 1 / len(network.classes)
        figures.save(figures.plot_probe(found, chance), figure)
    if options.json:
        facts = {"network": str(options.network), "data": what, "seed": options.seed, "control": named}
        print(json.dumps({**facts, "probes": [result.model_dump() for result in found]}, indent=2))
    else:
        show_probe(found, what, figure)
    return 0
