"""The runs of a table, each once: by processes of this machine, or as jobs of a cluster."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from ranvier.data import DataError
from ranvier.locks import DEAD_AFTER_S, HEARTBEAT_S, Claim, LostClaimError, claim, is_claimed
from ranvier.recipes.cluster import Cluster, Notify, run_jobs
from ranvier.recipes.config import ConfigError
from ranvier.recipes.diverged import DivergedError
from ranvier.recipes.fit import ProgressCallback, Silent
from ranvier.recipes.reproduce import Run
from ranvier.recipes.train_run import resume, train
from ranvier.runs import BusyError, EpochRow

_LOOK_AGAIN_S = 2.0


def carry_out(runs: Sequence[Run], progress: ProgressCallback, *, jobs: int = 1) -> None:
    """Finish every run that nobody has finished; what another process is at is waited for.

    Args:
        runs: of a table.
        progress: called while it goes on; what the other processes do is not shown.
        jobs: processes of this machine that share the work, each with its share of the cores.

    Raises:
        ConfigError, DataError: a run cannot be trained; what is finished stays.
    """
    with _helpers(runs, jobs):
        while True:
            worked, busy = False, False
            for run in runs:
                if run.is_finished():
                    continue
                try:
                    _train_claimed(run, progress)
                    worked = True
                except (BlockingIOError, BusyError, LostClaimError):
                    busy = True
            if not busy:
                return
            if not worked:
                time.sleep(_LOOK_AGAIN_S)


def carry_out_on(
    cluster: Cluster, runs: Sequence[Run], folder: Path, *, at_once: int | None = None, notify: Notify
) -> list[str]:
    """:func:`carry_out` with a job of a cluster for each run that is missing.

    Args:
        cluster: where.
        runs: of a table.
        folder: of the table, on a disk that the jobs share.
        at_once: jobs that are queued or run at a time; None for all.
        notify: gets a line for the user where something begins.

    Returns:
        Why jobs ended before their run did, a line each. The same call goes on with these runs.
    """
    threads = cluster.cpus
    if threads is None and cluster.name == "local" and at_once is not None:
        threads = max(1, torch.get_num_threads() // at_once)
    faults: dict[Path, str] = {}
    while waiting := [run for run in runs if not run.is_finished() and run.folder not in faults]:
        free = [run for run in waiting if not is_claimed(run.folder)]
        if free:
            calls = [(TrainJob(), run, threads) for run in free]
            ended = run_jobs(cluster, folder / "jobs", calls, at_once=at_once, notify=notify)
            faults.update((free[number].folder, f"{free[number].folder}: {fault}") for number, fault in ended.items())
        else:
            time.sleep(_LOOK_AGAIN_S)
    return list(faults.values())


class TrainJob:
    """Trains one run in a job; where the job's time is over, submitit queues it again, and it is continued."""

    def __call__(self, run: Run, threads: int | None) -> None:
        """Train it with so many threads; None for those that the process has.

        A run that another process has claimed is waited for as long as that one may be dead.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        until = time.monotonic() + DEAD_AFTER_S + 2 * HEARTBEAT_S
        while not run.is_finished() and time.monotonic() < until:
            try:
                _train_claimed(run, Silent())
            except (BlockingIOError, BusyError, LostClaimError):
                time.sleep(_LOOK_AGAIN_S)

    def checkpoint(self, run: Run, threads: int | None) -> Any:
        """What is queued in its place."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, run, threads)


@contextmanager
def _helpers(runs: Sequence[Run], jobs: int) -> Iterator[None]:
    """Other processes that take runs of the table too; they are ended with the block."""
    if jobs == 1:
        yield
        return
    before, name = torch.get_num_threads(), "OMP_NUM_THREADS"
    threads = max(1, before // jobs)
    spawn = multiprocessing.get_context("spawn")
    helpers = [spawn.Process(target=_help, args=(runs, threads)) for _ in range(jobs - 1)]
    given = os.environ.get(name)
    os.environ[name] = str(threads)
    torch.set_num_threads(threads)
    try:
        for helper in helpers:
            helper.start()
        yield
    finally:
        torch.set_num_threads(before)
        os.environ.pop(name)
        if given is not None:
            os.environ[name] = given
        for helper in helpers:
            if helper.pid is not None:
                helper.terminate()
                helper.join()


def _end_with(parent: BaseProcess) -> None:
    """End this process when its parent has: one that was killed could not end it."""
    parent.join()
    os._exit(1)  # what is trained is continued from its last checkpoint


def _help(runs: Sequence[Run], threads: int) -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(threads)
    with suppress(KeyboardInterrupt, ConfigError, DataError):  # the first process comes to the same run, and says so
        carry_out(runs, Silent())


def _train_claimed(run: Run, progress: ProgressCallback) -> None:
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with claim(run.folder) as held:
        if not run.is_finished():
            with suppress(DivergedError):  # the run's folder says so, and so does the table
                _carry_out(run, _Held(progress, held))


class _Held:
    """Shows progress, and stops a training that another process has taken over."""

    def __init__(self, shown: ProgressCallback, held: Claim) -> None:
        self.begin, self.step, self.clips = shown.begin, shown.step, shown.clips
        self._shown, self._held = shown, held

    def epoch(self, row: EpochRow) -> None:
        self._held.check()
        self._shown.epoch(row)


def _carry_out(run: Run, progress: ProgressCallback) -> None:
    if (run.folder / "config.toml").exists():
        resume(run.folder, progress)
    else:
        train(run.config, run.folder, progress)
