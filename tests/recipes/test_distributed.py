"""Processes that share every batch train what one alone does; where one is lost all end, and the run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.distributed import Processes
from ranvier.recipes.splits import build_splits
from ranvier.recipes.train_run import resume
from ranvier.recipes.training import Training
from ranvier.runs import read_metrics, read_result
from tests.recipes.conftest import SMALL, Quiet

Make = Callable[..., Config]
STEPS = 20


def steps(config: Config) -> tuple[dict[str, Tensor], list[float], list[int]]:
    """State, losses and right clips of some iterations in double precision."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    splits = build_splits(config)
    training = Training(config, splits)
    training.model.double()
    if training.class_weights is not None:
        training.class_weights = training.class_weights.double()
    training.share()
    order = np.random.default_rng(0)
    losses, right = [], []
    for size in [*order.integers(1, 40, STEPS - 1), 1]:  # one clip leaves a process without any
        loss, correct = training.iterate(order.choice(splits.train.clips, size, replace=False))
        losses.append(float(loss))
        right.append(int(correct))
    state = {name: tensor for name, tensor in training.model.state_dict().items() if isinstance(tensor, Tensor)}
    return state, losses, right


def one_of_several(rank: int, count: int, config: Config, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    torch.save(steps(config), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("count", "changes"),
    [
        pytest.param(2, {}, marks=pytest.mark.slow),
        pytest.param(
            3,
            {"train__class_weights": "balanced", "augment__shift_channels": "2", "augment__cut_mix_probability": "0.5"},
            marks=pytest.mark.slow,
        ),
        (
            2,
            {
                "train__padding": "counted",
                "model__tail": "per_layer",
                "train__class_weights": "balanced",
                "train__label_smoothing": "0.1",
                "train__gradient_norm": "0.05",
            },
        ),
        pytest.param(
            2,
            {"train__rewire": "rigl", "train__density": "0.5", "train__rewire_steps": "1"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_several_processes_train_what_one_alone_does(
    count: int, changes: dict[str, str], small: Make, tmp_path: Path
) -> None:
    config = small(**changes)
    alone, losses, right = steps(config)
    spawn(one_of_several, (count, config, str(tmp_path)), nprocs=count)
    for rank in range(count):
        state, their_losses, their_right = torch.load(tmp_path / f"{rank}.pt")
        np.testing.assert_allclose(their_losses, losses, rtol=1e-10)
        assert their_right == right
        assert state.keys() == alone.keys()
        for name, tensor in alone.items():
            torch.testing.assert_close(state[name], tensor, rtol=0, atol=1e-10)


def stopped_or_not(rank: int, count: int, config: Config, folder: str) -> None:
    """The parameters after six iterations, without a stop and with one after three."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    splits = build_splits(config)
    batches = [splits.train.clips[start : start + 16] for start in range(0, 48, 8)]

    def trained(saved: dict[str, Any] | None, batches: list[Any]) -> Training:
        torch.manual_seed(0)
        training = Training(config, splits)
        if saved is not None:
            training.load_state(saved)
        training.share()
        for batch in batches:
            training.iterate(batch)
        return training

    whole = trained(None, batches)
    resumed = trained(trained(None, batches[:3]).state(), batches[3:])
    ends = [list(training.model.parameters()) for training in (whole, resumed)]
    torch.save([torch.equal(*pair) for pair in zip(*ends, strict=True)], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_three_processes_resume_bit_exactly(small: Make, tmp_path: Path) -> None:
    """Three numbers have a sum for each order; two do not."""
    spawn(stopped_or_not, (3, small(), str(tmp_path)), nprocs=3)
    assert all(all(torch.load(tmp_path / f"{rank}.pt")) for rank in range(3))


def test_shares_are_whole_and_alike() -> None:
    for count in (1, 2, 3, 7):
        for size in (0, 1, 6, 7, 256):
            rows = [range(size)[Processes(rank, count).rows(size)] for rank in range(count)]
            assert [row for each in rows for row in each] == list(range(size))
            assert max(map(len, rows)) - min(map(len, rows)) <= 1


def torchrun(*words: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "ranvier",
        *words,
    ]


def command(root: Path, out: Path) -> list[str]:
    options = {**SMALL, "data.root": str(root), "train.epochs": "40"}
    return ["train", "shd", "--out", str(out), *(f"--{name.replace('_', '-')}={v}" for name, v in options.items())]


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in listed]


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "seed"), [(0, 1), (1, 2)])
def test_a_lost_process_ends_all_and_the_run_goes_on(rank: int, seed: int, small_root: Path, tmp_path: Path) -> None:
    """It is killed at a random moment after an epoch, as a checkpoint is written or later."""
    environment = {**os.environ, "RANVIER_CACHE": str(tmp_path / "cache")}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = subprocess.run(
        torchrun(*command(small_root, whole)), env=environment, capture_output=True, text=True, timeout=120
    )
    assert read_result(whole) is not None, done.stderr  # torch has been seen to abort when a process ends
    assert "Traceback" not in done.stderr
    with subprocess.Popen(
        torchrun(*command(small_root, killed)), env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        until = time.monotonic() + 60
        chance = random.Random(seed)
        epochs = chance.randint(1, 10)
        while len(read_metrics(killed)) < epochs:
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.1))
        os.kill(sorted(children(running.pid))[rank], signal.SIGKILL)
        assert running.wait(60) != 0
        assert running.stderr is not None
        lines = [line for line in running.stderr.read().splitlines() if line.startswith("ranvier: ")]
    assert len(lines) <= 1  # torchrun may end the other one before it has noticed
    assert read_result(killed) is None
    if checkpoint_file(killed).exists():  # not where it was killed before the first was whole
        with pytest.raises(ConfigError, match="2 processes"):
            resume(killed, Quiet())
    done = subprocess.run(
        torchrun("train", "--resume", str(killed)), env=environment, capture_output=True, text=True, timeout=120
    )
    assert read_result(killed) is not None, done.stderr
    ends = [[row.model_dump(exclude={"seconds"}) for row in read_metrics(run)] for run in (whole, killed)]
    assert len(ends[0]) == 40
    assert ends[0] == ends[1]
    states = [load_checkpoint(checkpoint_file(run)) for run in (whole, killed)]
    for name, tensor in states[0]["model"].items():  # type: ignore[index]
        assert torch.equal(tensor, states[1]["model"][name])  # type: ignore[index]


def test_what_is_refused_is_refused_once(small_root: Path, tmp_path: Path) -> None:
    """Rank 0 refuses before the others have begun."""
    words = command(small_root, tmp_path / "run")
    done = subprocess.run(torchrun(*words, "--data.root=missing"), capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line.startswith("ranvier: ")] == [
        line for line in done.stderr.splitlines() if "missing" in line and line.startswith("ranvier: ")
    ][:1]
    assert not (tmp_path / "run").exists()
