"""A state says what module it is of, and another module refuses it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ranvier.models import Stack, feedforward
from ranvier.network import Decoding
from ranvier.nn import LIF, DelayLinear, SequenceBatchNorm

PAIRS: list[tuple[str, Callable[[], nn.Module], Callable[[], nn.Module]]] = [
    ("max_delay: 24 in the state, 9 here", lambda: DelayLinear(3, 4, 24), lambda: DelayLinear(3, 4, 9)),
    ("max_delay: 9 in the state, 24 here", lambda: DelayLinear(3, 4, 9), lambda: DelayLinear(3, 4, 24)),
    ("kernel: triangle .* gaussian", lambda: DelayLinear(3, 4, 9, kernel="triangle"), lambda: DelayLinear(3, 4, 9)),
    ("delay_type: axonal .*", lambda: DelayLinear(3, 1, 9, delay_type="axonal"), lambda: DelayLinear(3, 1, 9)),
    ("weight", lambda: DelayLinear(3, 4, 9, synapses_per_pair=2), lambda: DelayLinear(3, 4, 9)),
    ("alpha: 5 in the state, 1.0 here", lambda: LIF(0.5), lambda: LIF(0.5, alpha=1.0)),
    ("surrogate: triangle .* arctan", lambda: LIF(0.5, surrogate="triangle"), lambda: LIF(0.5)),
    ("eps: 0.5 ", lambda: SequenceBatchNorm(3, eps=0.5), lambda: SequenceBatchNorm(3)),
]


@pytest.mark.parametrize(("said", "saved", "other"), PAIRS)
def test_a_state_of_another_module_is_refused(said: str, saved: Any, other: Any) -> None:
    with pytest.raises(RuntimeError, match=said):
        other().load_state_dict(saved().state_dict())
    saved().load_state_dict(saved().state_dict())


def small(max_delay: int = 9, **options: Any) -> Stack:
    return feedforward(12, [16], 3, max_delay, decay=0.8, generator=torch.Generator().manual_seed(0), **options)


def test_a_models_state_names_the_layers(tmp_path: Path) -> None:
    torch.save(small(24).state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    model = small()
    before = model.linear.delay.detach().clone()
    with pytest.raises(RuntimeError) as refused:
        model.load_state_dict(state)
    for said in ("blocks.0.linear.max_delay: 24", "\tlinear.max_delay: 24", "decoding.tail_steps: 24 in the state, 8"):
        assert said in str(refused.value)
    assert torch.equal(model.linear.delay, before)  # nothing of a refused layer is loaded
    with pytest.raises(RuntimeError, match=r"decoding.tail: clip in the state, per_layer here"):
        small(decoding=Decoding(8, "per_layer")).load_state_dict(small().state_dict())


def test_numbers_that_are_tensors_are_loaded() -> None:
    model = small(neuron=partial(LIF, threshold=3.0))
    model.load_state_dict(small().state_dict())
    assert model.blocks[0].neuron.threshold == 1


def test_an_earlier_state_loads_and_its_delays_are_looked_at() -> None:
    old = {name: tensor for name, tensor in small(24).state_dict().items() if not name.endswith("_extra_state")}
    small(24).load_state_dict(old)
    with pytest.raises(RuntimeError, match=r"blocks\.0\.linear\.delay: up to 2[34].* steps in the state, 9 here"):
        small().load_state_dict(old)


def test_a_state_can_be_gone_through_tensor_by_tensor() -> None:
    model = small()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())
    copy.deepcopy(model).load_state_dict(state)
    assert not any("extra" in name for name, _ in [*model.named_parameters(), *model.named_buffers()])
