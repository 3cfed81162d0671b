"""``ranvier reproduce``: a table of recipes over seeds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ranvier.cli.output import print_error

_PROTOCOLS = ("honest", "paper")


def add_reproduce(commands: Any, *, asked: bool) -> None:
    """The command's options; the tables are only looked up where the command is asked for."""
    listed = []
    if asked:
        from ranvier.recipes.tables import load_table, table_names

        listed = [f"  {name:<14}{load_table(name).title}" for name in table_names()]
    parser = commands.add_parser(
        "reproduce",
        help="run a table of recipes over seeds, and print it",
        description="Run a table's recipes over seeds and print published and own figures. A stopped call is\n"
        "continued by the same call; several calls on one folder share the work.",
        epilog="\n".join(["tables:", *listed]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("table", metavar="TABLE", help="one of those below, or a .toml file")
    parser.add_argument("--data-root", metavar="FOLDER", type=Path, help="folder that holds the recording")
    parser.add_argument(
        "--seeds", metavar="N", type=int, default=3, help="runs of each row, seeds 0 ... N - 1 (default: 3)"
    )
    parser.add_argument(
        "--row", metavar="NAME", action="append", default=[], dest="rows",
        help="run and print only this row; may be repeated; the table's files hold all (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--set", metavar="FIELD=VALUE", action="append", default=[], dest="fields",
        help="replace a field of every recipe, for example train.epochs=30; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", choices=[*_PROTOCOLS, "both"], default="honest",
        help="honest: the epoch is chosen on validation; paper: on the test set, as published, and marked; both: "
        "side by side (default: honest)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=int,
        help="runs at a time, each with its share of the cores (default: 1; with --slurm all, on this machine 1)",
    )
    parser.add_argument(
        "--slurm",
        metavar="KEY=VALUE,...",
        help="a job of a SLURM cluster for each run, with these parameters of submitit, for example "
        "partition=gpu,gpus_per_node=1,cpus_per_task=8,timeout_min=600; cluster=local takes processes of this machine "
        "in place of SLURM (needs submitit: pip install 'ranvier[cluster]')",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, help="where the runs and the table go (default: runs/TABLE)"
    )
    parser.add_argument("--show", action="store_true", help="print the table as far as it is, and run nothing")


def run_reproduce(options: argparse.Namespace) -> int:
    """Plan, run what is missing, print; returns the exit code."""
    from ranvier.cli.progress import TrainingProgress
    from ranvier.cli.show import show_table
    from ranvier.recipes.carry_out import carry_out, carry_out_on
    from ranvier.recipes.cluster import read_cluster
    from ranvier.recipes.config import ConfigError
    from ranvier.recipes.reproduce import collect, data_key, find_missing, plan
    from ranvier.recipes.table_text import write_tables
    from ranvier.recipes.tables import load_table

    table = load_table(options.table)
    chosen = table.only(options.rows).rows
    overrides: dict[str, Any] = {}
    for text in options.fields:
        name, equals, value = text.partition("=")
        if not equals or name in ("train.seed", "protocol", "compare"):
            raise ConfigError(
                f"--set {text}: is not allowed (FIELD=VALUE; seeds and protocol have options of their own)"
            )
        overrides[name] = value
    if options.data_root is not None:
        overrides["data.root"] = str(options.data_root.absolute())
    if options.jobs is not None and options.jobs < 1:
        raise ConfigError(f"--jobs: {options.jobs} is not allowed (1 or more)")
    cluster = None if options.slurm is None else read_cluster(options.slurm)
    folder = options.out or Path("runs") / Path(options.table).stem
    protocols = _PROTOCOLS if options.protocol == "both" else (options.protocol,)
    runs = plan(table, folder, seeds=options.seeds, overrides=overrides, protocols=protocols)
    missing: dict[str, str] = {}
    faults: list[str] = []
    if not options.show:
        try:
            with TrainingProgress() as progress:
                asked = [run for run in runs if run.row in chosen]
                missing = find_missing(asked, progress)
                there = [run for run in asked if data_key(run) not in missing]
                if cluster is None:
                    carry_out(there, progress, jobs=options.jobs or 1)
            if cluster is not None:
                at_once = options.jobs or (1 if cluster.name == "local" else None)
                faults = carry_out_on(cluster, there, folder, at_once=at_once, notify=print_error)
        except KeyboardInterrupt:
            print("\nranvier: stopped: the same command goes on", file=sys.stderr)
            return 130
    results = collect(runs, missing)
    if missing and all(result.missing for result in results):
        print_error(f"ranvier: {next(iter(missing.values()))}")
        return 2
    if not options.show:
        write_tables(table.title, results, folder, _command())
    shown = [result for result in results if result.row in chosen]
    show_table(table.title, shown, folder)
    for fault in faults:
        print_error(f"ranvier: {fault}")
    if faults:
        print_error("ranvier: jobs ended before their runs: the same command goes on")
        return 1
    return 2 if all(result.missing for result in shown) else 0


def _command() -> str:
    return " ".join(["ranvier", *sys.argv[1:]])
