"""Autocast and parameters in half precision: scans and sums in float32, to the bit those of float32 inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops import delayed_current, lif
from ranvier.ops.adaptive_lif import adaptive_lif
from ranvier.ops.adaptive_lif import op as adaptive_lif_op
from ranvier.ops.dense import op as dense_op
from ranvier.ops.dense.op import Plan
from ranvier.ops.integrator import leaky_integrator
from ranvier.ops.integrator import op as integrator_op
from ranvier.ops.lif import op as lif_op
from ranvier.ops.norm import op as norm_op
from ranvier.ops.norm import sequence_norm
from ranvier.ops.normed_lif import normed_lif
from ranvier.ops.normed_lif import op as normed_lif_op
from ranvier.ops.product import product
from ranvier.ops.trace import op as trace_op
from ranvier.ops.trace import trace

STEPS = torch.tensor([9, 7])
HALF = [torch.bfloat16, torch.float16]
PARAMETERS = {
    "decay": torch.tensor([0.5, 0.25, 0.75, 0.875]),
    "threshold": torch.tensor([0.5, 1.0, 1.5, 1.0]),
    "state": torch.tensor([[0.5, 0.25, 0.0, 1.0]] * 2),
    "states": torch.tensor([[[0.5, 0.25, 0.0, 1.0]] * 3] * 2),
    "weight": torch.tensor([1.0, 0.5, 2.0, 1.0]),
    "bias": torch.tensor([0.0, 0.5, -0.5, 1.0]),
    "gain": torch.tensor([[2.0, 0.0, 2.0, 2.0]] * 2),
}
SCANS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "lif": (lif, ["decay", "threshold", "state"]),
    "adaptive lif": (adaptive_lif, ["decay", "decay", "bias", "threshold", "threshold", "states"]),
    "integrator": (leaky_integrator, ["decay", "state"]),
    "trace": (trace, ["decay", "state"]),
    "norm": (lambda x, *others: sequence_norm(x, STEPS, *others), ["weight", "bias"]),
    "normed lif": (
        lambda x, *others: normed_lif(x, STEPS, *others),
        ["weight", "bias", "decay", "threshold", "gain"],
    ),
}


@pytest.fixture(autouse=True)
def _no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (lif_op, adaptive_lif_op, integrator_op, trace_op, norm_op):
        monkeypatch.setattr(each, "reference", None)
    monkeypatch.setattr(normed_lif_op, "lif", None)


def current(dtype: torch.dtype) -> Tensor:
    return (torch.rand(9, 2, 4, generator=torch.Generator().manual_seed(0)) * 2).to(dtype)


@pytest.mark.parametrize("name", list(SCANS))
@pytest.mark.parametrize("dtype", HALF)
def test_parameters_in_half_precision_compute_in_float32(dtype: torch.dtype, name: str) -> None:
    function, names = SCANS[name]
    half = [current(dtype), *(PARAMETERS[each].to(dtype) for each in names)]
    half = [value.requires_grad_(key != "gain") for key, value in zip(["x", *names], half, strict=True)]
    if name == "normed lif":
        half[3:5] = [value.detach() for value in half[3:5]]  # learned, the two parts would be taken
    single = [value.detach().float().requires_grad_(value.requires_grad) for value in half]
    ours, theirs = function(*half), function(*single)
    assert ours[0].dtype == dtype
    assert torch.equal(ours[0], theirs[0].to(dtype))
    if {"state", "states"} & set(names):
        assert ours[1].dtype == torch.float32
        assert torch.equal(ours[1], theirs[1])
    learned = [number for number, value in enumerate(half) if value.requires_grad and "state" not in names[number - 1]]
    probe = torch.ones_like(ours[0])
    mine = torch.autograd.grad(ours[0], [half[number] for number in learned], probe)
    peers = torch.autograd.grad(theirs[0], [single[number] for number in learned], probe.float())
    for gradient, peer in zip(mine, peers, strict=True):
        assert gradient.dtype == dtype
        assert torch.equal(gradient, peer.to(dtype))


@pytest.mark.parametrize("name", list(SCANS))
def test_autocast_changes_no_scan(name: str) -> None:
    """What comes from a product under autocast is bfloat16; parameters are float32, and so is what leaves."""
    function, names = SCANS[name]
    parameters = [PARAMETERS[each] for each in names]
    if name == "normed lif":
        parameters[-1] = parameters[-1].bfloat16()  # a dropout mask made like the current
    with torch.autocast("cpu", torch.bfloat16):
        x = current(torch.float32) @ torch.eye(4)
        assert x.dtype == torch.bfloat16
        results = function(x, *parameters)
    expected = function(x.float(), *(value.float() for value in parameters))
    for result, other in zip(results, expected, strict=True):
        assert result.dtype == torch.float32
        assert torch.equal(result, other)


def test_a_stream_in_half_precision_keeps_its_voltages_in_float32() -> None:
    x, decay = current(torch.bfloat16), torch.tensor(0.875).bfloat16()
    whole, end = leaky_integrator(x, decay)
    first, state = leaky_integrator(x[:4], decay)
    rest, last = leaky_integrator(x[4:], decay, state)
    assert torch.equal(torch.cat([first, rest]), whole)
    assert torch.equal(last, end)


@pytest.mark.parametrize("plan", ["spectral", "dense"])
@pytest.mark.parametrize("onednn", [True, False])
def test_autocast_rounds_no_delayed_current(plan: str, onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", onednn)
    monkeypatch.setattr(dense_op, "plan", lambda *_, **__: Plan(plan, "this test says so"))
    x = torch.rand(50, 32, 64)
    weight, delay = torch.rand(1, 64, 64, requires_grad=True), torch.rand(1, 64, 64) * 24

    def run() -> tuple[Tensor, ...]:
        y = delayed_current(x, weight, delay, 2.0, max_delay=24)
        return y, *torch.autograd.grad(y.sum(), weight)

    plain = run()
    with torch.autocast("cpu", torch.bfloat16):
        assert product(torch.rand(3, 4), torch.rand(5, 4)).dtype == torch.float32
        under = run()
    for ours, other in zip(under, plain, strict=True):
        assert torch.equal(ours, other)
