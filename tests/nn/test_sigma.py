"""Widths over a training, and delays that keep their range, in any module."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ranvier.nn import LIF, DelayLinear, Integrator, SigmaSchedule, set_sigma
from ranvier.nn.sigma import width_after
from ranvier.ops.dense import LOWEST_SIGMA
from ranvier.recipes import consistency


class Net(nn.Module):
    """A module of one's own."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.a = DelayLinear(30, 24, max_delay=20, generator=generator)
        self.l = LIF(decay=0.9)
        self.b = DelayLinear(24, 3, max_delay=20, generator=generator)
        self.r = Integrator(decay=0.9)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.a(x)
        x, _ = self.l(x)
        x, _ = self.b(x)
        y: Tensor = self.r(x)[0]
        return y


def step(net: nn.Module, optimiser: torch.optim.Optimizer) -> float:
    x = (torch.rand(40, 16, 30, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    loss = nn.functional.cross_entropy(net(x).softmax(-1).sum(0), torch.arange(16) % 3)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return float(loss.detach())


@pytest.mark.parametrize(
    ("shape", "quarter", "half", "three_quarters"),
    [
        ("exponential", 16 * 4**-0.5, 4.0, 4 * 4**-0.5),
        ("linear", 12.25, 8.5, 4.75),
        ("cosine", 1 + 15 * (1 + 0.5**0.5) / 2, 8.5, 1 + 15 * (1 - 0.5**0.5) / 2),
    ],
)
def test_the_width_goes_from_its_start_to_its_end(
    shape: Any, quarter: float, half: float, three_quarters: float
) -> None:
    expected = [16.0, quarter, half, three_quarters, 1.0, 1.0]
    assert [width_after(p / 4, 16.0, 1.0, shape) for p in range(6)] == pytest.approx(expected)
    net = Net()
    schedule = SigmaSchedule(net, 16.0, 1.0, 4, shape=shape)
    found = []
    for _ in range(6):
        assert net.a.sigma == net.b.sigma
        found.append(float(net.a.sigma))
        assert schedule.sigma == pytest.approx(found[-1])
        schedule.step()
    assert found == pytest.approx(expected)


def test_a_schedule_goes_on_from_its_state() -> None:
    first, second = Net(), Net()
    schedule = SigmaSchedule(first, 8.0, 0.5, 10, shape="cosine")
    for _ in range(3):
        schedule.step()
    other = SigmaSchedule(second, 4.0, 1.0, 2)
    other.load_state_dict(schedule.state_dict())
    assert torch.equal(second.b.sigma, first.b.sigma)
    schedule.step()
    other.step()
    assert torch.equal(second.b.sigma, first.b.sigma)


def test_what_is_not_allowed_is_named() -> None:
    assert LOWEST_SIGMA["gaussian"] == consistency.LOWEST_SIGMA
    for sigma in (0.11, 0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"^sigma: .* \(0\.12 steps or more"):
            DelayLinear(2, 2, 5, sigma=sigma)
        with pytest.raises(ValueError, match=r"^sigma: "):
            set_sigma(Net(), sigma)
    DelayLinear(2, 2, 5, sigma=0.12)(torch.rand(4, 1, 2))  # single precision has a little less
    DelayLinear(2, 2, 5, sigma=0.0, kernel="triangle")
    with pytest.raises(ValueError, match=r"^sigma: 0.1 "):
        SigmaSchedule(Net(), 4.0, 0.1, 5)
    with pytest.raises(ValueError, match=r"^total_steps: 0"):
        SigmaSchedule(Net(), 4.0, 1.0, 0)
    with pytest.raises(ValueError, match=r"^shape: 'sine'"):
        SigmaSchedule(Net(), 4.0, 1.0, 5, shape="sine")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^model: Linear has no layer with delays"):
        set_sigma(nn.Linear(2, 2), 1.0)


@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])
def test_a_module_of_ones_own_trains_with_its_delays_in_range(optimiser: Any) -> None:
    net = Net()
    set_sigma(net, 3.0)
    delays = [net.a.delay, net.b.delay]
    far = optimiser(delays, lr=1e6)
    for _ in range(3):
        step(net, far)
        for delay in delays:
            assert delay.min() >= 0
            assert delay.max() <= 20
    assert (net.b.delay == 0).any()
    assert (net.b.delay == 20).any()
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = [step(net, adam) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), lambda net: net.double()]
)
def test_a_copys_delays_keep_their_range_too(copied: Any) -> None:
    net = copied(Net())
    net.load_state_dict(net.state_dict(), assign=True)
    optimiser = torch.optim.SGD([net.a.delay], lr=1.0)
    net.a.delay.grad = 100 * torch.ones_like(net.a.delay)
    optimiser.step()
    assert (net.a.delay == 0).all()
    net.a.delay.grad.neg_()
    optimiser.step()
    assert (net.a.delay == 20).all()


def test_a_width_that_stayed_wide_is_told_once() -> None:
    net = Net()
    x = torch.rand(5, 1, 30)
    net.eval()(x)  # not trained: nothing to tell
    step(net.train(), torch.optim.Adam(net.parameters(), lr=1e-3))
    with pytest.warns(UserWarning, match=r"sigma: still 10\.27 steps") as told:
        net.eval()(x)
    assert len(told) == 2  # one for each layer
    net(x)
    other = Net()
    set_sigma(other, 3.0)
    step(other, torch.optim.Adam(other.parameters(), lr=1e-3))
    other.eval()(x)


def test_a_delay_that_is_not_finite_is_not_rounded() -> None:
    layer = DelayLinear(2, 2, 5)
    with torch.no_grad():
        layer.delay[0, 1, 1] = torch.nan
    with pytest.raises(ValueError, match=r"^delay: NaN"):
        layer.delay_steps()
    for training in (True, False):
        current = layer.train(training)(torch.zeros(3, 1, 2))[0]
        assert current[..., 1].isnan().all()
        assert current[..., 0].isfinite().all()
