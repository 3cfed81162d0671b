"""``ranvier quantize``: a network in integers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.cli.report import add_clips

if TYPE_CHECKING:
    from ranvier.recipes.quantize import QuantizeResult


def add_quantize(commands: Any) -> None:
    """The command's options."""
    parser = commands.add_parser(
        "quantize",
        help="a network in integers, and what that costs in accuracy",
        description="Round a frozen network's weights to integers of 8 or 4 bits or to -1, 0, 1, its delays to 2^b "
        "values if asked for, and thresholds, biases and decays to integers; print accuracy and size before and after. "
        "The network in integers gives the same spikes to the bit wherever it runs.",
        allow_abbrev=False,
    )
    add_clips(parser, "the run's validation clips")
    parser.add_argument("--weight-bits", choices=("8", "4", "ternary"), default="8", help="of a weight (default: 8)")
    parser.add_argument(
        "--delay-bits", metavar="B", type=int, help="at most 2^B different delays a connection, 1 ... 15 (default: all)"
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help=".safetensors file to write (default: none)")
    parser.add_argument("--force", action="store_true", help="replace the file of --out")


def run_quantize(options: argparse.Namespace) -> int:
    """Quantise, run before and after, print; returns the exit code."""
    from ranvier.cli.output import say
    from ranvier.cli.progress import ClipProgress
    from ranvier.recipes.pretrained import find_run
    from ranvier.recipes.probe import find_clips
    from ranvier.recipes.quantize import check_out, quantize_network

    if options.out is not None:
        check_out(options.out, force=options.force)
    bits: Any = options.weight_bits if options.weight_bits == "ternary" else int(options.weight_bits)
    network, dataset, clips, what = find_clips(
        find_run(options.network), options.data, options.data_root, ("validation",)
    )
    with ClipProgress("running clips") as progress:
        result = quantize_network(network, dataset, clips, bits, options.delay_bits, progress.clips)
    if options.out is not None:
        result.network.write(options.out)
    if options.json:
        print(json.dumps(_facts(options, result, what), indent=2))
    else:
        _show(result, f"{options.network} on {what}")
        if options.out is not None:
            say(f"{options.out} written")
    return 0


def _facts(options: argparse.Namespace, result: QuantizeResult, what: str) -> dict[str, Any]:
    rounded = result.delays_alone
    return {
        "network": options.network,
        "data": what,
        "weight_bits": options.weight_bits,
        "delay_bits": options.delay_bits,
        "before": result.before.accuracy.model_dump(),
        "delays_alone": None if rounded is None else rounded.accuracy.model_dump(),
        "after": result.after.accuracy.model_dump(),
        "bytes_before": result.bytes_before,
        "bytes_after": result.bytes_after,
        "out": None if options.out is None else str(options.out),
    }


def _show(result: QuantizeResult, title: str) -> None:
    from rich.console import Console

    from ranvier.cli.show import accuracy_table
    from ranvier.cli.text import print_line

    rows = [("before", result.before.accuracy)]
    if result.delays_alone is not None:
        rows.append(("with its delays rounded", result.delays_alone.accuracy))
    rows.append(("in integers", result.after.accuracy))
    console = Console()
    console.print(accuracy_table(title, rows))
    same = int((result.before.predictions == result.after.predictions).sum())
    print_line(console, f"{same} of {len(result.after.predictions)} clips get the same class")
    print_line(console, f"weights and delays: {result.bytes_before:,} bytes before, {result.bytes_after:,} after")
