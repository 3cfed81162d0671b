"""One training by several processes, started by torchrun.

The process of rank 0 runs the command and is the only one that touches the run's folder. The others follow: each takes
the trainings that rank 0 begins, and its share of every batch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from ranvier.errors import ConfigError
from ranvier.models import Stack
from ranvier.nn import ClipDropout, SequenceBatchNorm
from ranvier.recipes.diverged import DivergedError

_WAIT = timedelta(days=1)  # rank 0 freezes, tests and draws while the others wait


@dataclass(frozen=True)
class Processes:
    """The processes of a training.

    Attributes:
        rank: this one's number, 0 ... count - 1.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    def rows(self, size: int) -> slice:
        """This process's share of ``size`` rows."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)


@dataclass(frozen=True)
class Job:
    """A training that all processes are to take up.

    Attributes:
        config: its recipe.
        start: state that the model begins with, by tensor; None: at random.
        saved: the checkpoint that it continues from; None: from the first epoch.
        data: fingerprint of its clips.
        random: state of torch's generator on the device.
    """

    config: Any
    start: Mapping[str, Tensor] | None
    saved: Mapping[str, Any] | None
    data: str
    random: Tensor


class LostProcessError(ConfigError):
    """Another process of the training has ended."""


def processes() -> Processes:
    """Those that :func:`joined` has joined; one alone without it."""
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    return Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that torchrun has started, by its environment variables; without them this is one alone.

    Raises:
        ConfigError: the processes cannot find each other.
        LostProcessError: another one has ended before its work was done.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not {"RANK", "MASTER_ADDR"} <= os.environ.keys():
        yield Processes()
        return
    cuda, own = torch.cuda.is_available(), int(os.environ.get("LOCAL_RANK", "0"))
    if cuda and own < torch.cuda.device_count():
        torch.cuda.set_device(own)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_WAIT)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"torchrun: the processes of this training cannot meet ({_first_line(error)})") from None
    try:
        yield processes()
        _end_others()
    except dist.DistError as error:
        raise _lost(error) from error
    except RuntimeError as error:
        if not re.search(r"[Cc]onnection (closed|reset)|gloo", str(error)):  # what gloo says of a process that is gone
            _end_others()
            raise
        raise _lost(error) from error
    except Exception:
        _end_others()
        raise
    if not _busy:  # else the others, in the middle of a job, would have to take part in it
        with suppress(RuntimeError):  # rank 0 has refused the job, and has gone
            dist.barrier()  # nobody closes a connection that another still uses
        dist.destroy_process_group()


def _end_others() -> None:
    """From rank 0: end the others, if they wait for a job."""
    if dist.get_rank() == 0 and not _busy:
        send(None)


def _lost(error: Exception) -> LostProcessError:
    return LostProcessError(
        f"rank {dist.get_rank()}: another process of this training has ended, or cannot be reached "
        f"({_first_line(error)}); ranvier train --resume RUN, by as many processes, continues it"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def send(job: Job | None) -> None:
    """From rank 0: give all others a job; None ends them."""
    if processes().count > 1:
        dist.broadcast_object_list([job], 0)


def receive() -> Job | None:
    """In the others: the next job of rank 0, None when there are no more."""
    job: list[Job | None] = [None]
    dist.broadcast_object_list(job, 0)
    return job[0]


_busy = False  # whether the others are at a job


@contextmanager
def at_work() -> Iterator[None]:
    """While all processes work on a job: an error in one ends all of them."""
    global _busy
    _busy = True
    try:
        yield
    except DivergedError:  # which all processes come to
        _busy = False
        raise
    _busy = False


def synchronise_batch_norm(model: Stack) -> None:
    """Let batch norm take its statistics over all processes in training."""
    for module in model.modules():
        if isinstance(module, SequenceBatchNorm):
            module.synchronised = True


def add_gradients(model: Stack) -> None:
    """Give every process the sum of all processes' gradients.

    In one piece and always in the order of the parameters, so that a resumed run adds as it would have done without the
    stop: DistributedDataParallel orders its pieces anew after its first iteration.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in learned]
    whole = add_over_processes(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = torch.split(whole, [parameter.numel() for parameter in learned])
    for parameter, part in zip(learned, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def set_dropout_rows(model: Stack, rows: slice, size: int) -> None:
    """Let dropout draw for a whole batch of ``size`` clips, of which the model sees ``rows``."""
    for module in model.modules():
        if isinstance(module, ClipDropout):
            module.rows = (rows.start, rows.stop, size)


def add_over_processes(values: Tensor) -> Tensor:
    """The sum of every process's values, in all of them."""
    if processes().count > 1:
        dist.all_reduce(values)
    return values


def join_rows(own: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every process's rows, one after the other, in all of them."""
    parts: list[Any] = [None] * processes().count
    dist.all_gather_object(parts, own)
    return np.concatenate(parts)
