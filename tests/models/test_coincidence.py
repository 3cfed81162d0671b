"""The synthetic task cannot be solved without delays, also by neurons that spike at everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ranvier.corpora.coincidence import CoincidenceTask
from ranvier.models import feedforward
from ranvier.network import Decoding


def accuracy_of(max_delay: int) -> float:
    """The paper's kind of network, with batch norm, trained briefly on the recipe's task."""
    task = CoincidenceTask(classes=8, channels=10, gap=3, jitter=0.05, noise=1, steps=80, dt_ms=1.0)
    generator = np.random.default_rng(0)
    offsets = task.offsets(generator)
    train, test = task.draw(offsets, 1200, generator), task.draw(offsets, 400, generator)
    torch.manual_seed(0)
    model = feedforward(10, [48], 8, max_delay, decay=0.005, decoding=Decoding(tail_steps=max_delay))
    delays = [layer.delay for layer in model.delay_layers]
    weights = [p for p in model.parameters() if all(p is not delay for delay in delays)]
    optimiser = torch.optim.Adam([{"params": weights, "lr": 5e-3}, {"params": delays, "lr": 0.1}])
    steps = 240
    for step in range(steps):
        model.set_sigma(6 * (0.3 / 6) ** (step / steps))
        x, lengths, labels = train.batch(generator.choice(1200, 64, replace=False))
        loss = torch.nn.functional.cross_entropy(model.scores(x, lengths), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.clamp_delay()
    with torch.no_grad():
        model.eval()
        x, lengths, labels = test.batch(np.arange(400))
        rasters, _ = model.forward_with_spikes(x, lengths)
        assert rasters[0].mean() > 0.01
        return float((model.scores(x, lengths).argmax(1) == labels).float().mean())


@pytest.mark.slow
def test_chance_without_delays_and_far_above_with_them() -> None:
    assert accuracy_of(0) < 0.2  # chance is 1 / 8
    assert accuracy_of(30) > 0.4
