"""Leaky integrate-and-fire against its equation, and its surrogate gradients."""

from __future__ import annotations

import math

import pytest
import torch

from ranvier.ops import lif, spike
from ranvier.ops.surrogate import Surrogate


def by_hand(current: list[float], decay: float, threshold: float) -> tuple[list[int], float]:
    v, s, spikes = 0.0, 0, []
    for step in current:
        v = decay * v * (1 - s) + step
        s = 1 if v >= threshold else 0
        spikes.append(s)
    return spikes, v * (1 - s)


@pytest.mark.parametrize("decay", [0.0, 0.005, 0.333, 0.9, 1.0])
@pytest.mark.parametrize(("time", "batch", "neurons"), [(1, 1, 1), (63, 1, 5), (20, 3, 2)])
def test_is_the_equation(decay: float, time: int, batch: int, neurons: int) -> None:
    current = torch.rand(time, batch, neurons, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 1.4
    spikes, state = lif(current, torch.tensor(decay).double(), torch.tensor(1.0).double())
    for b in range(batch):
        for n in range(neurons):
            expected, last = by_hand(current[:, b, n].tolist(), float(torch.tensor(decay).double()), 1.0)
            assert spikes[:, b, n].tolist() == expected
            assert state[b, n].item() == pytest.approx(last, abs=1e-12)


def test_a_voltage_at_threshold_spikes_and_is_reset() -> None:
    current = torch.tensor([1.0, 0.5, 0.5]).view(3, 1, 1)
    spikes, state = lif(current, torch.tensor(1.0), torch.tensor(1.0))
    assert spikes.flatten().tolist() == [1, 0, 1]
    assert state.item() == 0


def test_soft_reset_takes_the_threshold_off() -> None:
    current = torch.tensor([2.5, 0.0, 0.5, 0.25]).view(4, 1, 1).requires_grad_()
    spikes, state = lif(current, torch.tensor(0.75), torch.tensor(1.0), reset="subtract")
    # v = 2.5, then 0.75 * 1.5, then 0.75 * 0.125 + 0.5, then 0.75 * 0.59375 + 0.25
    assert spikes.flatten().tolist() == [1, 1, 0, 0]
    assert state.item() == 0.75 * 0.59375 + 0.25
    (gradient,) = torch.autograd.grad(state.sum(), current)
    assert gradient.flatten().tolist() == [0.75**3, 0.75**2, 0.75, 1]  # a spike does not stop it


def test_per_neuron_constants() -> None:
    current = torch.full((4, 1, 2), 0.6)
    spikes, _ = lif(current, torch.tensor([0.0, 1.0]), torch.tensor([0.5, 1.0]))
    assert spikes[:, 0].T.tolist() == [[1, 1, 1, 1], [0, 1, 0, 1]]


def test_a_stream_in_pieces_is_the_whole() -> None:
    current = torch.rand(17, 2, 5) * 1.5
    decay, threshold = torch.tensor(0.8), torch.tensor(1.0)
    whole, end = lif(current, decay, threshold)
    state, pieces = None, []
    for piece in current.split([1, 0, 9, 7]):
        spikes, state = lif(piece, decay, threshold, state)
        pieces.append(spikes)
    torch.testing.assert_close(torch.cat(pieces), whole, atol=0, rtol=0)
    assert state is not None
    torch.testing.assert_close(state, end, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("surrogate", "alpha", "expected"),
    [
        ("arctan", 5.0, lambda u: 2.5 / (1 + (math.pi / 2 * 5 * u) ** 2)),
        ("fast_sigmoid", 25.0, lambda u: 1 / (1 + 25 * abs(u)) ** 2),
        ("triangle", 2.0, lambda u: 2 * max(0.0, 1 - 2 * abs(u))),
    ],
)
def test_surrogate_derivatives(surrogate: Surrogate, alpha: float, expected: object) -> None:
    assert callable(expected)
    u = torch.tensor([-1.0, -0.2, 0.0, 0.1, 2.0], dtype=torch.double, requires_grad=True)
    s = spike(u, surrogate, alpha)
    assert s.tolist() == [0, 0, 1, 1, 1]
    s.sum().backward()
    assert u.grad is not None
    assert u.grad.tolist() == pytest.approx([expected(v) for v in u.tolist()])


def test_the_reset_is_not_differentiated_through() -> None:
    """dL/dI by hand, with the spike of step 0 gating the way back to it but not adding to it."""
    current = torch.tensor([0.7, 0.6, 1.3, 0.4], dtype=torch.double).view(4, 1, 1).requires_grad_()
    decay, alpha = 0.5, 5.0
    spikes, _ = lif(current, torch.tensor(decay).double(), torch.tensor(1.0).double(), alpha=alpha)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.double)
    (spikes.flatten() * weights).sum().backward()

    v, kept, voltages, spiked = 0.0, 0.0, [], []
    for step in [0.7, 0.6, 1.3, 0.4]:
        v = decay * kept + step
        spiked.append(v >= 1)
        voltages.append(v)
        kept = 0.0 if v >= 1 else v
    assert spiked == [False, False, True, False]
    gradient, carried = [0.0] * 4, 0.0
    for t in reversed(range(4)):
        through_spike = float(weights[t]) * alpha / 2 / (1 + (math.pi / 2 * alpha * (voltages[t] - 1)) ** 2)
        gradient[t] = through_spike + carried * (0.0 if spiked[t] else 1.0)
        carried = decay * gradient[t]
    assert current.grad is not None
    assert current.grad.flatten().tolist() == pytest.approx(gradient)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("current", {"current": torch.zeros(3, 2)}),
        ("decay", {"decay": torch.zeros(7)}),
        ("threshold", {"threshold": torch.zeros(2, 3)}),
        ("state", {"state": torch.zeros(3)}),
        ("surrogate", {"surrogate": "box"}),
        ("reset", {"reset": "soft"}),
        ("alpha", {"alpha": 0.0}),
    ],
)
def test_errors_name_the_argument(name: str, change: dict[str, object]) -> None:
    good: dict[str, object] = {
        "current": torch.zeros(3, 2, 4),
        "decay": torch.tensor(0.5),
        "threshold": torch.tensor(1.0),
    }
    with pytest.raises(ValueError, match=f"^{name}: "):
        lif(**{**good, **change})  # type: ignore[arg-type]
