"""How many spikes change where the factors of matrix products are rounded?

    python benchmarks/precision.py [--init RUN] [--set data.root=FILE] [--batches 8] [--out benchmarks/results/NAME.md]

Runs batches of a trained network's training clips forward as training does (batch statistics, a tap's width in
training) but for dropout, once in each format, with the same parameters; the width is that of the training's start, its
middle and its end. A spike that one has and the other has not counts as changed, wherever it came from: a changed spike
changes what follows it. The first row of each width computes in float32 with another number of threads, which sums in
another order. CPUs have no tf32 and compute it in float32.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from ranvier.nn import ClipDropout
from ranvier.recipes.config import build_config
from ranvier.recipes.conversions import sigma_steps
from ranvier.recipes.device import matmul_precision
from ranvier.recipes.initialise import initial_state
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.splits import build_splits
from ranvier.recipes.training import Training
from ranvier.runs.provenance import git_commit, machine, versions

Forward = tuple[list[Tensor], Tensor]


def forward(training: Training, batches: Sequence[tuple[Tensor, Tensor, Tensor]], precision: str) -> list[Forward]:
    """Spikes of the hidden layers and class scores, of each batch."""
    with torch.no_grad(), matmul_precision(precision):  # type: ignore[arg-type]
        return [training.model.scores_with_spikes(x, lengths) for x, lengths, _ in batches]


def compare(first: Sequence[Forward], second: Sequence[Forward]) -> list[float]:
    """Changed spikes for each 1,000 of the first, by layer; and clips in 1,000 of another class."""
    shares = []
    for layer in range(len(first[0][0])):
        changed = sum(int((a[layer] != b[layer]).sum()) for (a, _), (b, _) in zip(first, second, strict=True))
        shares.append(1000 * changed / sum(int(a[layer].sum()) for a, _ in first))
    classes = [(a.argmax(1) != b.argmax(1)) for (_, a), (_, b) in zip(first, second, strict=True)]
    return [*shares, 1000 * float(torch.cat(classes).double().mean())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--init", default="digits", help="a run's folder, or a name of the package (default: digits)")
    parser.add_argument("--recipe", default="digits", help="recipe that it was trained by (default: digits)")
    parser.add_argument("--set", action="append", default=[], help="FIELD=VALUE of the recipe; may be repeated")
    parser.add_argument("--batches", type=int, default=8, help="of the recipe's batch size (default: 8)")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    values = dict(each.split("=", 1) for each in options.set)
    config = build_config(load_values(options.recipe), values | {"train.init_from": options.init})
    splits = build_splits(config)
    training = Training(config, splits)
    with tempfile.TemporaryDirectory() as folder:
        start = initial_state(config, splits, Path(folder))
    assert start is not None
    training.model.load_state_dict(start["model"])
    training.model.train()
    for module in training.model.modules():
        if isinstance(module, ClipDropout):
            module.eval()
    size = config.train.batch_size
    batches = [training.batches(splits.train.clips[n * size : (n + 1) * size]) for n in range(options.batches)]
    hidden = len(training.model.blocks)
    rows = []
    for where, done in (("start", 0.0), ("middle", config.train.sigma_fraction / 2), ("end", 1.0)):
        training.model.set_sigma(sigma_steps(config, done))
        exact = forward(training, batches, "float32")
        threads = torch.get_num_threads()
        torch.set_num_threads(2 if threads == 1 else 1)
        found = {"float32, other threads": compare(exact, forward(training, batches, "float32"))}
        torch.set_num_threads(threads)
        found |= {name: compare(exact, forward(training, batches, name)) for name in ("tf32", "bfloat16")}
        for name, shares in found.items():
            cells = " | ".join(f"{share:.3g}" for share in shares)
            rows.append(f"| {sigma_steps(config, done):.2f} ({where}) | {name} | {cells} |")
    text = "\n".join(
        [
            "# Spikes that change with the precision of products\n",
            f"{datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}, {machine()}, "
            f"torch {versions()['torch']}. Made by `python benchmarks/precision.py {' '.join(sys.argv[1:])}`: the "
            f"trained network {options.init}, {options.batches} batches of {size} training clips.\n",
            "| σ, time steps | products | "
            + " | ".join(f"layer {n + 1}, changed spikes in 1,000" for n in range(hidden))
            + " | clips of another class in 1,000 |",
            "|---|---|" + "---:|" * (hidden + 1),
            *rows,
        ]
    )
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
