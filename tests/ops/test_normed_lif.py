"""Normalisation and integrate-and-fire in one scan, against the two equations one after the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops.lif.scan import lif_scan
from ranvier.ops.norm import sequence_norm
from ranvier.ops.normed_lif import normed_lif, op, reference, scan
from ranvier.ops.surrogate import Surrogate
from tests.ops.twins import INTERPRETED, KERNELS, assert_twins, kernels_of, poisoned_memory

SIZES = [(5, 1, 1), (63, 1, 150), (63, 7, 3), (1, 9, 2), (20, 3, 17)]


def draw(size: tuple[int, int, int], dtype: torch.dtype = torch.float32, spread: float = 2.0) -> dict[str, Tensor]:
    time, batch, neurons = size
    generator = torch.Generator().manual_seed(time + batch)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=dtype)

    steps = torch.randint(0, time + 1, (batch,), generator=generator)
    steps[0] = time
    return {
        "current": (3 + spread * torch.randn(size, generator=generator, dtype=dtype)).requires_grad_(),
        "steps": steps,
        "weight": (0.5 + rand(neurons)).requires_grad_(),
        "bias": (rand(neurons) - 0.2).requires_grad_(),
        "decay": rand(neurons),
        "threshold": 0.5 + rand(neurons),
        "gain": 2 * (rand(batch, neurons) < 0.6).to(dtype),
    }


def check(
    inputs: dict[str, Tensor], surrogate: Surrogate, alpha: float, tolerance: float, kernels: str = "cpu"
) -> None:
    def fast(**tensors: Tensor) -> Any:
        return scan.normed_lif_scan(*tensors.values(), 1e-5, surrogate, alpha)

    def slow(**tensors: Tensor) -> Any:
        return reference.normed_lif(**tensors, eps=1e-5, surrogate=surrogate, alpha=alpha)

    with poisoned_memory(), kernels_of(kernels):
        assert_twins(fast, slow, inputs, tolerance=tolerance)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("surrogate", "alpha"), [("arctan", 5.1), ("fast_sigmoid", 25.1), ("triangle", 2.1)])
@pytest.mark.parametrize("size", SIZES)
def test_scan_is_the_reference(size: tuple[int, int, int], surrogate: Surrogate, alpha: float, kernels: str) -> None:
    # in double precision: in single a voltage within rounding of its threshold may spike in one and not in the other
    check(draw(size, torch.float64), surrogate, alpha, 1e-11, kernels)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("surrogate", "alpha"), [("arctan", 5.0), ("fast_sigmoid", 25.0), ("triangle", 2.0)])
@pytest.mark.parametrize("size", SIZES)
def test_scan_is_its_two_parts_in_single_precision(
    size: tuple[int, int, int], surrogate: Surrogate, alpha: float, kernels: str
) -> None:
    """Which are the references themselves within 1e-5 (test_norm.py, test_scan.py); spikes equal to the bit."""

    def fast(**tensors: Tensor) -> Any:
        return scan.normed_lif_scan(*tensors.values(), 1e-5, surrogate, alpha)[0]

    def parts(
        current: Tensor, steps: Tensor, weight: Tensor, bias: Tensor, decay: Tensor, threshold: Tensor, gain: Tensor
    ) -> Any:
        y, _, _ = sequence_norm(current, steps, weight, bias)
        rest = torch.zeros(y.shape[1:], dtype=y.dtype)
        return lif_scan(y, decay, threshold, rest, surrogate, alpha, True)[0] * gain

    inputs = draw(size)
    learned = [inputs[name] for name in ("current", "weight", "bias")]
    probe = torch.randn(size, generator=torch.Generator().manual_seed(0))
    theirs = parts(**inputs)
    with poisoned_memory(), kernels_of(kernels):
        ours = fast(**inputs)
        gradients = torch.autograd.grad(ours, learned, probe)
    assert torch.equal(ours, theirs)
    for mine, other in zip(gradients, torch.autograd.grad(theirs, learned, probe), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()) + 1e-12)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("bias", [-50.0, 50.0])
def test_scan_with_neurons_that_never_or_always_spike(bias: float, kernels: str) -> None:
    inputs = draw((20, 3, 17))
    inputs["bias"] = torch.full_like(inputs["bias"], bias).requires_grad_()
    # far from the threshold the gradients are small numbers, and the sums over them differ in their last digits
    check(inputs, "arctan", 5.0, 1e-4, kernels)
    with kernels_of(kernels):
        spikes = scan.normed_lif_scan(*inputs.values(), 1e-5, "arctan", 5.0)[0]
    belongs = torch.arange(20).view(-1, 1, 1) < inputs["steps"].view(1, -1, 1)
    assert torch.equal(spikes, (inputs["gain"] * belongs).expand_as(spikes) if bias > 0 else torch.zeros_like(spikes))


@pytest.mark.parametrize("kernels", KERNELS)
def test_scan_takes_tensors_in_any_order_of_memory(kernels: str) -> None:
    inputs = draw((20, 3, 17), torch.float64)
    for name in ("current", "gain"):
        value = inputs[name].detach().mT.contiguous().mT
        inputs[name] = value.requires_grad_(name == "current")
    assert not inputs["current"].is_contiguous()
    check(inputs, "arctan", 5.0, 1e-5, kernels)


def whole_reference(*inputs: Any) -> Any:
    return reference.normed_lif(*inputs[:-3], eps=inputs[-3], surrogate=inputs[-2], alpha=inputs[-1])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", ["current", "weight", "bias", "decay"])
def test_what_is_not_finite_shows(name: str, bad: float) -> None:
    inputs = {key: value.detach() for key, value in draw((20, 3, 5)).items()}
    inputs["steps"][:] = 20
    inputs["gain"][1, 2] = 0  # a silenced neuron hides nothing
    (inputs[name][4, 1] if name == "current" else inputs[name])[2] = bad
    inputs["current"].requires_grad_()
    results = []
    for kernels in (*(["cpu", "gpu"] if INTERPRETED else ["cpu"]), None):
        function = scan.normed_lif_scan if kernels else whole_reference
        with poisoned_memory(), kernels_of(kernels or "cpu"):
            spikes, _, _ = function(*inputs.values(), 1e-5, "triangle", 2.0)
            (gradient,) = torch.autograd.grad(spikes.sum(), inputs["current"])
        assert spikes[-1, :, 2].isnan().all()
        assert spikes[..., [0, 1, 3, 4]].isfinite().all()
        assert gradient[..., [0, 1, 3, 4]].isfinite().all()
        assert not gradient[..., 2].isfinite().all() or name == "bias"
        results.append(spikes.detach())
    for result in results[:-1]:
        torch.testing.assert_close(result, results[-1], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_scan_does_not_depend_on_the_number_of_threads(threads: int) -> None:
    inputs = draw((63, 7, 3))
    torch.set_num_threads(1)
    expected = scan.normed_lif_scan(*inputs.values(), 1e-5, "arctan", 5.0)[0].detach()
    torch.set_num_threads(threads)
    assert torch.equal(scan.normed_lif_scan(*inputs.values(), 1e-5, "arctan", 5.0)[0], expected)


def test_operators_keep_torchs_rules() -> None:
    inputs = draw((6, 3, 2))
    torch.library.opcheck(scan.normed_lif_scan, (*inputs.values(), 1e-5, "arctan", 5.0))
    plain = {name: value.detach() for name, value in inputs.items()}
    current, steps, weight, bias, decay, threshold, gain = plain.values()
    mean, variance = torch.rand(2), torch.rand(2)
    arguments = (torch.rand(6, 3, 2), current, steps, weight, bias, mean, variance, decay, threshold, gain)
    torch.library.opcheck(scan.normed_lif_scan_backward, (*arguments, 1e-5, "triangle", 2.0))


def test_a_learned_decay_takes_the_two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = draw((6, 3, 2))
    monkeypatch.setattr(op, "normed_lif_scan", None)
    inputs["decay"].requires_grad_()
    spikes, _, _ = normed_lif(**inputs)  # type: ignore[arg-type]
    assert torch.autograd.grad(spikes.sum(), inputs["decay"])[0].shape == (2,)


@pytest.mark.parametrize("name", ["current", "steps", "weight", "bias", "decay", "threshold", "gain"])
def test_errors_name_the_argument(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        normed_lif(**{**draw((6, 3, 2)), name: torch.zeros(9)})  # type: ignore[arg-type]
