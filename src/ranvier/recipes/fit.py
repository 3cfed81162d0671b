"""The training loop: weights and delays together, one readable pass over the paper's recipe."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ranvier.corpora.splits import Splits
from ranvier.data import Subset
from ranvier.files import write_text
from ranvier.models import Stack
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint, save_checkpoint
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.device import describe_device, find_device, name_batch_size, random_state
from ranvier.recipes.distributed import Job, at_work, join_rows, send
from ranvier.recipes.diverged import DivergedError, diverged_file, read_diverged
from ranvier.recipes.initialise import initial_state
from ranvier.recipes.memory import disable_malloc_trim
from ranvier.recipes.predict import predict
from ranvier.recipes.trackers import Log
from ranvier.recipes.training import Training
from ranvier.recipes.wiring import has_pruned
from ranvier.runs import EpochRow, InitFrom, append_metrics, keep_metrics, read_metrics


class ProgressCallback(Protocol):
    """Called while a run goes on."""

    def begin(self, title: str, epochs: int) -> None:
        """A training of that many epochs begins, or continues."""

    def step(self, share: float) -> None:
        """A share of the epochs is done, steps counted."""

    def epoch(self, row: EpochRow) -> None:
        """An epoch has ended, with these metrics."""

    def clips(self, done: int, total: int) -> None:
        """So many clips of the data have been read, or of the test set run."""


class Silent:
    """A callback that shows nothing."""

    def begin(self, title: str, epochs: int) -> None:
        pass

    def step(self, share: float) -> None:
        pass

    def epoch(self, row: EpochRow) -> None:
        pass

    def clips(self, done: int, total: int) -> None:
        pass


@dataclass(frozen=True, eq=False)
class FitResult:
    """A finished training.

    Attributes:
        model: of the best epoch, in ``eval()``, on the CPU.
        best_epoch: when that was.
        seconds: of training.
        delays_before: of every synapse ``[synapse]`` of each layer, in whole time steps, where training started.
        init_from: the network that it started from; None: at random.
        device: name of the card that it was trained on; None: the processor.
    """

    model: Stack
    best_epoch: int
    seconds: float
    delays_before: list[NDArray[Any]]
    init_from: InitFrom | None
    device: str | None


def fit(config: Config, splits: Splits, folder: Path, progress: ProgressCallback, title: str, log: Log) -> FitResult:
    """Train to the end, from the folder's checkpoint if it holds one; ``title`` names it to ``progress``.

    ``log`` gets every epoch's metrics, and those of a training that is continued from the first epoch on.

    Writes ``checkpoint/last.pt`` and a line of ``metrics.jsonl`` after every epoch. The caller's random state is left
    as it was.

    Raises:
        ConfigError: the checkpoint cannot be continued here.
        DeviceMemoryError: a batch does not fit into the device's memory.
        DivergedError: the loss, a gradient or a weight became NaN or infinite, now or when this run was trained
            before. The checkpoint is that of the last finite epoch, and ``diverged.json`` says where it was.
    """
    if (before := read_diverged(folder)) is not None:
        raise before
    disable_malloc_trim()
    threads = torch.get_num_threads()
    device = find_device(config.train.device)
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        name_batch_size(config.train),
        ExitStack() as at_end,
    ):
        torch.manual_seed(config.train.seed)
        start = initial_state(config, splits, folder)
        training = Training(config, splits, None if start is None else start["model"])
        if (saved := load_checkpoint(checkpoint_file(folder))) is not None:
            try:
                training.load_state(saved)
                # sums are split among threads: another number of them gives other last digits
                torch.set_num_threads(saved["threads"])
                at_end.callback(torch.set_num_threads, threads)
            except (LookupError, TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError) as error:
                raise ConfigError(f"{checkpoint_file(folder)}: cannot be continued ({error})") from None
        given = None if start is None else start["model"]
        send(Job(config, given, saved, training.data, random_state(device)))
        at_end.enter_context(at_work())
        training.share()
        progress.begin(title, config.train.epochs)
        keep_metrics(folder, training.epoch)
        for row in read_metrics(folder):
            log(row)
        while training.epoch < config.train.epochs:
            try:
                row = run_epoch(training, splits, progress)
            except DivergedError as error:
                names = ("what", "epoch", "iteration", "last_epoch", "remedy")
                write_text(diverged_file(folder), json.dumps(dict(zip(names, error.facts, strict=True))) + "\n")
                raise
            append_metrics(folder, row)
            save_checkpoint(checkpoint_file(folder), training.state())
            log(row)
            progress.epoch(row)
        training.model.load_state_dict(training.best["model"])
        training.model.cpu()
    return FitResult(
        training.model.eval(),
        training.best["epoch"],
        training.seconds,
        _begun(training),
        None if start is None else _init_from(start["about"], config.train.init_interpolation),
        None if device.type == "cpu" else describe_device(device),
    )


def _begun(training: Training) -> list[NDArray[Any]]:
    """Delays in whole time steps, where training started, of the synapses ``[synapse]`` that each layer has now."""
    first_delays = training.best.get("first_delays", training.first_delays)
    pairs = zip(training.model.delay_layers, first_delays, strict=True)
    return [layer.of_synapses(first.cpu().round().to(torch.int16)).numpy() for layer, first in pairs]


def _init_from(about: Mapping[str, Any], interpolation: float) -> InitFrom:
    return InitFrom(
        run=about["run"],
        recipe=about["recipe"],
        seed=about["seed"],
        best_epoch=about["best_epoch"],
        git_commit=about["git_commit"],
        classes=tuple(about["classes"]),
        trained_on=tuple(about["trained_on"]),
        interpolation=interpolation,
    )


def run_epoch(training: Training, splits: Splits, progress: ProgressCallback) -> EpochRow:
    """Train on every clip once, in this process's share; returns the epoch's metrics, which all processes have.

    Raises:
        DivergedError: see :func:`fit`.
    """
    started = time.perf_counter()
    training.model.train()
    losses, sizes, correct = [], [], []
    for clips in _batches(training, splits.train):
        loss, right = training.iterate(clips)
        losses.append(loss)
        sizes.append(len(clips))
        correct.append(right)
        progress.step(training.step / training.steps)
    for iteration, found in enumerate(torch.stack(losses).tolist(), 1):
        training.check_loss(found, iteration)
    weighted = [loss * size for loss, size in zip(losses, sizes, strict=True)]
    training.check_finite()
    training.epoch += 1
    outcome = training.outcome()
    accuracy: dict[str, float] = {}
    for name, part in (("validation", splits.validation), ("seen", splits.seen)):
        if part is not None:
            predicted = _predict(training, outcome, part)
            accuracy[name] = float(np.mean(predicted == part.dataset.labels[part.clips]))
    delays: dict[str, Any] = {}
    if training.learns_delays:
        delays = _delay_metrics(training, outcome)
    training.seconds += time.perf_counter() - started
    row = EpochRow(
        epoch=training.epoch,
        loss=float(torch.stack(weighted).sum()) / len(splits.train),
        train_accuracy=int(torch.stack(correct).sum()) / len(splits.train),
        validation_accuracy=accuracy.get("validation"),
        seen_accuracy=accuracy.get("seen"),
        weight_lr=training.optimisers[0].param_groups[0]["lr"],
        seconds=round(training.seconds, 3),
        **delays,
    )
    chosen_on = accuracy.get("validation", float(training.epoch))  # without validation the last epoch wins
    if not has_pruned(training.config.train, training.step / training.steps):
        # below any epoch after the pruning: a network with more synapses is not what is asked for
        chosen_on = -1 / (1 + training.epoch)
    if chosen_on > training.best["accuracy"]:
        model = {name: tensor.clone() for name, tensor in outcome.state_dict().items()}
        training.best = {"epoch": training.epoch, "accuracy": chosen_on, "model": model}
        if training.config.train.rewire != "none":  # later rewirings change where synapses began
            training.best["first_delays"] = [first.clone() for first in training.first_delays]
    return row


def _predict(training: Training, outcome: Stack, part: Subset) -> NDArray[np.int64]:
    """What the model says of every clip; each process runs its share where a prediction is the clip's alone."""
    padded_batch = training.config.train.padded_batch
    if training.processes.count == 1 or padded_batch is not None:
        return predict(outcome, part, padded_batch=padded_batch)
    own = part.clips[training.processes.rows(len(part))]
    return join_rows(predict(outcome, Subset(part.dataset, own)) if len(own) else own)


def _delay_metrics(training: Training, outcome: Stack) -> dict[str, Any]:
    """Fields of :class:`EpochRow` where delays are learned."""
    dt_ms = training.config.data.dt_ms
    moved_ms = [
        round(float(np.median(np.abs((now - first).cpu().numpy()))) * dt_ms, 4)
        for now, first in _learned_delays(outcome, training.first_delays)
    ]
    return {
        "delay_lr_ms": training.optimisers[1].param_groups[0]["lr"] * dt_ms,
        "sigma_ms": float(_widths(outcome).mean()) * dt_ms,
        "delay_histograms": tuple(map(tuple, delay_histograms(outcome))),
        "delay_moved_ms": tuple(moved_ms),
    }


def _widths(model: Stack) -> torch.Tensor:
    """Widths of taps in steps: all that are learned, or else the one of the last layer."""
    learned = [layer.sigma.detach().flatten() for layer in model.delay_layers if layer.learn_sigma]
    return torch.cat(learned) if learned else model.delay_layers[-1].sigma


def _learned_delays(model: Stack, first: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Of each layer that learns them the delays of the synapses that there are ``[synapse]``, in steps, not rounded:
    now, and in ``first``, which has those of every layer where the training started."""
    for layer, begun in zip(model.delay_layers, first, strict=True):
        if layer.learn_delay and layer.max_delay > 0:
            yield layer.learned_delays(), layer.of_synapses(begun)


def delay_histograms(model: Stack) -> list[list[int]]:
    """Synapses at every whole step of delay, ``[layer][0 ... max_delay]``, of the layers whose delays are learned."""
    return [
        # recurrent delays have no bound worth counting up to
        torch.bincount(layer.synapse_delays().long(), minlength=1 if layer.min_delay else layer.max_delay + 1).tolist()
        for layer in model.delay_layers
        if layer.learn_delay and layer.max_delay > 0
    ]


def _batches(training: Training, part: Subset) -> Iterator[NDArray[np.int64]]:
    order = torch.randperm(len(part), generator=training.order).numpy()
    size = training.config.train.batch_size
    for start in range(0, len(order), size):
        yield part.clips[order[start : start + size]]
