"""The training loop: weights and delays together, one readable pass over the paper's recipe."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from ranvier.corpora.splits import Splits
from ranvier.data import Subset
from ranvier.files import write_text
from ranvier.models import Stack
from ranvier.nn import LIF, Integrator
from ranvier.recipes.build import build_augmentation, build_class_weights, build_model
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint, save_checkpoint
from ranvier.recipes.config import Config, ConfigError, sigma_steps
from ranvier.recipes.initialise import initial_state
from ranvier.recipes.memory import disable_malloc_trim
from ranvier.recipes.run_config import upgrade_values
from ranvier.recipes.trackers import Log
from ranvier.runs import EpochRow, InitFrom, append_metrics, keep_metrics, read_metrics

_ONE_CYCLE_START = 25  # the peak rate divided by this: torch's own default, which the published recipe uses


class DivergedError(ConfigError):
    """A training came to a loss or to weights that are NaN or infinite.

    Attributes:
        epoch, iteration: where, from 1 on; the iteration is that of the epoch.
        last_epoch: the last epoch that ended with finite weights, 0 if there is none.
    """

    def __init__(self, what: str, epoch: int, iteration: int, last_epoch: int, remedy: str) -> None:
        super().__init__(f"training diverged in epoch {epoch}, iteration {iteration}: {what} ({remedy})")
        self.facts = (what, epoch, iteration, last_epoch, remedy)
        _, self.epoch, self.iteration, self.last_epoch, _ = self.facts


def diverged_file(folder: Path) -> Path:
    """Where a run keeps that its training diverged: its settings would take it there again."""
    return folder / "diverged.json"


def read_diverged(folder: Path) -> DivergedError | None:
    """How a run's training diverged, or None.

    Raises:
        ConfigError: the file is damaged.
    """
    file = diverged_file(folder)
    if not file.exists():
        return None
    try:
        place = json.loads(file.read_text(encoding="utf-8"))
        return DivergedError(*(place[name] for name in ("what", "epoch", "iteration", "last_epoch", "remedy")))
    except (ValueError, TypeError, KeyError):
        raise ConfigError(f"{file}: is damaged; without the file --resume trains again") from None


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


@dataclass(frozen=True, eq=False)
class FitResult:
    """A finished training.

    Attributes:
        model: of the best epoch, in ``eval()``.
        best_epoch: when that was.
        seconds: of training.
        delays_before: of every synapse ``[synapse]`` of each layer, in whole time steps, where training started.
        init_from: the network that it started from; None: at random.
    """

    model: Stack
    best_epoch: int
    seconds: float
    delays_before: list[NDArray[Any]]
    init_from: InitFrom | None


class Training:
    """Everything that changes while a model is trained, so that it can be saved and continued to the bit."""

    def __init__(self, config: Config, splits: Splits, start: Mapping[str, Tensor] | None = None) -> None:
        self.config = config
        self.order = torch.Generator().manual_seed(config.train.seed)
        self.model = build_model(config, splits, self.order)
        self.start = start
        if start is not None:
            self.model.load_state_dict(start)
        # where they begin follows from seed and start, so a continued training knows it too
        self.delays_before = [layer.synapse_delays().numpy() for layer in self.model.delay_layers]
        self.first_delays = [delays.clone() for delays in learned_delays(self.model)]
        self.augmentation = build_augmentation(config)
        self.changes = np.random.default_rng(config.train.seed)
        self.classes = len(splits.train.dataset.classes)
        self.class_weights = build_class_weights(config, splits.train)
        self.data = splits.fingerprint()
        self.steps_per_epoch = -(-len(splits.train) // config.train.batch_size)
        self.steps = config.train.epochs * self.steps_per_epoch
        self.steps_per_schedule = self.steps_per_epoch if config.train.schedule_per == "epoch" else 1
        self.optimisers, self.schedules = self._optimisers()
        self.step = 0
        self.epoch = 0
        self.seconds = 0.0
        self.best: dict[str, Any] = {"epoch": 0, "accuracy": -1.0, "model": {}}

    def _optimisers(self) -> tuple[list[Adam], list[OneCycleLR | CosineAnnealingLR]]:
        train, model = self.config.train, self.model
        delays = [layer.delay for layer in model.delay_layers if layer.learn_delay]
        decayed = [layer.weight for layer in model.delay_layers if layer.weight.requires_grad]
        taus = _membrane_taus(model) if train.tau_weight_decay > 0 else []
        known = {id(parameter) for parameter in [*delays, *decayed, *taus]}
        undecayed = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
        groups = [{"params": decayed, "weight_decay": train.weight_decay}, {"params": undecayed, "weight_decay": 0.0}]
        if taus:
            groups.append({"params": taus, "weight_decay": train.tau_weight_decay})
        weights = Adam(groups, lr=train.weight_lr / _ONE_CYCLE_START)
        optimisers = [weights]
        total = self.steps // self.steps_per_schedule
        schedules: list[OneCycleLR | CosineAnnealingLR] = [
            OneCycleLR(weights, train.weight_lr, total_steps=total, div_factor=_ONE_CYCLE_START)
        ]
        if self.config.model.delays == "learned":
            optimisers.append(Adam(delays, lr=train.delay_lr_ms / self.config.data.dt_ms))
            schedules.append(CosineAnnealingLR(optimisers[1], total))
        return optimisers, schedules

    def update(self, x: Tensor, lengths: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One step on one batch; returns its loss and how many clips it got right, before the step.

        Raises:
            DivergedError: the loss is NaN or infinite; the step has not been taken.
        """
        if self.config.model.delays == "learned":
            done = self.step - self.step % self.steps_per_schedule
            self.model.set_sigma(sigma_steps(self.config, done / self.steps))
        target = labels
        if self.augmentation is not None:
            x, lengths, target = self.augmentation.apply(x, lengths, labels, self.classes, self.changes)
        if self.config.train.padding == "counted":
            lengths = torch.full_like(lengths, len(x))
        scores = self.model.scores(x, lengths)
        loss = F.cross_entropy(scores, target, weight=self.class_weights)
        iteration = self.step % self.steps_per_epoch + 1
        if not math.isfinite(loss.detach()):
            raise self.diverged(f"the loss is {float(loss.detach()):g}", iteration)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in self.optimisers:
            try:
                optimiser.step()
            except RuntimeError as error:
                if "overflow" not in str(error):
                    raise
                raise self.diverged("a step is too large for a number", iteration) from None
        self.step += 1
        if self.step < self.steps and self.step % self.steps_per_schedule == 0:
            for schedule in self.schedules:
                schedule.step()
        return loss.detach(), (scores.argmax(1) == labels).sum()

    def check_finite(self) -> None:
        """Refuse a model at the end of an epoch that has NaN or infinite numbers.

        Raises:
            DivergedError: it has.
        """
        for name, tensor in self.model.state_dict().items():
            if not tensor.isfinite().all():
                raise self.diverged(f"{name} is not finite", self.steps_per_epoch)

    def diverged(self, what: str, iteration: int) -> DivergedError:
        """The error for what was found in an iteration of the epoch that is being trained."""
        train = self.config.train
        rates = f"lower train.weight_lr, now {train.weight_lr:g}"
        if self.config.model.delays == "learned":
            rates += f", or train.delay_lr_ms, now {train.delay_lr_ms:g}"
        return DivergedError(what, self.epoch + 1, iteration, self.epoch, rates)

    def outcome(self) -> Stack:
        """The model that would be kept now: the trained one, averaged with the start if the recipe says so.

        Every weight, delay and batch norm is share * start + (1 - share) * trained: Wortsman et al., Robust
        fine-tuning of zero-shot models, CVPR 2022 (arXiv 2109.01903). The training goes on without it.
        """
        share = self.config.train.init_interpolation
        if self.start is None or share == 0:
            return self.model
        state = self.model.state_dict()
        for name, begun in self.start.items():
            # the width is the training's own, and counts are no measures
            if begun.is_floating_point() and not name.endswith(".sigma"):
                state[name] = torch.lerp(state[name], begun, share)  # exact where both are the same
        outcome = copy.deepcopy(self.model)
        outcome.load_state_dict(state)
        outcome.clamp_delay()
        return outcome

    def state(self) -> dict[str, Any]:
        """All of it, as :meth:`load_state` takes it."""
        return {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "order": self.order.get_state(),
            "dropout": torch.get_rng_state(),
            "changes": self.changes.bit_generator.state,
            "step": self.step,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "best": self.best,
            "config": _settings(self.config),
            "data": self.data,
            "threads": torch.get_num_threads(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up where :meth:`state` was called.

        Raises:
            ConfigError: it is another recipe's state.
        """
        try:
            # read again, so that a field that recipes have had since then is at its default
            before = _settings(Config.model_validate(upgrade_values(json.loads(state["config"]))))
        except ValidationError:
            raise ConfigError("its recipe is not one of this Ranvier's") from None
        if before != _settings(self.config):
            raise ConfigError("config.toml has been changed since (start a run of its own with --out)")
        if state["data"] != self.data:
            raise ConfigError("the data are not those it was trained on so far (start a run of its own with --out)")
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(saved)
        self.order.set_state(state["order"])
        torch.set_rng_state(state["dropout"])
        self.changes.bit_generator.state = state["changes"]
        _check_progress(state)
        for name in ("step", "epoch", "seconds", "best"):
            setattr(self, name, state[name])


def _check_progress(state: dict[str, Any]) -> None:
    """Refuse what would only fail an epoch later."""
    for of, kinds in (
        (state, {"step": int, "epoch": int, "threads": int, "seconds": float}),
        (state["best"], {"epoch": int, "accuracy": float, "model": dict}),
    ):
        for name, kind in kinds.items():
            if not isinstance(of[name], kind) or (kind is int and of[name] < 0):
                raise TypeError(f"{name} is a {type(of[name]).__name__}")


def _settings(config: Config) -> str:
    # the recording may have moved, and who looks on changes nothing; everything else must be as it was
    return config.model_dump_json(exclude={"data": {"root"}, "compare": True, "tracker": True})


def fit(config: Config, splits: Splits, folder: Path, progress: ProgressCallback, title: str, log: Log) -> FitResult:
    """Train to the end, from the folder's checkpoint if it holds one; ``title`` names it to ``progress``.

    ``log`` gets every epoch's metrics, and those of a training that is continued from the first epoch on.

    Writes ``checkpoint/last.pt`` and a line of ``metrics.jsonl`` after every epoch. The caller's random state is left
    as it was.

    Raises:
        DivergedError: the loss or the weights became NaN or infinite, now or when this run was trained before. The
            checkpoint is that of the last finite epoch, and ``diverged.json`` says where it was.
    """
    if (before := read_diverged(folder)) is not None:
        raise before
    disable_malloc_trim()
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]), ExitStack() as at_end:
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
        progress.begin(title, config.train.epochs)
        keep_metrics(folder, training.epoch)
        for row in read_metrics(folder):
            log(row)
        while training.epoch < config.train.epochs:
            try:
                row = _run_epoch(training, splits, progress)
            except DivergedError as error:
                names = ("what", "epoch", "iteration", "last_epoch", "remedy")
                write_text(diverged_file(folder), json.dumps(dict(zip(names, error.facts, strict=True))) + "\n")
                raise
            append_metrics(folder, row)
            save_checkpoint(checkpoint_file(folder), training.state())
            log(row)
            progress.epoch(row)
        training.model.load_state_dict(training.best["model"])
    return FitResult(
        training.model.eval(),
        training.best["epoch"],
        training.seconds,
        training.delays_before,
        None if start is None else _init_from(start["about"], config.train.init_interpolation),
    )


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


def _run_epoch(training: Training, splits: Splits, progress: ProgressCallback) -> EpochRow:
    started = time.perf_counter()
    training.model.train()
    losses, correct = [], []
    for clips in _batches(training, splits.train):
        loss, right = training.update(*splits.train.dataset.batch(clips))
        losses.append(loss * len(clips))
        correct.append(right)
        progress.step(training.step / training.steps)
    training.check_finite()
    training.epoch += 1
    outcome = training.outcome()
    accuracy: dict[str, float] = {}
    for name, part in (("validation", splits.validation), ("seen", splits.seen)):
        if part is not None:
            predicted = predict(outcome, part, padded_batch=training.config.train.padded_batch)
            accuracy[name] = float(np.mean(predicted == part.dataset.labels[part.clips]))
    delays: dict[str, Any] = {}
    if training.config.model.delays == "learned":
        delays = _delay_metrics(training, outcome)
    training.seconds += time.perf_counter() - started
    row = EpochRow(
        epoch=training.epoch,
        loss=float(torch.stack(losses).sum()) / len(splits.train),
        train_accuracy=int(torch.stack(correct).sum()) / len(splits.train),
        validation_accuracy=accuracy.get("validation"),
        seen_accuracy=accuracy.get("seen"),
        weight_lr=training.optimisers[0].param_groups[0]["lr"],
        seconds=round(training.seconds, 3),
        **delays,
    )
    chosen_on = accuracy.get("validation", float(training.epoch))  # without validation the last epoch wins
    if chosen_on > training.best["accuracy"]:
        model = {name: tensor.clone() for name, tensor in outcome.state_dict().items()}
        training.best = {"epoch": training.epoch, "accuracy": chosen_on, "model": model}
    return row


def _delay_metrics(training: Training, outcome: Stack) -> dict[str, Any]:
    """Fields of :class:`EpochRow` where delays are learned."""
    dt_ms = training.config.data.dt_ms
    moved_ms = [
        round(float(np.median(np.abs((now - first).numpy()))) * dt_ms, 4)
        for now, first in zip(learned_delays(outcome), training.first_delays, strict=True)
    ]
    return {
        "delay_lr_ms": training.optimisers[1].param_groups[0]["lr"] * dt_ms,
        "sigma_ms": float(outcome.delay_layers[-1].sigma) * dt_ms,
        "delay_histograms": tuple(map(tuple, delay_histograms(outcome))),
        "delay_moved_ms": tuple(moved_ms),
    }


def _membrane_taus(model: Stack) -> list[nn.Parameter]:
    """What the layers' learned membrane time constants are made of, the readout's too."""
    return [p for module in model.modules() if isinstance(module, LIF | Integrator) for p in module.parameters()]


def learned_delays(model: Stack) -> list[Tensor]:
    """Delays in steps, not rounded, of the synapses that there are ``[synapse]``, of the layers that learn them."""
    return [layer.learned_delays() for layer in model.delay_layers if layer.learn_delay and layer.max_delay > 0]


def delay_histograms(model: Stack) -> list[list[int]]:
    """Synapses at every whole step of delay, ``[layer][0 ... max_delay]``, of the layers whose delays are learned."""
    return [
        torch.bincount(layer.synapse_delays().long(), minlength=layer.max_delay + 1).tolist()
        for layer in model.delay_layers
        if layer.learn_delay and layer.max_delay > 0
    ]


def _batches(training: Training, part: Subset) -> Iterator[NDArray[np.int64]]:
    order = torch.randperm(len(part), generator=training.order).numpy()
    size = training.config.train.batch_size
    for start in range(0, len(order), size):
        yield part.clips[order[start : start + size]]


@torch.no_grad()
def predict(model: Stack, part: Subset, batch_size: int = 256, *, padded_batch: int | None = None) -> NDArray[np.int64]:
    """Predicted class of every clip, with rounded delays; the model is left in ``eval()``.

    ``padded_batch`` takes batches of so many clips, in their order, and counts their padding as silence of the clip:
    then a prediction depends on the other clips of its batch. None counts no padding, whatever the ``batch_size``.
    """
    model.eval()
    batch_size = padded_batch or batch_size
    predictions = []
    for start in range(0, len(part), batch_size):
        x, lengths, _ = part.dataset.batch(part.clips[start : start + batch_size])
        predictions.append(model.scores(x, lengths if padded_batch is None else None).argmax(1))
    return torch.cat(predictions).numpy()
