"""Recurrent delays by the kernels for a GPU, through triton's interpreter, against the reference."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops.adaptive_lif import reference as adaptive_lif_reference
from ranvier.ops.lif import reference as lif_reference
from ranvier.ops.recurrent_lif import recurrent_adaptive_lif, recurrent_lif, reference, scan
from tests.ops.twins import KERNELS, assert_twins, kernels_of, poisoned_memory

pytestmark = [*KERNELS[1].marks]  # type: ignore[attr-defined]

KINDS = ("synaptic", "axonal", "dendritic")
NEURONS: dict[str, dict[str, Any]] = {
    "zero": {"reset": "zero"},
    "subtract": {"reset": "subtract"},
    "symplectic": {"euler": "symplectic"},
    "forward": {"euler": "forward"},
}
TAP: dict[str, Any] = {"sigma": 0.8, "max_delay": 3}


def adaptive(neuron: str) -> bool:
    return "euler" in NEURONS[neuron]


def fast(neuron: str, **inputs: Any) -> tuple[Tensor, Tensor]:
    op: Any = recurrent_adaptive_lif if adaptive(neuron) else recurrent_lif
    return op(**inputs, **NEURONS[neuron])  # type: ignore[no-any-return]


def slow(
    neuron: str, current: Tensor, weight: Tensor, delay: Tensor, sigma: float | None, state: Tensor, *, max_delay: int,
    gain: Tensor | None = None, surrogate: Any = "arctan", alpha: float = 5.0, **values: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The reference with the arguments of the op."""
    step: Any = adaptive_lif_reference.adaptive_lif if adaptive(neuron) else lif_reference.lif
    options = {"surrogate": surrogate, "alpha": alpha, **NEURONS[neuron]}
    return reference.recurrent(
        current, weight, delay.clamp(1, max_delay), sigma,
        lambda now, before: step(now, *values.values(), before, **options),
        state, max_delay=max_delay, kernel="gaussian", gain=gain,
    )  # fmt: skip


def draw(
    kind: str, neuron: str, size: tuple[int, int, int], dtype: torch.dtype = torch.float64, longest: int = 3
) -> dict[str, Any]:
    """Inputs in which about half of the neurons spike at a time; the gain of some is 0."""
    time, batch, neurons = size
    generator = torch.Generator().manual_seed(sum(size))

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    shape = {"synaptic": (neurons, neurons), "axonal": (1, neurons), "dendritic": (neurons, 1)}[kind]
    inputs = {
        "current": (6 if adaptive(neuron) else 2) * uniform(time, batch, neurons) - 0.5,
        "weight": uniform(1, neurons, neurons) - 0.5,
        "delay": 1 + longest * uniform(1, *shape),
        "decay": 0.9 * uniform(neurons),
    }
    if adaptive(neuron):
        inputs |= {"adaptation_decay": uniform(neurons), "a": uniform(neurons), "b": 2 * uniform(neurons)}
    inputs["threshold"] = 0.7 + uniform(neurons) / 2
    rows = (3,) if adaptive(neuron) else ()
    inputs["state"] = uniform(batch, *rows, neurons)
    if adaptive(neuron):
        inputs["state"][:, 2] = (inputs["state"][:, 2] < 0.5).to(dtype)
    gain = (uniform(batch, neurons) > 0.3).to(dtype) / 0.7
    return {name: value.requires_grad_() for name, value in inputs.items()} | {"gain": gain}


def check(neuron: str, inputs: dict[str, Any], tolerance: float = 1e-9, **options: Any) -> Tensor:
    exact = ["output 0"] if inputs["current"].dtype == torch.float64 else []
    options = {**TAP, **options}
    with poisoned_memory(), kernels_of("gpu"):
        assert_twins(
            partial(fast, neuron, **options), partial(slow, neuron, **options), inputs, tolerance=tolerance, exact=exact
        )
    return slow(neuron, **inputs, **options)[0].detach()


@pytest.mark.parametrize("neuron", list(NEURONS))
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_gradients_are_the_references(kind: str, neuron: str) -> None:
    rate = check(neuron, draw(kind, neuron, (6, 3, 5))).mean()
    assert 0.1 < float(rate) < 0.9


@pytest.mark.parametrize(("size", "longest"), [((1, 1, 1), 3), ((4, 2, 4), 1), ((4, 2, 3), 40), ((3, 17, 2), 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_odd_sizes_and_any_number_of_lags(kind: str, size: tuple[int, int, int], longest: int) -> None:
    check("subtract", draw(kind, "subtract", size, longest=longest), max_delay=longest)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-9)])
@pytest.mark.parametrize(("kind", "neuron"), [("synaptic", "forward"), ("axonal", "zero"), ("dendritic", "symplectic")])
def test_several_tiles_of_neurons(
    kind: str, neuron: str, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ranvier.ops.recurrent_lif import scan_cuda

    monkeypatch.setitem(scan_cuda.TILE, dtype, 16)
    check(neuron, draw(kind, neuron, (4, 2, 19), dtype), tolerance)


@pytest.mark.parametrize(("surrogate", "alpha"), [("fast_sigmoid", 25.0), ("triangle", 2.5)])
@pytest.mark.parametrize(("kind", "neuron"), [("synaptic", "zero"), ("axonal", "symplectic"), ("dendritic", "forward")])
def test_in_single_precision_with_whole_delays(kind: str, neuron: str, surrogate: Any, alpha: float) -> None:
    inputs = draw(kind, neuron, (5, 3, 5), torch.float32)
    check(neuron, inputs, 2e-5, sigma=None, surrogate=surrogate, alpha=alpha)


@pytest.mark.parametrize(("level", "rate"), [(0.0, 0.0), (9.0, 1.0)])
@pytest.mark.parametrize("kind", KINDS)
def test_silent_and_all_spiking_input(kind: str, level: float, rate: float) -> None:
    inputs = draw(kind, "zero", (4, 2, 5))
    for name, value in (("current", level), ("state", 0.0)):
        inputs[name] = torch.full_like(inputs[name], value).requires_grad_()
    assert float(check("zero", inputs).mean()) == rate


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_in_any_order_of_memory_and_no_gain(kind: str) -> None:
    inputs = draw(kind, "forward", (4, 2, 5))
    inputs = {
        name: value.detach().mT.contiguous().mT.requires_grad_() if value.ndim > 1 else value
        for name, value in inputs.items()
        if name != "gain"
    }
    assert not inputs["current"].is_contiguous()
    check("forward", inputs)


@pytest.mark.parametrize(("kind", "wanted"), [("axonal", "current"), ("dendritic", "weight"), ("synaptic", "decay")])
def test_a_gradient_alone(kind: str, wanted: str) -> None:
    inputs = {name: value.detach() for name, value in draw(kind, "zero", (4, 2, 3)).items()}
    inputs[wanted].requires_grad_()
    check("zero", inputs)


@pytest.mark.parametrize("neuron", ["zero", "symplectic"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_shows_in_its_own_clip_alone(kind: str, neuron: str) -> None:
    inputs = {name: value.detach() for name, value in draw(kind, neuron, (5, 3, 5)).items()}
    inputs["current"][2, 1, 3] = torch.nan
    inputs["current"].requires_grad_()
    with poisoned_memory(), kernels_of("gpu"):
        spikes, _ = fast(neuron, **inputs, **TAP)
        (gradient,) = torch.autograd.grad(spikes.sum(), inputs["current"])
    assert spikes[2:, 1, 3].isnan().all()
    assert gradient[2, 1, 3].isnan()
    assert spikes[:3, 1, :3].isfinite().all()
    assert spikes[:, [0, 2]].isfinite().all()
    assert gradient[:, [0, 2]].isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_operators_keep_torchs_rules(kind: str) -> None:
    weight = torch.rand(0) if kind == "synaptic" else torch.rand(3, 3)
    taps = torch.rand(2, 3, 3) if kind == "synaptic" else torch.rand(3, 2)
    current, gain, values, state = torch.rand(4, 2, 3), torch.ones(2, 3), torch.rand(5, 3), torch.rand(2, 3, 3)
    given = [tensor.requires_grad_() for tensor in (current, weight, taps)]
    options = (kind, "forward", "arctan", 5.0)
    with kernels_of("gpu"):
        rules = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
        torch.library.opcheck(scan.recurrent_lif_scan, (*given, gain, values, state, *options), test_utils=rules)
