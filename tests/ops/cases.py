"""Every op with inputs of its twin tests, for the tests that run all of them on another device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ranvier.ops import SURROGATES, delayed_current, lif
from ranvier.ops.adaptive_lif import EULERS, adaptive_lif
from ranvier.ops.adaptive_lif import reference as adaptive_lif_reference
from ranvier.ops.conv import delayed_convolution
from ranvier.ops.conv import reference as conv_reference
from ranvier.ops.dense import reference as dense_reference
from ranvier.ops.integrator import leaky_integrator
from ranvier.ops.integrator import reference as integrator_reference
from ranvier.ops.lif import reference as lif_reference
from ranvier.ops.norm import reference as norm_reference
from ranvier.ops.norm import sequence_norm
from ranvier.ops.normed_lif import normed_lif
from ranvier.ops.normed_lif import reference as normed_lif_reference
from ranvier.ops.recurrent_lif import recurrent_lif
from ranvier.ops.trace import reference as trace_reference
from ranvier.ops.trace import trace
from tests.ops import (
    test_adaptive_lif,
    test_conv,
    test_dense_plans,
    test_norm,
    test_normed_lif,
    test_recurrent_lif,
    test_recurrent_neurons,
    test_scan,
    test_trace,
)


class Case(NamedTuple):
    """A public function, its reference with the same arguments, inputs of a type, and results equal to the bit."""

    function: Callable[..., Any]
    reference: Callable[..., Any]
    draw: Callable[[torch.dtype], dict[str, Tensor]]
    exact: tuple[str, ...] = ()


def _without(name: str, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in inputs.items() if key != name}


def _without_gradients(draw: Callable[[torch.dtype], dict[str, Tensor]], dtype: torch.dtype) -> dict[str, Tensor]:
    return {key: value.detach() for key, value in draw(dtype).items()}


def _norm_inputs(dtype: torch.dtype) -> dict[str, Tensor]:
    inputs = test_norm.draw(63, 7, 3, dtype)
    return {"x": inputs.pop("x"), "steps": test_norm.steps_of(63, 7), **inputs}


def _dense(sigma: float | None, kernel: Any, size: tuple[int, ...], history: bool, gradients: bool) -> Case:
    def draw(dtype: torch.dtype) -> dict[str, Tensor]:
        inputs = test_dense_plans.draw(size, dtype, "counts")
        inputs = inputs if history else _without("history", inputs)
        inputs = inputs if gradients else {name: value.detach() for name, value in inputs.items()}
        return inputs if sigma is None else {**inputs, "sigma": torch.tensor(sigma)}

    options: dict[str, Any] = {"max_delay": size[-1], "kernel": kernel}
    ways: list[Callable[..., Tensor]] = [delayed_current, dense_reference.delayed_current]

    def function(sigma: Tensor | None = None, **inputs: Tensor) -> Tensor:
        return ways[0](sigma=sigma, **inputs, **options)

    def reference(sigma: Tensor | None = None, history: Tensor | None = None, **inputs: Tensor) -> Tensor:
        return ways[1](sigma=sigma, history=history, **inputs, **options)

    return Case(function, reference, draw)


def _conv(sigma: float | None, kernel: Any, shape: str) -> Case:
    def draw(dtype: torch.dtype) -> dict[str, Tensor]:
        inputs = {name: value.requires_grad_() for name, value in test_conv.draw(shape, dtype).items()}
        return inputs if sigma is None else {**inputs, "sigma": torch.tensor(sigma)}

    options: dict[str, Any] = {**test_conv.options(shape), "kernel": kernel}
    ways: list[Callable[..., Tensor]] = [delayed_convolution, conv_reference.delayed_convolution]

    def run(way: int) -> Callable[..., Tensor]:
        return lambda sigma=None, **inputs: ways[way](sigma=sigma, **inputs, **options)

    return Case(run(0), run(1), draw)


_SCAN = (17, 5, 3)
_STATE = ("output 0", "output 1")
CASES: dict[str, Case] = {
    "integrator": Case(
        leaky_integrator,
        integrator_reference.leaky_integrator,
        lambda dtype: _without("threshold", test_scan.draw(_SCAN, "mixed", dtype)),
        _STATE,
    ),
    "trace": Case(trace, trace_reference.trace, partial(test_trace.draw, (63, 2, 500), "mixed"), _STATE),
    "norm": Case(sequence_norm, partial(norm_reference.sequence_norm, eps=1e-5), _norm_inputs),
}
CASES["lif, soft reset"] = Case(
    partial(lif, reset="subtract"),
    partial(lif_reference.lif, surrogate="arctan", alpha=5.0, reset="subtract"),
    partial(test_scan.draw, _SCAN, "mixed"),
    _STATE,
)
for surrogate in SURROGATES:
    options: Any = {"surrogate": surrogate, "alpha": 5.1}
    for kind in test_scan.CURRENTS:
        CASES[f"lif, {kind}, {surrogate}"] = Case(
            partial(lif, **options),
            partial(lif_reference.lif, **options),
            partial(test_scan.draw, _SCAN, kind),
            _STATE,
        )
    for euler in EULERS:
        adaptive: Any = {"euler": euler, **options}
        CASES[f"adaptive lif, {euler}, {surrogate}"] = Case(
            partial(adaptive_lif, **adaptive),
            partial(adaptive_lif_reference.adaptive_lif, **adaptive),
            partial(test_adaptive_lif.draw, _SCAN, "mixed"),
            _STATE,
        )
    CASES[f"normed lif, {surrogate}"] = Case(
        partial(normed_lif, **options),
        partial(normed_lif_reference.normed_lif, eps=1e-5, **options),
        partial(test_normed_lif.draw, (20, 3, 17)),
    )
for size in test_dense_plans.SIZES[-2:]:
    for width, shape in ((3.0, "gaussian"), (0.5, "gaussian"), (0.5, "triangle"), (None, "gaussian")):
        for before in (False, True):
            CASES[f"delayed current, {size}, {width} {shape}, history {before}"] = _dense(
                width, shape, size, before, True
            )
CASES["delayed current, frozen, no gradients"] = _dense(None, "gaussian", test_dense_plans.SIZES[-1], True, False)
for shape in ("padded", "strided", "longer than the clip"):
    for width, taps in ((1.3, "gaussian"), (0.5, "triangle"), (None, "gaussian")):
        CASES[f"delayed convolution, {shape}, {width} {taps}"] = _conv(width, taps, shape)
for kind in test_recurrent_lif.KINDS:
    frozen: Any = {"sigma": None, "max_delay": test_recurrent_lif.MAX_DELAY}
    CASES[f"recurrent lif, {kind}, frozen, no gradients"] = Case(
        partial(recurrent_lif, **frozen),
        partial(test_recurrent_lif.slow, **frozen),
        partial(_without_gradients, partial(test_recurrent_lif.draw_as, kind)),
    )
    options = {"sigma": 1.3, "max_delay": test_recurrent_lif.MAX_DELAY}
    CASES[f"recurrent lif, {kind}"] = Case(
        partial(recurrent_lif, **options),
        partial(test_recurrent_lif.slow, **options),
        partial(test_recurrent_lif.draw_as, kind),
    )
    for neuron in test_recurrent_neurons.OPTIONS:
        CASES[f"recurrent {neuron}, {kind}"] = Case(
            partial(test_recurrent_neurons.fast, neuron, sigma=1.3),
            partial(test_recurrent_neurons.slow, neuron, sigma=1.3),
            partial(test_recurrent_neurons.draw_as, neuron, kind),
        )
