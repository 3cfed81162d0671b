"""``ranvier sweep``: search a recipe's fields by validation accuracy."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ranvier.cli.encode import count, whole


def add_sweep(commands: Any) -> None:
    """Its options."""
    parser = commands.add_parser(
        "sweep",
        help="search a recipe's fields by validation accuracy",
        description="Draw fields of a recipe, train, and keep what has the highest validation accuracy; the test split "
        "is not read. A stopped call is continued by the same call; several calls on one folder, also of several "
        "machines, share the trials. Needs optuna: pip install 'ranvier[sweep]'.",
        allow_abbrev=False,
    )
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe (ranvier ls), or a .toml file")
    parser.add_argument(
        "--set", metavar="FIELD=RANGE", action="append", default=[], dest="fields",
        help="what is drawn: FIELD=LO:HI (uniform), FIELD=log:LO:HI, FIELD=choice:a|b|c; or FIELD=VALUE, the same in "
        "all trials; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--trials", metavar="N", type=count, required=True, help="trials in all, with those of earlier calls"
    )
    parser.add_argument("--data-root", metavar="FOLDER", type=Path, help="folder that holds the recording")
    parser.add_argument("--seed", metavar="N", type=whole, default=0, help="of what is drawn (default: 0)")
    parser.add_argument(
        "--no-pruning", action="store_true",
        help="train every trial to its end (default: stop one whose validation accuracy is below the median of the "
        "others at the same epoch)",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, help="where trials and results go (default: runs/RECIPE-sweep)"
    )


def run_sweep_command(options: argparse.Namespace) -> int:
    """Check, run what is missing, show; returns the exit code."""
    from ranvier.cli.progress import TrainingProgress
    from ranvier.cli.show import show_sweep
    from ranvier.recipes.config import ConfigError
    from ranvier.recipes.recipe_files import load_values
    from ranvier.recipes.search_space import read_space
    from ranvier.recipes.sweep import Sweep, best_trial, check_sweep, importances, run_sweep
    from ranvier.recipes.sweep_text import write_sweep

    root = {} if options.data_root is None else {"data.root": str(options.data_root.absolute())}
    values = load_values(options.recipe)
    config, space = read_space(values, options.fields, root, place=options.recipe)
    folder = options.out or Path("runs") / f"{config.name}-sweep"
    sweep = Sweep(folder, config, space, options.seed, not options.no_pruning)
    try:
        with TrainingProgress() as progress:
            check_sweep(sweep, progress)
            results = run_sweep(sweep, options.trials, progress)
    except KeyboardInterrupt:
        print("\nranvier: stopped: the same command goes on", file=sys.stderr)
        return 130
    write_sweep(sweep, results, importances(sweep))
    show_sweep(sweep, results)
    if best_trial(results) is None:
        raise ConfigError(f"{folder}: no trial has finished: {results[0].fault}")
    return 0
