"""Modules one after the other, what of them freezes, and that no part is passed over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ranvier.engine import Engine
from ranvier.models import Stack, feedforward, freeze
from ranvier.network import Decoding, Input
from ranvier.nn import LIF, ClipDropout, DelayLinear, Integrator, SequenceBatchNorm, Trace, set_sigma
from tests.networks import dense
from tests.nn.test_sigma import Net

ABOUT: dict[str, Any] = {"dt_ms": 1.0, "classes": ("a", "b", "c"), "input": Input(30)}


class Louder(LIF):
    """Neurons with a forward of their own."""

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return super().forward(3 * current, state)


def clips() -> Tensor:
    return (torch.rand(40, 4, 30, generator=torch.Generator().manual_seed(1)) < 0.1).float()


def stack(neuron: nn.Module | None = None) -> Stack:
    torch.manual_seed(0)
    return Stack(
        Stack(DelayLinear(30, 24, 9), SequenceBatchNorm(24), LIF(0.9), Trace(0.5), ClipDropout(0.2)),
        Stack(DelayLinear(24, 16, 5, bias=True), neuron or LIF(0.8, 0.7), nn.Dropout(0.1)),
        DelayLinear(16, 3, 7),
        Integrator(0.9),
    )


def test_a_stack_in_pieces_is_the_whole_and_freezes_to_itself() -> None:
    model = stack()
    set_sigma(model, 0.5)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(clips())[0].softmax(-1).sum(0), torch.arange(4) % 3)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    x = clips()
    with torch.no_grad():
        whole, _ = model(x)
        state, pieces = None, []
        for piece in x.split([1, 19, 20]):
            voltage, state = model(piece, state)
            pieces.append(voltage)
    torch.testing.assert_close(torch.cat(pieces), whole)
    network = freeze(model, **ABOUT, decoding=Decoding(4))
    assert [dense(layer).weight.shape for layer in network.layers] == [(1, 24, 30), (1, 16, 24), (1, 3, 16)]
    assert network.decoding.tail_steps == 4
    for clip in range(4):
        voltage = Engine(network).run(x[:, clip].numpy()).voltage[:40]
        np.testing.assert_allclose(voltage, whole[:, clip].numpy(), atol=1e-5)
    with pytest.raises(ValueError, match=r"^state: of 1 modules"):
        model(x, [None])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Net(), "^model: Net .* Stack"),
        (nn.Linear(30, 3), "^model: Linear"),
        (stack(Louder(0.8)), r"^1\.1: Louder"),
        (Stack(DelayLinear(30, 3, 5), LIF(0.5)), "^Stack: ends without"),
        (Stack(DelayLinear(30, 3, 5), Integrator(0.5), nn.Identity()), "^2: Identity"),
        (Stack(nn.Linear(30, 3)), "^0: Linear"),
    ],
)
def test_what_cannot_be_frozen_is_named(model: nn.Module, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        freeze(model, **ABOUT)


@pytest.mark.parametrize(
    "name", ["blocks.0.linear.weight", "blocks.0.linear.delay", "blocks.0.norm.running_var", "readout.decay"]
)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_is_not_frozen(name: str, bad: float) -> None:
    model = feedforward(30, [8], 3, 5, decay=0.5)
    model.state_dict()[name].view(-1)[0] = bad
    with pytest.raises(ValueError, match=rf"^{name}: NaN or infinite"):
        freeze(model, **ABOUT)


@pytest.mark.parametrize("training", [True, False])
def test_parts_with_a_forward_of_their_own_run_in_every_way(training: bool) -> None:
    """Alone and in a whole clip, whatever would have been fused."""
    for part in ("neuron", "norm", "linear", "dropout"):
        torch.manual_seed(0)
        model = feedforward(30, [8], 3, 5, decay=0.5, dropout=0.2).train(training)
        kind = type(getattr(model.blocks[0], part))
        calls: list[int] = []

        def forward(self: Any, *arguments: Any, kind: Any = kind, calls: list[int] = calls) -> Any:
            calls.append(1)
            return kind.forward(self, *arguments)

        x, lengths = clips(), torch.full((4,), 40)
        torch.manual_seed(1)
        expected = model.scores(x, lengths).detach()
        model.load_state_dict({n: t.clone() for n, t in model.state_dict().items()})
        getattr(model.blocks[0], part).__class__ = type("Own", (kind,), {"forward": forward})
        torch.manual_seed(1)
        torch.testing.assert_close(model.scores(x, lengths).detach(), expected)
        assert calls == [1]


def test_a_hook_is_called_in_training() -> None:
    model, seen = feedforward(30, [8], 3, 5, decay=0.5), []
    model.blocks[0].neuron.register_forward_hook(lambda *arguments: seen.append(arguments))
    model.train().scores(clips())
    assert len(seen) == 1


class Doubled(Stack):
    def forward(self, x: Tensor, state: Any = None) -> Any:
        return super().forward(2 * x, state)


def test_a_block_of_another_class_runs_in_every_way_and_is_not_frozen() -> None:
    model = feedforward(30, [8], 3, 5, decay=0.5, decoding=Decoding(0)).eval()
    plain, x = model.scores(clips()), clips()
    model.blocks.append(Doubled(DelayLinear(8, 8, 5), LIF(0.5)))
    voltage = model(x)[0]
    torch.testing.assert_close(model.forward_sequence(x), voltage)
    torch.testing.assert_close(model.scores(x), voltage.softmax(-1).sum(0))
    assert not torch.allclose(model.scores(x), plain)
    with pytest.raises(TypeError, match=r"^blocks\.1: Doubled cannot be frozen"):
        freeze(model, **ABOUT)


@pytest.mark.parametrize(
    ("modules", "place"),
    [
        ([nn.ReLU(), DelayLinear(3, 8, 5)], r"^0: ReLU .*after the input \(a connection "),
        ([DelayLinear(3, 8, 5), DelayLinear(8, 8, 5)], r"^1: DelayLinear .*after 0 \(a neuron "),
        ([DelayLinear(3, 8, 5), LIF(0.5), nn.Dropout(), SequenceBatchNorm(8)], r"^3: .*after 2 \(a connection "),
        ([DelayLinear(3, 8, 5), SequenceBatchNorm(8)], r"^model: ends after 1 \(a neuron "),
    ],
)
def test_a_module_out_of_order_is_named_with_what_it_follows(modules: list[nn.Module], place: str) -> None:
    with pytest.raises(TypeError, match=place):
        freeze(Stack(*modules), **ABOUT)


def test_neurons_of_ones_own_are_the_same_in_training_and_eval_and_are_not_frozen() -> None:
    torch.manual_seed(0)
    layers = [DelayLinear(*sizes, 5, learn_delay=False) for sizes in ((30, 8), (8, 3))]
    model, x, spikes = Stack(layers[0], Louder(0.8), layers[1], Integrator(0.9)), clips(), []
    for training in (True, False):
        (raster,), voltage = model.train(training).forward_with_spikes(x)
        torch.testing.assert_close(voltage, model(x)[0])
        torch.testing.assert_close(raster, Louder(0.8)(layers[0](x)[0])[0])
        spikes.append(raster.sum())
    assert spikes[0] == spikes[1] > LIF(0.8)(layers[0](x)[0])[0].sum()
    with pytest.raises(TypeError, match=r"^1: Louder"):
        freeze(model, **ABOUT)


def test_a_model_takes_other_numbers_and_names_what_it_cannot() -> None:
    model = feedforward(30, [8], 3, 5, decay=0.5).eval()
    x = clips()
    for other in (x.double(), x.long(), x.bool(), torch.from_numpy(x.numpy().astype(np.uint8))):
        assert torch.equal(model.scores(other), model.scores(x))
        assert torch.equal(model(other)[0], model(x)[0])
    assert torch.equal(model.scores(x, [40, 3, 7, 0]), model.scores(x, torch.tensor([40, 3, 7, 0])))  # type: ignore[arg-type]
    for lengths in ([41, 3, 7, 0], [40, -1, 7, 0], [40, 3], [40.0] * 4, "all"):
        with pytest.raises(ValueError, match=r"^lengths: "):
            model.scores(x, lengths)  # type: ignore[arg-type]
    for wrong in (x[:, 0], x.transpose(0, 2), x * torch.complex(x, x), x.double() * 1e300):
        for use in (model, model.scores):
            with pytest.raises(ValueError, match=r"^x: "):
                use(wrong)
    with pytest.raises(ValueError, match=r"^state: "):
        model(x, [])


@pytest.mark.parametrize("shape", [(0, 4, 30), (40, 0, 30)])
@pytest.mark.parametrize("training", [True, False])
def test_nothing_to_run_leaves_the_statistics_alone(shape: tuple[int, ...], training: bool) -> None:
    model = feedforward(30, [8], 3, 5, decay=0.5, decoding=Decoding(0)).train(training)
    scores = model.scores(torch.zeros(shape))
    assert scores.shape == (shape[1], 3)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_a_nan_reaches_the_scores_and_the_gradient(training: bool, batch_norm: bool) -> None:
    model = feedforward(30, [8, 6], 3, 5, decay=0.5, batch_norm=batch_norm).train(training)
    x = clips()
    x[5, 1, 3] = torch.nan
    scores = model.scores(x)
    assert scores[1].isnan().all()
    scores.sum().backward()
    assert model.blocks[0].linear.weight.grad is not None
    assert model.blocks[0].linear.weight.grad.isnan().any()
