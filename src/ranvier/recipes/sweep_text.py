"""What a sweep leaves: the table of its trials, a figure of what mattered, and the best recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tomli_w

from ranvier.analysis import figures
from ranvier.analysis.tables import as_csv
from ranvier.files import write_text
from ranvier.recipes.run_config import config_values
from ranvier.recipes.sweep import Sweep, TrialResult, best_trial


def header(sweep: Sweep) -> list[str]:
    """Names of the columns of :func:`cells`."""
    return ["trial", "validation [%]", *(one.field for one in sweep.space), "state", "epochs", "seconds"]


def cells(sweep: Sweep, result: TrialResult) -> list[str]:
    """A trial as text."""
    accuracy = "" if result.accuracy is None else f"{100 * result.accuracy:.2f}"
    drawn = [_short(result.drawn[one.field]) for one in sweep.space]
    state = f"failed: {result.fault}" if result.fault else result.state
    return [str(result.number), accuracy, *drawn, state, str(result.epochs), f"{result.seconds:.0f}"]


def write_sweep(sweep: Sweep, results: Sequence[TrialResult], shares: Mapping[str, float]) -> None:
    """``trials.csv`` and, where a trial has finished, ``sweep.png`` and ``best.toml``, which ``ranvier train`` takes.

    Args:
        sweep: the search.
        results: of all trials.
        shares: how much of the accuracy each field decides; empty where that is not known.
    """
    write_text(sweep.folder / "trials.csv", as_csv(header(sweep), [cells(sweep, one) for one in results]))
    best = best_trial(results)
    if best is None or best.accuracy is None:
        return
    text = tomli_w.dumps(config_values(sweep.trial_config(best.drawn)))
    origin = f"# Trial {best.number} of {len(results)} of a sweep: {100 * best.accuracy:.2f}% on validation clips.\n"
    write_text(sweep.folder / "best.toml", origin + text)
    panels = []
    for dimension in sorted(sweep.space, key=lambda one: -shares.get(one.field, 0.0)):
        known = [one for one in results if one.accuracy is not None]
        panels.append(
            {
                "name": dimension.field,
                "share": shares.get(dimension.field),
                "values": [one.drawn[dimension.field] for one in known],
                "choices": dimension.choices,
                "log": dimension.log,
                "accuracies": [100 * (one.accuracy or 0.0) for one in known],
                "finished": [one.state == "finished" for one in known],
            }
        )
    figures.save(figures.plot_sweep(panels), sweep.folder / "sweep.png")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
