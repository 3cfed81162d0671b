"""``ranvier cost``: operations and bytes of a network."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ranvier.cli.report import add_clips

if TYPE_CHECKING:
    from ranvier.engine import Cost

_CLIPS = 200


def add_cost(commands: Any) -> None:
    """The command's options."""
    parser = commands.add_parser(
        "cost",
        help="operations and bytes of a frozen network",
        description="Spikes and synaptic operations per clip, and bytes of weights, delays and delay buffers, layer by "
        "layer, with the platforms whose longest delay is enough. docs/howto/quantize.md has the formulas.",
        allow_abbrev=False,
    )
    add_clips(parser, "the run's validation clips, or else its test clips")
    parser.add_argument(
        "--clips", metavar="N", type=int, default=_CLIPS, help=f"run N clips at most, evenly spread (default: {_CLIPS})"
    )


def run_cost(options: argparse.Namespace) -> int:
    """Run clips, count, print; returns the exit code."""
    import numpy as np

    from ranvier.data import FrameDataset
    from ranvier.engine import cost
    from ranvier.recipes.config import ConfigError
    from ranvier.recipes.pretrained import find_run
    from ranvier.recipes.probe import find_clips

    if options.clips < 1:
        raise ConfigError(f"--clips: {options.clips} is not allowed (1 or more)")
    network, dataset, clips, what = find_clips(
        find_run(options.network), options.data, options.data_root, ("validation", "test")
    )
    some = clips[np.linspace(0, len(clips) - 1, min(len(clips), options.clips)).round().astype(int)]
    given = [(dataset.clip(clip), int(dataset.lengths[clip])) for clip in some]
    found = cost(network, given, real_input=isinstance(dataset, FrameDataset))
    if options.json:
        print(json.dumps({"network": options.network, "data": what, **found.as_dict()}, indent=2))
    else:
        _show(found, options.network, f"{found.clips} of {len(clips)} clips: {what}")
    return 0


_COLUMNS = {
    "spikes": "spikes",
    "synaptic_operations": "synaptic operations",
    "dense_operations": "dense operations",
    "synapses": "synapses",
    "weight_bytes": "weights",
    "delay_bytes": "delays",
    "ring_bytes": "post-side ring",
    "history_bytes": "or pre-side history",
    "queue_bytes": "or axonal queue",
}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _show(found: Cost, network: str, clips: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from ranvier.cli.text import plain_text, print_line

    console = Console()
    operations, size = list(_COLUMNS.items())[:3], list(_COLUMNS.items())[3:]
    for heading, columns in ((f"{network}: operations per clip", operations), (f"{network}: bytes", size)):
        table = Table(title=plain_text(heading), title_justify="left")
        table.add_column("layer")
        for _, name in columns:
            table.add_column(name, justify="right")
        for row in (*found.layers, found.total):
            table.add_row(plain_text(row.name), *(_number(getattr(row, field)) for field, _ in columns))
        console.print(table)
    print_line(console, f"operations: means over {clips}")
    if found.total.synaptic_operations is None:
        print_line(console, "synaptic operations are not counted where a layer receives numbers: traces, real inputs")
    limits = "; ".join(f"{name}: {'yes' if fits else 'no'}" for name, fits in found.fits().items())
    print_line(console, f"longest delay: {found.max_delay} time steps. Within the limit of a platform? {limits}")
