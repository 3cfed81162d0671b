"""Does the rule in ops/dense/op.py choose the faster way, and what do the ways not taken cost?

    python benchmarks/plans.py [--out benchmarks/results/NAME.md]

Each way of the delayed current by itself, forward and backward, on layers of many shapes; medians, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ranvier.cli.threads import set_omp_spincount

set_omp_spincount()  # as the command does, before torch is loaded

import torch
from torch import Tensor

from ranvier.ops.dense import delayed_current, op
from ranvier.ops.dense.op import Plan, plan
from ranvier.recipes.memory import disable_malloc_trim
from ranvier.runs.provenance import git_commit, machine, versions

SHAPES = [  # time, batch, sources, targets, max_delay
    (100, 256, 140, 256, 24),
    (100, 256, 256, 256, 24),
    (100, 256, 256, 20, 24),
    (100, 256, 256, 256, 8),
    (100, 256, 256, 256, 4),
    (100, 256, 256, 256, 2),
    (100, 256, 256, 256, 1),
    (100, 32, 256, 256, 24),
    (100, 8, 256, 256, 24),
    (100, 1, 256, 256, 24),
    (100, 256, 64, 64, 24),
    (100, 32, 64, 64, 24),
    (100, 32, 16, 16, 24),
    (70, 64, 10, 8, 30),
    (1000, 8, 140, 256, 24),
    (1000, 8, 140, 256, 250),
    (20, 256, 256, 256, 24),
]


def seconds(functions: dict[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Medians, the functions in turns, after one that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if number:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in taken.items()}


def through(name: str, inputs: tuple[Any, ...], max_delay: int, probe: Tensor | None) -> None:
    """The delayed current by a way that the rule need not have chosen, and its gradients for ``probe``."""
    rule = op.plan
    op.plan = lambda *_, **__: Plan(name, "this benchmark says so")
    current = delayed_current(*inputs, max_delay=max_delay)
    op.plan = rule
    if probe is not None:
        current.backward(probe)


def learning() -> list[str]:
    lines = [
        "## Forward and backward, σ = 3 steps\n",
        "| time | batch | sources | targets | longest delay | dense | spectral | chosen | times the faster |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for time_, batch, sources, targets, max_delay in SHAPES:
        x = (torch.rand(time_, batch, sources) < 0.08).float().requires_grad_()
        weight = torch.randn(1, targets, sources, requires_grad=True)
        delay = (torch.rand(1, targets, sources) * max_delay).requires_grad_()
        probe = torch.randn(time_, batch, targets)
        chosen = plan(x, weight, delay, 3.0, max_delay=max_delay).name

        inputs = (x, weight, delay, 3.0)
        found = seconds({name: partial(through, name, inputs, max_delay, probe) for name in ("dense", "spectral")})
        lines.append(
            f"| {time_} | {batch} | {sources} | {targets} | {max_delay} | {1e3 * found['dense']:.1f} ms | "
            f"{1e3 * found['spectral']:.1f} ms | {chosen} | {found[chosen] / min(found.values()):.2f} |"
        )
        print(lines[-1], flush=True)
    return lines


def frozen() -> list[str]:
    lines = [
        "\n## Frozen delays, forward without gradients, 256 clips of 100 steps, longest delay 24\n",
        "| sources | targets | activity | events | dense | spectral |",
        "|---|---|---|---|---|---|",
    ]
    for sources, targets in ((140, 256), (256, 256), (256, 20)):
        for activity in (0.01, 0.05, 0.2, 0.5, 1.0):
            x = (torch.rand(100, 256, sources) < activity).float()
            weight, delay = torch.randn(1, targets, sources), torch.rand(1, targets, sources) * 24

            inputs = (x, weight, delay, None)
            with torch.no_grad():
                names = ("events", "dense", "spectral")
                found = seconds({name: partial(through, name, inputs, 24, None) for name in names}, rounds=5)
            lines.append(
                f"| {sources} | {targets} | {activity:g} | "
                + " | ".join(f"{1e3 * found[name]:.1f} ms" for name in ("events", "dense", "spectral"))
                + " |"
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    disable_malloc_trim()
    torch.manual_seed(0)
    head = [
        "# The ways of the delayed current\n",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}, {machine()}, {torch.get_num_threads()} threads, "
        f"torch {versions()['torch']}, float32. Made by `python benchmarks/plans.py {' '.join(sys.argv[1:])}`.\n",
    ]
    text = "\n".join([*head, *learning(), *frozen()]) + "\n"
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
