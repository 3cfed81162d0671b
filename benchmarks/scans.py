"""How much faster than its reference in plain torch is each compiled operator?

    python benchmarks/scans.py [--batch 64] [--only recurrent] [--out FILE]

Forward and backward at 100 steps of 256 neurons; medians of pairs, the two in turns, with denormal numbers as zeros.
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

# The references' Gaussians end in denormal numbers, with which a product takes 10 to 40 times as long; as these are an
# accident of one way to write them, both sides compute with zeros there. New threads do as the one that made them.
torch.set_flush_denormal(True)

from ranvier.ops.adaptive_lif import adaptive_lif
from ranvier.ops.adaptive_lif import reference as adaptive_lif_reference
from ranvier.ops.conv import Places, delayed_convolution
from ranvier.ops.conv import reference as conv_reference
from ranvier.ops.dense import delayed_current
from ranvier.ops.dense import reference as dense_reference
from ranvier.ops.dense.op import Kernel
from ranvier.ops.integrator import leaky_integrator
from ranvier.ops.integrator import reference as integrator
from ranvier.ops.lif import lif
from ranvier.ops.lif import reference as lif_reference
from ranvier.ops.recurrent_lif import recurrent_adaptive_lif, recurrent_lif
from ranvier.ops.recurrent_lif import reference as recurrent_reference
from ranvier.ops.recurrent_lif.op import longest_lag
from ranvier.ops.trace import reference as trace_reference
from ranvier.ops.trace import trace
from ranvier.recipes.memory import disable_malloc_trim
from ranvier.runs.provenance import git_commit, machine, versions

ONE = torch.tensor(1.0)
ADAPTATION = [torch.tensor(value, requires_grad=True) for value in (0.98, 0.5, 1.0)]  # its decay, a, b
RECURRENT = {"synaptic": (1, 256, 256), "axonal": (1, 1, 256), "dendritic": (1, 256, 1)}  # shape of the delays
SIGMA = 6.0
PICTURE = Places((16, 16), padding=(2, 2))  # one channel of 256 places
STRONGER = 5.2  # current of adaptive neurons, which weight it by 1 - decay and adapt: as many spike as do without


def recurrent(
    kind: str,
    longest: int = 25,
    adaptive: bool = False,
    *,
    shortest: int = 1,
    sigma: float = SIGMA,
    kernel: Kernel = "gaussian",
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Neurons, adaptive or not, with recurrent delays of ``shortest`` to ``longest`` steps.

    Gaussian taps have their longest lag at the longest delay, others as far as they reach.
    """
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(1, 256, 256, generator=generator) / 32).requires_grad_()
    delay = (shortest + (longest - shortest) * torch.rand(RECURRENT[kind], generator=generator)).requires_grad_()
    lags = longest if kernel == "gaussian" else longest_lag(delay, sigma, max_delay=10 * longest, kernel=kernel)
    taps: Any = {"max_delay": lags, "kernel": kernel}

    def slow(x: Tensor, decay: Tensor) -> Any:
        def neuron(now: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
            options: Any = {"surrogate": "arctan", "alpha": 5.0}
            if adaptive:
                values = (decay, *ADAPTATION, ONE)
                return adaptive_lif_reference.adaptive_lif(now, *values, before, euler="symplectic", **options)
            return lif_reference.lif(now, decay, ONE, before, **options)

        return recurrent_reference.recurrent(
            STRONGER * x if adaptive else x,
            weight,
            delay,
            sigma,
            neuron,
            None,
            gain=None,
            **taps,
        )

    def fast(x: Tensor, decay: Tensor) -> Any:
        if adaptive:
            values = (decay, *ADAPTATION, ONE)
            return recurrent_adaptive_lif(STRONGER * x, weight, delay, sigma, *values, **taps)
        return recurrent_lif(x, weight, delay, sigma, decay, ONE, **taps)

    return fast, slow


def feedforward(learn_sigma: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Delayed currents of 256 targets, delays of 0 to 24 steps."""
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(1, 256, 256, generator=generator) / 16).requires_grad_()
    delay = (24 * torch.rand(1, 256, 256, generator=generator)).requires_grad_()
    sigma = torch.full((1, 256, 256) if learn_sigma else (), SIGMA, requires_grad=learn_sigma)

    def fast(x: Tensor, decay: Tensor) -> Any:
        return (delayed_current(x, weight, delay, sigma, max_delay=24),)

    def slow(x: Tensor, decay: Tensor) -> Any:
        options: Any = {"max_delay": 24, "kernel": "gaussian", "bias": None, "history": None}
        return (dense_reference.delayed_current(x, weight, delay, sigma, **options),)

    return fast, slow


def convolution() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """8 kernels of 5 x 5 elements, each with a delay of 0 to 24 steps, on a picture of 256 places; 8 clips."""
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(8, 1, 5, 5, generator=generator) / 5).requires_grad_()
    delay = (24 * torch.rand(8, 1, 5, 5, generator=generator)).requires_grad_()

    def run(way: Callable[..., Tensor], x: Tensor, decay: Tensor) -> Any:
        options: Any = {"max_delay": 24, "kernel": "gaussian", "bias": None, "history": None}
        return (way(x[:, :8], weight, delay, SIGMA, PICTURE, **options),)

    return partial(run, delayed_convolution), partial(run, conv_reference.delayed_convolution)


SCANS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "lif": (
        lambda x, decay: lif(x, decay, ONE),
        lambda x, decay: lif_reference.lif(x, decay, ONE, None, surrogate="arctan", alpha=5.0),
    ),
    "adaptive lif": (
        lambda x, decay: adaptive_lif(STRONGER * x, decay, *ADAPTATION, ONE),
        lambda x, decay: adaptive_lif_reference.adaptive_lif(
            STRONGER * x, decay, *ADAPTATION, ONE, None, euler="symplectic", surrogate="arctan", alpha=5.0
        ),
    ),
    "integrator": (leaky_integrator, lambda x, decay: integrator.leaky_integrator(x, decay, None)),
    **{
        f"recurrent lif, {kind}, delays to {longest}": recurrent(kind, longest)
        for kind in RECURRENT
        for longest in (25, 50, 100)
    },
    # delays and widths with which DelRec starts and ends on SHD (arXiv 2509.24852): triangles 11 or 1 steps wide
    **{
        f"recurrent lif, {kind}, DelRec's, sigma {sigma:g}": recurrent(
            kind, 41, shortest=11, sigma=sigma, kernel="delrec"
        )
        for kind in ("synaptic", "axonal")
        for sigma in (10.0, 0.0)
    },
    **{f"recurrent adaptive lif, {kind}, delays to 25": recurrent(kind, adaptive=True) for kind in RECURRENT},
    "delayed current, delays to 24": feedforward(learn_sigma=False),
    "delayed current, sigma learned": feedforward(learn_sigma=True),
    "delayed convolution of 8 clips, delays to 24": convolution(),
    "trace": (trace, lambda x, decay: trace_reference.trace(x, decay, None)),
}


def seconds(function: Callable[..., Any], inputs: tuple[Tensor, ...], probe: Tensor) -> float:
    started = time.perf_counter()
    result = function(*inputs)[0]
    result.backward(probe if result.shape == probe.shape else torch.ones_like(result))
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--only", default="", help="operators whose names hold this")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    disable_malloc_trim()
    lines = [
        "# Compiled operators against their references in plain torch\n",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}, {machine()}, {torch.get_num_threads()} threads, "
        f"torch {versions()['torch']}, float32. Made by `python benchmarks/scans.py {' '.join(sys.argv[1:])}`.\n",
        f"Forward and backward of {options.batch} clips of 100 steps and 256 inputs, of which a tenth spike at a time; "
        f"medians of {options.pairs} pairs, the two in turns.\n",
        "| operator | outputs that are not 0 | compiled | reference | ratio |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    x = (torch.rand(100, options.batch, 256) < 0.1).float().requires_grad_()
    inputs, probe = (x, torch.tensor(0.8, requires_grad=True)), torch.randn(x.shape)
    for name, (fast, slow) in SCANS.items():
        if options.only not in name:
            continue
        share = float((fast(*inputs)[0] != 0).float().mean())
        pairs = [[seconds(function, inputs, probe) for function in (fast, slow)] for _ in range(options.pairs + 1)][1:]
        ratio = statistics.median(reference / compiled for compiled, reference in pairs)
        compiled, reference = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
        lines.append(f"| {name} | {share:.1%} | {compiled:.1f} ms | {reference:.1f} ms | {ratio:.1f} |")
        print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
