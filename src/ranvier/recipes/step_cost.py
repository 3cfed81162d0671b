"""What one training step of an SHD-shaped network costs on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field, ValidationError
from torch import Tensor
from torch.optim import Adam

from ranvier.corpora.section import Section
from ranvier.models import Stack, feedforward
from ranvier.network import Decoding
from ranvier.ops.dense.op import Plan, plan
from ranvier.recipes.config import ConfigError, allowed
from ranvier.recipes.consistency import LONGEST_DELAY, LOWEST_SIGMA
from ranvier.recipes.device import describe_device, find_device, matmul_precision
from ranvier.recipes.memory import PeakMemory, disable_malloc_trim
from ranvier.recipes.sections import Device, Precision
from ranvier.runs.provenance import git_commit, versions

_SOURCES, _CLASSES = 140, 20


class StepSettings(Section):
    """The network sources-hidden-hidden-classes of SHD and the batch that it is trained on."""

    hidden: int = Field(256, ge=1, description="neurons of each of the two hidden layers")
    max_delay: int = Field(24, ge=0, le=LONGEST_DELAY, description="longest delay [steps]; the paper's 25 taps are 24")
    time: int = Field(100, ge=1, description="length of the clips [steps]")
    batch: int = Field(256, ge=1, description="clips of the batch")
    activity: float = Field(0.08, ge=0, le=1, description="share of inputs that spike in a step")
    sigma: float = Field(3.0, ge=LOWEST_SIGMA, description="width of a delay's tap [steps]")
    device: Device = Field("auto", description="where to run: auto, cpu, cuda, cuda:N or mps")
    precision: Precision = Field("float32", description="format of the factors in matrix products")
    repeats: int = Field(9, ge=1, description="steps to take the median of, after two that are not counted")
    seed: int = Field(0, ge=0, description="seed of weights, delays and inputs")


def step_settings(values: Mapping[str, Any]) -> StepSettings:
    """Check settings; strings are converted.

    Raises:
        ConfigError: one is out of range; the message names it and what is allowed.
    """
    try:
        return StepSettings.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = str(fault["loc"][0])
        if name not in StepSettings.model_fields:
            raise ConfigError(f"{name}: no such setting ({', '.join(StepSettings.model_fields)})") from None
        rule = allowed(StepSettings.model_fields[name]) or fault["msg"].removeprefix("Value error, ")
        raise ConfigError(f"--{name.replace('_', '-')}: {fault['input']!r} is not allowed ({rule})") from None


def measure_step(settings: StepSettings) -> dict[str, Any]:
    """Run training steps and take medians.

    Returns:
        seconds in all and of forward, backward and optimiser; ``peak_mb``, the most memory above what was held before
        (None where the system does not report it); ``plan`` and ``why`` of the delayed currents, layer by layer in
        ``layers``; the settings, the machine and versions.

    Raises:
        ConfigError: there is no such device.
    """
    device = find_device(settings.device, "--device")
    disable_malloc_trim()
    generator = torch.Generator().manual_seed(settings.seed)
    x = (torch.rand(settings.time, settings.batch, _SOURCES, generator=generator) < settings.activity).float()
    labels = torch.randint(0, _CLASSES, (settings.batch,), generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        # what is loaded and compiled on first use belongs to the libraries, not to the step
        first = _network(settings, generator).to(device)
        _time_steps(first, x[:, :2].to(device), labels[:2].to(device), 1)
        del first
    with PeakMemory(device) as peak, matmul_precision(settings.precision), torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = _network(settings, generator).to(device)
        phases = _time_steps(model, x.to(device), labels.to(device), settings.repeats)
    plans = layer_plans(model, x.to(device))
    layers = [
        {"sources": layer.in_features, "targets": layer.out_features, "plan": chosen.name, "why": chosen.why}
        for layer, chosen in zip(model.delay_layers, plans, strict=True)
    ]
    names = list(dict.fromkeys(chosen.name for chosen in plans))
    return {
        "seconds": statistics.median(map(sum, zip(*phases.values(), strict=True))),
        **{name: statistics.median(seconds) for name, seconds in phases.items()},
        "peak_mb": peak.megabytes,
        "plan": ", ".join(names),
        "why": plans[1].why,
        "layers": layers,
        "parameters": model.parameter_count(),
        "settings": settings.model_dump(),
        "machine": describe_device(device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "commit": git_commit(),
    }


def _network(settings: StepSettings, generator: torch.Generator) -> Stack:
    model = feedforward(
        _SOURCES,
        [settings.hidden, settings.hidden],
        _CLASSES,
        settings.max_delay,
        decay=0.005,
        dropout=0.4,
        decoding=Decoding(tail_steps=0),
        generator=generator,
    )
    model.set_sigma(settings.sigma)
    return model


def layer_plans(model: Stack, x: Tensor) -> list[Plan]:
    """The plan that each layer's delayed current takes in training on a batch like ``x [time, batch, source]``."""
    plans = []
    for layer in model.delay_layers:
        inputs = x.new_empty(*x.shape[:2], layer.in_features)
        plans.append(plan(inputs, layer.weight, layer.delay, layer.sigma, max_delay=layer.max_delay))
    return plans


def _time_steps(model: Stack, x: Tensor, labels: Tensor, repeats: int) -> dict[str, list[float]]:
    delays = [layer.delay for layer in model.delay_layers]
    known = {id(delay) for delay in delays}
    optimisers = [Adam([p for p in model.parameters() if id(p) not in known], lr=1e-3), Adam(delays, lr=0.1)]
    lengths = torch.full((x.shape[1],), len(x), device=x.device)

    def forward() -> Tensor:
        return F.cross_entropy(model.scores(x, lengths), labels)

    def update() -> None:
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()

    phases: dict[str, list[float]] = {"forward": [], "backward": [], "optimiser": []}
    for number in range(repeats + 2):
        seconds_forward, loss = _timed(forward, x.device)
        seconds_backward, _ = _timed(loss.backward, x.device)
        seconds_update, _ = _timed(update, x.device)
        if number >= 2:
            for name, seconds in zip(phases, (seconds_forward, seconds_backward, seconds_update), strict=True):
                phases[name].append(seconds)
    return phases


def _timed(function: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    result = function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started, result
