"""The delayed current against the equation, the dcls package, and itself in pieces."""

from __future__ import annotations

import pytest
import torch
from DCLS.construct.modules import Dcls1d
from torch import Tensor

from ranvier.ops import delayed_current
from ranvier.ops.dense import Kernel
from ranvier.ops.dense.reference import convolve_by_products, tap_kernel


def by_hand(x: Tensor, weight: Tensor, delay: Tensor, sigma: float | None, max_delay: int, kernel: str) -> Tensor:
    """ARCHITECTURE's equation, one number after the other."""
    time, batch, sources = x.shape
    synapses_per_pair, targets, _ = weight.shape
    current = torch.zeros(time, batch, targets, dtype=x.dtype)
    for k in range(synapses_per_pair):
        for j in range(targets):
            for i in range(sources):
                d = float(delay[k, j, i])
                if sigma is None:
                    g = [1.0 if m == round(d) else 0.0 for m in range(max_delay + 1)]
                elif kernel == "gaussian":
                    g = [2.718281828459045 ** (-0.5 * ((m - d) / sigma) ** 2) for m in range(max_delay + 1)]
                else:
                    g = [max(0.0, 1 + sigma - abs(m - d)) for m in range(max_delay + 1)]
                total = 1.0 if sigma is None else 1e-7 + sum(g)
                for m in range(min(max_delay + 1, time)):
                    current[m:, :, j] += weight[k, j, i] * g[m] / total * x[: time - m, :, i]
    return current


def draw(
    time: int, batch: int, sources: int, targets: int, synapses_per_pair: int, max_delay: int, seed: int = 0
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(time, batch, sources, dtype=torch.double, generator=generator)
    weight = torch.randn(synapses_per_pair, targets, sources, dtype=torch.double, generator=generator)
    delay = torch.rand(synapses_per_pair, targets, sources, dtype=torch.double, generator=generator) * max_delay
    return [x, weight, delay]


@pytest.mark.parametrize("kernel", ["gaussian", "triangle"])
@pytest.mark.parametrize("sigma", [3.0, 0.5, None])
@pytest.mark.parametrize(("time", "max_delay", "synapses_per_pair"), [(1, 4, 1), (9, 4, 2), (3, 7, 1), (5, 0, 3)])
def test_is_the_equation(
    kernel: Kernel, sigma: float | None, time: int, max_delay: int, synapses_per_pair: int
) -> None:
    x, weight, delay = draw(time, 2, 3, 4, synapses_per_pair, max_delay)
    ours = delayed_current(x, weight, delay, sigma, max_delay=max_delay, kernel=kernel)
    torch.testing.assert_close(ours, by_hand(x, weight, delay, sigma, max_delay, kernel), atol=1e-12, rtol=0)


@pytest.mark.parametrize("version", ["gauss", "max", "v1"])
@pytest.mark.parametrize("synapses_per_pair", [1, 2])
@pytest.mark.parametrize("width", [0.23, 4.0])
def test_equals_dcls(version: str, synapses_per_pair: int, width: float) -> None:
    """Forward and the gradients of x, weight and position, with the mapping delay = (K - 1) - (P + K // 2)."""
    taps, sources, targets, time, batch = 25, 14, 9, 60, 5
    torch.manual_seed(synapses_per_pair)
    peer = Dcls1d(sources, targets, synapses_per_pair, dilated_kernel_size=taps, bias=False, version=version)
    lim = taps // 2
    torch.nn.init.uniform_(peer.P, -lim, lim)
    if peer.SIG is not None:
        torch.nn.init.constant_(peer.SIG, width)
    x = torch.randn(time, batch, sources)
    probe = torch.randn(time, batch, targets)

    theirs_x = x.clone().requires_grad_()
    padded = torch.nn.functional.pad(theirs_x.permute(1, 2, 0), (taps - 1, 0))
    theirs = peer(padded).permute(2, 0, 1)
    (theirs * probe).sum().backward()

    ours_x = x.clone().requires_grad_()
    weight = peer.weight.detach().permute(2, 0, 1).clone().requires_grad_()
    delay = ((taps - 1) - (peer.P.detach()[0] + lim)).permute(2, 0, 1).clone().requires_grad_()
    kernel: Kernel = "gaussian" if version == "gauss" else "triangle"
    sigma = {"gauss": width + 0.27, "max": width, "v1": 0.0}[version]
    ours = delayed_current(ours_x, weight, delay, sigma, max_delay=taps - 1, kernel=kernel)
    (ours * probe).sum().backward()

    assert peer.weight.grad is not None
    assert peer.P.grad is not None
    assert ours_x.grad is not None
    assert weight.grad is not None
    assert delay.grad is not None
    pairs = {
        "forward": (ours, theirs),
        "x": (ours_x.grad, theirs_x.grad),
        "weight": (weight.grad, peer.weight.grad.permute(2, 0, 1)),
        "position": (delay.grad, -peer.P.grad[0].permute(2, 0, 1)),
    }
    for name, (mine, other) in pairs.items():
        assert other is not None
        scale = float(other.detach().abs().max())
        assert scale > 0, name
        torch.testing.assert_close(
            mine / scale, other / scale, atol=1e-5, rtol=0, msg=f"gradient or forward of {name} differs"
        )


@pytest.mark.parametrize("kernel", ["gaussian", "triangle"])
def test_gradients_are_those_of_the_function(kernel: Kernel) -> None:
    x, weight, delay = draw(6, 2, 2, 3, 2, 4)
    bias = torch.randn(3, dtype=torch.double)
    # away from whole numbers, where the triangle has its corners
    delay = delay.floor().clamp(max=3) + 0.3
    inputs = [tensor.requires_grad_() for tensor in (x, weight, delay, bias)]

    def f(x: Tensor, weight: Tensor, delay: Tensor, bias: Tensor) -> Tensor:
        return delayed_current(x, weight, delay, 0.8, max_delay=4, kernel=kernel, bias=bias)

    assert torch.autograd.gradcheck(f, inputs)


@pytest.mark.parametrize("sigma", [2.0, None])
def test_a_stream_in_pieces_is_the_whole(sigma: float | None) -> None:
    x, weight, delay = draw(23, 2, 3, 4, 1, 5)
    whole = delayed_current(x, weight, delay, sigma, max_delay=5)
    past = torch.zeros(5, 2, 3, dtype=torch.double)
    pieces = []
    for piece in x.split([1, 7, 2, 13]):
        pieces.append(delayed_current(piece, weight, delay, sigma, max_delay=5, history=past))
        past = torch.cat([past, piece])[len(piece) :]
    torch.testing.assert_close(torch.cat(pieces), whole)


def test_a_frozen_delay_is_a_shift() -> None:
    x = torch.zeros(10, 1, 1)
    x[2] = 1
    current = delayed_current(x, torch.full((1, 1, 1), 3.0), torch.full((1, 1, 1), 4.0), None, max_delay=6)
    expected = torch.zeros(10, 1, 1)
    expected[6] = 3
    torch.testing.assert_close(current, expected)


def test_nothing_arrives_before_it_was_sent() -> None:
    x, weight, delay = draw(12, 1, 2, 2, 1, 6)
    changed = x.clone()
    changed[8:] += 100
    before, after = (delayed_current(v, weight, delay, 3.0, max_delay=6)[:8] for v in (x, changed))
    torch.testing.assert_close(before, after, atol=0, rtol=0)


def test_wide_taps_sum_to_one() -> None:
    delay = torch.rand(1, 20, 20) * 24
    for kernel in ("gaussian", "triangle"):
        total = tap_kernel(delay, 12.27, max_delay=24, kernel=kernel).sum(-1)
        torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("x", {"x": torch.zeros(3, 2)}),
        ("x", {"weight": torch.zeros(1, 4, 9)}),
        ("weight", {"weight": torch.zeros(4, 3)}),
        ("sigma", {"sigma": 0.11}),
        ("sigma", {"sigma": torch.tensor(torch.nan)}),
        ("delay", {"delay": torch.zeros(1, 2, 3)}),
        ("max_delay", {"max_delay": -1}),
        ("kernel", {"kernel": "box"}),
        ("bias", {"bias": torch.zeros(3)}),
        ("history", {"history": torch.zeros(4, 2, 3)}),
    ],
)
def test_errors_name_the_argument(name: str, change: dict[str, object]) -> None:
    good: dict[str, object] = {
        "x": torch.zeros(5, 2, 3),
        "weight": torch.zeros(1, 4, 3),
        "delay": torch.zeros(1, 4, 3),
        "sigma": 1.0,
        "max_delay": 5,
    }
    with pytest.raises(ValueError, match=f"^{name}: "):
        delayed_current(**{**good, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(23, 2, 3, 4, 2, 5), (1, 1, 1, 1, 1, 0), (3, 2, 5, 4, 1, 9)])
def test_a_product_for_each_tap_is_the_convolution(size: tuple[int, ...]) -> None:
    """As the dense algorithm runs on a GPU; outputs and gradients."""
    x, weight, delay = draw(*size)
    *_, max_delay = size
    padded = torch.cat([x.new_zeros(max_delay, *x.shape[1:]), x]).requires_grad_()
    dense = (weight.unsqueeze(-1) * tap_kernel(delay, 2.0, max_delay=max_delay, kernel="gaussian")).sum(0).detach()
    dense.requires_grad_()
    ours = convolve_by_products(padded, dense)
    theirs = torch.nn.functional.conv1d(padded.permute(1, 2, 0), dense.flip(-1)).permute(2, 0, 1)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    probe = torch.randn(ours.shape, dtype=ours.dtype)
    for mine, peer in zip(*(torch.autograd.grad(y, (padded, dense), probe) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, peer, rtol=1e-12, atol=1e-12)
