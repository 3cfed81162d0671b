"""How much faster than the Python loop of its reference is each compiled scan over time?

    python benchmarks/scans.py [--batch 64]

Forward and backward at 100 steps of 256 neurons; medians of pairs, the two in turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from ranvier.cli.threads import set_omp_spincount

set_omp_spincount()  # as the command does, before torch is loaded

import torch
from torch import Tensor

from ranvier.ops.adaptive_lif import adaptive_lif
from ranvier.ops.adaptive_lif import reference as adaptive_lif_reference
from ranvier.ops.integrator import leaky_integrator
from ranvier.ops.integrator import reference as integrator
from ranvier.ops.lif import lif
from ranvier.ops.lif import reference as lif_reference
from ranvier.ops.recurrent_lif import recurrent_adaptive_lif, recurrent_lif
from ranvier.ops.recurrent_lif import reference as recurrent_reference
from ranvier.ops.trace import reference as trace_reference
from ranvier.ops.trace import trace
from ranvier.recipes.memory import disable_malloc_trim
from ranvier.runs.provenance import machine, versions

ONE = torch.tensor(1.0)
ADAPTATION = [torch.tensor(value, requires_grad=True) for value in (0.98, 0.5, 1.0)]  # its decay, a, b
RECURRENT = {"synaptic": (1, 256, 256), "axonal": (1, 1, 256), "dendritic": (1, 256, 1)}  # shape of the delays
SIGMA, LONGEST = 6.0, 25
STRONGER = 5.2  # current of adaptive neurons, which weight it by 1 - decay and adapt: as many spike as do without


def recurrent(kind: str, adaptive: bool = False) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Neurons, adaptive or not, with recurrent delays of 1 to 25 steps, 6 steps wide."""
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(1, 256, 256, generator=generator) / 32).requires_grad_()
    delay = (1 + (LONGEST - 1) * torch.rand(RECURRENT[kind], generator=generator)).requires_grad_()

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
            SIGMA,
            neuron,
            None,
            max_delay=LONGEST,
            kernel="gaussian",
            gain=None,
        )

    def fast(x: Tensor, decay: Tensor) -> Any:
        if adaptive:
            values = (decay, *ADAPTATION, ONE)
            return recurrent_adaptive_lif(STRONGER * x, weight, delay, SIGMA, *values, max_delay=LONGEST)
        return recurrent_lif(x, weight, delay, SIGMA, decay, ONE, max_delay=LONGEST)

    return fast, slow


SCANS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "lif": (
        lambda x, decay: lif(x, decay, ONE),
        lambda x, decay: lif_reference.lif(x, decay, ONE, None, surrogate="arctan", alpha=5.0),
    ),
    "adaptive lif": (
        lambda x, decay: adaptive_lif(x, decay, *ADAPTATION, ONE),
        lambda x, decay: adaptive_lif_reference.adaptive_lif(
            x, decay, *ADAPTATION, ONE, None, euler="symplectic", surrogate="arctan", alpha=5.0
        ),
    ),
    "integrator": (leaky_integrator, lambda x, decay: integrator.leaky_integrator(x, decay, None)),
    **{f"recurrent lif, {kind}": recurrent(kind) for kind in RECURRENT},
    **{f"recurrent adaptive lif, {kind}": recurrent(kind, adaptive=True) for kind in RECURRENT},
    "trace": (trace, lambda x, decay: trace_reference.trace(x, decay, None)),
}


def seconds(function: Callable[..., Any], inputs: tuple[Tensor, ...], probe: Tensor) -> float:
    started = time.perf_counter()
    function(*inputs)[0].backward(probe)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=11)
    options = parser.parse_args()
    disable_malloc_trim()
    print(f"{machine()}, {torch.get_num_threads()} threads, torch {versions()['torch']}, float32")
    x = (torch.rand(100, options.batch, 256) < 0.1).float().requires_grad_()
    inputs, probe = (x, torch.tensor(0.8, requires_grad=True)), torch.randn(x.shape)
    for name, (fast, slow) in SCANS.items():
        pairs = [[seconds(function, inputs, probe) for function in (fast, slow)] for _ in range(options.pairs + 1)][1:]
        ratio = statistics.median(loop / scan for scan, loop in pairs)
        scan, loop = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
        print(f"{name}: scan {scan:.1f} ms, loop {loop:.1f} ms, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
