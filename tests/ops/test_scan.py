"""The compiled scans over time, on a CPU and, through triton's interpreter, a GPU's, against reference.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

os.environ.setdefault("TRITON_INTERPRET", "1")  # before triton is first imported: its kernels then run on a CPU
pytest.importorskip("triton", reason="triton is made for Linux")

from ranvier.ops.integrator import leaky_integrator
from ranvier.ops.integrator import reference as integrator_reference
from ranvier.ops.lif import op, reference, scan, scan_cuda
from tests.ops.twins import assert_twins, poisoned_memory

SIZES = [(1, 1, 1), (63, 1, 1), (1, 3, 500), (63, 2, 500), (17, 5, 3)]
CURRENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "mixed": lambda noise: 1.5 * noise,
    "silent": torch.zeros_like,
    "all spike": lambda noise: 2 + noise,
    "never": lambda noise: -noise,
}


class OnGpuKernels(torch.autograd.Function):
    """lif by the GPU's kernels, with the gradient that the operator has."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        *tensors, ctx.surrogate, ctx.alpha = inputs
        current, decay, threshold, state = tensors
        spikes, end, voltage = scan_cuda.lif(current, decay, threshold, state, True)
        ctx.save_for_backward(voltage, decay, threshold, state)
        return spikes, end

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        grad_spikes, grad_end = grads
        voltage, decay, threshold, state = ctx.saved_tensors
        gradients = scan_cuda.lif_backward(
            grad_spikes, grad_end, voltage, decay, threshold, state, ctx.surrogate, ctx.alpha, True
        )
        return *gradients, None, None


def on_cpu(*inputs: Any) -> Any:
    return scan.lif_scan(*inputs, True)[:2]


LIFS: dict[str, Callable[..., Any]] = {"cpu": on_cpu, "gpu": OnGpuKernels.apply}


def draw(size: tuple[int, int, int], kind: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(sum(size))
    time, batch, neurons = size
    inputs = {
        "current": CURRENTS[kind](torch.rand(time, batch, neurons, generator=generator, dtype=dtype)),
        "decay": torch.rand(neurons, generator=generator, dtype=dtype),
        "threshold": 0.8 + 0.4 * torch.rand(neurons, generator=generator, dtype=dtype),
        "state": torch.rand(batch, neurons, generator=generator, dtype=dtype),
    }
    return {name: value.requires_grad_() for name, value in inputs.items()}


def check_lif(device: str, inputs: dict[str, Tensor], surrogate: Any, alpha: float) -> None:
    def fast(current: Tensor, decay: Tensor, threshold: Tensor, state: Tensor) -> Any:
        return LIFS[device](current, decay, threshold, state, surrogate, alpha)

    def slow(**tensors: Tensor) -> Any:
        return reference.lif(**tensors, surrogate=surrogate, alpha=alpha)

    # spikes and the state are the same numbers to the bit; gradients differ by the order of their sums
    assert_twins(fast, slow, inputs, tolerance=1e-5, exact=["output 0", "output 1"])


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize(("surrogate", "alpha"), [("arctan", 5.0), ("fast_sigmoid", 25.0), ("triangle", 2.0)])
@pytest.mark.parametrize("kind", list(CURRENTS))
@pytest.mark.parametrize("size", SIZES)
def test_lif_is_the_reference(size: tuple[int, int, int], kind: str, surrogate: str, alpha: float, device: str) -> None:
    with poisoned_memory():
        check_lif(device, draw(size, kind), surrogate, alpha)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_lif_takes_tensors_in_any_order_of_memory(device: str) -> None:
    inputs = {
        name: value.detach().mT.contiguous().mT.requires_grad_() if value.ndim > 1 else value
        for name, value in draw((17, 5, 3), "mixed").items()
    }
    assert not inputs["current"].is_contiguous()
    check_lif(device, inputs, "arctan", 5.0)


@pytest.mark.parametrize("wanted", ["current", "decay", "threshold", "state"])
def test_lif_gives_each_gradient_alone(wanted: str) -> None:
    inputs = draw((17, 5, 3), "mixed")
    for name, value in inputs.items():
        value.requires_grad_(name == wanted)
    check_lif("cpu", inputs, "arctan", 5.0)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_lif_does_not_depend_on_the_number_of_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    check_lif("cpu", draw((63, 5, 7), "mixed"), "arctan", 5.0)


def test_lif_in_double_precision() -> None:
    inputs = draw((63, 2, 500), "mixed", torch.float64)

    def fast(**tensors: Tensor) -> Any:
        return on_cpu(*tensors.values(), "arctan", 5.0)

    def slow(**tensors: Tensor) -> Any:
        return reference.lif(**tensors, surrogate="arctan", alpha=5.0)

    assert_twins(fast, slow, inputs, tolerance=1e-12)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["first", "last", "state", "decay"])
@pytest.mark.parametrize(("surrogate", "alpha"), [("arctan", 5.0), ("fast_sigmoid", 25.0), ("triangle", 2.0)])
def test_what_is_not_finite_shows_in_every_way(surrogate: Any, alpha: float, place: str, bad: float) -> None:
    """In the spikes and the state of its own neuron, from its step on, and in the gradient; in no other neuron."""
    inputs = {name: value.detach() for name, value in draw((9, 3, 5), "mixed").items()}
    where = {"first": inputs["current"][0, 1], "last": inputs["current"][8, 1], "state": inputs["state"][1]}
    where.get(place, inputs["decay"])[2] = bad
    inputs["current"].requires_grad_()
    ways = {**LIFS, "reference": lambda *a: reference.lif(*a[:4], surrogate=a[4], alpha=a[5])}
    found = []
    for way in ways.values():
        # triton's interpreter computes with NumPy, which would warn
        with poisoned_memory(), np.errstate(invalid="ignore"):
            spikes, end = way(*inputs.values(), surrogate, alpha)
            (gradient,) = torch.autograd.grad(spikes.sum() + end.sum(), inputs["current"])
        assert spikes[-1, 1, 2].isnan()
        assert end[1, 2].isnan()
        assert spikes[..., [0, 1, 3, 4]].isfinite().all()
        if bad != bad:  # beside an infinite voltage the surrogate is 0, and the loss is NaN already
            assert gradient[-1, 1, 2].isnan()
        assert gradient[..., [0, 1, 3, 4]].isfinite().all()
        found.append(spikes.detach())
    for spikes in found[:2]:
        torch.testing.assert_close(spikes, found[2], rtol=0, atol=0, equal_nan=True)


def test_operators_keep_torchs_rules() -> None:
    inputs = draw((5, 2, 3), "mixed")
    plain = [value.detach() for value in inputs.values()]
    torch.library.opcheck(scan.lif_scan, (*inputs.values(), "arctan", 5.0, True))
    torch.library.opcheck(scan.lif_scan, (*plain, "arctan", 5.0, False))
    grad, end = torch.rand(5, 2, 3), torch.rand(2, 3)
    torch.library.opcheck(scan.lif_scan_backward, (grad, end, *plain, "triangle", 5.0, True))


@pytest.mark.parametrize("scan_of", [lambda *a: scan.lif_scan(*a[:4], "arctan", 5.0, a[4]), scan_cuda.lif])
def test_voltages_are_kept_only_for_backward(scan_of: Callable[..., Any]) -> None:
    inputs = [value.detach() for value in draw((17, 5, 3), "mixed").values()]
    spikes, end, voltage = scan_of(*inputs, True)
    assert torch.equal(spikes, (voltage >= inputs[2]).float())
    again, end_again, nothing = scan_of(*inputs, False)
    assert torch.equal(again, spikes)
    assert torch.equal(end_again, end)
    assert nothing.numel() == 0


def test_public_functions_take_the_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU in single and double precision; elsewhere, and where nothing is to compute, the reference."""
    taken: list[str] = []

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            taken.append(function.__name__)
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(reference, "lif", watched(reference.lif))
    monkeypatch.setattr(integrator_reference, "leaky_integrator", watched(integrator_reference.leaky_integrator))
    one = torch.tensor(1.0)
    for dtype in (torch.float32, torch.float64):
        current = torch.rand(4, 2, 3, dtype=dtype)
        op.lif(current, one.to(dtype), one.to(dtype))
        leaky_integrator(current, one.to(dtype))
    assert taken == []
    op.lif(torch.rand(4, 2, 3).bfloat16(), one.bfloat16(), one.bfloat16())
    op.lif(torch.rand(4, 2, 3), one.double(), one)
    leaky_integrator(torch.rand(0, 2, 3), one)
    assert taken == ["lif", "lif", "leaky_integrator"]
