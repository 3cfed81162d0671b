"""The ``ranvier`` command: parse, import lazily, call one public function, show what it returns."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import ranvier
from ranvier.cli.cost import add_cost, run_cost
from ranvier.cli.data import add_data, run_data
from ranvier.cli.encode import add_encode, run_encode
from ranvier.cli.export import add_export, run_export
from ranvier.cli.output import output_streams, say
from ranvier.cli.probe import add_probe, run_probe
from ranvier.cli.quantize import add_quantize, run_quantize
from ranvier.cli.report import add_clips, add_report, run_report
from ranvier.cli.reproduce import add_reproduce, run_reproduce
from ranvier.cli.run import add_run, run_run
from ranvier.cli.sweep import add_sweep, run_sweep_command
from ranvier.cli.watch import add_watch, run_watch
from ranvier.escape import escape_controls

if TYPE_CHECKING:
    from ranvier.cli.progress import TrainingProgress
    from ranvier.runs import RunResult


class _Parser(argparse.ArgumentParser):
    """One clear line and exit code 2 for what cannot be parsed."""

    def error(self, message: str) -> NoReturn:
        _fail(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 1 a fault of Ranvier's own, 2 bad input, 130 stopped by the user.

    Every error is one line; ``RANVIER_DEBUG=1`` prints the traceback before it.
    """
    try:
        with output_streams():
            return _run(list(sys.argv[1:] if arguments is None else arguments))
    except OSError as error:  # standard output is on a full disk
        _fail(f"{error.filename}: {error.strerror}")


def _run(given: list[str]) -> int:
    try:
        from ranvier.cli.threads import set_omp_spincount

        set_omp_spincount()
        return _dispatch(given)
    except KeyboardInterrupt:
        print("\nranvier: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        message, code = _explain(error)
        if os.environ.get("RANVIER_DEBUG", "0") not in ("", "0"):
            traceback.print_exc()
        _fail(message, code)


def _explain(error: Exception) -> tuple[str, int]:
    """An error in one line, and the exit code."""
    from ranvier.errors import RuleError

    if isinstance(error, RuleError):
        return str(error), 2
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}", 2
    if isinstance(error, MemoryError):
        return f"there is not enough memory {error}".rstrip(), 1
    return (
        f"{type(error).__name__}: {error} (this is a fault of Ranvier's: please report it, with what the same command "
        "prints with RANVIER_DEBUG=1)",
        1,
    )


def _fail(message: str, code: int = 2) -> NoReturn:
    print(f"ranvier: {escape_controls(' '.join(message.split()))}", file=sys.stderr)
    raise SystemExit(code)


def _dispatch(given: list[str]) -> int:
    parser = _Parser(
        prog="ranvier",
        description="Learn when spikes arrive: train the synaptic delays of spiking neural networks.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ranvier {ranvier.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    train = commands.add_parser("train", help="train a recipe", add_help=False)
    train.add_argument("rest", nargs=argparse.REMAINDER)
    evaluate = commands.add_parser(
        "eval",
        help="accuracy of a frozen network on a recording",
        description="Run a frozen network over a recording, or over its run's own test clips, event by event, without "
        "torch.",
        allow_abbrev=False,
    )
    add_clips(evaluate, "the run's test clips, or else its validation clips")
    commands.add_parser(
        "ls",
        help="list the recipes, trained runs and data sets",
        description="List the recipes, trained runs and data sets that there are.",
    )
    copy = commands.add_parser(
        "cp",
        help="copy a recipe to a file of your own",
        description="Copy a recipe to a .toml file, to change and train: ranvier train FILE.",
        allow_abbrev=False,
    )
    copy.add_argument("recipe", metavar="RECIPE", help="name of a recipe (ranvier ls)")
    copy.add_argument("file", metavar="FILE", type=Path, help="file to write; it must not exist")
    add_run(commands)
    add_encode(commands)
    add_data(commands, _Parser)
    add_probe(commands)
    add_reproduce(commands, asked=given[:1] == ["reproduce"])
    add_sweep(commands)
    add_export(commands, asked=given[:1] == ["export"])
    add_report(commands)
    add_watch(commands)
    add_quantize(commands)
    add_cost(commands)
    bench = commands.add_parser(
        "bench", help="what a training step costs on this machine", description="Measure speed on this machine."
    )
    questions = bench.add_subparsers(dest="question", required=True, metavar="WHAT", parser_class=_Parser)
    if given[:1] == ["bench"]:
        _add_bench_step(questions)

    if given[:1] == ["train"]:
        return _train(given[1:])
    _check_command(given, list(commands.choices))
    options = parser.parse_args(given)
    run = {
        "eval": _eval,
        "ls": _ls,
        "cp": _cp,
        "bench": _bench,
        "run": run_run,
        "encode": run_encode,
        "data": run_data,
        "probe": run_probe,
        "export": run_export,
        "reproduce": run_reproduce,
        "sweep": run_sweep_command,
        "report": run_report,
        "watch": run_watch,
        "quantize": run_quantize,
        "cost": run_cost,
    }
    return run[options.command](options)


def _check_command(given: list[str], names: list[str]) -> None:
    """argparse would list every command, and name none of them."""
    if given and not given[0].startswith("-") and given[0] not in names:
        near = difflib.get_close_matches(given[0], names, 1)
        allowed = f"did you mean {near[0]}?" if near else f"{', '.join(names)} allowed"
        _fail(f"{given[0]}: is no command ({allowed})")


def _train(given: list[str]) -> int:
    from ranvier.cli.options import train_options
    from ranvier.recipes.origin import build_given
    from ranvier.recipes.recipe_files import load_values, names_file

    named = bool(given) and not given[0].startswith("-")
    if not named and any(word.partition("=")[0] == "--resume" for word in given):
        return _resume(given)
    recipe = given.pop(0) if named else "digits"
    values = load_values(recipe)
    with names_file(recipe):
        parser = train_options(_Parser, recipe, values)
    options, overrides = parser.parse(given)
    if options.resume is not None:
        _fail(_RESUMED)
    config = build_given(values, overrides, place=recipe, options=parser.flags)

    from ranvier.recipes.train_run import train
    from ranvier.runs import free_folder

    folder = options.out or free_folder(config.name)
    return _lead(folder, lambda progress: train(config, folder, progress, force=options.force))


def _lead(folder: Path, function: Callable[[TrainingProgress], RunResult]) -> int:
    """Train, or take part in what the process of rank 0 trains."""
    from ranvier.recipes.distributed import joined

    with joined() as processes:
        if processes.rank == 0:
            return _show_training(folder, function)
        from ranvier.recipes.follow import follow

        follow()
        return 0


_RESUMED = "--resume takes the run as it is: no recipe and no other option but --data-root goes with it"


def _resume(given: list[str]) -> int:
    parser = _Parser(prog="ranvier train", allow_abbrev=False)
    parser.add_argument("--resume", type=Path, metavar="RUN", help="continue a stopped run to the same end")
    parser.add_argument("--data-root", type=Path, metavar="ROOT", help="where its data are now")
    options, more = parser.parse_known_args(given)
    if more:
        _fail(_RESUMED)

    from ranvier.recipes.train_run import resume

    folder = options.resume
    return _lead(folder, lambda progress: resume(folder, progress, data_root=options.data_root))


def _show_training(folder: Path, work: Callable[[TrainingProgress], RunResult]) -> int:
    from ranvier.cli.progress import TrainingProgress
    from ranvier.cli.show import show_result

    try:
        with TrainingProgress() as progress:
            result = work(progress)
    except KeyboardInterrupt:
        hint = f": ranvier train --resume {folder} continues it" if (folder / "config.toml").exists() else ""
        print(f"\nranvier: stopped{escape_controls(hint)}", file=sys.stderr)
        return 130
    show_result(result, folder)
    return 0


def _eval(options: argparse.Namespace) -> int:
    from ranvier.cli.progress import ClipProgress
    from ranvier.cli.show import show_evaluation
    from ranvier.recipes.evaluation import evaluate, evaluate_file
    from ranvier.recipes.pretrained import find_run
    from ranvier.recipes.probe import find_clips

    place = find_run(options.network)
    with ClipProgress("running clips") as progress:
        if options.data is None:
            network, dataset, clips, data = find_clips(place, None, options.data_root)
            evaluation = evaluate(network, dataset, clips, progress=progress.clips)
        else:
            data = str(options.data)
            evaluation = evaluate_file(place, options.data, progress=progress.clips)
    if options.json:
        facts: dict[str, Any] = {"network": options.network, "data": data, **evaluation.as_dict()}
        print(json.dumps(facts, indent=2))
    else:
        show_evaluation(evaluation, f"frozen network on {data}")
    return 0


def _add_bench_step(questions: Any) -> None:
    from ranvier.recipes.config import allowed
    from ranvier.recipes.step_cost import StepSettings

    step = questions.add_parser(
        "step",
        help="one training step of the SHD network, 140-HIDDEN-HIDDEN-20",
        description="Median time of one training step of the SHD network (140-HIDDEN-HIDDEN-20, delays in every "
        "layer), its memory, and the algorithm of the delayed currents.",
        allow_abbrev=False,
    )
    for name, field in StepSettings.model_fields.items():
        rule = allowed(field)
        text = f"{field.description} ({rule + '; ' if rule else ''}default: {field.default})"
        flag = f"--{name.replace('_', '-')}"
        step.add_argument(flag, dest=name, metavar=name.split("_")[-1].upper(), help=text)
    step.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _bench(options: argparse.Namespace) -> int:
    from ranvier.cli.show import show_step_cost
    from ranvier.recipes.step_cost import StepSettings, measure_step, step_settings

    given = {name: value for name in StepSettings.model_fields if (value := getattr(options, name)) is not None}
    cost = measure_step(step_settings(given))
    if options.json:
        print(json.dumps(cost, indent=2))
    else:
        show_step_cost(cost)
    return 0


def _ls(options: argparse.Namespace) -> int:
    from ranvier.cli.show import show_names, show_pretrained
    from ranvier.corpora.registry import corpus_names, corpus_summary
    from ranvier.recipes.pretrained import pretrained_runs
    from ranvier.recipes.recipe_files import load_values, recipe_names

    print("recipes, for train, cp and sweep:")
    show_names({name: load_values(name)["summary"] for name in recipe_names()})
    print("\ntrained runs, for eval, probe, report, watch and train --train.init-from:")
    show_pretrained(pretrained_runs())
    print("\ndata sets (data.kind of a recipe of your own):")
    show_names({name: corpus_summary(name) for name in corpus_names()})
    return 0


def _cp(options: argparse.Namespace) -> int:
    from ranvier.recipes.config import ConfigError
    from ranvier.recipes.recipe_files import recipe_text

    text = recipe_text(options.recipe)
    if options.file.suffix != ".toml":
        raise ConfigError(f"{options.file}: is not a .toml file's name")
    try:
        with options.file.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{options.file}: exists already") from None
    say(f"{options.file} written; train it with: ranvier train {options.file}")
    return 0
