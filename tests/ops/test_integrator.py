"""Leaky integrators against their equation; the compiled scans against reference.py (the GPU's in the interpreter)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops.integrator import leaky_integrator, reference, scan
from tests.ops.test_scan import SIZES, draw
from tests.ops.twins import KERNELS, assert_twins, kernels_of, poisoned_memory


def test_decay_is_the_share_kept_per_step() -> None:
    voltage, state = leaky_integrator(torch.tensor([1.0, 0, 0]).view(3, 1, 1), torch.tensor(0.5))
    assert voltage.flatten().tolist() == [1.0, 0.5, 0.25]
    assert state.item() == 0.25


def test_readout_gradient() -> None:
    current = torch.randn(5, 2, 3, dtype=torch.double, requires_grad=True)

    def voltages(current: Tensor) -> Tensor:
        return leaky_integrator(current, torch.tensor(0.3).double())[0]

    assert torch.autograd.gradcheck(voltages, (current,))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", ["mixed", "silent"])
@pytest.mark.parametrize("size", SIZES)
def test_integrator_is_the_reference(size: tuple[int, int, int], kind: str, kernels: str) -> None:
    inputs = draw(size, kind)
    del inputs["threshold"]

    def fast(current: Tensor, decay: Tensor, state: Tensor) -> Any:
        return scan.integrator_scan(current, decay, state)

    def slow(current: Tensor, decay: Tensor, state: Tensor) -> Any:
        return reference.leaky_integrator(current, decay, state)[0]

    with poisoned_memory(), kernels_of(kernels):
        assert_twins(fast, slow, inputs, tolerance=1e-5, exact=["output 0"])


def test_integrator_gradients_are_those_of_the_function() -> None:
    inputs = draw((6, 2, 3), "mixed", torch.float64)
    assert torch.autograd.gradcheck(scan.integrator_scan, (inputs["current"], inputs["decay"], inputs["state"]))


def test_operators_keep_torchs_rules() -> None:
    inputs = draw((5, 2, 3), "mixed")
    del inputs["threshold"]
    torch.library.opcheck(scan.integrator_scan, tuple(inputs.values()))
    plain = [value.detach() for value in inputs.values()]
    torch.library.opcheck(scan.integrator_scan_backward, (torch.rand(5, 2, 3), *plain))
