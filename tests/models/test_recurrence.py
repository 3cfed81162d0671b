"""Layers with recurrent delays: trained, in pieces, frozen, and what is refused."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ranvier import network
from ranvier.engine import Engine
from ranvier.models import Recurrence, Stack, feedforward, freeze
from ranvier.network import Decoding, Input, Network
from ranvier.nn import (
    LIF,
    AdaptiveLIF,
    ClipDropout,
    DelayLinear,
    Integrator,
    Recurrent,
    SequenceBatchNorm,
    Trace,
    set_sigma,
)

ABOUT: dict[str, Any] = {"dt_ms": 1.0, "classes": ("a", "b", "c"), "input": Input(8)}
TYPES = ["undelayed", "synaptic", "axonal", "dendritic"]

KNOWN: dict[str, Any] = {
    "lif": LIF(0.8, 0.6),
    "learned": LIF(0.8, 0.6, learn_decay=True),
    "soft reset": LIF(0.8, 0.6, reset="subtract"),
    "adaptive": AdaptiveLIF(8, 0.1, scale=2.0, generator=torch.Generator().manual_seed(1)),
    "adaptive, forward": AdaptiveLIF(8, 0.1, scale=2.0, euler="forward", generator=torch.Generator().manual_seed(1)),
}


class SoftResetLIF(nn.Module):
    """Neurons that the fused scan does not know."""

    freezes_to = network.LIF

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = torch.zeros_like(current[0]) if state is None else state
        spikes = []
        for now in current:
            v = 0.8 * v + now
            spikes.append((v >= 0.6).to(v.dtype))
            v = v - 0.6 * spikes[-1]
        return torch.stack(spikes), v


def clips() -> Tensor:
    return (torch.rand(40, 6, 8, generator=torch.Generator().manual_seed(1)) < 0.3).float()


def connection(neurons: int, delay_type: Any = "axonal", **options: Any) -> DelayLinear:
    return DelayLinear(
        neurons, neurons, 32767, min_delay=1, max_init_delay=9, delay_type=delay_type, sigma=1.0, **options
    )


def trained(recurrence: Recurrence, **options: Any) -> tuple[Stack, list[Tensor]]:
    """A network after a few steps, and its recurrent delays before."""
    torch.manual_seed(0)
    options = {"neuron": partial(LIF, threshold=0.6), "decoding": Decoding(4), **options}
    model = feedforward(8, [12, 10], 3, 6, decay=0.8, dropout=0.1, recurrence=recurrence, **options)
    set_sigma(model, 1.0)
    before = [block.neuron.connection.delay.detach().clone() for block in model.blocks]
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-2)
    for _ in range(6):
        loss = nn.functional.cross_entropy(model.scores(clips()), torch.arange(6) % 3)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    set_sigma(model, 0.3)
    return model.double().eval(), before


def rasters(frozen: Network, clip: np.ndarray) -> list[np.ndarray]:
    run = Engine(frozen).run(clip)
    found = []
    for spikes, layer in zip(run.spikes, frozen.layers, strict=False):
        raster = np.zeros((len(run.voltage), layer.targets))
        raster[tuple(spikes.T)] = 1
        found.append(raster)
    return found


def adaptive(decay: float, *, neurons: int) -> AdaptiveLIF:
    return AdaptiveLIF(neurons, 0.3, tau_steps=(1, 5), scale=2.0)


@pytest.mark.parametrize("options", [{}, {"batch_norm": False}, {"neuron": adaptive}])
@pytest.mark.parametrize("delay_type", TYPES)
def test_it_learns_and_freezes_spike_for_spike(delay_type: Any, options: dict[str, Any]) -> None:
    recurrence = Recurrence(delay_type, max_init_delay=9.0, dropout=0.2, bias=not options.get("batch_norm", True))
    model, before = trained(recurrence, **options)
    for block, start in zip(model.blocks, before, strict=True):
        moved = (block.neuron.connection.delay.detach() - start).abs().max()
        assert float(moved) == 0 if delay_type == "undelayed" else float(moved) > 0.1
        assert float(block.neuron.connection.delay.detach().min()) >= 1
    frozen = freeze(model, **ABOUT)
    sizes = {"undelayed": (1, 1, 12), "synaptic": (1, 12, 12), "axonal": (1, 1, 12), "dendritic": (1, 12, 1)}
    own = frozen.layers[0].inputs[1]
    assert isinstance(own, network.Dense)
    assert (own.source, own.delay_steps.shape) == ("hidden_1", sizes[delay_type])
    assert own.max_delay == own.delay_steps.max()
    assert own.delay_steps.min() >= 1
    with torch.no_grad():
        expected, _ = model.forward_with_spikes(clips().double())
    assert all(0.02 < float(raster.mean()) < 0.6 for raster in expected)
    for clip in range(6):
        for ours, theirs in zip(rasters(frozen, clips()[:, clip].numpy()), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs[:, clip])


def test_without_its_own_spikes_it_would_be_another_network() -> None:
    model, _ = trained(Recurrence("axonal", max_init_delay=9.0))
    with torch.no_grad():
        expected, _ = model.forward_with_spikes(clips().double())
        for block in model.blocks:
            block.neuron.connection.weight.zero_()
        changed, _ = model.forward_with_spikes(clips().double())
    assert int((expected[0] != changed[0]).sum()) > 50


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("neuron", [*KNOWN.values(), SoftResetLIF()])
@pytest.mark.parametrize("delay_type", ["synaptic", "axonal"])
def test_pieces_of_a_stream_are_the_whole(delay_type: Any, neuron: nn.Module, training: bool) -> None:
    torch.manual_seed(0)
    layer = Recurrent(neuron, connection(8, delay_type, bias=True)).double().train(training)
    x = clips().double()
    with torch.no_grad():
        whole, _ = layer(x)
        state: Any = None
        pieces = []
        for piece in x.split([1, 2, 17, 20]):
            spikes, state = layer(piece, state)
            pieces.append(spikes)
    assert torch.equal(torch.cat(pieces), whole)
    assert len(state[1]) <= 40


def test_its_connection_alone_may_be_as_it_was_trained() -> None:
    """As a recipe measures what rounding costs: all else as in evaluation."""
    torch.manual_seed(0)
    layer = Recurrent(LIF(0.8, 0.6), connection(8)).double().eval()
    x = clips().double()
    with torch.no_grad():
        rounded, _ = layer(x)
        layer.connection.train()
        spread, _ = layer(x)
        assert torch.equal(spread, layer.train()(x)[0])
    assert not torch.equal(spread, rounded)


@pytest.mark.parametrize("delay_type", ["synaptic", "axonal"])
@pytest.mark.parametrize("name", list(KNOWN))
def test_unknown_neurons_run_step_by_step_as_known_ones_do(name: str, delay_type: Any) -> None:
    class Plain(type(KNOWN[name])):  # type: ignore[misc]
        def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return super().forward(current, state)  # type: ignore[no-any-return]

    torch.manual_seed(0)
    fast = Recurrent(copy.deepcopy(KNOWN[name]), connection(8, delay_type)).double()
    slow = copy.deepcopy(fast)
    slow.neuron.__class__ = Plain
    assert fast._op() is not None
    assert slow._op() is None
    x = 2 * clips().double()
    results = []
    for layer in (fast, slow):
        spikes, _ = layer(x)
        spikes.sum().backward()
        gradients = {key: parameter.grad for key, parameter in layer.named_parameters()}
        assert {"connection.delay", "connection.weight"} <= gradients.keys()
        assert all(gradient is not None and float(gradient.abs().max()) > 0 for gradient in gradients.values())
        results.append((spikes, *gradients.values()))
    assert 0.02 < float(results[0][0].detach().mean()) < 0.9
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_dropout_silences_what_comes_back_and_nothing_else() -> None:
    torch.manual_seed(0)
    layer = Recurrent(LIF(0.8, 0.6), connection(8), dropout=0.5)
    x = clips()
    with torch.no_grad():
        spikes, (_, sent) = layer(x)
    gain = sent / spikes[-len(sent) :]
    assert {round(value, 6) for value in gain[gain.isfinite()].tolist()} == {0.0, 2.0}
    assert 0.1 < float(spikes.mean()) < 0.9
    layer.eval()
    _, (_, sent) = layer(x)
    assert set(sent.unique().tolist()) == {0.0, 1.0}


def test_what_it_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^connection: 3 sources and 4 targets"):
        Recurrent(LIF(0.5), DelayLinear(3, 4, 5, min_delay=1))
    with pytest.raises(ValueError, match=r"^connection: min_delay 0"):
        Recurrent(LIF(0.5), DelayLinear(4, 4, 5))
    with pytest.raises(ValueError, match=r"^min_delay: 6"):
        DelayLinear(4, 4, 5, min_delay=6)
    with pytest.raises(ValueError, match=r"^recurrence: "):
        feedforward(8, [12], 3, 6, decay=0.8, trace=partial(Trace, 0.5), recurrence=Recurrence("axonal", 5.0))
    parts = [DelayLinear(8, 12, 4), Recurrent(LIF(0.5), connection(12))]
    end = [DelayLinear(12, 3, 4), Integrator(0.9)]
    set_sigma(whole := Stack(*parts, Trace(0.5), *end), 0.5)
    with pytest.raises(TypeError, match=r"^2: Trace cannot be frozen after 1"):
        freeze(whole, **ABOUT)

    class Louder(LIF):
        def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return super().forward(3 * current, state)

    set_sigma(whole := Stack(parts[0], Recurrent(Louder(0.5), connection(12)), *end), 0.5)
    with pytest.raises(TypeError, match=r"^neuron: Louder cannot be frozen"):
        freeze(whole, **ABOUT)


def test_delays_of_a_copy_and_of_a_loaded_state_stay_above_one_step() -> None:
    torch.manual_seed(0)
    layer = Recurrent(LIF(0.8, 0.6), connection(8)).double()
    with torch.no_grad():
        layer.connection.delay.fill_(1.0)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1e3)
    layer(clips().double())[0].sum().backward()
    optimiser.step()
    assert float(layer.connection.delay.detach().min()) == 1.0
    other = Recurrent(LIF(0.8, 0.6), DelayLinear(8, 8, 32767, delay_type="axonal", sigma=1.0, min_delay=2))
    with pytest.raises(RuntimeError, match=r"min_delay: 1 in the state, 2 here"):
        other.load_state_dict(layer.state_dict())


def test_batch_norm_and_dropout_stand_beside_it() -> None:
    torch.manual_seed(0)
    model = Stack(
        DelayLinear(8, 12, 4), SequenceBatchNorm(12), Recurrent(LIF(0.8, 0.6), connection(12)), ClipDropout(0.3),
        DelayLinear(12, 3, 4), Integrator(0.9), decoding=Decoding(5),
    )  # fmt: skip
    set_sigma(model, 0.5)
    lengths = torch.tensor([40, 12, 7, 40, 1, 33])
    x = clips() * (torch.arange(40)[:, None, None] < lengths[:, None])
    model.scores(x, lengths).sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    model.eval()
    with torch.no_grad():
        together = model.scores(x, lengths)
        alone = torch.cat([model.scores(x[: lengths[k], k : k + 1]) for k in range(6)])
    torch.testing.assert_close(together, alone)
