"""Printed modules say what they are, whatever their tensors are on."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ranvier.models import SkipConnections, Stack
from ranvier.network import Decoding
from ranvier.nn import LIF, AdaptiveLIF, DelayConv1d, DelayConv2d, DelayLinear, Integrator, Recurrent, Trace

Make = Callable[[], nn.Module]


def fields(module: nn.Module) -> dict[str, str]:
    """What a module's own line says by name."""
    return dict(re.findall(r"(\w+)=(tensor\(.*?\)\)|\(.*?\)|[^,\s]+(?: \.\.\. [^,\s]+)?)", module.extra_repr()))


def per_neuron() -> LIF:
    layer = LIF(0.6, 0.8, learn_decay="neuron", learn_threshold="neuron", neurons=2)
    with torch.no_grad():
        layer.parametrizations.decay.original.copy_(torch.tensor([-1.0, 1.0]))  # type: ignore[union-attr,operator]
        layer.threshold.copy_(torch.tensor([0.25, 2.0]))
    return layer


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: LIF(0.9, 0.5), {"decay": "0.9", "threshold": "0.5"}),
        (lambda: LIF(0.9, learn_decay=True), {"decay": "0.9", "learn_decay": "layer"}),
        (
            per_neuron,
            {
                "decay": "0.2689 ... 0.7311",
                "threshold": "0.25 ... 2",
                "learn_decay": "neuron",
                "learn_threshold": "neuron",
            },
        ),
        (lambda: Integrator(0.25), {"decay": "0.25"}),
        (lambda: Integrator(0.25, learn_decay=True), {"decay": "0.25", "learn_decay": "layer"}),
        (lambda: Trace(0.75), {"decay": "0.75"}),
        (lambda: Trace(0.75, learn_decay=True), {"decay": "0.75", "learn_decay": "layer"}),
        (
            lambda: AdaptiveLIF(3, 0.5, tau_steps=(10, 10), adaptation_tau_steps=(100, 100)),
            {"neurons": "3", "threshold": "0.5", "decay": "0.9048 ... 0.9048", "adaptation_decay": "0.99 ... 0.99"},
        ),
        (
            lambda: DelayLinear(3, 4, 7, synapses_per_pair=2, sigma=1.5, fan_in=2, bias=True, learn_sigma="layer"),
            {
                "in_features": "3",
                "out_features": "4",
                "max_delay": "7",
                "synapses_per_pair": "2",
                "kernel": "gaussian",
                "sigma": "1.5",
                "learn_sigma": "layer",
                "fan_in": "2",
                "bias": "True",
            },
        ),
        (lambda: DelayLinear(20000, 2, 4, fan_in=12345), {"fan_in": "12345"}),
        (lambda: DelayLinear(3, 3, 7, min_delay=2, max_init_delay=5), {"min_delay": "2", "max_init_delay": "5"}),
        (lambda: DelayConv2d(2, 3, 3, 5, (8, 6)), {"max_delay": "5", "sigma": "3.27", "size": "(8, 6)"}),
        (lambda: Stack(decoding=Decoding(3, scores="max")), {"tail_steps": "3", "scores": "max"}),
        (lambda: Stack(decoding=Decoding(tail="per_layer")), {"tail": "per_layer"}),
    ],
)
def test_a_module_prints_what_it_is(make: Make, expected: dict[str, str]) -> None:
    module = make()
    said = fields(module)
    assert {name: said.get(name) for name in expected} == expected
    assert all(f"{name}={value}" in repr(module) for name, value in expected.items())


def test_stacks_within_stacks_print_no_decoding() -> None:
    assert repr(Stack(Stack(LIF(0.5)), decoding=Decoding(3))).count("tail_steps") == 1
    assert "tail" not in repr(Stack(LIF(0.5)))


@pytest.mark.parametrize(("kind", "name"), [(LIF, "LIF"), (Integrator, "Integrator"), (Trace, "Trace")])
def test_one_that_learns_its_decay_prints_its_own_name(kind: Callable[..., nn.Module], name: str) -> None:
    for learn in (False, True):
        module = kind(0.9, learn_decay=learn)
        assert repr(module).startswith(f"{name}(")
        assert type(module).__name__ == name
    assert issubclass(type(module), kind)  # type: ignore[arg-type]
    assert kind.__name__ == name


def whole() -> Stack:
    """Every kind of layer."""
    return Stack(
        DelayConv1d(1, 2, 3, 4, 6),
        per_neuron(),
        Trace(0.5, learn_decay=True),
        DelayLinear(8, 4, 5, fan_in=2, learn_sigma="synapse"),
        Recurrent(AdaptiveLIF(4), DelayLinear(4, 4, 6, min_delay=1)),
        SkipConnections(DelayLinear(4, 3, 2), {0: DelayLinear(6, 3, 2)}),
        Integrator(0.5, learn_decay="neuron", neurons=3),
    )


def test_no_number_is_waited_for() -> None:
    here = repr(whole())
    assert "tensor(" not in here
    there = repr(whole().to("meta"))  # of which no number can be had
    assert "decay=tensor(..., device='meta', size=(2,))" in there
    names = [re.findall(r"(\w+)=", re.sub(r"tensor\(.*?\)\)", "", text)) for text in (here, there)]
    assert names[0] == names[1]
    with FakeTensorMode():
        assert "decay=tensor(..., device='cpu', size=(3,))" in repr(AdaptiveLIF(3))
        assert "threshold=tensor(..., device='cuda:0', size=())" in repr(LIF(0.5).to("cuda:0"))
