"""A readout whose spikes are counted: its loss, its gradients, ties, and what it freezes to."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from snntorch.functional import ce_count_loss
from torch import Tensor

import ranvier.network as network_parts
from ranvier import nn
from ranvier.engine import Engine, activity, cost
from ranvier.export import ExportError, from_nir, to_lava, to_nir, to_onnx, to_snn_delays
from ranvier.models import Stack, convolutional, feedforward, freeze, set_bits
from ranvier.network import Decoding, Input, IntegerLIF, Network, NetworkError, Trace, quantize
from ranvier.nn import LIF, DelayLinear, Integrator, class_scores
from ranvier.nn.decay import Learn
from ranvier.ops.surrogate import spike
from tests.drawn import chain, clips, counted
from tests.export.c_program import run_here
from tests.networks import dense

COUNT = Decoding(tail_steps=3, scores="count")


def small(**options: object) -> Stack:
    """4-6-3, whose classes fire."""
    generator = torch.Generator().manual_seed(1)
    settings = {"decay": 0.7, "batch_norm": False, "decoding": COUNT, "generator": generator, **options}
    model = feedforward(4, [6], 3, 5, **settings)  # type: ignore[arg-type]
    with torch.no_grad():
        for layer in model.delay_layers:
            layer.weight.abs_().mul_(2)
    return model


def learned(decay: Learn, **options: Any) -> dict[str, Any]:
    """Neurons of all layers, with a learned decay."""
    made = partial(LIF, learn_decay=decay, **options)
    return {"neuron": made, "readout": made}


def frozen(model: Stack) -> Network:
    return freeze(model.eval(), dt_ms=1.0, classes=("a", "b", "c"), input=Input(4))


def batch() -> tuple[Tensor, Tensor]:
    """Three clips of different lengths, silent after their ends."""
    lengths = torch.tensor([12, 7, 1])
    x = (torch.rand(12, 3, 4, generator=torch.Generator().manual_seed(2)) < 0.5).float()
    return x * (torch.arange(12)[:, None] < lengths)[..., None], lengths


def fire(current: Tensor, decay: Tensor, threshold: Tensor) -> Tensor:
    """Spikes by the equation, time step by time step; the reset has no gradient."""
    v, made = torch.zeros_like(current[0]), []
    for now in current:
        v = decay * v + now
        made.append(spike(v - threshold, "arctan", 5.0))
        v = v * (1 - made[-1].detach())
    return torch.stack(made)


def test_the_loss_and_every_gradient_are_those_of_the_equations() -> None:
    model, (x, lengths), labels = small(**learned(True)).double(), batch(), torch.tensor([2, 0, 1])
    x = x.double()
    F.cross_entropy(model.scores(x, lengths), labels).backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}  # type: ignore[union-attr]
    model.zero_grad()
    padded, block = torch.cat([x, x.new_zeros(3, 3, 4)]), model.blocks[0]
    hidden = fire(block.linear.current(padded), block.neuron.decay, block.neuron.threshold)
    output = fire(model.linear.current(hidden), model.readout.decay, model.readout.threshold)
    counts = torch.stack([output[: length + 3, clip].sum(0) for clip, length in enumerate(lengths.tolist())])
    assert counts.min() >= 0
    assert counts[0].sum() > 5
    assert output[:, 1].sum() > 0
    loss = -(counts[range(3), labels] - counts.exp().sum(1).log()).mean()
    loss.backward()
    torch.testing.assert_close(model.scores(x, lengths), counts, rtol=0, atol=0)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0, name
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-9, atol=1e-12)


def test_the_cross_entropy_of_counts_is_that_of_snntorch() -> None:
    spikes = (torch.rand(20, 4, 5, generator=torch.Generator().manual_seed(0)) < 0.4).double().requires_grad_()
    labels = torch.tensor([0, 4, 2, 2])
    loss = F.cross_entropy(class_scores(spikes, scores="count"), labels)
    other = ce_count_loss()(spikes, labels)
    assert loss.item() == pytest.approx(other.item(), rel=1e-6)
    ours, theirs = (torch.autograd.grad(each, spikes)[0] for each in (loss, other))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_spikes_after_a_clip_and_its_tail_do_not_count() -> None:
    spikes = torch.ones(6, 2, 3)
    assert class_scores(spikes, torch.tensor([4, 0]), "count").tolist() == [[4.0] * 3, [0.0] * 3]
    model, (x, lengths) = small().eval(), batch()
    together = model.scores(x, lengths)
    alone = [model.scores(x[:length, clip : clip + 1]) for clip, length in enumerate(lengths.tolist())]
    assert together.tolist() == torch.cat(alone).tolist()


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_frozen_readout_counts_as_the_model(reset: str) -> None:
    model = small(**learned("neuron", reset=reset, threshold=0.8), trace=partial(nn.Trace, 0.3)).eval()
    assert (model.readout.reset, model.readout.threshold.item(), model.readout.alpha) == (reset, pytest.approx(0.8), 5)
    network = frozen(model)
    assert [layer.name for layer in network.layers] == ["hidden_1", "readout"]
    assert network.layers[-1].output is None
    x, lengths = batch()
    rasters, output = model.forward_with_spikes(x, lengths)
    assert len(rasters) == 1
    counts = model.scores(x, lengths).tolist()
    for clip, length in enumerate(lengths.tolist()):
        run = Engine(network).run(x[:length, clip].numpy())
        np.testing.assert_array_equal(run.voltage, output[: length + 3, clip].detach().numpy())
        assert run.scores.tolist() == counts[clip]
        assert len(run.spikes) == 1


def test_a_convolutional_model_counts_too() -> None:
    torch.manual_seed(0)
    made = partial(LIF, threshold=0.7)
    model = convolutional(
        18,
        (3, 3),
        [2],
        3,
        2,
        kernel_size=3,
        stride=1,
        decay=0.5,
        readout_decay=0.9,
        neuron=made,
        readout=made,
        decoding=COUNT,
    ).eval()
    with torch.no_grad():
        model.linear.weight.mul_(30)
    network = freeze(model, dt_ms=1.0, classes=("a", "b", "c"), input=Input(18))
    neuron = network.layers[-1].neuron
    assert isinstance(neuron, network_parts.LIF)
    assert neuron.decay.tolist() == pytest.approx([0.9] * 3)
    x = (torch.rand(9, 1, 18) < 0.5).float()
    assert Engine(network).run(x[:, 0].numpy()).scores.tolist() == model.scores(x)[0].tolist()
    assert model.scores(x).sum() > 0


def test_of_equal_counts_the_lowest_class_is_said_everywhere(tmp_path: Path) -> None:
    model = small()
    with torch.no_grad():
        for values in (model.linear.weight, model.linear.delay):  # class 0 is silent, 1 and 2 are the same
            values[:, 2] = values[:, 1]
        model.linear.weight[:, 0] = -1
    network, x = frozen(model), batch()[0][:, :1]
    clips = [x[:, 0].numpy(), np.zeros((4, 4), np.float32)]  # and all of a silent clip are the same
    loud = Engine(network).run(clips[0]).scores
    assert loud[0] < loud[1] == loud[2]
    said = [1, 0]
    assert [int(model.scores(torch.from_numpy(clip)[:, None]).argmax(1)) for clip in clips] == said
    for made in (network, from_nir(to_nir(network)), quantize(network)):
        streams = [Engine(made).stream() for _ in clips]
        for stream, clip in zip(streams, clips, strict=True):
            for step in clip:
                stream.step(np.flatnonzero(step))
            stream.finish()
        assert [stream.prediction for stream in streams] == said
        assert [Engine(made).run(clip).prediction for clip in clips] == said
        (tmp_path / str(id(made))).mkdir()
        assert [one.result for one in run_here(made, clips, tmp_path / str(id(made))).clips] == said
        session = onnxruntime.InferenceSession(to_onnx(made, whole_clip=True).SerializeToString())
        events = [clip.astype(np.uint8 if made.integer else np.float32) for clip in clips]
        assert [int(session.run(["scores"], {"events": each})[0].argmax()) for each in events] == said


def test_a_nir_graph_that_ends_in_spikes_may_be_counted() -> None:
    network = counted(chain(3))
    graph = to_nir(network)
    for node in graph.nodes.values():
        node.metadata.clear()
    graph.metadata = {}
    read = from_nir(graph, dt_ms=4.0, decoding=network.decoding)
    assert [type(layer.neuron) for layer in read.layers] == [network_parts.LIF] * 3
    for clip in clips(network):
        wide = clip[:, : network.sources]
        assert Engine(read).run(wide).scores.tolist() == Engine(network).run(wide).scores.tolist()
    assert isinstance(from_nir(graph, dt_ms=4.0).layers[-1].neuron, type(chain().layers[-1].neuron))


def test_integers_are_those_of_the_training() -> None:
    model = small()
    set_bits(model, 4, 2)
    network, (x, _) = frozen(model), batch()
    whole = quantize(network, weight_bits=4, delay_bits=2)
    assert isinstance(whole.layers[-1].neuron, IntegerLIF)
    for layer, integers in zip(network.layers, whole.layers, strict=True):
        np.testing.assert_array_equal(dense(layer).delay_steps, dense(integers).delay_steps)
        rows = dense(layer).weight[0], dense(integers).weight[0].astype(float)
        for floats, steps in zip(*rows, strict=True):  # a step has a size of its own for each neuron
            np.testing.assert_allclose(floats, steps * (floats[steps != 0] / steps[steps != 0]).mean(), atol=1e-6)
    said = to_lava(whole)["layer/1/neuron/vThMant"]  # Loihi spikes above it
    np.testing.assert_array_equal(np.broadcast_to(said, 3), whole.layers[-1].neuron.threshold - 1)
    counts = Engine(whole).run(x[:, 0].numpy()).scores
    np.testing.assert_array_equal(counts, np.rint(counts))
    assert counts.sum() > 3


def test_the_spikes_of_classes_are_part_of_the_cost() -> None:
    network, x = frozen(small()), batch()[0][:, 0].numpy()
    run, spent = Engine(network).run(x), cost(network, [(x, None)])
    assert spent.layers[-1].spikes == run.scores.sum() > 0
    rates = activity(network, [(x, None)])
    np.testing.assert_allclose(rates["readout"] * (len(x) + 3), run.scores)


def test_a_file_holds_it(tmp_path: Path) -> None:
    network = frozen(small())
    network.write(tmp_path / "n.safetensors")
    again, x = Network.read(tmp_path / "n.safetensors"), batch()[0][:, 0].numpy()
    assert again.decoding == COUNT
    assert "spikes over the clip and 3 time steps of tail" in str(again)
    assert Engine(again).run(x).scores.tolist() == Engine(network).run(x).scores.tolist()


def test_what_does_not_go_together_is_refused() -> None:
    network, other = frozen(small()), frozen(small(decoding=Decoding(3)))
    with pytest.raises(NetworkError, match=r"^layers\.1\.neuron: integrator is not allowed \(all layers spike"):
        replace(other, decoding=COUNT)
    with pytest.raises(NetworkError, match=r"^layers\.1\.neuron: lif is not allowed"):
        replace(network, decoding=Decoding(3))
    with pytest.raises(NetworkError, match=r"^layers\.1\.neuron: integer_integrator is not allowed \(all layers"):
        replace(quantize(other), decoding=COUNT)
    traced = replace(network.layers[-1], output=Trace(np.full(3, 0.5, np.float32)))
    with pytest.raises(NetworkError, match=r"^layers\.1\.output: is not allowed"):
        replace(network, layers=(network.layers[0], traced))
    with pytest.raises(ExportError, match=r"^decoding\.scores: count"):
        to_snn_delays(network)
    with pytest.raises(TypeError, match="ends without a readout"):
        frozen(Stack(DelayLinear(4, 3, 2), Integrator(0.5), decoding=COUNT))
    with pytest.raises(TypeError, match="ends without a readout"):
        frozen(Stack(DelayLinear(4, 3, 2), LIF(0.5)))
    with pytest.raises(RuntimeError, match=r"decoding\.scores"):
        small(decoding=Decoding(3)).load_state_dict(small().state_dict())


def test_a_network_of_nothing_but_a_readout() -> None:
    linear = DelayLinear(1, 2, 0)
    torch.nn.init.ones_(linear.weight)
    model = Stack(linear, LIF(0.5), decoding=Decoding(scores="count"))
    network = freeze(model, dt_ms=1.0, classes=("a", "b"), input=Input(1))
    assert [layer.name for layer in network.layers] == ["readout"]
    assert Engine(network).run(np.ones((5, 1))).scores.tolist() == [5, 5]


def test_voltages_are_not_counted() -> None:
    model = Stack(
        DelayLinear(4, 3, 5), LIF(0.5), DelayLinear(3, 2, 5), Integrator(0.5), decoding=Decoding(scores="count")
    )
    with pytest.raises(ValueError, match="scores count"):
        model.scores_with_spikes(torch.zeros(6, 1, 4))
