"""Every faster way of the delayed current against the equation in reference.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ranvier.ops.dense import delayed_current, op, reference, spectral
from ranvier.ops.dense.events import frozen_current
from ranvier.ops.dense.op import Plan, plan
from ranvier.ops.dense.taps import weighted_taps, weighted_taps_backward
from tests.ops.twins import KERNELS, assert_twins, kernels_of, poisoned_memory

SIZES = [  # time, batch, sources, targets, synapses_per_pair, max_delay
    (1, 1, 1, 1, 1, 0),
    (1, 2, 3, 4, 1, 6),
    (63, 1, 500, 1, 1, 24),
    (63, 3, 1, 500, 2, 7),
    (17, 2, 5, 3, 3, 40),
    (100, 4, 14, 9, 1, 24),
]
INPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "sparse": lambda noise: (noise < 0.1).to(noise.dtype),
    "silent": torch.zeros_like,
    "all spike": torch.ones_like,
    "counts": lambda noise: (4 * noise**4).round(),
    "real": lambda noise: noise - 0.5,
}


def draw(size: tuple[int, ...], dtype: torch.dtype, kind: str, spread: str = "synaptic") -> dict[str, Tensor]:
    time, batch, sources, targets, synapses_per_pair, max_delay = size
    generator = torch.Generator().manual_seed(hash(size) % 1000)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, dtype=dtype, generator=generator)

    shape = (synapses_per_pair, 1 if spread == "axonal" else targets, 1 if spread == "dendritic" else sources)
    delay = rand(*shape) * max_delay
    delay.view(-1)[: delay.numel() // 4].round_()  # whole steps, where the triangle has its corners
    inputs = {
        "x": INPUTS[kind](rand(time, batch, sources)),
        "weight": rand(synapses_per_pair, targets, sources) - 0.5,
        "delay": delay,
        "bias": rand(targets),
        "history": INPUTS[kind](rand(max_delay, batch, sources)),
    }
    return {name: value.requires_grad_() for name, value in inputs.items()}


@pytest.fixture
def spectral_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(op, "plan", lambda *_, **__: Plan("spectral", "this test says so"))


def twins(inputs: dict[str, Tensor], sigma: float | None, max_delay: int, kernel: str, tolerance: float) -> None:
    def fast(**tensors: Tensor) -> Tensor:
        return delayed_current(**tensors, sigma=sigma, max_delay=max_delay, kernel=kernel)  # type: ignore[arg-type]

    def slow(
        x: Tensor, weight: Tensor, delay: Tensor, bias: Tensor | None = None, history: Tensor | None = None
    ) -> Tensor:
        return reference.delayed_current(
            x, weight, delay, sigma, max_delay=max_delay, kernel=kernel, bias=bias, history=history
        )

    assert_twins(fast, slow, inputs, tolerance=tolerance)


TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


@pytest.mark.usefixtures("spectral_way")
@pytest.mark.parametrize("of", ["layer", "synapse", "source"])
@pytest.mark.parametrize("kernel", ["gaussian", "triangle", "delrec"])
def test_widths_that_are_learned_are_those_of_the_equation(kernel: Any, of: str) -> None:
    inputs, longest = draw(SIZES[0], torch.float64, "counts", "axonal" if of == "source" else "synaptic"), SIZES[0][-1]
    generator = torch.Generator().manual_seed(1)
    shape = () if of == "layer" else inputs["delay"].shape
    inputs["sigma"] = (0.4 + 3 * torch.rand(shape, dtype=torch.float64, generator=generator)).requires_grad_()

    def slow(*, x: Tensor, weight: Tensor, delay: Tensor, sigma: Tensor, bias: Tensor, history: Tensor) -> Tensor:
        taps = torch.arange(longest + 1.0, dtype=torch.float64)
        distance, width = (taps - delay[..., None]).abs(), sigma.expand_as(delay)[..., None]
        g = torch.exp(-((distance / width) ** 2) / 2) if kernel == "gaussian" else (1 + width - distance).clamp(min=0)
        g = g / (1 + width) ** 2 if kernel == "delrec" else g / (1e-7 + g.sum(-1, keepdim=True))
        dense, padded = (weight[..., None] * g).sum(0), torch.cat([history, x])
        sent = [padded[longest - m :][: len(x)] @ dense[..., m].T for m in range(longest + 1)]
        return torch.stack(sent).sum(0) + bias

    assert_twins(partial(delayed_current, max_delay=longest, kernel=kernel), slow, inputs, tolerance=1e-12)


@pytest.mark.usefixtures("spectral_way")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("sigma", [12.27, 3.0, 0.5, 0.27, 0.12, None])
@pytest.mark.parametrize("size", SIZES)
def test_spectral_is_the_reference(
    size: tuple[int, ...], sigma: float | None, history: bool, dtype: torch.dtype
) -> None:
    inputs = draw(size, dtype, "counts")
    if not history:
        del inputs["history"]
    with poisoned_memory():
        twins(inputs, sigma, size[-1], "gaussian", TOLERANCE[dtype])


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kernel", ["gaussian", "triangle"])
@pytest.mark.parametrize("sigma", [12.27, 3.0, 0.5, 0.12, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("size", "kept"), [((1, 1, 1, 0), 1), ((2, 7, 25, 24), 25), ((1, 33, 5, 40), 17)])
def test_weighted_taps_are_the_reference(
    size: tuple[int, ...], kept: int, dtype: torch.dtype, sigma: float | None, kernel: str, kernels: str
) -> None:
    """Synapses per pair, targets, sources and the longest delay; ``kept`` is less where a clip is shorter."""
    synapses_per_pair, targets, sources, max_delay = size
    inputs = draw((1, 1, sources, targets, synapses_per_pair, max_delay), dtype, "real")

    def fast(weight: Tensor, delay: Tensor) -> Tensor:
        width = None if sigma is None else torch.tensor(sigma, dtype=torch.float64)
        taps: Tensor = weighted_taps(weight, delay, width, kernel, max_delay, kept)
        return taps

    def slow(weight: Tensor, delay: Tensor) -> Tensor:
        g = reference.tap_kernel(delay, sigma, max_delay=max_delay, kernel=kernel)
        summed: Tensor = (weight.unsqueeze(-1) * g[..., :kept]).sum(0)
        return summed

    with poisoned_memory(), kernels_of(kernels):
        assert_twins(fast, slow, {name: inputs[name] for name in ("weight", "delay")}, tolerance=TOLERANCE[dtype])


@pytest.mark.usefixtures("spectral_way")
@pytest.mark.parametrize("sigma", [12.27, 3.0, 0.5, 0.0])
@pytest.mark.parametrize("size", SIZES)
def test_spectral_triangle_is_the_reference(size: tuple[int, ...], sigma: float) -> None:
    twins(draw(size, torch.float32, "counts"), sigma, size[-1], "triangle", 1e-5)


@pytest.mark.usefixtures("spectral_way")
@pytest.mark.parametrize("kind", list(INPUTS))
@pytest.mark.parametrize("spread", ["synaptic", "axonal", "dendritic"])
def test_spectral_with_every_input_and_delay_type(kind: str, spread: str) -> None:
    inputs = draw(SIZES[-1], torch.float32, kind, spread)
    del inputs["history"]  # with spikes for ever, a delay would have no gradient
    twins(inputs, 2.0, SIZES[-1][-1], "gaussian", 1e-5)


@pytest.mark.usefixtures("spectral_way")
def test_spectral_at_the_real_size() -> None:
    """A hidden layer of the SHD network, float32: what the summation of 256 sources and 124 steps leaves."""
    size = (100, 64, 256, 256, 1, 24)
    inputs = draw(size, torch.float32, "sparse")
    del inputs["history"]
    twins(inputs, 3.0, 24, "gaussian", 1e-5)


@pytest.mark.usefixtures("spectral_way")
def test_spectral_takes_tensors_in_any_order_of_memory() -> None:
    inputs = draw(SIZES[-1], torch.float32, "counts")
    turned = {
        name: value.detach().mT.contiguous().mT.requires_grad_() for name, value in inputs.items() if name != "bias"
    }
    assert not turned["x"].is_contiguous()
    twins(turned, 2.0, SIZES[-1][-1], "gaussian", 1e-5)


@pytest.mark.usefixtures("spectral_way")
@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("stretch", [1, 10, 32, 62, 63])
@pytest.mark.parametrize("max_delay", [0, 7, 40, 80])
def test_spectral_in_stretches_of_time_is_the_reference(
    max_delay: int, stretch: int, history: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(op, "_chunk", lambda *_: stretch)
    inputs = draw((63, 3, 5, 4, 2, max_delay), torch.float32, "counts")
    if not history:
        del inputs["history"]
    twins(inputs, 3.0, max_delay, "gaussian", 1e-5)


def test_a_long_clip_is_taken_in_stretches_and_a_short_one_is_not() -> None:
    for beside in (op._PER_FREQUENCY, 0.0):
        assert op._chunk(100, 256, 256, 256, 24, False, beside) == 100
        assert 50 <= op._chunk(1000, 32, 256, 256, 24, False, beside) <= 250


@pytest.mark.usefixtures("spectral_way")
@pytest.mark.parametrize("targets", [1, 2])  # as many as the batch: the kernels' spectrum is kept; more: it is not
def test_spectral_takes_frequencies_in_turns(targets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "_BLOCK_BYTES", 2 * 2 * 500 * 4)
    blocks = spectral._blocks(43, 500 * 4, 7)
    assert [block.stop - block.start for block in blocks] == [6, 6, 6, 6, 6, 6, 7]
    inputs = draw((63, 1, 500, targets, 1, 6), torch.float32, "counts")
    twins(inputs, 2.0, 6, "gaussian", 1e-5)


def test_the_kernels_spectrum_is_kept_where_it_is_not_larger_than_the_inputs() -> None:
    x, taps = torch.rand(9, 3, 5), torch.rand(3, 5, 4)
    _, spectrum, kernels = spectral.convolution(x, taps, 0)
    assert kernels.shape == spectrum.shape
    _, _, kernels = spectral.convolution(x, torch.rand(4, 5, 4), 0)
    assert kernels.numel() == 0


@pytest.mark.usefixtures("spectral_way")
def test_spectral_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    twins(draw(SIZES[-1], torch.float32, "counts"), 2.0, SIZES[-1][-1], "gaussian", 1e-5)


@pytest.mark.usefixtures("spectral_way")
def test_spectral_gives_only_the_gradients_that_are_asked_for() -> None:
    for wanted in ("x", "weight", "delay"):
        inputs = draw(SIZES[-1], torch.float32, "counts")
        for name, value in inputs.items():
            value.requires_grad_(name == wanted)
        twins(inputs, 2.0, SIZES[-1][-1], "gaussian", 1e-5)


@pytest.mark.usefixtures("spectral_way")
@pytest.mark.parametrize("kernel", ["gaussian", "triangle"])
def test_spectral_gradients_are_those_of_the_function(kernel: op.Kernel) -> None:
    inputs = draw((6, 2, 2, 3, 2, 4), torch.float64, "real")
    with torch.no_grad():
        inputs["delay"].copy_(inputs["delay"].floor().clamp(max=3) + 0.3)  # away from the triangle's corners

    def f(*tensors: Tensor) -> Tensor:
        return delayed_current(
            **dict(zip(inputs, tensors, strict=True)),
            sigma=0.8,
            max_delay=4,
            kernel=kernel,
        )

    assert torch.autograd.gradcheck(f, list(inputs.values()))


@pytest.mark.parametrize("sigma", [3.0, 0.12, None])
def test_delays_outside_the_range_are_those_at_its_ends(sigma: float | None) -> None:
    inputs = draw(SIZES[-1], torch.float32, "counts")
    with torch.no_grad():
        inputs["delay"].sub_(5).mul_(1.5)
        assert (inputs["delay"] < -1).any()
        assert (inputs["delay"] > 25).any()
    outside = delayed_current(**inputs, sigma=sigma, max_delay=24)  # type: ignore[arg-type]
    with torch.no_grad():
        inputs["delay"].clamp_(0, 24)
    assert torch.equal(outside, delayed_current(**inputs, sigma=sigma, max_delay=24))  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", ["gaussian", "triangle"])
@pytest.mark.parametrize("name", ["spectral", "dense"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_spike_arrives_whole_at_the_lowest_sigma(
    dtype: torch.dtype, name: str, kernel: op.Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever its delay lies: on a step, halfway between two, at the ends and outside."""
    monkeypatch.setattr(op, "plan", lambda *_, **__: Plan(name, "this test says so"))
    delay = torch.tensor([0.0, 0.5, 2.25, 2.5, 4.999, 5.0, -3.0, 9.0], dtype=dtype).view(1, 8, 1)
    x = torch.zeros(12, 1, 1, dtype=dtype)
    x[0] = 1
    weight = torch.ones(1, 8, 1, dtype=dtype, requires_grad=True)
    for sigma in (op.LOWEST_SIGMA[kernel], torch.tensor(op.LOWEST_SIGMA[kernel]), 0.27, 2.0):
        current = delayed_current(x, weight, delay, sigma, max_delay=5, kernel=kernel)
        assert current.sum((0, 1)).tolist() == pytest.approx([1.0] * 8, abs=1e-3)
        (gradient,) = torch.autograd.grad(current.sum(), weight)
        assert gradient.flatten().tolist() == pytest.approx([1.0] * 8, abs=1e-3)
        if sigma == op.LOWEST_SIGMA[kernel]:
            assert current[:4, 0, 3].tolist() == pytest.approx([0, 0, 0.5, 0.5], abs=1e-3)


POISONS: dict[str, Callable[[dict[str, Tensor]], Tensor]] = {
    "x": lambda inputs: inputs["x"][3, 1, 2],
    "weight": lambda inputs: inputs["weight"][0, 4, 2],
    "delay": lambda inputs: inputs["delay"][0, 4, 2],
}


WAYS = [("spectral", 0.5), ("dense", 0.5), ("spectral", None), ("dense", None), ("events", None)]
# an infinite delay that is learned is clamped, as it is after every step
CASES = [(*way, name, bad) for way in WAYS for name in POISONS for bad in (torch.nan, torch.inf)]


@pytest.mark.parametrize(
    ("name", "sigma", "poisoned", "bad"), [c for c in CASES if c[1] is None or c[2:] != ("delay", torch.inf)]
)
def test_what_is_not_finite_shows(
    name: str, sigma: float | None, poisoned: str, bad: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(op, "plan", lambda *_, **__: Plan(name, "this test says so"))
    inputs = {key: value.detach() for key, value in draw((9, 3, 5, 7, 1, 20), torch.float32, "all spike").items()}
    del inputs["history"]
    if poisoned != "x":
        inputs["x"][:, :, 2] = 0  # a silent source hides nothing
        inputs["delay"][0, 4, 2] = 20  # nor does a clip that is shorter than the delay
    POISONS[poisoned](inputs).fill_(bad)
    with poisoned_memory():
        current = delayed_current(**inputs, sigma=sigma, max_delay=20)  # type: ignore[arg-type]
    shown = ~current.isfinite()
    assert shown[:, 1, :].any() if poisoned == "x" else shown[..., 4].all()
    if poisoned != "x":
        assert not shown[..., :4].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("kind", list(INPUTS))
@pytest.mark.parametrize("size", SIZES)
def test_events_are_the_reference(size: tuple[int, ...], kind: str, history: bool, dtype: torch.dtype) -> None:
    inputs = {name: value.detach() for name, value in draw(size, dtype, kind).items()}
    if not history:
        del inputs["history"]
    chosen = plan(inputs["x"], inputs["weight"], inputs["delay"], None, max_delay=size[-1])
    assert chosen.name == "events"
    with poisoned_memory():
        twins(inputs, None, size[-1], "gaussian", 1e-6)


def test_events_are_summed_in_double_precision() -> None:
    """Three numbers whose float32 sum depends on their order."""
    x = torch.ones(1, 1, 3)
    weight = torch.tensor([1e8, 1.0, -1e8]).view(1, 1, 3)
    current = delayed_current(x, weight, torch.zeros(1, 1, 3), None, max_delay=0)
    assert current.item() == 1.0


def test_events_take_delays_outside_the_range_to_its_ends() -> None:
    x = torch.rand(9, 2, 4)
    delay = torch.tensor([-2.0, 3.4, 5.4, 5.6]).view(1, 1, 4)
    with torch.no_grad():
        ours = delayed_current(x, torch.ones(1, 1, 4), delay, None, max_delay=5)
    expected = x[:, :, 0].clone()
    expected[3:] += x[:-3, :, 1]
    expected[5:] += x[:-5, :, 2] + x[:-5, :, 3]
    torch.testing.assert_close(ours[..., 0], expected)


def test_operators_keep_torchs_rules() -> None:
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, requires_grad=True)

    weight, delay, sigma = rand(2, 4, 3), rand(2, 4, 3), torch.tensor(1.5)
    torch.library.opcheck(weighted_taps, (weight, delay, sigma, "gaussian", 5, 4))
    torch.library.opcheck(weighted_taps, (weight, delay, None, "gaussian", 5, 4))
    torch.library.opcheck(
        weighted_taps_backward, (rand(4, 3, 4).detach(), weight.detach(), delay.detach(), sigma, "triangle", 5)
    )
    for batch in (2, 4):  # fewer than targets, and as many: without and with the kernels' spectrum kept
        torch.library.opcheck(spectral.convolution, (rand(9, batch, 3), rand(4, 3, 5), 2))
    for needs in ((True, True), (True, False), (False, True)):
        spectrum = rand(spectral.frequencies(9, 5, 2), 2, 2, 3).detach()
        for kernels in (rand(4, 3, 5), rand(len(spectrum), 2, 4, 3)):
            arguments = (rand(7, 2, 4).detach(), spectrum, kernels.detach(), 5, 2, *needs)
            torch.library.opcheck(spectral.convolution_backward, arguments)
    with torch.no_grad():
        torch.library.opcheck(frozen_current, (rand(9, 2, 3).detach(), weight.detach(), delay.detach(), 5, 2))


def test_the_way_follows_its_rule() -> None:
    def way(
        time: int, batch: int, sources: int, targets: int, max_delay: int, sigma: float | Tensor | None = 3.0,
        dtype: torch.dtype = torch.float32, gradient: bool = True, device: str = "cpu",
    ) -> str:  # fmt: skip
        x = torch.empty(time, batch, sources, dtype=dtype, device=device)
        weight = torch.empty(1, targets, sources, dtype=dtype, device=device, requires_grad=gradient)
        return plan(x, weight, torch.empty_like(weight), sigma, max_delay=max_delay).name

    for layer in ((140, 256), (256, 256), (256, 20)):
        assert way(100, 256, *layer, 24) == "spectral"
    assert way(100, 256, 256, 256, 250) == "spectral"
    assert way(100, 256, 256, 256, 24, device="meta") == "spectral"
    assert way(100, 256, 256, 256, 0) == "dense"  # no delays: one matrix product
    # what a frequency costs beside its multiply-adds was measured on CPUs, and counts there alone
    assert way(100, 32, 16, 16, 24) == "dense"
    assert way(100, 32, 16, 16, 24, device="meta") == "spectral"
    assert way(20, 8, 10, 4, 6) == "dense"
    assert way(100, 256, 256, 256, 24, None) == "spectral"
    assert way(100, 256, 256, 256, 24, None, gradient=False) == "events"
    assert way(100, 256, 256, 256, 24, None, gradient=False, device="meta") == "spectral"
    assert way(100, 256, 256, 256, 24, torch.tensor(3.0, requires_grad=True)) == "spectral"
    assert way(100, 256, 256, 256, 24, dtype=torch.bfloat16) == "dense"
    assert way(0, 256, 256, 256, 24) == "dense"
    with torch.no_grad():
        assert way(100, 256, 256, 256, 24, None) == "events"


def test_the_largest_case_costs_hardly_more_than_the_smallest_in_operations() -> None:
    """From 25 to 250 steps of longest delay: frequencies, and with them multiply-adds, grow by less than 1.7."""
    few, many = (spectral.frequencies(100, min(taps, 100), 0) for taps in (25, 250))
    assert (few, many) == (62, 100)
