"""Recurrent delays with neurons other than the plain LIF: the compiled scan against the loop over time."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops.adaptive_lif import reference as adaptive_lif_reference
from ranvier.ops.lif import reference as lif_reference
from ranvier.ops.recurrent_lif import recurrent_adaptive_lif, recurrent_lif, reference
from tests.ops import test_recurrent_lif
from tests.ops.test_recurrent_lif import KINDS, MAX_DELAY, NEURONS, TAPS
from tests.ops.twins import assert_twins, poisoned_memory

OPTIONS: dict[str, Any] = {
    "symplectic": {"euler": "symplectic"},
    "forward": {"euler": "forward"},
    "soft": {"reset": "subtract"},
}
VALUES = ("decay", "adaptation_decay", "a", "b", "threshold")


def fast(neuron: str, **inputs: Any) -> tuple[Tensor, Tensor]:
    op: Any = recurrent_lif if neuron == "soft" else recurrent_adaptive_lif
    return op(max_delay=MAX_DELAY, **OPTIONS[neuron], **inputs)  # type: ignore[no-any-return]


def slow(
    neuron: str, current: Tensor, weight: Tensor, delay: Tensor, sigma: float | None, state: Tensor, *, gain: Tensor,
    kernel: Any = "gaussian", surrogate: Any = "arctan", alpha: float = 5.0, **values: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The reference with the arguments of the op."""
    step: Any = lif_reference.lif if neuron == "soft" else adaptive_lif_reference.adaptive_lif
    ordered = [values[name] for name in VALUES if name in values]
    options = {"surrogate": surrogate, "alpha": alpha, **OPTIONS[neuron]}
    return reference.recurrent(
        current, weight, delay.clamp(1, MAX_DELAY), sigma, lambda now, before: step(now, *ordered, before, **options),
        state, max_delay=MAX_DELAY, kernel=kernel, gain=gain,
    )  # fmt: skip


def draw(neuron: str, kind: str, time: int = 33, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    inputs = test_recurrent_lif.draw(kind, time, dtype=dtype)
    if neuron == "soft":
        return inputs
    generator = torch.Generator().manual_seed(7)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    drawn = {
        "current": 6 * inputs["current"].detach(),
        "weight": 2 * inputs["weight"].detach(),
        "decay": 0.9 * uniform(NEURONS),
        "adaptation_decay": uniform(NEURONS),
        "a": uniform(NEURONS),
        "b": 2 * uniform(NEURONS),
        "state": torch.stack([uniform(4, NEURONS), uniform(4, NEURONS), (uniform(4, NEURONS) < 0.5).to(dtype)], 1),
    }
    return {**inputs, **{name: value.requires_grad_() for name, value in drawn.items()}}


def draw_as(neuron: str, kind: str, dtype: torch.dtype) -> dict[str, Any]:
    """:func:`draw` in a type."""
    return draw(neuron, kind, dtype=dtype)


@pytest.mark.parametrize(("sigma", "kernel"), TAPS)
@pytest.mark.parametrize("time", [1, 33])
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("neuron", list(OPTIONS))
def test_it_is_the_reference(neuron: str, kind: str, time: int, sigma: float | None, kernel: Any) -> None:
    inputs = draw(neuron, kind, time)
    options: Any = {"sigma": sigma, "kernel": kernel}
    with poisoned_memory():
        assert_twins(
            partial(fast, neuron, **options), partial(slow, neuron, **options), inputs, tolerance=1e-9,
            exact=["output 0"],
        )  # fmt: skip
        with torch.no_grad():
            spikes = slow(neuron, **inputs, **options)[0]
            assert torch.equal(fast(neuron, **inputs, **options)[0], spikes)
    assert 0.1 < float(spikes.mean()) < 0.9


@pytest.mark.parametrize(("threads", "surrogate", "alpha"), [(1, "fast_sigmoid", 25.0), (3, "triangle", 2.5)])
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("neuron", list(OPTIONS))
def test_single_precision_on_any_number_of_threads(
    neuron: str, kind: str, threads: int, surrogate: Any, alpha: float
) -> None:
    torch.set_num_threads(threads)
    inputs = draw(neuron, kind, dtype=torch.float32)
    inputs["weight"] = inputs["weight"].detach().mul(64).round().div(64).requires_grad_()  # sums are exact
    options: Any = {"sigma": None, "surrogate": surrogate, "alpha": alpha}
    assert_twins(
        partial(fast, neuron, **options), partial(slow, neuron, **options), inputs, tolerance=2e-5, exact=["output 0"]
    )


@pytest.mark.parametrize("wanted", ["current", "delay", "decay", "threshold", "state"])
@pytest.mark.parametrize("kind", ["synaptic", "dendritic"])
@pytest.mark.parametrize("neuron", list(OPTIONS))
def test_each_gradient_alone(neuron: str, kind: str, wanted: str) -> None:
    inputs = {name: value.detach().requires_grad_(name == wanted) for name, value in draw(neuron, kind, 12).items()}
    assert_twins(partial(fast, neuron, sigma=1.3), partial(slow, neuron, sigma=1.3), inputs, tolerance=1e-9)


@pytest.mark.parametrize("sigma", [0.8, None])
@pytest.mark.parametrize("kind", ["synaptic", "axonal", "dendritic"])
@pytest.mark.parametrize("neuron", list(OPTIONS))
def test_chunks_with_history_are_the_whole(neuron: str, kind: str, sigma: float | None) -> None:
    inputs = {name: value.detach() for name, value in draw(neuron, kind, 33).items()}
    current, state, gain = inputs.pop("current"), inputs.pop("state"), inputs["gain"]
    whole, end = fast(neuron, current=current, state=state, sigma=sigma, **inputs)
    pieces: list[Tensor] = []
    for start in range(0, 33, 5):
        sent = torch.cat(pieces)[-MAX_DELAY:] * gain if pieces else None
        now = current[start : start + 5]
        spikes, state = fast(neuron, current=now, state=state, sigma=sigma, history=sent, **inputs)
        pieces.append(spikes)
    assert torch.equal(torch.cat(pieces), whole)
    assert float((state - end).abs().max()) < 1e-12


@pytest.mark.parametrize("sigma", [1.0, None])
@pytest.mark.parametrize("neuron", list(OPTIONS))
def test_what_is_not_finite_shows(neuron: str, sigma: float | None) -> None:
    inputs = {name: value.detach() for name, value in draw(neuron, "axonal").items()}
    inputs["current"][3, 0, 0] = torch.nan
    spikes, _ = fast(neuron, sigma=sigma, **inputs)
    assert spikes[3:, 0, 0].isnan().all()
    assert bool(spikes[:3].isfinite().all())


@pytest.mark.parametrize(
    ("neuron", "change", "named"),
    [
        ("soft", {"reset": "soft"}, "reset"),
        ("forward", {"euler": "backward"}, "euler"),
        ("forward", {"state": torch.zeros(4, NEURONS)}, "state"),
        ("forward", {"b": torch.zeros(3)}, "b"),
        ("forward", {"weight": torch.zeros(1, 7, 6)}, "weight"),
    ],
)
def test_what_does_not_fit_is_named(neuron: str, change: dict[str, Any], named: str) -> None:
    op: Any = recurrent_lif if neuron == "soft" else recurrent_adaptive_lif
    inputs: dict[str, Any] = {**draw(neuron, "synaptic"), "sigma": 1.0, "max_delay": MAX_DELAY, **change}
    with pytest.raises(ValueError, match=f"^{named}: "):
        op(**inputs)
