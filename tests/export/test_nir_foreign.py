"""Graphs that snnTorch and Norse export, and one of SpikingJelly's neurons, spike as those packages do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ranvier.engine import Engine
from ranvier.export import ExportError, from_nir
from ranvier.network import Network

with warnings.catch_warnings():  # of their dependencies
    warnings.simplefilter("ignore")
    import norse.torch as norse
    import snntorch
    from norse.torch.utils.export_nir import to_nir as norse_to_nir
    from snntorch.export_nir import export_to_nir as snntorch_to_nir
    from spikingjelly.activation_based.neuron import LIFNode

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of nirtorch.extract_nir_graph
SIZES = (5, 9, 6)
Raster = NDArray[np.bool_]


def linear(sources: int, targets: int, generator: torch.Generator) -> nn.Linear:
    """Weights in multiples of 1/64, so that rounding decides nothing."""
    made = nn.Linear(sources, targets)
    with torch.no_grad():
        made.weight.copy_((torch.randn(targets, sources, generator=generator) * 32).round() / 64 + 0.25)
        made.bias.copy_((torch.randn(targets, generator=generator) * 4).round() / 64)
    return made


def clip() -> Tensor:
    """Counts ``[time, source]``."""
    return torch.poisson(torch.full((60, SIZES[0]), 0.5), torch.Generator().manual_seed(3))


def ours(network: Network, x: Tensor) -> list[Raster]:
    """The engine's spikes, layer by layer, dense; the readout's voltage last, where it is the last neurons' spikes."""
    run = Engine(network).run(x.numpy())
    rasters = []
    for layer, spikes in zip(network.layers, run.spikes, strict=False):
        raster = np.zeros((len(x), layer.targets), np.bool_)
        raster[spikes[:, 0], spikes[:, 1]] = True
        rasters.append(raster)
    return rasters


def same(network: Network, x: Tensor, theirs: list[Tensor]) -> None:
    """Every spike of every layer."""
    found = ours(network, x)
    assert len(found) == len(theirs)
    for mine, other in zip(found, theirs, strict=True):
        assert 0.02 < mine.mean() < 0.9
        np.testing.assert_array_equal(mine, other.detach().numpy() > 0)


def leaky(size: int, kind: type[nn.Module] = snntorch.Leaky, **settings: Any) -> nn.Module:
    beta, threshold = torch.full((size,), 0.875), torch.full((size,), 1.0)
    values = {"beta": beta, "threshold": threshold, "reset_mechanism": "zero"} | settings
    return kind(**values)


def run_snntorch(model: nn.Sequential, x: Tensor) -> list[Tensor]:
    """Spikes of its neurons, step by step, with the states carried along."""
    states: dict[int, tuple[Tensor, ...]] = {}
    rasters: list[list[Tensor]] = [[] for module in model if not isinstance(module, nn.Linear)]
    for step in x:
        value, layer = step[None], 0
        for number, module in enumerate(model):
            if isinstance(module, nn.Linear):
                value = module(value)
                continue
            if number not in states:
                two = isinstance(module, snntorch.Synaptic | snntorch.RLeaky)
                states[number] = (torch.zeros_like(value),) * (2 if two else 1)
            out = module(value, *states[number])
            value = out[0]
            states[number] = out if isinstance(module, snntorch.RLeaky) else out[1:]
            rasters[layer].append(value[0])
            layer += 1
    return [torch.stack(raster) for raster in rasters]


def recurrent(size: int) -> nn.Module:
    made = leaky(size, snntorch.RLeaky, linear_features=size, reset_delay=False)
    made.recurrent = linear(size, size, torch.Generator().manual_seed(9))
    with torch.no_grad():
        made.recurrent.weight -= 0.375
    return made


@pytest.mark.parametrize(
    "neurons",
    [
        (leaky, leaky),
        (leaky, lambda size: leaky(size, beta=torch.full((size,), 0.5), threshold=torch.full((size,), 0.75))),
        (recurrent, leaky),
        (lambda size: leaky(size, snntorch.Synaptic, alpha=torch.zeros(size), reset_delay=False), leaky),
    ],
)
def test_snntorch_spikes(neurons: tuple[Callable[[int], nn.Module], ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    parts: list[nn.Module] = []
    for (sources, targets), neuron in zip(pairwise(SIZES), neurons, strict=True):
        parts += [linear(sources, targets, generator), neuron(targets)]
    model = nn.Sequential(*parts)
    states: list[Any] = [module for module in model if not isinstance(module, nn.Linear)]
    for module in states:
        module.init_hidden = True
    states[-1].output = False
    with torch.no_grad():
        graph = snntorch_to_nir(model, torch.zeros(1, SIZES[0]), ignore_dims=[0])
        for module in states:
            module.init_hidden = False
        network = from_nir(graph, dt_ms=0.1)  # snnTorch writes steps of 0.1 ms
        x = clip()
        same(network, x, run_snntorch(model, x))
    # the readout's voltage is what the graph gives out
    run = Engine(network).run(x.numpy())
    assert [tuple(where) for where in np.argwhere(run.voltage)] == [tuple(spike) for spike in run.spikes[-1]]


def test_snntorchs_subtraction_writes_the_same_graph() -> None:
    """So a graph cannot say it, which the docstring of ``from_nir`` tells."""
    graphs = []
    for reset in ("subtract", "zero"):
        neuron = leaky(3, reset_mechanism=reset, init_hidden=True)
        model = nn.Sequential(linear(5, 3, torch.Generator().manual_seed(0)), neuron)
        graphs.append(snntorch_to_nir(model, torch.zeros(1, 5), ignore_dims=[0]))
    one, other = graphs
    assert one.nodes.keys() == other.nodes.keys()
    for name in one.nodes:
        for field, value in vars(one.nodes[name]).items():
            np.testing.assert_equal(getattr(other.nodes[name], field), value)


def test_a_synaptic_filter_is_refused() -> None:
    neuron = leaky(3, snntorch.Synaptic, alpha=torch.full((3,), 0.5), init_hidden=True)
    model = nn.Sequential(nn.Linear(5, 3), neuron)
    graph = snntorch_to_nir(model, torch.zeros(1, 5), ignore_dims=[0])
    with pytest.raises(ExportError, match=r"tau_syn: 0\.0002 s is not allowed"):
        from_nir(graph, dt_ms=0.1)


@pytest.mark.parametrize("filtered", [False, True])
def test_norse_spikes(filtered: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    size, classes = 9, 6
    # time constants of 4 ms at 1 ms: an Euler step of 1/4
    membrane = {
        "tau_mem_inv": torch.full((size,), 250.0),
        "v_leak": torch.zeros(size),
        "v_th": torch.full((size,), 0.25),
    }
    if filtered:
        cell = norse.LIFCell(
            norse.LIFParameters(tau_syn_inv=torch.full((size,), 1000.0), v_reset=torch.zeros(size), **membrane)
        )
    else:
        cell = norse.LIFBoxCell(norse.LIFBoxParameters(v_reset=torch.zeros(size), **membrane))
    readout = norse.LIBoxCell(
        norse.LIBoxParameters(tau_mem_inv=torch.full((classes,), 250.0), v_leak=torch.zeros(classes))
    )
    model = norse.SequentialState(linear(5, size, generator), cell, linear(size, classes, generator), readout)
    graph = norse_to_nir(model, torch.zeros(5), dt=1)  # with another dt it multiplies its time constants with it
    network = from_nir(graph, dt_ms=1)
    x, state, voltage, spikes, own = clip(), None, [], [], None
    with torch.no_grad():
        for step in x:
            fired, own = cell(model[0](step[None]), own)
            value, state = model(step[None], state)
            spikes.append(fired[0])
            voltage.append(value[0])
    same(network, x, [torch.stack(spikes)])
    np.testing.assert_allclose(Engine(network).run(x.numpy()).voltage, torch.stack(voltage), atol=1e-5)


def test_spikingjellys_neuron_spikes_as_the_lif_of_the_specification() -> None:
    """The release has no NIR exporter. LIFNode is NIR's LIF with r = 1, unless a voltage equals the threshold."""
    generator = torch.Generator().manual_seed(2)
    fc, tau = linear(5, 9, generator), 4.0
    one = np.ones(9, np.float32)
    graph = nir.NIRGraph.from_list(
        nir.Affine(fc.weight.detach().numpy(), fc.bias.detach().numpy()),
        nir.LIF(one * tau / 1000, one, one * 0, one / 3, one * 0),
        nir.Linear(np.eye(9, dtype=np.float32)),
        nir.LI(one / 1000, one, one * 0),
    )
    node, x = LIFNode(tau=tau, v_threshold=1 / 3, v_reset=0.0), clip()
    with torch.no_grad():
        theirs = torch.stack([node(fc(step)) for step in x])
    same(from_nir(graph, dt_ms=1), x, [theirs])


def test_exponential_decay_is_named() -> None:
    one = np.ones(4)
    graph = nir.NIRGraph.from_list(nir.Linear(np.eye(4)), nir.LI(one * 0.01, one, one * 0))
    layer = from_nir(graph, dt_ms=2, decay_rule="exp").layers[0]
    np.testing.assert_allclose(layer.neuron.arrays()["decay"], np.exp(-0.2), rtol=1e-7)
    np.testing.assert_allclose(np.diag(layer.inputs[0].weight[0]), 1 - np.exp(-0.2), rtol=1e-6)  # type: ignore[attr-defined]


def test_delays_stand_before_and_after_weights() -> None:
    weight = np.array([[1, 0, 3], [0, 5, 6]], np.float32)
    one = np.ones(2)
    graph = nir.NIRGraph.from_list(
        nir.Delay(np.array([0.0, 0.02, 0.01])), nir.Scale(np.array([1.0, 2.0, 0.5])), nir.Linear(weight),
        nir.Delay(np.array([0.0, 0.03])), nir.I(one * 100),
    )  # fmt: skip
    (made,) = from_nir(graph, dt_ms=10).layers[0].inputs
    synapses = {(t, s): (float(w), int(d)) for s, t, w, d in zip(*made.synapses(), strict=True)}
    assert synapses == {(0, 0): (1, 0), (0, 2): (1.5, 1), (1, 1): (10, 5), (1, 2): (3, 4)}


def test_a_flat_image_and_no_weights_at_all() -> None:
    graph = nir.NIRGraph(
        {
            "input": nir.Input(np.array([2, 3])),
            "flat": nir.Flatten({"input": np.array([2, 3])}, start_dim=0),
            "I": nir.I(np.full(6, 1000.0)),
            "output": nir.Output(np.array([6])),
        },
        [("input", "flat"), ("flat", "I"), ("I", "output")],
    )
    network = from_nir(graph, dt_ms=1)
    assert (network.sources, network.layers[0].name) == (6, "i")
    np.testing.assert_array_equal(network.layers[0].inputs[0].weight[0], np.eye(6))  # type: ignore[attr-defined]


def test_a_loop_without_a_delay_takes_one_time_step() -> None:
    one = np.ones(2)
    nodes = {
        "input": nir.Input(np.array([2])),
        "A": nir.LIF(one * 0.01, one * 10, one * 0, one, one * 0),
        "loop": nir.Linear(np.eye(2)),
        "out": nir.LI(one * 0.01, one * 10, one * 0),
        "output": nir.Output(np.array([2])),
    }
    edges = [("input", "A"), ("A", "loop"), ("loop", "A"), ("A", "out"), ("out", "output")]
    network = from_nir(nir.NIRGraph(nodes, edges), dt_ms=1)
    delays = {made.source: made.delay_steps.max() for layer in network.layers for made in layer.inputs}  # type: ignore[attr-defined]
    assert [layer.name for layer in network.layers] == ["a", "out"]
    assert delays == {"input": 0, "a": 0}
    assert {made.source: made.delay_steps.max() for made in network.layers[0].inputs} == {"a": 1, "input": 0}  # type: ignore[attr-defined]
