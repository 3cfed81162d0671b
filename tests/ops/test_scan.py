"""The compiled scans over time, on a CPU and, through triton's interpreter, a GPU's, against reference.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops.integrator import leaky_integrator
from ranvier.ops.integrator import reference as integrator_reference
from ranvier.ops.lif import op, reference, scan
from tests.ops.twins import INTERPRETED, KERNELS, assert_twins, kernels_of, poisoned_memory

SIZES = [(1, 1, 1), (63, 1, 1), (1, 3, 500), (63, 2, 70), (17, 5, 3)]
CURRENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "mixed": lambda noise: 1.5 * noise,
    "silent": torch.zeros_like,
    "all spike": lambda noise: 2 + noise,
    "never": lambda noise: -noise,
}


def lif_scan(*inputs: Any, reset: str = "zero") -> Any:
    return scan.lif_scan(*inputs, True, reset == "subtract")[:2]


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


def check_lif(
    kernels: str, inputs: dict[str, Tensor], surrogate: Any, alpha: float, tolerance: float = 1e-5, reset: str = "zero"
) -> None:
    def fast(current: Tensor, decay: Tensor, threshold: Tensor, state: Tensor) -> Any:
        return lif_scan(current, decay, threshold, state, surrogate, alpha, reset=reset)

    def slow(current: Tensor, decay: Tensor, threshold: Tensor, state: Tensor) -> Any:
        return reference.lif(current, decay, threshold, state, surrogate=surrogate, alpha=alpha, reset=reset)

    # spikes and the state are the same numbers to the bit; gradients differ by the order of their sums
    with kernels_of(kernels):
        assert_twins(fast, slow, inputs, tolerance=tolerance, exact=["output 0", "output 1"])


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("surrogate", "alpha"), [("arctan", 5.0), ("fast_sigmoid", 25.0), ("triangle", 2.0)])
@pytest.mark.parametrize("kind", list(CURRENTS))
@pytest.mark.parametrize("size", SIZES)
def test_lif_is_the_reference(
    size: tuple[int, int, int], kind: str, surrogate: str, alpha: float, kernels: str
) -> None:
    with poisoned_memory():
        check_lif(kernels, draw(size, kind), surrogate, alpha)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", list(CURRENTS))
@pytest.mark.parametrize("size", SIZES[-2:])
def test_soft_reset_is_the_reference(size: tuple[int, int, int], kind: str, kernels: str) -> None:
    with poisoned_memory():
        check_lif(kernels, draw(size, kind), "arctan", 5.0, reset="subtract")


@pytest.mark.parametrize("kernels", KERNELS)
def test_lif_takes_tensors_in_any_order_of_memory(kernels: str) -> None:
    inputs = {
        name: value.detach().mT.contiguous().mT.requires_grad_() if value.ndim > 1 else value
        for name, value in draw((17, 5, 3), "mixed").items()
    }
    assert not inputs["current"].is_contiguous()
    check_lif(kernels, inputs, "arctan", 5.0)


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


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("surrogate", "alpha"), [("arctan", 5.1), ("fast_sigmoid", 25.1), ("triangle", 2.1)])
def test_lif_in_double_precision(surrogate: str, alpha: float, kernels: str) -> None:
    """Steepnesses that single precision does not hold."""
    check_lif(kernels, draw((17, 5, 3), "mixed", torch.float64), surrogate, alpha, 1e-12)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["first", "last", "state", "decay"])
@pytest.mark.parametrize(("surrogate", "alpha"), [("arctan", 5.0), ("fast_sigmoid", 25.0), ("triangle", 2.0)])
def test_what_is_not_finite_shows_in_every_way(surrogate: Any, alpha: float, place: str, bad: float) -> None:
    """In the spikes and the state of its own neuron, from its step on, and in the gradient; in no other neuron."""
    inputs = {name: value.detach() for name, value in draw((9, 3, 5), "mixed").items()}
    where = {"first": inputs["current"][0, 1], "last": inputs["current"][8, 1], "state": inputs["state"][1]}
    where.get(place, inputs["decay"])[2] = bad
    inputs["current"].requires_grad_()
    found = []
    for kernels in (*(["cpu", "gpu"] if INTERPRETED else ["cpu"]), None):
        way = lif_scan if kernels else lambda *a: reference.lif(*a[:4], surrogate=a[4], alpha=a[5])
        with poisoned_memory(), kernels_of(kernels or "cpu"):
            spikes, end = way(*inputs.values(), surrogate, alpha)
            (gradient,) = torch.autograd.grad(spikes.sum() + end.sum(), inputs["current"])
        assert spikes[-1, 1, 2].isnan()
        assert end[1, 2].isnan()
        assert spikes[..., [0, 1, 3, 4]].isfinite().all()
        if bad != bad:  # beside an infinite voltage the surrogate is 0, and the loss is NaN already
            assert gradient[-1, 1, 2].isnan()
        assert gradient[..., [0, 1, 3, 4]].isfinite().all()
        found.append(spikes.detach())
    for spikes in found[:-1]:
        torch.testing.assert_close(spikes, found[-1], rtol=0, atol=0, equal_nan=True)


def test_operators_keep_torchs_rules() -> None:
    inputs = draw((5, 2, 3), "mixed")
    plain = [value.detach() for value in inputs.values()]
    torch.library.opcheck(scan.lif_scan, (*inputs.values(), "arctan", 5.0, True))
    torch.library.opcheck(scan.lif_scan, (*plain, "arctan", 5.0, False, True))
    grad, end = torch.rand(5, 2, 3), torch.rand(2, 3)
    torch.library.opcheck(scan.lif_scan_backward, (grad, end, *plain, "triangle", 5.0, True))


@pytest.mark.parametrize("kernels", KERNELS)
def test_voltages_are_kept_only_for_backward(kernels: str) -> None:
    inputs = [value.detach() for value in draw((17, 5, 3), "mixed").values()]
    with kernels_of(kernels):
        spikes, end, voltage = scan.lif_scan(*inputs, "arctan", 5.0, True)
        again, end_again, nothing = scan.lif_scan(*inputs, "arctan", 5.0, False)
    assert torch.equal(spikes, (voltage >= inputs[2]).float())
    assert torch.equal(again, spikes)
    assert torch.equal(end_again, end)
    assert nothing.numel() == 0


def test_public_functions_take_the_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """In single, double and half precision; with mixed types, and where nothing is to compute, the reference."""
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
    op.lif(torch.rand(4, 2, 3).bfloat16(), one.bfloat16(), one.bfloat16())
    assert taken == []
    op.lif(torch.rand(4, 2, 3), one.double(), one)
    leaky_integrator(torch.rand(0, 2, 3), one)
    assert taken == ["lif", "leaky_integrator"]
