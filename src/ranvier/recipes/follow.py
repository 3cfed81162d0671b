"""What the processes of a training do that torchrun has started beside the one of rank 0."""

from __future__ import annotations

import torch

from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.device import name_batch_size, set_random_state
from ranvier.recipes.distributed import Job, at_work, receive
from ranvier.recipes.diverged import DivergedError
from ranvier.recipes.fit import Silent, run_epoch
from ranvier.recipes.memory import disable_malloc_trim
from ranvier.recipes.splits import build_splits
from ranvier.recipes.training import Training


def follow() -> None:
    """Take part in every training that the process of rank 0 begins, until it has no more; nothing is written.

    Raises:
        ConfigError: the data are not here, or are others than those of rank 0; or a batch does not fit into memory.
        LostProcessError: see :func:`ranvier.recipes.distributed.joined`.
    """
    disable_malloc_trim()
    while (job := receive()) is not None:
        with at_work(), name_batch_size(job.config.train):
            _train(job)


def _train(job: Job) -> None:
    config: Config = job.config
    splits = build_splits(config)
    training = Training(config, splits, job.start)
    if training.data != job.data:
        raise ConfigError(f"data.root: the data on this machine are not those of rank 0 ({config.data.location})")
    if job.saved is not None:
        training.load_state(dict(job.saved))
        torch.set_num_threads(job.saved["threads"])
    set_random_state(training.device, job.random)
    training.share()
    try:
        while training.epoch < config.train.epochs:
            run_epoch(training, splits, Silent())
    except DivergedError:
        return  # rank 0 has come to the same and says so
