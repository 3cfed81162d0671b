"""Stateful synapses against their equation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops.trace import op, reference, scan, trace
from tests.ops.test_scan import SIZES
from tests.ops.twins import KERNELS, assert_twins, kernels_of, poisoned_memory


def by_hand(spikes: list[float], decay: float) -> list[float]:
    """As the words say it: a spike adds 1 to what was there, a step without one keeps a share of it."""
    y, trace = 0.0, []
    for s in spikes:
        y = y + 1 if s else decay * y
        trace.append(y)
    return trace


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("time", "batch", "neurons"), [(1, 1, 1), (63, 1, 5), (20, 3, 2)])
def test_is_the_equation(decay: float, time: int, batch: int, neurons: int) -> None:
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(time, batch, neurons, generator=generator) < 0.3).double()
    y, state = trace(spikes, torch.tensor(decay).double())
    kept = float(torch.tensor(decay).double())
    for b in range(batch):
        for n in range(neurons):
            assert y[:, b, n].tolist() == pytest.approx(by_hand(spikes[:, b, n].tolist(), kept), abs=1e-12)
    assert torch.equal(state, y[-1])


def test_a_spike_adds_one_and_holds_up_the_decay() -> None:
    spikes = torch.tensor([1.0, 0, 0, 1, 1, 0]).view(6, 1, 1)
    assert trace(spikes, torch.tensor(0.5))[0].flatten().tolist() == [1, 0.5, 0.25, 1.25, 2.25, 1.125]


def test_without_memory_successive_spikes_still_add_up() -> None:
    spikes = torch.tensor([1.0, 1, 0, 1]).view(4, 1, 1)
    assert trace(spikes, torch.tensor(0.0))[0].flatten().tolist() == [1, 2, 0, 1]


def test_each_neuron_may_have_its_own_decay() -> None:
    spikes = torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, 1, 2)
    y, _ = trace(spikes, torch.tensor([0.5, 1.0]))
    assert y[:, 0].T.tolist() == [[1, 0.5, 0.25], [1, 1, 1]]


def test_a_stream_in_pieces_is_the_whole() -> None:
    spikes, decay = (torch.rand(17, 2, 5) < 0.4).float(), torch.tensor(0.8)
    whole, end = trace(spikes, decay)
    state, pieces = None, []
    for piece in spikes.split([1, 0, 9, 7]):
        y, state = trace(piece, decay, state)
        pieces.append(y)
    assert torch.equal(torch.cat(pieces), whole)
    assert state is not None
    assert torch.equal(state, end)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_every_gradient(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(9, 2, 3, generator=generator) < 0.4).double().requires_grad_()
    decay = torch.full(shape, 0.7, dtype=torch.double, requires_grad=True)
    state = torch.rand(2, 3, dtype=torch.double, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(trace, (spikes, decay, state))


SHARES = {"mixed": 0.4, "silent": 0.0, "all spike": 1.0}


def draw(size: tuple[int, int, int], kind: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(sum(size))
    inputs = {
        "spikes": (torch.rand(size, generator=generator) < SHARES[kind]).to(dtype),
        "decay": torch.rand(size[2], generator=generator, dtype=dtype),
        "state": torch.rand(size[1:], generator=generator, dtype=dtype),
    }
    return {name: value.requires_grad_() for name, value in inputs.items()}


def check(kernels: str, inputs: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    def slow(spikes: Tensor, decay: Tensor, state: Tensor) -> Any:
        return reference.trace(spikes, decay, state)

    with poisoned_memory(), kernels_of(kernels):
        assert_twins(trace, slow, inputs, tolerance=tolerance, exact=["output 0", "output 1"])


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", list(SHARES))
@pytest.mark.parametrize("size", SIZES)
def test_scan_is_the_reference(size: tuple[int, int, int], kind: str, kernels: str) -> None:
    check(kernels, draw(size, kind))


@pytest.mark.parametrize("kernels", KERNELS)
def test_scan_in_double_precision_and_in_any_order_of_memory(kernels: str) -> None:
    inputs = {
        name: value.detach().mT.contiguous().mT.requires_grad_() if value.ndim > 1 else value
        for name, value in draw((17, 5, 3), "mixed", torch.float64).items()
    }
    assert not inputs["spikes"].is_contiguous()
    check(kernels, inputs, 1e-12)


def test_the_public_function_takes_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(op, "reference", None)
    assert trace(torch.ones(3, 2, 4), torch.tensor(0.5))[0][:, 1, 2].tolist() == [1, 2, 3]


def test_operators_keep_torchs_rules() -> None:
    inputs = draw((5, 2, 3), "mixed")
    torch.library.opcheck(scan.trace_scan, tuple(inputs.values()))
    plain = [value.detach() for value in inputs.values()]
    torch.library.opcheck(scan.trace_scan_backward, (torch.rand(5, 2, 3), plain[0], torch.rand(5, 2, 3), *plain[1:]))


@pytest.mark.parametrize(
    ("spikes", "decay", "state", "message"),
    [
        ((4, 3), (), None, r"spikes: shape \(4, 3\) is not \[time, batch, neuron\]"),
        ((4, 2, 3), (2,), None, r"decay: shape \(2,\) is neither a scalar nor \[3\]"),
        ((4, 2, 3), (), (3, 2), r"state: shape \(3, 2\) is not \(2, 3\)"),
    ],
)
def test_shapes_are_checked(
    spikes: tuple[int, ...], decay: tuple[int, ...], state: tuple[int, ...] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        trace(torch.zeros(spikes), torch.zeros(decay), None if state is None else torch.zeros(state))
