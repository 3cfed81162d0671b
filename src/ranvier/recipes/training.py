"""Everything that changes while a model is trained."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from ranvier.corpora.splits import Splits
from ranvier.models import Stack
from ranvier.network.decoding import RATE_LOGIT
from ranvier.nn import LIF, Integrator
from ranvier.recipes.batches import Batches
from ranvier.recipes.build import build_augmentation, build_class_weights, build_model
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.conversions import sigma_steps
from ranvier.recipes.device import (
    describe_device,
    find_device,
    matmul_precision,
    random_state,
    set_random_state,
    to_cpu,
)
from ranvier.recipes.distributed import (
    add_gradients,
    add_over_processes,
    processes,
    set_dropout_rows,
    synchronise_batch_norm,
)
from ranvier.recipes.diverged import DivergedError, gradients_are_finite, lower_rates, other_surrogate
from ranvier.recipes.rate_penalty import rate_penalty
from ranvier.recipes.run_config import upgrade_values
from ranvier.recipes.schedules import Schedule, moving_average, weight_schedule
from ranvier.recipes.wiring import begin_wiring, prune_after, rewire_after, rewires


class Training:
    """Everything that changes while a model is trained, so that it can be saved and continued to the bit."""

    def __init__(self, config: Config, splits: Splits, start: Mapping[str, Tensor] | None = None) -> None:
        self.config = config
        self.device = find_device(config.train.device)
        self.order = torch.Generator().manual_seed(config.train.seed)
        self.model = build_model(config, splits, self.order)
        if start is not None:
            self.model.load_state_dict(start)
        self.start = None if start is None else {name: tensor.to(self.device) for name, tensor in start.items()}
        begin_wiring(self.model, config.train, random=start is None)
        self.model.to(self.device)
        # where they begin follows from seed and start, so a continued training knows it too
        self.first_delays = [layer.delay.detach().clone() for layer in self.model.delay_layers]
        self.augmentation = build_augmentation(config)
        self.processes = processes()
        self.shared = False
        self.batches = Batches(splits.train.dataset, self.device, augmented=self.augmentation is not None)
        self.changes = np.random.default_rng(config.train.seed)
        self.classes = len(splits.train.dataset.classes)
        class_weights = build_class_weights(config, splits.train)
        self.class_weights = None if class_weights is None else class_weights.to(self.device)
        self.data = splits.fingerprint()
        self.steps_per_epoch = -(-len(splits.train) // config.train.batch_size)
        self.steps = config.train.epochs * self.steps_per_epoch
        self.learns_delays = any(layer.learn_delay for layer in self.model.delay_layers)
        self.narrows = self.learns_delays and getattr(config.model, "learn_sigma", "none") == "none"
        self.steps_per_schedule = self.steps_per_epoch if config.train.schedule_per == "epoch" else 1
        self.optimisers, self.schedules = self._optimisers()
        self.average = moving_average(self.model, config.train.ema_decay)
        self.step = 0
        self.epoch = 0
        self.seconds = 0.0
        self.best: dict[str, Any] = {"epoch": 0, "accuracy": -1.0, "model": {}}

    def _optimisers(self) -> tuple[list[Adam], list[Schedule]]:
        train, model = self.config.train, self.model
        delays = [p for layer in model.delay_layers for p in (layer.delay, layer.sigma) if p.requires_grad]
        decayed = [layer.weight for layer in model.delay_layers if layer.weight.requires_grad]
        taus = _membrane_taus(model) if train.tau_weight_decay > 0 else []
        known = {id(parameter) for parameter in [*delays, *decayed, *taus]}
        undecayed = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
        groups = [{"params": decayed, "weight_decay": train.weight_decay}, {"params": undecayed, "weight_decay": 0.0}]
        if taus:
            groups.append({"params": taus, "weight_decay": train.tau_weight_decay})
        optimisers = [Adam(groups, lr=train.weight_lr)]
        total = self.steps // self.steps_per_schedule
        schedules: list[Schedule] = [weight_schedule(optimisers[0], train.weight_lr_schedule, total)]
        if self.learns_delays:
            optimisers.append(Adam(delays, lr=train.delay_lr_ms / self.config.data.dt_ms))
            schedules.append(CosineAnnealingLR(optimisers[1], total))
        return optimisers, schedules

    def share(self) -> None:
        """Share every batch from now on with the other processes."""
        if self.processes.count > 1:
            self.shared = True
            synchronise_batch_norm(self.model)

    def iterate(self, clips: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """:meth:`update` on clips of the training set, of which each process takes its share."""
        if self.processes.count == 1:
            return self.update(*self.batches(clips))
        rows = self.processes.rows(len(clips))
        # what is drawn for a clip must not depend on the share that it is in, so every process augments the whole batch
        taken = clips[rows] if self.augmentation is None else clips
        longest = int(self.batches.lengths[clips].max())
        set_dropout_rows(self.model, rows, len(clips))
        return self.update(*self.batches(taken, steps=longest), whole=self.batches.labels[clips])

    def update(
        self, x: Tensor, lengths: Tensor, labels: Tensor, whole: NDArray[np.int64] | None = None
    ) -> tuple[Tensor, Tensor]:
        """One step on one batch; returns its loss and how many clips it got right, before the step.

        Args:
            x, lengths, labels: the batch before augmentation; where processes share it, the whole batch if clips are
                augmented, else this process's share.
            whole: labels of the batch that all processes share; None: the batch is this process's alone.

        Raises:
            DivergedError: the loss or a gradient is NaN or infinite; the step has not been taken. On a GPU,
                :meth:`check_loss` is for the caller, when the epoch ends.
        """
        if self.narrows:
            done = self.step - self.step % self.steps_per_schedule
            self.model.set_sigma(sigma_steps(self.config, done / self.steps))
        target = labels
        if self.augmentation is not None:
            x, lengths, target = self.augmentation.apply(x, lengths, labels, self.classes, self.changes)
            if whole is not None:
                rows = self.processes.rows(len(whole))
                x, lengths, labels, target = x[:, rows], lengths[rows], labels[rows], target[rows]
        if self.config.train.padding == "counted":
            lengths = torch.full_like(lengths, len(x))
        x, labels, target = (tensor.to(self.device) for tensor in (x, labels, target))
        iteration = self.step % self.steps_per_epoch + 1
        rewiring = rewires(self.model, self.config.train, self.step, self.steps)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        with matmul_precision(self.config.train.precision):
            rasters, scores = self._forward(x, lengths)
            if gain := {"sum": 1.0, "count": RATE_LOGIT}.get(self.config.model.scores):
                scores = scores * gain / (lengths + self.model.tail_steps).to(scores).unsqueeze(1)
            loss, right = self._loss(scores, target, labels, whole)
            if rasters:
                loss = loss + rate_penalty(rasters, lengths, self.model.decoding, self.config) / (
                    len(labels) if whole is None else len(whole)
                )
            # to look at a number on a GPU is to wait for it: there, the epoch's end looks at all losses
            if self.device.type == "cpu":
                self.check_loss(float(add_over_processes(loss.detach().clone())), iteration)
            loss.backward()  # type: ignore[no-untyped-call]
        if self.shared:
            add_gradients(self.model)
        if self.device.type == "cpu" and not gradients_are_finite(self.model):
            raise self.diverged("a gradient is not finite", iteration, other_surrogate(self.config))
        if rewiring:
            rewire_after(self.model, self.optimisers, self.first_delays, self.config.train, self.step, self.steps)
        else:
            self._optimise(iteration)
        self.step += 1
        if self.step % self.steps_per_schedule == 0:
            prune_after(self.model, self.optimisers, self.config.train, self.step / self.steps)
        if self.average is not None:
            self.average.update_parameters(self.model)  # takes the masks, which are buffers, as they are
        if self.step < self.steps and self.step % self.steps_per_schedule == 0:
            for schedule in self.schedules:
                schedule.step()
        return add_over_processes(loss.detach()), add_over_processes(right)

    def _optimise(self, iteration: int) -> None:
        """A step of the optimisers."""
        if self.config.train.gradient_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.train.gradient_norm)
        for optimiser in self.optimisers:
            try:
                optimiser.step()
            except RuntimeError as error:
                if "overflow" not in str(error):
                    raise
                raise self.diverged("a step is too large for a number", iteration) from None

    def _forward(self, x: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Spikes of the hidden layers where the loss has them, else none; and class scores."""
        if self.config.train.rate_penalty == 0:
            return [], self.model.scores(x, lengths)
        return self.model.scores_with_spikes(x, lengths)

    def _loss(
        self, scores: Tensor, target: Tensor, labels: Tensor, whole: NDArray[np.int64] | None
    ) -> tuple[Tensor, Tensor]:
        """Cross entropy, of which the processes' sum is that of the whole batch; and how many clips are right."""
        right = (scores.argmax(1) == labels).sum()
        weights, smoothing = self.class_weights, self.config.train.label_smoothing
        if whole is None:
            return F.cross_entropy(scores, target, weight=weights, label_smoothing=smoothing), right
        of_all: float | Tensor = len(whole)
        if weights is not None and not target.is_floating_point():
            of_all = weights[torch.from_numpy(whole).to(self.device, non_blocking=True)].sum()
        summed = F.cross_entropy(scores, target, weight=weights, reduction="sum", label_smoothing=smoothing)
        return summed / of_all, right

    def check_loss(self, loss: float, iteration: int) -> None:
        """Refuse the loss of an iteration of this epoch, counted from 1, that is no finite number.

        Raises:
            DivergedError: it is not.
        """
        if not math.isfinite(loss):
            raise self.diverged(f"the loss is {loss:g}", iteration)

    def check_finite(self) -> None:
        """Refuse a model at the end of an epoch that has NaN or infinite numbers.

        Raises:
            DivergedError: it has.
        """
        for name, tensor in self.model.state_dict().items():
            if not tensor.isfinite().all():
                raise self.diverged(f"{name} is not finite", self.steps_per_epoch)

    def diverged(self, what: str, iteration: int, remedy: str = "") -> DivergedError:
        """The error for what was found in an iteration of the epoch that is being trained."""
        remedy = remedy or lower_rates(self.config, self.learns_delays)
        return DivergedError(what, self.epoch + 1, iteration, self.epoch, remedy)

    def outcome(self) -> Stack:
        """The model that would be kept now: the trained one or its moving average, averaged with the start if the
        recipe says so.

        Every weight, delay and batch norm is share * start + (1 - share) * trained: Wortsman et al., Robust
        fine-tuning of zero-shot models, CVPR 2022 (arXiv 2109.01903). The training goes on without it.
        """
        share = self.config.train.init_interpolation
        trained = self.model if self.average is None else self.average.module
        assert isinstance(trained, Stack)
        if self.start is None or share == 0:
            return trained
        state = trained.state_dict()
        for name, begun in self.start.items():
            # a width that is not learned is the training's own, and counts are no measures
            if begun.is_floating_point() and not (self.narrows and name.endswith(".sigma")):
                state[name] = torch.lerp(state[name], begun, share)  # exact where both are the same
        outcome = copy.deepcopy(self.model)
        outcome.load_state_dict(state)
        outcome.clamp_delay()
        return outcome

    def state(self) -> dict[str, Any]:
        """All of it, as :meth:`load_state` takes it."""
        return {
            "model": to_cpu(self.model.state_dict()),
            "average": None if self.average is None else to_cpu(self.average.state_dict()),
            "optimisers": [to_cpu(optimiser.state_dict()) for optimiser in self.optimisers],
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "order": self.order.get_state(),
            "dropout": random_state(self.device),
            "changes": self.changes.bit_generator.state,
            "step": self.step,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "best": to_cpu(self.best),
            "first_delays": to_cpu(self.first_delays) if self.config.train.rewire != "none" else [],
            "config": _settings(self.config),
            "data": self.data,
            "threads": torch.get_num_threads(),
            "processes": self.processes.count,
            "device": self.device.type,
            "device_name": describe_device(self.device),
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
        # sums are added in another order there; a run of before there were devices was trained on the CPU
        kind, name = state.get("device", "cpu"), state.get("device_name", "a CPU")
        here = describe_device(self.device)
        if kind != self.device.type or (kind == "cuda" and name != here):
            raise ConfigError(
                f"its epochs so far were trained on {kind} ({name}); on {self.device.type} ({here}) they cannot be "
                f"continued bit-exactly (train.device = {kind}, on such a device, allowed)"
            )
        if (count := state.get("processes", 1)) != self.processes.count:
            raise ConfigError(
                f"its epochs so far were trained by {count} processes, these are {self.processes.count}, which would "
                f"not continue them bit-exactly ({count} allowed)"
            )
        if state["data"] != self.data:
            raise ConfigError("the data are not those it was trained on so far (start a run of its own with --out)")
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(saved)
        self.order.set_state(state["order"])
        set_random_state(self.device, state["dropout"])
        self.changes.bit_generator.state = state["changes"]
        for ours, drawn in zip(self.first_delays, state.get("first_delays", []), strict=False):
            ours.copy_(drawn)
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
    # the recording may have moved, and who looks on changes nothing; everything else must be as it was. The device is
    # compared by itself: "auto" does not name it, and another card of the same model will do.
    exclude: Any = {"data": {"root"}, "train": {"device"}, "compare": True, "tracker": True}
    return config.model_dump_json(exclude=exclude)


def _membrane_taus(model: Stack) -> list[nn.Parameter]:
    """What the layers' learned membrane time constants are made of, the readout's too."""
    neurons = [module for module in model.modules() if isinstance(module, LIF | Integrator)]
    return [p for module in neurons for name, p in module.named_parameters() if "decay" in name]
