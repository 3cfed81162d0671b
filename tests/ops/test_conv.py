"""The delayed convolution: against the equation by hand and torch's own, and each faster way against the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ranvier.ops.conv import Places, delayed_convolution, dense, dense_convolution, op, reference
from ranvier.ops.dense import Kernel
from ranvier.ops.dense.op import Plan
from tests.ops.twins import assert_twins, poisoned_memory

# channels in and out, kernel, places, time, batch, longest delay
SHAPES: dict[str, tuple[int, int, tuple[int, int], Places, int, int, int]] = {
    "plain": (2, 3, (3, 3), Places((5, 6)), 7, 2, 4),
    "padded": (2, 3, (3, 5), Places((4, 5), padding=(1, 2)), 6, 1, 3),
    "strided": (1, 2, (3, 2), Places((7, 5), (2, 3), (1, 1)), 5, 2, 6),
    "a row": (3, 2, (1, 4), Places((1, 9), (1, 2), (0, 3)), 4, 3, 2),
    "no delay": (1, 1, (1, 1), Places((2, 1)), 3, 1, 0),
    "stride over the kernel": (1, 2, (2, 2), Places((9, 8), (3, 4)), 4, 1, 1),
    "longer than the clip": (1, 2, (2, 3), Places((3, 3), padding=(0, 1)), 2, 1, 9),
}


def draw(shape: str, dtype: torch.dtype, *, frozen: bool = False, fill: float | None = None) -> dict[str, Tensor]:
    sources, targets, kernel, places, time, batch, max_delay = SHAPES[shape]
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.double).to(dtype)

    width = sources * places.size[0] * places.size[1]
    x = normal(time, batch, width) * (torch.rand(time, batch, width, generator=generator) < 0.4)
    weight = normal(targets, sources, *kernel)
    delay = torch.rand(weight.shape, generator=generator, dtype=torch.double).to(dtype) * max_delay
    delay = delay.round() if frozen else delay
    return {
        "x": x if fill is None else torch.full_like(x, fill),
        "weight": weight,
        "delay": delay,
        "bias": normal(targets),
        "history": normal(max_delay, batch, width),
    }


def options(shape: str) -> dict[str, Any]:
    *_, places, _, _, max_delay = SHAPES[shape]
    return {"places": places, "max_delay": max_delay}


def by_hand(x: Tensor, weight: Tensor, steps: Tensor, places: Places) -> Tensor:
    """The equation with whole delays, one number after the other."""
    time, batch = x.shape[:2]
    targets, sources, rows, columns = weight.shape
    height, width = places.size
    out_rows, out_columns = places.out_size((rows, columns))
    s = x.view(time, batch, sources, height, width)
    current = torch.zeros(time, batch, targets, out_rows, out_columns, dtype=x.dtype)
    for o, c, u, v in torch.cartesian_prod(*map(torch.arange, weight.shape)).view(-1, 4).tolist():
        for y in range(out_rows):
            for at in range(out_columns):
                row = y * places.stride[0] + u - places.padding[0]
                column = at * places.stride[1] + v - places.padding[1]
                d = int(steps[o, c, u, v])
                if 0 <= row < height and 0 <= column < width and d < time:
                    current[d:, :, o, y, at] += weight[o, c, u, v] * s[: time - d, :, c, row, column]
    return current.flatten(2)


@pytest.mark.parametrize("shape", SHAPES)
def test_frozen_is_the_equation(shape: str) -> None:
    inputs = draw(shape, torch.double, frozen=True)
    x, weight, delay = (inputs[name] for name in ("x", "weight", "delay"))
    expected = by_hand(x, weight, delay, SHAPES[shape][3])
    assert expected.abs().max() > 0 or shape == "longer than the clip"
    for sigma, wanted in ((None, "events"), (torch.tensor(0.0), "conv3d")):  # a triangle of width 0 is one tap too
        assert op.plan(x, weight, delay, sigma).name == wanted
        kernel: Kernel = "gaussian" if sigma is None else "triangle"
        current = delayed_convolution(x, weight, delay, sigma, kernel=kernel, **options(shape))
        torch.testing.assert_close(current, expected, rtol=1e-6, atol=1e-6)


def test_without_delays_it_is_torchs_convolution() -> None:
    inputs = draw("padded", torch.double)
    places = SHAPES["padded"][3]
    ours = delayed_convolution(
        inputs["x"], inputs["weight"], torch.zeros_like(inputs["delay"]), None, places, max_delay=0
    )
    pictures = inputs["x"].view(-1, 2, *places.size)
    theirs = F.conv2d(pictures, inputs["weight"], stride=places.stride, padding=places.padding)
    torch.testing.assert_close(ours.flatten(0, 1), theirs.flatten(1))


@pytest.mark.parametrize("kernel", ["gaussian", "triangle", "delrec"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["conv3d", "unfold"])
def test_the_ways_of_training_are_the_reference(
    way: str, shape: str, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs and every gradient, also of what a stream brought before."""
    monkeypatch.setattr(op, "plan", lambda *_, **__: Plan(way, ""))
    inputs = {name: value.requires_grad_() for name, value in draw(shape, torch.float32).items()}

    def run(function: Any) -> Any:
        return lambda **given: function(
            given["x"], given["weight"], given["delay"], 1.3, kernel=kernel, **options(shape),
            bias=given["bias"], history=given["history"],
        )  # fmt: skip

    with poisoned_memory():
        assert_twins(run(delayed_convolution), run(reference.delayed_convolution), inputs, tolerance=1e-5)


@pytest.mark.parametrize("way", ["conv3d", "unfold", "events"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_weight_for_each_delay_is_as_many_convolutions(shape: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, (_, _, _, places, _, _, max_delay) = draw(shape, torch.float32), SHAPES[shape]
    generator = torch.Generator().manual_seed(1)
    inputs["weight"] = torch.randn(*inputs["weight"].shape, max_delay + 1, generator=generator)
    del inputs["delay"]
    if way == "unfold":  # as on devices whose convolutions round
        monkeypatch.setattr(dense, "is_exact", lambda _: False)
    if way != "events":
        inputs = {name: value.requires_grad_() for name, value in inputs.items()}

    def slow(*, x: Tensor, weight: Tensor, bias: Tensor, history: Tensor) -> Tensor:
        padded = places.pictures(torch.cat([history, x]))
        current = bias.view(-1, 1, 1)
        for m in range(max_delay + 1):
            earlier = padded[max_delay - m : len(padded) - m].flatten(0, 1)
            made = F.conv2d(earlier, weight[..., m], stride=places.stride, padding=places.padding)
            current = current + made.unflatten(0, x.shape[:2])
        return current.flatten(2)

    def fast(**given: Tensor) -> Tensor:
        return dense_convolution(given.pop("x"), given.pop("weight"), places, **given)

    with poisoned_memory():
        assert_twins(fast, slow, inputs, tolerance=1e-5)


def test_a_weight_for_each_delay_says_what_does_not_fit() -> None:
    x, weight, places = torch.zeros(3, 1, 20), torch.zeros(2, 1, 3, 3, 4), Places((4, 5))
    assert dense_convolution(x[:0], weight, places).shape == (0, 1, 12)
    for name, change in {
        "weight": {"weight": weight[..., 0]}, "x": {"x": x[..., 1:]}, "bias": {"bias": torch.zeros(3)},
        "history": {"history": torch.zeros(4, 1, 20)},
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=f"^{name}: "):
            dense_convolution(**{"x": x, "weight": weight, "places": places, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("fill", [None, 0.0, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_events_are_the_reference(shape: str, fill: float | None) -> None:
    inputs = draw(shape, torch.float32, fill=fill)

    def run(function: Any) -> Any:
        return lambda **given: function(
            given["x"], given["weight"], given["delay"], None, kernel="gaussian", **options(shape),
            bias=given["bias"], history=given["history"],
        )  # fmt: skip

    assert op.plan(inputs["x"], inputs["weight"], inputs["delay"], None).name == "events"
    with poisoned_memory():
        assert_twins(run(delayed_convolution), run(reference.delayed_convolution), inputs, tolerance=1e-6)


def test_memory_need_not_be_contiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = draw("strided", torch.double)
    turned = {name: value.movedim(0, -1).contiguous().movedim(-1, 0) for name, value in inputs.items()}
    assert not turned["x"].is_contiguous()
    for sigma, way in ((None, "events"), (2.0, "conv3d"), (2.0, "unfold")):
        monkeypatch.setattr(op, "plan", lambda *_, way=way, **__: Plan(way, ""))
        ours, theirs = (
            delayed_convolution(
                given["x"], given["weight"], given["delay"], sigma, **options("strided"), history=given["history"]
            )
            for given in (turned, inputs)
        )
        torch.testing.assert_close(ours, theirs)


def test_a_gradient_to_sigma_is_that_of_the_function() -> None:
    inputs = draw("strided", torch.double)
    sigma = torch.tensor(1.4, dtype=torch.double, requires_grad=True)

    def f(sigma: Tensor) -> Tensor:
        return delayed_convolution(inputs["x"], inputs["weight"], inputs["delay"], sigma, **options("strided"))

    assert torch.autograd.gradcheck(f, (sigma,))


@pytest.mark.parametrize("sigma", [None, 1.0])
@pytest.mark.parametrize("name", ["weight", "delay", "x"])
def test_what_is_not_finite_shows(name: str, sigma: float | None) -> None:
    inputs = draw("padded", torch.float32, fill=0.0)
    inputs[name].view(-1)[0] = torch.nan
    current = delayed_convolution(inputs["x"], inputs["weight"], inputs["delay"], sigma, **options("padded"))
    assert current.isnan().any()


@pytest.mark.parametrize("shape", [(0, 2), (3, 0)])
@pytest.mark.parametrize("sigma", [None, 1.0])
def test_nothing_gives_nothing(shape: tuple[int, int], sigma: float | None) -> None:
    inputs = draw("plain", torch.float32)
    current = delayed_convolution(torch.zeros(*shape, 60), inputs["weight"], inputs["delay"], sigma, **options("plain"))
    assert current.shape == (*shape, 3 * 3 * 4)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("x", {"x": torch.zeros(3, 2, 7)}),
        ("weight", {"weight": torch.zeros(4, 3, 2)}),
        ("delay", {"delay": torch.zeros(2, 1, 2, 1)}),
        ("sigma", {"sigma": 0.11}),
        ("max_delay", {"max_delay": -1}),
        ("kernel", {"kernel": "box"}),
        ("bias", {"bias": torch.zeros(3)}),
        ("history", {"history": torch.zeros(4, 2, 12)}),
        ("size", {"places": Places((0, 12))}),
        ("stride", {"places": Places((3, 4), (0, 1))}),
        ("padding", {"places": Places((3, 4), padding=(2, 0))}),
        ("kernel_size", {"places": Places((1, 12))}),
    ],
)
def test_errors_name_the_argument(name: str, change: dict[str, object]) -> None:
    good: dict[str, object] = {
        "x": torch.zeros(5, 2, 12),
        "weight": torch.zeros(2, 1, 2, 2),
        "delay": torch.zeros(2, 1, 2, 2),
        "sigma": 1.0,
        "places": Places((3, 4)),
        "max_delay": 5,
    }
    with pytest.raises(ValueError, match=f"^{name}: "):
        delayed_convolution(**{**good, **change})  # type: ignore[arg-type]
