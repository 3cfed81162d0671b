"""Whole networks through the reference equations and through the fast ways: the same training, to the same end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ranvier.corpora.coincidence import CoincidenceTask
from ranvier.models import Stack, feedforward
from ranvier.ops.dense import op as delay_op
from ranvier.ops.dense.op import Plan
from ranvier.ops.integrator import op as integrator_op
from ranvier.ops.lif import op as lif_op
from ranvier.ops.normed_lif import op as normed_op
from ranvier.ops.normed_lif import reference as normed_reference
from ranvier.ops.normed_lif.scan import normed_lif_scan


def _one_after_the_other(*inputs: Any) -> Any:
    *tensors, eps, surrogate, alpha = inputs
    return normed_reference.normed_lif(*tensors, eps=eps, surrogate=surrogate, alpha=alpha)


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make every equation take its reference, or the compiled and spectral ways."""

    def choose(which: str) -> None:
        fast = which == "fast"
        monkeypatch.setattr(delay_op, "plan", lambda *_, **__: Plan("spectral" if fast else "dense", "a test"))
        for op in (lif_op, integrator_op):
            monkeypatch.setattr(op, "is_scanned", lambda *_: fast)
        monkeypatch.setattr(normed_op, "normed_lif_scan", normed_lif_scan if fast else _one_after_the_other)

    return choose


def trained(seed: int, dtype: torch.dtype, steps: int) -> tuple[list[float], float, Stack]:
    """Losses, and accuracy with rounded delays on clips that were not trained on."""
    task = CoincidenceTask(classes=4, channels=10, gap=3, jitter=0.05, noise=0, steps=30, dt_ms=1.0)
    generator = np.random.default_rng(seed)
    offsets = task.offsets(generator)
    data, other = task.draw(offsets, 256, generator), task.draw(offsets, 256, generator)
    torch.manual_seed(seed)
    model = feedforward(10, [32, 24], 4, 15, decay=0.3, dropout=0.2).to(dtype)
    delays = [layer.delay for layer in model.delay_layers]
    others = [parameter for name, parameter in model.named_parameters() if "delay" not in name]
    optimiser = torch.optim.Adam([{"params": others, "lr": 0.01}, {"params": delays, "lr": 0.2}])
    losses = []
    for step in range(steps):
        model.set_sigma(8 * 0.06 ** (step / steps))
        x, lengths, labels = data.batch(np.arange(step % 4 * 64, step % 4 * 64 + 64))
        loss = F.cross_entropy(model.scores(x.to(dtype), lengths), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.clamp_delay()
        losses.append(loss.item())
    x, lengths, labels = other.batch(np.arange(256))
    with torch.no_grad():
        accuracy = (model.eval().scores(x.to(dtype), lengths).argmax(1) == labels).float().mean()
    return losses, float(accuracy), model


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_training_ends_the_same_through_either_way(take: Callable[[str], None], seed: int) -> None:
    take("reference")
    reference_losses, reference_accuracy, _ = trained(seed, torch.float64, 100)
    take("fast")
    losses, accuracy, _ = trained(seed, torch.float64, 100)
    assert reference_accuracy > 0.9  # it learns: chance is 0.25
    assert accuracy == reference_accuracy
    assert losses == pytest.approx(reference_losses, abs=1e-3)
    assert losses != reference_losses  # the ways are different ones


def test_training_begins_the_same_in_single_precision(take: Callable[[str], None]) -> None:
    """Later a voltage within rounding of its threshold spikes in one and not in the other, and the two part."""
    take("reference")
    reference_losses, _, _ = trained(0, torch.float32, 15)
    take("fast")
    losses, _, _ = trained(0, torch.float32, 15)
    assert losses == pytest.approx(reference_losses, abs=1e-3)
    assert losses != reference_losses


def test_a_model_compiles_without_a_break() -> None:
    torch.manual_seed(0)
    model = feedforward(70, [64, 32], 5, 20, decay=0.3, dropout=0.0)
    x, lengths = (torch.rand(60, 16, 70) < 0.1).float(), torch.randint(20, 61, (16,))
    plain = model.scores(x, lengths)
    compiled = torch.compile(model.scores, backend="aot_eager", fullgraph=True)(x, lengths)
    torch.testing.assert_close(compiled, plain)
    gradients = [torch.autograd.grad(scores.square().sum(), list(model.parameters())) for scores in (plain, compiled)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)
