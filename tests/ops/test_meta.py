"""Every op on the device "meta", where tensors have no values: nothing is read, and nothing moves to a CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._library.custom_ops import OPDEFS

from ranvier.ops import delayed_current, launch_cuda, lif
from ranvier.ops.dense import op
from ranvier.ops.dense.op import Plan
from ranvier.ops.trace import trace
from tests.ops.cases import CASES
from tests.ops.twins import INTERPRETED


@pytest.fixture(params=["shapes of the operators", "code for a GPU"])
def launched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str] | None:
    """What operators run on "meta": the shapes that they promise, or what they run on a GPU, with no kernel launched.

    Returns:
        The kernels that would have been launched, as they come; None for shapes alone.
    """
    launched: list[str] = []

    def launch_range(kernel: Any, like: Tensor, total: int, *arguments: Any, **_: Any) -> None:
        on = {argument.device.type for argument in arguments if isinstance(argument, Tensor)}
        assert on == {"meta"} == {like.device.type}, f"{kernel} on {on}"
        launched.append(str(kernel))

    if request.param == "code for a GPU":
        if not INTERPRETED:
            pytest.skip("there is a GPU, which would get the kernels, or no triton")
        monkeypatch.setattr(launch_cuda, "launch_range", launch_range)
        monkeypatch.setattr("ranvier.ops.dense.taps_cuda.launch_range", launch_range)
        for name, one in OPDEFS.items():
            body = one._backend_fns.get("cuda", one._backend_fns.get(None))
            if name.startswith("ranvier::") and body is not None:
                monkeypatch.setattr(one, "_abstract_fn", body)
        return launched
    return None


def outputs_and_gradients(name: str, device: str) -> dict[str, tuple[Any, ...]]:
    case = CASES[name]
    inputs = {key: value.detach().to(device) for key, value in case.draw(torch.float32).items()}
    drawn = case.draw(torch.float32)
    inputs = {key: value.requires_grad_(drawn[key].requires_grad) for key, value in inputs.items()}
    results = case.function(**inputs)
    results = [results] if isinstance(results, Tensor) else list(results)
    found = {f"output {number}": result for number, result in enumerate(results)}
    learned = [key for key, value in inputs.items() if value.requires_grad]
    if learned:
        differentiable = [result for result in results if result.requires_grad]
        probes = [torch.ones_like(result) for result in differentiable]
        gradients = torch.autograd.grad(differentiable, [inputs[key] for key in learned], probes, allow_unused=True)
        pairs = zip(learned, gradients, strict=True)
        found |= {f"gradient of {key}": gradient for key, gradient in pairs if gradient is not None}
    assert {value.device.type for value in found.values()} == {device}
    return {key: (value.shape, value.dtype) for key, value in found.items()}


PLANS = [(name, "spectral") for name in CASES] + [(name, "dense") for name in CASES if name.startswith("delayed")]


@pytest.mark.parametrize(("name", "plan"), PLANS)
def test_every_op_keeps_its_device(
    name: str, plan: str, launched: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(op, "plan", lambda *_, **__: Plan(plan, "this test says so"))
    found = outputs_and_gradients(name, "meta")
    if launched is not None:
        assert bool(launched) == (plan == "spectral")  # which names no plan of the other ops
        launched.clear()
    assert found == outputs_and_gradients(name, "cpu")
    assert not launched


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float64])
def test_a_conversion_reads_no_value(dtype: torch.dtype) -> None:
    """Which a CPU's values are checked in: counts are 8-bit in a data set, and a GPU would be waited for."""
    x = torch.empty(7, 2, 3, dtype=dtype, device="meta")
    weight, delay = (torch.empty(1, 4, 3, device="meta", requires_grad=True) for _ in range(2))
    sigma, decay = torch.empty((), device="meta"), torch.empty((), device="meta")
    current = delayed_current(x, weight, delay, sigma, max_delay=5)
    spikes, _ = lif(current, decay, decay)
    traced, state = trace(x, decay)
    assert {result.dtype for result in (current, spikes, traced, state)} == {torch.float32}
    assert {result.device.type for result in (current, spikes, traced, state)} == {"meta"}
