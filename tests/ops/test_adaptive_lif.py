"""Adaptive leaky integrate-and-fire against its equation; compiled scans, on a CPU and through triton's interpreter,
against reference.py."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops.adaptive_lif import EULERS, adaptive_lif, op, reference, scan
from tests.ops.test_scan import CURRENTS
from tests.ops.twins import KERNELS, assert_twins, kernels_of, poisoned_memory

SIZES = [(1, 1, 1), (63, 1, 1), (1, 3, 500), (63, 2, 70), (17, 5, 3)]
SURROGATES = [("arctan", 5.1), ("fast_sigmoid", 25.1), ("triangle", 2.1)]
EXACT = ("output 0", "output 1")


def draw(size: tuple[int, int, int], kind: str, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    time, batch, neurons = size
    generator = torch.Generator().manual_seed(sum(size))

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=dtype)

    state = torch.stack([rand(batch, neurons), rand(batch, neurons), (rand(batch, neurons) < 0.5).to(dtype)], 1)
    inputs = {
        "current": 2.5 * CURRENTS[kind](rand(time, batch, neurons)),
        "decay": 0.95 * rand(neurons),
        "adaptation_decay": rand(neurons),
        "a": rand(neurons),
        "b": 2 * rand(neurons),
        "threshold": 0.8 + 0.4 * rand(neurons),
        "state": state,
    }
    return {name: value.requires_grad_() for name, value in inputs.items()}


def check(kernels: str, inputs: dict[str, Any], euler: Any, tolerance: float = 1e-5, **options: Any) -> None:
    options = {"euler": euler, "surrogate": "arctan", "alpha": 5.0, **options}
    with kernels_of(kernels):
        slow = partial(reference.adaptive_lif, **options)
        assert_twins(partial(adaptive_lif, **options), slow, inputs, tolerance=tolerance, exact=EXACT)


def by_hand(current: list[float], euler: str, values: list[float], start: list[float]) -> tuple[list[int], list[float]]:
    """The paper's equations, a number at a time."""
    alpha, beta, a, b, threshold = values
    u, w, s = start
    spikes = []
    for now in current:
        u_before, s_before = u, s
        u = alpha * u + (1 - alpha) * (now - w)
        s = 1 if u >= threshold else 0
        u = 0.0 if s else u
        drive = a * u + b * s if euler == "symplectic" else a * u_before + b * s_before
        w = beta * w + (1 - beta) * drive
        spikes.append(s)
    return spikes, [u, w, s]


@pytest.mark.parametrize("euler", EULERS)
@pytest.mark.parametrize(("time", "batch", "neurons"), [(1, 1, 1), (63, 1, 5), (20, 3, 2)])
def test_is_the_equation(euler: Any, time: int, batch: int, neurons: int) -> None:
    inputs = {name: value.detach() for name, value in draw((time, batch, neurons), "mixed", torch.double).items()}
    spikes, state = adaptive_lif(**inputs, euler=euler)
    for clip in range(batch):
        for j in range(neurons):
            values = [float(inputs[name][j]) for name in ("decay", "adaptation_decay", "a", "b", "threshold")]
            start = inputs["state"][clip, :, j].tolist()
            expected, end = by_hand(inputs["current"][:, clip, j].tolist(), euler, values, start)
            assert spikes[:, clip, j].tolist() == expected
            assert state[clip, :, j].tolist() == pytest.approx(end, abs=1e-12)
    assert time == 1 or 0.1 < spikes.mean() < 0.9


def test_the_two_methods_differ_where_a_spike_adapts_the_next_step() -> None:
    """decay 0, so that v = I - w: the first spike lowers the next voltage, or only the one after."""
    current = torch.full((3, 1, 1), 1.5)
    zero, half, one = torch.tensor(0.0), torch.tensor(0.5), torch.tensor(1.0)
    for euler, expected in (("symplectic", [1, 0, 1]), ("forward", [1, 1, 0])):
        spikes, _ = adaptive_lif(current, zero, half, zero, 2 * one, one, euler=euler)  # type: ignore[arg-type]
        assert spikes.flatten().tolist() == expected


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("euler", EULERS)
@pytest.mark.parametrize("kind", list(CURRENTS))
@pytest.mark.parametrize("size", SIZES)
def test_is_the_reference(size: tuple[int, int, int], kind: str, euler: str, kernels: str) -> None:
    # w comes to b where all spike, and its decay's gradient to 0: single precision has few of its digits
    dtype, tolerance = (torch.float64, 1e-10) if kind == "all spike" else (torch.float32, 1e-5)
    with poisoned_memory():
        check(kernels, draw(size, kind, dtype), euler, tolerance)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("euler", EULERS)
@pytest.mark.parametrize(("surrogate", "alpha"), SURROGATES)
def test_in_double_precision(surrogate: str, alpha: float, euler: str, kernels: str) -> None:
    inputs = draw((17, 5, 3), "mixed", torch.float64)
    check(kernels, inputs, euler, 1e-12, surrogate=surrogate, alpha=alpha)


@pytest.mark.parametrize("kernels", KERNELS)
def test_takes_tensors_in_any_order_of_memory(kernels: str) -> None:
    inputs = {
        name: value.detach().mT.contiguous().mT.requires_grad_() if value.ndim > 1 else value
        for name, value in draw((17, 5, 3), "mixed").items()
    }
    assert not inputs["state"].is_contiguous()
    check(kernels, inputs, "symplectic")


@pytest.mark.parametrize("wanted", ["current", "decay", "adaptation_decay", "a", "b", "threshold", "state"])
def test_gives_each_gradient_alone(wanted: str) -> None:
    inputs = draw((17, 5, 3), "mixed")
    for name, value in inputs.items():
        value.requires_grad_(name == wanted)
    check("cpu", inputs, "forward")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_does_not_depend_on_the_number_of_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    check("cpu", draw((63, 5, 7), "mixed"), "symplectic")


@pytest.mark.parametrize("euler", EULERS)
def test_a_stream_in_pieces_is_the_whole(euler: Any) -> None:
    inputs = {name: value.detach() for name, value in draw((17, 2, 5), "mixed").items()}
    current, state = inputs.pop("current"), inputs.pop("state")
    whole, end = adaptive_lif(current, **inputs, state=state, euler=euler)
    pieces = []
    for piece in current.split([1, 0, 9, 7]):
        spikes, state = adaptive_lif(piece, **inputs, state=state, euler=euler)
        pieces.append(spikes)
    assert torch.equal(torch.cat(pieces), whole)
    assert torch.equal(state, end)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_shows_in_its_own_neuron(bad: float, kernels: str) -> None:
    inputs = {name: value.detach() for name, value in draw((9, 3, 5), "mixed").items()}
    inputs["current"][4, 1, 2] = bad
    inputs["current"].requires_grad_()
    with poisoned_memory(), kernels_of(kernels):
        spikes, end = adaptive_lif(**inputs)
        (gradient,) = torch.autograd.grad(spikes.sum() + end.sum(), inputs["current"])
    assert spikes[4:, 1, 2].isnan().all()
    assert end[1, :, 2].isnan().all()
    assert spikes[..., [0, 1, 3, 4]].isfinite().all()
    assert gradient[..., [0, 1, 3, 4]].isfinite().all()
    assert gradient[-1, 1, 2].isnan()


def test_operators_keep_torchs_rules() -> None:
    inputs = draw((5, 2, 3), "mixed")
    current, state = inputs.pop("current"), inputs.pop("state")
    values = torch.stack(list(inputs.values())).detach().requires_grad_()
    torch.library.opcheck(scan.adaptive_lif_scan, (current, values, state, True, "arctan", 5.0, True))
    plain = [current.detach(), values.detach(), state.detach()]
    torch.library.opcheck(scan.adaptive_lif_scan, (*plain, False, "arctan", 5.0, False))
    grad, end = torch.rand(5, 2, 3), torch.rand(2, 3, 3)
    given = (grad, end, plain[0], plain[0], *plain[1:], False, "triangle", 5.0)
    torch.library.opcheck(scan.adaptive_lif_scan_backward, given)


def test_the_public_function_takes_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = draw((5, 2, 3), "mixed")
    monkeypatch.setattr(op, "reference", None)
    adaptive_lif(**inputs)
    adaptive_lif(**{name: value.detach().bfloat16() for name, value in inputs.items()})
    with pytest.raises(AttributeError):
        adaptive_lif(**{**inputs, "current": torch.zeros(0, 2, 3)})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("current", {"current": torch.zeros(3, 2)}),
        ("a", {"a": torch.zeros(7)}),
        ("state", {"state": torch.zeros(2, 4)}),
        ("euler", {"euler": "backward"}),
        ("surrogate", {"surrogate": "box"}),
    ],
)
def test_errors_name_the_argument(name: str, change: dict[str, Any]) -> None:
    half = torch.tensor(0.5)
    good = dict.fromkeys(["decay", "adaptation_decay", "a", "b", "threshold"], half)
    with pytest.raises(ValueError, match=f"^{name}: "):
        adaptive_lif(**{"current": torch.zeros(3, 2, 4), **good, **change})
