"""Work as jobs of a SLURM cluster, or of processes of this machine, through submitit."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.recipes.config import ConfigError

if TYPE_CHECKING:
    import submitit

_LOOK_S = 1.0
_MINUTES = 24 * 60  # of a job, where the caller does not say; submitit's own are 2 and 5
_ALLOWED = "KEY=VALUE,... with cluster=slurm or cluster=local, and parameters of submitit such as gpus_per_node=1"

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Cluster:
    """Where jobs go.

    Attributes:
        name: ``slurm``, or ``local`` for processes of this machine.
        parameters: of submitit.
    """

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def cpus(self) -> int | None:
        """Of a job; None where the caller does not say."""
        return self.parameters.get("cpus_per_task")


def read_cluster(text: str) -> Cluster:
    """``partition=gpu,gpus_per_node=1``: parameters of submitit, those of SLURM with or without ``slurm_`` before them.

    Raises:
        ConfigError: a parameter is not known or out of range, the cluster is not there, or submitit is not installed.
    """
    try:
        from submitit import AutoExecutor
    except ImportError:
        raise ConfigError("submitit: is not installed (pip install 'ranvier[cluster]')") from None
    kinds = AutoExecutor._typed_parameters()
    name, parameters = "slurm", {}
    for part in re.split(r",(?=\w+=)", text):  # a value may hold commas
        key, equals, value = part.partition("=")
        if not (equals and key and value):
            raise ConfigError(f"--slurm {part}: is not allowed ({_ALLOWED})")
        if key == "cluster":
            name = value
            continue
        kind = kinds.get(key, int if value.isdecimal() else str)
        try:
            parameters[key if key in kinds or key.startswith(("slurm_", "local_")) else f"slurm_{key}"] = kind(value)
        except ValueError:
            raise ConfigError(f"--slurm {part}: is not allowed (a {'whole ' * (kind is int)}number)") from None
    if name not in ("slurm", "local"):
        raise ConfigError(f"--slurm cluster={name}: is not allowed (slurm, local)")
    if "slurm_setup" in parameters:
        parameters["slurm_setup"] = [str(parameters["slurm_setup"])]
    cluster = Cluster(name, {"timeout_min": _MINUTES, **parameters})
    with tempfile.TemporaryDirectory() as folder:
        try:
            _executor(cluster, Path(folder))
        except (NameError, ValueError, RuntimeError, AssertionError) as error:
            raise ConfigError(f"--slurm {text}: {str(error).splitlines()[0]}") from None
    return cluster


def run_jobs(
    cluster: Cluster, folder: Path, calls: Sequence[tuple[Any, ...]], *, at_once: int | None, notify: Notify
) -> dict[int, str]:
    """Run every call as a job, and wait for all; stopped meanwhile, the jobs are cancelled.

    Args:
        cluster: where.
        folder: for the logs, with a folder for this call and each job in it; those of a call without faults go.
        calls: function or object to call, and its arguments; all can be pickled.
        at_once: jobs that are queued or run at a time; None for all.
        notify: gets a line for the user where something begins.

    Returns:
        By place in ``calls``, why a job ended without a result, and where its log is.
    """
    logs = folder / f"{datetime.now():%Y-%m-%d-%H%M%S}-{os.getpid()}"
    executor = _executor(cluster, logs / "%j")
    waiting, faults = deque(enumerate(calls)), {}
    running: dict[int, submitit.Job[Any]] = {}
    notify(f"{len(calls)} jobs ({cluster.name}), logs: {logs}")
    try:
        while waiting or running:
            room = len(waiting) if at_once is None else max(0, at_once - len(running))
            chosen = [waiting.popleft() for _ in range(min(room, len(waiting)))]
            if chosen:
                with executor.batch():
                    made = [executor.submit(*call) for _, call in chosen]
                running.update(zip((number for number, _ in chosen), made, strict=True))
            for number, job in list(running.items()):
                if job.done():
                    del running[number]
                    if (fault := job.exception()) is not None:
                        faults[number] = f"job {job.job_id}: {_explain(fault)} (log: {job.paths.stderr})"
            time.sleep(_LOOK_S)
    except BaseException:
        for job in running.values():
            job.cancel(check=False)
        raise
    if not faults:
        shutil.rmtree(logs, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()
    return faults


def _executor(cluster: Cluster, folder: Path) -> submitit.AutoExecutor:
    import submitit

    executor = submitit.AutoExecutor(folder, cluster=cluster.name)
    executor.update_parameters(**cluster.parameters)
    return executor


def _explain(fault: BaseException) -> str:
    """The last line of a job's traceback."""
    from submitit.core.utils import FailedJobError

    if not isinstance(fault, FailedJobError):
        return "ended without a result"
    _, trace, *_ = re.split(r"^-{10,}$", str(fault), flags=re.MULTILINE)
    return trace.strip().splitlines()[-1]
