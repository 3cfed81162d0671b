"""How much faster is a training step than with the dense convolutions of dcls?

    python benchmarks/training_step.py --out benchmarks/results/NAME.md     the step of the SHD network, and sweeps
    python benchmarks/training_step.py --only step --only growth            the step alone, and what 250 taps add

Ours and the peer (benchmarks/peer.py) hold the same numbers, see the same tensors, are trained by the same optimisers
and take their steps in turn in one process, an untimed step before each timed one unless it takes over two seconds.
Medians over pairs, and the median of the pairs' ratios. The peak of memory is taken in a process of its own for each.
Nothing is measured unless the parity tests of the fast ways are green and loss and gradients of the two networks agree.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

from ranvier.cli.threads import set_omp_spincount

set_omp_spincount()  # as the command does, before torch is loaded

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.peer import Peer, neuron

from ranvier.network import Decoding
from ranvier.models import Stack, feedforward
from ranvier.recipes.device import matmul_precision
from ranvier.recipes.memory import PeakMemory, disable_malloc_trim
from ranvier.recipes.sections import Precision
from ranvier.recipes.step_cost import layer_plans
from ranvier.runs.provenance import git_commit, machine, versions

GATE = ["tests/ops"]
_LONG = 2.0  # seconds: what a step of more finds in the caches does not show


@dataclass(frozen=True)
class Case:
    """A network and a batch; lengths in steps."""

    taps: int = 25
    time: int = 100
    batch: int = 256
    hidden: int = 256
    activity: float = 0.08
    sigma: float = 3.0
    precision: Precision = "float32"  # of ours; the peer's products are those of float32


SWEEPS: dict[str, list[Case]] = {
    "longest delay, time 100": [Case(taps=taps) for taps in (25, 50, 100, 250)],
    # an eighth of the batch: the peer's step would take minutes otherwise
    "longest delay, time 1000, batch 32": [Case(taps=taps, time=1000, batch=32) for taps in (25, 50, 100, 250)],
    "hidden neurons": [Case(hidden=hidden) for hidden in (128, 256, 512, 1024)],
    "activity of the input": [Case(activity=activity) for activity in (0.01, 0.05, 0.2)],
    "precision": [Case(precision=precision) for precision in get_args(Precision)],
    "width of the tap": [Case(sigma=sigma) for sigma in (12.0, 3.0, 0.5)],
}


class Contest:
    """Both networks with their optimisers, and a batch."""

    def __init__(
        self, case: Case, device: torch.device, dropout: float = 0.4, dtype: torch.dtype = torch.float32
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        self.ours = feedforward(
            140,
            [case.hidden, case.hidden],
            20,
            case.taps - 1,
            decay=0.005,
            dropout=dropout,
            decoding=Decoding(tail_steps=0),
            generator=generator,
        )
        self.ours.set_sigma(case.sigma)
        self.peer = Peer(self.ours, case.sigma, dropout).to(device, dtype)
        self.ours.to(device, dtype)
        self.x = (torch.rand(case.time, case.batch, 140, generator=generator) < case.activity).to(device, dtype)
        self.labels = torch.randint(0, 20, (case.batch,), generator=generator).to(device)
        self.lengths = torch.full((case.batch,), case.time, device=device)
        self.precision = case.precision
        self.optimisers = {
            "ours": _optimisers([p for n, p in self.ours.named_parameters() if "delay" not in n], _delays(self.ours)),
            "peer": _optimisers(
                [p for n, p in self.peer.named_parameters() if p.requires_grad and not n.endswith(".P")],
                [delay.P for delay in self.peer.delays],
            ),
        }

    def loss(self, who: str) -> Tensor:
        scores = self.ours.scores(self.x, self.lengths) if who == "ours" else self.peer.scores(self.x)
        return F.cross_entropy(scores, self.labels)

    def step(self, who: str) -> None:
        for optimiser in self.optimisers[who]:
            optimiser.zero_grad()
        with matmul_precision(self.precision if who == "ours" else "float32"):
            self.loss(who).backward()
        for optimiser in self.optimisers[who]:
            optimiser.step()
        (self.ours if who == "ours" else self.peer).clamp_delay()


def _delays(model: Stack) -> list[torch.nn.Parameter]:
    return [layer.delay for layer in model.delay_layers]


def _optimisers(weights: list[torch.nn.Parameter], delays: list[torch.nn.Parameter]) -> list[Adam]:
    return [Adam(weights, lr=1e-3), Adam(delays, lr=0.1)]


def check_parity(case: Case, device: torch.device) -> dict[str, float]:
    """Loss and gradients of the two networks, relative to the peer's largest; stops where they are not the same."""
    # in double precision: in single, a voltage within rounding of its threshold spikes in one network alone
    contest = Contest(case, device, dropout=0.0, dtype=torch.float64)
    losses = {who: contest.loss(who) for who in ("ours", "peer")}
    for loss in losses.values():
        loss.backward()
    off = {"loss": abs(losses["ours"].item() / losses["peer"].item() - 1)}
    for number, (layer, peer) in enumerate(zip(contest.ours.delay_layers, contest.peer.delays, strict=True), 1):
        pairs = {
            "weight": (layer.weight.grad, peer.weight.grad.permute(2, 0, 1)),
            "delay": (layer.delay.grad, -peer.P.grad[0].permute(2, 0, 1)),
        }
        for name, (ours, theirs) in pairs.items():
            off[f"{name} {number}"] = float((ours - theirs).abs().max() / theirs.abs().max())
    if max(off.values()) > 1e-5:  # dcls has one tap as 1 / (1 + 1e-7), and its sigma in single precision
        raise SystemExit(f"the networks are not the same, nothing was measured: {off}")
    return off


@contextlib.contextmanager
def cudnn(enabled: bool) -> Iterator[None]:
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = enabled
    yield
    torch.backends.cudnn.enabled = before


def _seconds(function: Callable[[], None], device: torch.device) -> float:
    started = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def measure(case: Case, device: torch.device, pairs: int, seconds: float) -> dict[str, Any]:
    """At least three pairs, ``pairs`` where they take no longer than ``seconds``; some steps of each come first."""
    contest = Contest(case, device)
    plans = {chosen.name: None for chosen in layer_plans(contest.ours, contest.x)}
    began = time.perf_counter()
    for who in ("ours", "peer"):
        contest.step(who)
    ours: list[float] = []
    peer: list[float] = []
    slow: list[float] = []

    def turn(who: str, taken: list[float]) -> None:
        if not taken or taken[-1] < _LONG:
            contest.step(who)  # the other's step has left nothing of this one's in the caches
        taken.append(_seconds(lambda: contest.step(who), device))

    while len(ours) < pairs and (len(ours) < 3 or time.perf_counter() - began < seconds):
        turn("ours", ours)
        turn("peer", peer)
        if device.type == "cuda":
            with cudnn(False):
                turn("peer", slow)
    row = {
        **asdict(case),
        "ours": statistics.median(ours),
        "peer": statistics.median(peer),
        "ratio": statistics.median(b / a for a, b in zip(ours, peer, strict=True)),
        "lowest": min(b / a for a, b in zip(ours, peer, strict=True)),
        "pairs": len(ours),
        "plan": ", ".join(plans),
    }
    if slow:
        row["peer without cuDNN"] = statistics.median(slow)
    return row


def measure_growth(few: Case, many: Case, device: torch.device, pairs: int) -> dict[str, dict[str, float]]:
    """What a step with many taps costs more than one with few: steps in turn, the median of the pairs' ratios."""
    contests = [Contest(few, device), Contest(many, device)]
    found = {}
    for who, wanted in (("ours", pairs), ("peer", 3)):
        taken: tuple[list[float], list[float]] = ([], [])
        for _ in range(wanted + 1):
            for contest, seconds in zip(contests, taken, strict=True):
                step = partial(contest.step, who)
                if not seconds or seconds[-1] < _LONG:
                    step()  # as in `measure`
                seconds.append(_seconds(step, device))
        ratios = sorted(b / a for a, b in zip(*(seconds[1:] for seconds in taken), strict=True))
        found[who] = {
            "few": statistics.median(taken[0][1:]),
            "many": statistics.median(taken[1][1:]),
            "ratio": statistics.median(ratios),
            "lowest": ratios[0],
            "highest": ratios[-1],
            "pairs": len(ratios),
        }
    return found


def peak_memory(case: Case, device: torch.device, who: str) -> float | None:
    """Of three steps and what they need, in a new process, above what it holds with everything loaded and compiled."""
    command = [sys.executable, __file__, "--peak", who, "--case", json.dumps(asdict(case)), "--device", device.type]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: float | None = json.loads(done.stdout.splitlines()[-1])
    return found


def _print_peak(case: Case, device: torch.device, who: str) -> None:
    # what is loaded and compiled on first use belongs to the libraries, not to the step
    Contest(replace(case, batch=2), device).step(who)
    with PeakMemory(device) as peak:
        contest = Contest(case, device)
        for _ in range(3):
            contest.step(who)
    print(json.dumps(peak.megabytes))


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| taps | time | batch | hidden | activity | σ | precision "
        "| ours | peer | peer / ours (lowest) | pairs "
        "| peak ours | peak peer | plan |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        peaks = [f"{row[name]:.0f} MB" if row.get(name) else "" for name in ("peak ours", "peak peer")]
        lines.append(
            f"| {row['taps']} | {row['time']} | {row['batch']} | {row['hidden']} | {row['activity']:g} | "
            f"{row['sigma']:g} | {row['precision']} | {row['ours']:.3f} s | {row['peer']:.3f} s | "
            f"**{row['ratio']:.1f}** ({row['lowest']:.1f}) | {row['pairs']} | {peaks[0]} | {peaks[1]} | {row['plan']} |"
        )
        if "peer without cuDNN" in row:
            lines.append(f"| ↳ peer without cuDNN ||||||| | {row['peer without cuDNN']:.3f} s ||||||")
    return "\n".join(lines)


def _growth_table(few: Case, many: Case, found: dict[str, dict[str, float]]) -> str:
    lines = [f"| | {few.taps} taps | {many.taps} taps | ratio (lowest to highest) | pairs |", "|---|---|---|---|---|"]
    for who, row in found.items():
        lines.append(
            f"| {who} | {row['few']:.3f} s | {row['many']:.3f} s | **{row['ratio']:.2f}** "
            f"({row['lowest']:.2f} to {row['highest']:.2f}) | {row['pairs']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--pairs", type=int, default=9, help="pairs of steps for a median (default: 9)")
    parser.add_argument(
        "--seconds", type=float, default=60, help="stop a case's pairs after this, past 3 (default: 60)"
    )
    parser.add_argument(
        "--only", choices=["step", "growth", *SWEEPS], action="append", help="measure only this; may be repeated"
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--peak", choices=["ours", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("--case", type=json.loads, default={}, help=argparse.SUPPRESS)
    options = parser.parse_args()
    disable_malloc_trim()
    device = torch.device(options.device)
    if options.peak:
        _print_peak(Case(**options.case), device, options.peak)
        return
    root = Path(__file__).parents[1]
    if subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", *GATE], cwd=root, check=False).returncode:
        raise SystemExit("the parity tests are not green: nothing was measured")
    off = check_parity(Case(), device)
    print("networks agree:", {name: f"{value:.1e}" for name, value in off.items()}, flush=True)

    chosen = options.only or ["step", "growth", *SWEEPS]
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()
    lif = "a loop of torch operations" if neuron is None else "SpikingJelly's LIFNode"
    known = ", ".join(
        f"{name} {version}" for name, version in versions().items() if name in ("torch", "numpy", "numba")
    )
    parts = [
        "# A training step against dcls\n",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}, {place}, {torch.get_num_threads()} threads, {known}; "
        f"the peer is dcls 0.1.1 with {lif}. 140-hidden-hidden-20, dropout 0.4, two Adams.\n",
        f"Made by `python benchmarks/training_step.py {' '.join(sys.argv[1:])}`. Loss and gradients of the two "
        f"networks agree to {off['loss']:.0e} and {max(off.values()):.0e} in double precision.\n",
    ]
    for title in chosen:
        if title == "growth":
            few, many = Case(taps=25), Case(taps=250)
            growth = measure_growth(few, many, device, max(options.pairs, 7))
            print(title, json.dumps(growth), flush=True)
            parts += ["## what the longest delay adds\n", _growth_table(few, many, growth) + "\n"]
            continue
        cases = [Case()] if title == "step" else SWEEPS[title]
        rows = []
        for case in cases:
            whole = title == "step"  # what is claimed rests on it: no pair is spared
            pairs, seconds = (max(options.pairs, 7), math.inf) if whole else (options.pairs, options.seconds)
            row = measure(case, device, pairs, seconds)
            if title in ("step", "hidden neurons") or title.startswith("longest"):
                row |= {f"peak {who}": peak_memory(case, device, who) for who in ("ours", "peer")}
            rows.append(row)
            print(title, json.dumps(row), flush=True)
        parts += [f"## {'the step' if title == 'step' else title}\n", _table(rows) + "\n"]
        if options.out:
            options.out.write_text("\n".join(parts))  # as far as it has got
    print("\n".join(parts))


if __name__ == "__main__":
    main()
