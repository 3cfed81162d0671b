"""Neurons with delayed recurrent connections: the compiled scan against the loop over time, and against DelRec."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops.lif import lif
from ranvier.ops.lif import reference as lif_reference
from ranvier.ops.recurrent_lif import longest_lag, loop, recurrent_lif, reference
from tests.ops.twins import assert_twins, poisoned_memory

NEURONS, MAX_DELAY = 7, 9
KINDS = {"synaptic": (1, 7, 7), "axonal": (1, 1, 7), "dendritic": (1, 7, 1), "two per pair": (2, 7, 7)}
TAPS: list[tuple[float | None, Any]] = [(1.3, "gaussian"), (0.7, "triangle"), (2.0, "delrec"), (None, "gaussian")]


def slow(
    current: Tensor, weight: Tensor, delay: Tensor, sigma: float | None, decay: Tensor, threshold: Tensor,
    state: Tensor | None = None, *, max_delay: int = MAX_DELAY, kernel: str = "gaussian", gain: Tensor | None = None,
    surrogate: Any = "arctan", alpha: float = 5.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The reference with the arguments of the op."""

    def neuron(now: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return lif_reference.lif(now, decay, threshold, v, surrogate=surrogate, alpha=alpha)

    delay = delay.clamp(1, max_delay)
    return reference.recurrent(
        current, weight, delay, sigma, neuron, state, max_delay=max_delay, kernel=kernel, gain=gain
    )


def draw(
    kind: str, time: int = 33, batch: int = 4, dtype: torch.dtype = torch.float64, share: float = 0.5
) -> dict[str, Any]:
    """Inputs in which about a ``share`` of the neurons spikes at a time."""
    generator = torch.Generator().manual_seed(time)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    shape = KINDS[kind]
    inputs = {
        "current": 2 * uniform(time, batch, NEURONS) - 1 + share,
        "weight": uniform(shape[0], NEURONS, NEURONS) - 0.5,
        "delay": 0.5 + (MAX_DELAY + 1) * uniform(*shape),  # some beyond the range
        "decay": uniform(NEURONS),
        "threshold": 0.7 + uniform(NEURONS) / 2,
        "state": uniform(batch, NEURONS),
    }
    return {name: value.requires_grad_() for name, value in inputs.items()} | {
        "gain": (uniform(batch, NEURONS) > 0.3).to(dtype) / 0.7
    }


def draw_as(kind: str, dtype: torch.dtype) -> dict[str, Any]:
    """:func:`draw` in a type."""
    return draw(kind, dtype=dtype)


@pytest.mark.parametrize(("sigma", "kernel"), TAPS)
@pytest.mark.parametrize("time", [1, 2, 33])
@pytest.mark.parametrize("kind", list(KINDS))
def test_it_is_the_reference(kind: str, time: int, sigma: float | None, kernel: Any) -> None:
    inputs = draw(kind, time)
    options: Any = {"max_delay": MAX_DELAY, "kernel": kernel, "sigma": sigma}
    with poisoned_memory():
        assert_twins(
            partial(recurrent_lif, **options), partial(slow, **options), inputs, tolerance=1e-9, exact=["output 0"]
        )
        with torch.no_grad():
            assert torch.equal(recurrent_lif(**inputs, **options)[0], slow(**inputs, **options)[0])


@pytest.mark.parametrize(("share", "most"), [(-0.1, 0.25), (0.9, 1.0)])
@pytest.mark.parametrize(("surrogate", "alpha"), [("fast_sigmoid", 25.0), ("triangle", 2.5)])
@pytest.mark.parametrize("kind", list(KINDS))
def test_it_is_the_reference_at_any_rate(kind: str, surrogate: Any, alpha: float, share: float, most: float) -> None:
    """Few spikes are added one by one, many by a product."""
    options: Any = {"max_delay": MAX_DELAY, "sigma": 1.0, "surrogate": surrogate, "alpha": alpha}
    inputs = draw(kind, share=share)
    rate = float(recurrent_lif(**inputs, **options)[0].detach().mean())
    assert max(0.01, most - 0.7) < rate < most
    assert_twins(partial(recurrent_lif, **options), partial(slow, **options), inputs, tolerance=1e-9)


@pytest.mark.parametrize(("time", "longest"), [(50, 1), (50, 3), (41, 12), (30, 29), (9, 40)])
def test_blocks_of_time_of_many_synapses_are_the_reference(time: int, longest: int) -> None:
    """Of so many neurons that several spike at a time where no product is taken."""
    generator = torch.Generator().manual_seed(time)
    inputs: dict[str, Any] = {
        "current": 2 * torch.rand(time, 2, 40, generator=generator, dtype=torch.float64) - 1,
        "weight": torch.randn(1, 40, 40, generator=generator, dtype=torch.float64) / 10,
        "delay": 1 + longest * torch.rand(1, 40, 40, generator=generator, dtype=torch.float64),
        "decay": torch.rand(40, generator=generator, dtype=torch.float64),
        "threshold": torch.tensor(0.75, dtype=torch.float64),
    }
    inputs = {name: value.requires_grad_() for name, value in inputs.items()}
    options: Any = {"max_delay": longest, "sigma": 0.8}
    counts = recurrent_lif(**inputs, **options)[0].detach().sum(2)
    assert bool(((counts.sum(1) < 20) & (counts.amax(1) > 5)).any())
    assert_twins(
        partial(recurrent_lif, **options), partial(slow, **options), inputs, tolerance=1e-9, exact=["output 0"]
    )


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_single_precision_on_any_number_of_threads(kind: str, threads: int) -> None:
    torch.set_num_threads(threads)
    inputs = draw(kind, dtype=torch.float32)
    inputs["weight"] = inputs["weight"].detach().mul(64).round().div(64).requires_grad_()  # sums are exact
    options: Any = {"max_delay": MAX_DELAY, "sigma": None}
    assert_twins(
        partial(recurrent_lif, **options), partial(slow, **options), inputs, tolerance=1e-5, exact=["output 0"]
    )


@pytest.mark.parametrize("wanted", ["current", "weight", "delay", "decay", "threshold", "state"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_each_gradient_alone(kind: str, wanted: str) -> None:
    inputs = {name: value.detach().requires_grad_(name == wanted) for name, value in draw(kind, 12).items()}
    options: Any = {"max_delay": MAX_DELAY, "sigma": 1.3}
    assert_twins(partial(recurrent_lif, **options), partial(slow, **options), inputs, tolerance=1e-9)


@pytest.mark.parametrize("sigma", [0.8, None])
@pytest.mark.parametrize("kind", list(KINDS))
def test_chunks_with_history_are_the_whole(kind: str, sigma: float | None) -> None:
    inputs = {name: value.detach() for name, value in draw(kind, 33).items()}
    current, state, gain = inputs.pop("current"), inputs.pop("state"), inputs["gain"]
    whole, end = recurrent_lif(current, state=state, sigma=sigma, max_delay=MAX_DELAY, **inputs)
    pieces: list[Tensor] = []
    for start in range(0, 33, 5):
        sent = torch.cat(pieces)[-MAX_DELAY:] * gain if pieces else None
        spikes, state = recurrent_lif(
            current[start : start + 5], state=state, sigma=sigma, max_delay=MAX_DELAY, history=sent, **inputs
        )
        pieces.append(spikes)
    assert torch.equal(torch.cat(pieces), whole)
    assert float((state - end).abs().max()) < 1e-12
    assert 0.1 < float(whole.mean()) < 0.9


@pytest.mark.parametrize("with_history", [False, True])
@pytest.mark.parametrize(("sigma", "kernel"), TAPS)
@pytest.mark.parametrize("kind", list(KINDS))
def test_the_loop_for_any_neurons_is_the_reference(
    kind: str, sigma: float | None, kernel: Any, with_history: bool
) -> None:
    inputs = {**draw(kind, 12), "history": (torch.rand(4, 4, NEURONS, dtype=torch.float64) < 0.3).double()}
    inputs["delay"] = inputs["delay"].detach().clamp(1, MAX_DELAY).requires_grad_()

    def by(way: Any, decay: Tensor, threshold: Tensor, history: Tensor, **given: Any) -> tuple[Tensor, Tensor]:
        def neuron(now: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            return lif_reference.lif(now, decay, threshold, v, surrogate="arctan", alpha=5.0)

        before = history if with_history else None
        options: Any = {"max_delay": MAX_DELAY, "kernel": kernel, "sigma": sigma, "history": before}
        return way(neuron=neuron, **given, **options)  # type: ignore[no-any-return]

    assert_twins(
        partial(by, loop.recurrent), partial(by, reference.recurrent), inputs, tolerance=1e-9, exact=["output 0"]
    )


def delrec(current: Tensor, weight: Tensor, d: Tensor, sigma: float, decay: float, threshold: float) -> Tensor:
    """arXiv 2509.24852 as published: axonal delays 1 + d, spread over a triangle of half-width s = 1 + sigma,

    h(tau) = max(0, s - |tau - (1 + d)|) / s^2 for tau >= 1; I[t] += W sum_tau h(tau) s[t - tau].
    """
    time, batch, neurons = current.shape
    s = 1 + sigma
    spikes, v = torch.zeros_like(current), current.new_zeros(batch, neurons)
    for t in range(time):
        received = current[t].clone()
        for tau in range(1, t + 1):
            h = ((s - (tau - (1 + d)).abs()) / s**2).clamp(min=0)
            received += (spikes[t - tau] * h) @ weight.T
        v = decay * v + received
        spikes[t] = (v >= threshold).to(v.dtype)
        v = v * (1 - spikes[t])
    return spikes


@pytest.mark.parametrize("sigma", [0.0, 0.6, 3.0, 9.5])
def test_delrecs_published_equations_on_given_weights(sigma: float) -> None:
    generator = torch.Generator().manual_seed(1)
    current = 2 * torch.rand(60, 3, 11, generator=generator, dtype=torch.float64) - 0.6
    weight = torch.randn(11, 11, generator=generator, dtype=torch.float64) / 4
    d = 20 * torch.rand(11, generator=generator, dtype=torch.float64)
    theirs = delrec(current, weight, d, sigma, 0.5, 0.5)
    decay, threshold = torch.tensor(0.5).double(), torch.tensor(0.5).double()
    ours, _ = recurrent_lif(
        current, weight[None].requires_grad_(), 1 + d.view(1, 1, -1), sigma, decay, threshold,
        max_delay=100, kernel="delrec",
    )  # fmt: skip
    assert torch.equal(ours, theirs)
    assert 0.05 < float(theirs.mean()) < 0.95


def test_a_long_longest_delay_costs_nothing() -> None:
    delay = torch.tensor([[[3.0, 7.2]]])
    assert longest_lag(delay, None, max_delay=32767) == 7
    assert longest_lag(delay, 2.0, max_delay=32767, kernel="triangle") == 11
    assert longest_lag(delay, 1.0, max_delay=9) == 9
    inputs = draw("axonal")
    inputs["delay"] = (1 + 3 * torch.rand(1, 1, NEURONS, dtype=torch.float64)).requires_grad_()
    options: Any = {"sigma": 0.4, "kernel": "triangle"}
    assert_twins(
        partial(recurrent_lif, max_delay=32767, **options), partial(slow, max_delay=12, **options), inputs,
        tolerance=1e-9,
    )  # fmt: skip


def test_without_recurrent_weights_it_is_lif() -> None:
    inputs = draw("synaptic")
    weight, delay = inputs.pop("weight") * 0, inputs.pop("delay")
    inputs.pop("gain")
    spikes, end = recurrent_lif(weight=weight, delay=delay, sigma=1.0, max_delay=MAX_DELAY, **inputs)
    expected, expected_end = lif(**inputs)
    assert torch.equal(spikes, expected)
    assert torch.equal(end, expected_end)


@pytest.mark.parametrize("sigma", [1.0, None])
@pytest.mark.parametrize("place", ["current", "weight", "delay"])
def test_what_is_not_finite_shows(place: str, sigma: float | None) -> None:
    inputs = {name: value.detach() for name, value in draw("axonal").items()}
    whole = inputs[place].clone().fill_(torch.nan)
    inputs[place].view(-1)[0] = torch.nan
    for bad in (inputs[place], whole):
        spikes, _ = recurrent_lif(**{**inputs, place: bad}, sigma=sigma, max_delay=MAX_DELAY)
        assert spikes.isnan().any()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"weight": torch.zeros(1, 7, 6)}, "weight"),
        ({"delay": torch.zeros(1, 6, 7)}, "delay"),
        ({"max_delay": 0}, "max_delay"),
        ({"kernel": "square"}, "kernel"),
        ({"sigma": 0.05}, "sigma"),
        ({"gain": torch.ones(3, 7)}, "gain"),
        ({"history": torch.zeros(2, 3, 7)}, "history"),
        ({"state": torch.zeros(2, 7)}, "state"),
        ({"surrogate": "step"}, "surrogate"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], named: str) -> None:
    inputs: dict[str, Any] = {**draw("synaptic"), "sigma": 1.0, "max_delay": MAX_DELAY, **change}
    with pytest.raises(ValueError, match=f"^{named}: "):
        recurrent_lif(**inputs)
