"""Every op on a GPU against its reference on the CPU: outputs, final states and every gradient."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ranvier.ops.dense import op
from ranvier.ops.dense.op import Plan
from tests.ops.cases import CASES
from tests.ops.twins import assert_twins

DEVICES = [
    "cpu",  # the cases themselves
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-11}


def check(name: str, device: str, dtype: torch.dtype) -> None:
    case = CASES[name]

    def there(**inputs: Tensor) -> Sequence[Tensor]:
        results = case.function(**{key: value.to(device) for key, value in inputs.items()})
        results = [results] if isinstance(results, Tensor) else results
        assert {result.device.type for result in results} == {device}
        return [result.cpu() for result in results]

    assert_twins(there, case.reference, case.draw(dtype), tolerance=TOLERANCE[dtype], exact=case.exact)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("name", list(CASES))
def test_every_op_is_its_reference(name: str, dtype: torch.dtype, device: str) -> None:
    check(name, device, dtype)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("plan", ["spectral", "dense"])
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("delayed current")])
def test_every_plan_is_the_reference(
    name: str, plan: str, dtype: torch.dtype, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(op, "plan", lambda *_, **__: Plan(plan, "this test says so"))
    check(name, device, dtype)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("recurrent")])
def test_nothing_waits_for_a_value(name: str) -> None:
    """Forward and backward, the second time, when kernels are built and bases of the transforms are made.

    Recurrent delays are not among these: how many lags they need is read from them (``longest_lag``).
    """
    case = CASES[name]
    inputs = {key: value.detach().cuda() for key, value in case.draw(torch.float32).items()}
    inputs = {key: value.requires_grad_(value.is_floating_point() and key != "gain") for key, value in inputs.items()}
    for mode in ("default", "error"):
        torch.cuda.set_sync_debug_mode(mode)
        try:
            results = case.function(**inputs)
            total = (results if isinstance(results, Tensor) else results[0]).sum()
            if total.requires_grad:
                total.backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert total.isfinite()
    gradients = {key: value.grad for key, value in inputs.items() if value.requires_grad and total.requires_grad}
    assert [key for key, gradient in gradients.items() if gradient is None or not gradient.isfinite().all()] == []
