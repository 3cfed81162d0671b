"""Batch normalisation over clips' own steps: torch's as the oracle, the compiled passes against reference.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops.norm import passes, reference, sequence_norm
from tests.ops.twins import KERNELS, assert_twins, kernels_of, poisoned_memory


def draw(time: int, batch: int, neurons: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(time + batch)
    inputs = {
        "x": 3 + 2 * torch.randn(time, batch, neurons, generator=generator, dtype=dtype),
        "weight": torch.rand(neurons, generator=generator, dtype=dtype),
        "bias": torch.rand(neurons, generator=generator, dtype=dtype),
    }
    return {name: value.requires_grad_() for name, value in inputs.items()}


def steps_of(time: int, batch: int) -> Tensor:
    steps = torch.randint(0, time + 1, (batch,), generator=torch.Generator().manual_seed(0))
    steps[0] = time
    return steps


def test_is_torchs_batch_norm_of_the_steps_that_belong() -> None:
    inputs, steps = draw(12, 5, 4), steps_of(12, 5)
    belongs = torch.arange(12).unsqueeze(-1) < steps
    y, mean, variance = sequence_norm(inputs["x"], steps, inputs["weight"], inputs["bias"])
    own = inputs["x"][belongs]
    theirs = torch.nn.functional.batch_norm(own, None, None, inputs["weight"], inputs["bias"], training=True)
    torch.testing.assert_close(y[belongs], theirs)
    assert not y[~belongs].any()
    torch.testing.assert_close(mean, own.mean(0))
    torch.testing.assert_close(variance, own.var(0, unbiased=False))
    probe = torch.randn(12, 5, 4)
    ours = torch.autograd.grad((y * probe).sum(), list(inputs.values()))
    peers = torch.autograd.grad((theirs * probe[belongs]).sum(), list(inputs.values()))
    for mine, peer in zip(ours, peers, strict=True):
        torch.testing.assert_close(mine, peer, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("time", "batch", "neurons"), [(5, 1, 1), (63, 1, 150), (63, 7, 3), (1, 9, 2)])
def test_passes_are_the_reference(time: int, batch: int, neurons: int, dtype: torch.dtype, kernels: str) -> None:
    inputs, steps = draw(time, batch, neurons, dtype), steps_of(time, batch)

    def fast(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        return passes.normalise(x, steps, weight, bias, 1e-5)

    def slow(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        return reference.sequence_norm(x, steps, weight, bias, 1e-5)

    with poisoned_memory(), kernels_of(kernels):
        assert_twins(fast, slow, inputs, tolerance=1e-5 if dtype == torch.float32 else 1e-11)
    turned = {
        name: value.detach().mT.contiguous().mT.requires_grad_() if name == "x" else value
        for name, value in inputs.items()
    }
    with kernels_of(kernels):
        assert_twins(fast, slow, turned, tolerance=1e-5)


def test_a_neuron_that_never_changes_stays_finite() -> None:
    x = torch.full((6, 3, 2), 1e4, requires_grad=True)
    steps = torch.tensor([6, 2, 1])
    y, _, variance = sequence_norm(x, steps, torch.ones(2), torch.zeros(2))
    assert variance.tolist() == [0, 0]
    assert y.abs().max() < 1e-2
    y.sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_gradients_are_those_of_the_function() -> None:
    inputs = draw(4, 3, 2, torch.float64)
    steps = torch.tensor([4, 2, 3])

    def f(*tensors: Tensor) -> Tensor:
        x, weight, bias = tensors
        return sequence_norm(x, steps, weight, bias)[0]

    assert torch.autograd.gradcheck(f, list(inputs.values()))


def test_operators_keep_torchs_rules() -> None:
    inputs, steps = draw(6, 3, 2), torch.tensor([6, 2, 3])
    plain = [value.detach() for value in inputs.values()]
    torch.library.opcheck(passes.normalise, (inputs["x"], steps, inputs["weight"], inputs["bias"], 1e-5))
    mean, variance = torch.rand(2), torch.rand(2)
    torch.library.opcheck(
        passes.normalise_backward, (torch.rand(6, 3, 2), plain[0], steps, plain[1], mean, variance, 1e-5)
    )


@pytest.mark.parametrize("name", ["x", "steps", "weight", "bias"])
def test_errors_name_the_argument(name: str) -> None:
    good = {"x": torch.zeros(5, 2, 3), "steps": torch.tensor([5, 2]), "weight": torch.ones(3), "bias": torch.ones(3)}
    with pytest.raises(ValueError, match=f"^{name}: "):
        sequence_norm(**{**good, name: torch.zeros(9)})  # type: ignore[arg-type]
