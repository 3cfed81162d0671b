"""ONNX as an export target: a model of one time step, or of whole clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.export.onnx.graph import IR_VERSION, OPSET, Graph, Value, state_values
from ranvier.export.onnx.step import EVENTS, NEXT, SCORES, Step
from ranvier.export.parts import check_known
from ranvier.export.target import ExportError, Target, needed
from ranvier.files import write_atomically
from ranvier.network import Network

if TYPE_CHECKING:
    import onnx

_RUNNING = "running"


def to_onnx(network: Network, *, whole_clip: bool = False) -> onnx.ModelProto:
    """A network as an ONNX model, opset 17.

    Inputs and outputs of a time step:

    - ``events [source]``: size of each source's event, 0 for none: float32, or uint8 for an integer network.
    - ``LAYER.current``, ``LAYER.voltage``, where there are such ``LAYER.adaptation``, ``LAYER.fired`` (forward Euler)
      and ``LAYER.trace``, and ``scores``: the state; :func:`onnx_state` has it before a clip. Each comes out as
      ``NAME.next``, to be given back in the next time step.
    - ``LAYER.spikes [target]``, bool, of each layer that spikes. The voltages of the classes are
      ``READOUT.voltage.next``.

    Of a whole clip, which runs the same time step after time step in a ``Scan``, with the tail:

    - ``events [time, source]``.
    - ``LAYER.spikes [time + tail, target]``, ``voltage [time + tail, class]`` (not of a readout that spikes),
      ``scores [class]``.

    Metadata: ``classes`` (a JSON list), ``dt_ms``, ``tail_steps``. After a clip, a model of one time step has to be run
    ``tail_steps`` times without events.

    A float network sums in float32, in another order than the engine: a voltage within about 1e-5 of its threshold may
    spike otherwise. An integer network gives the same integers everywhere.

    Args:
        network: of dense connections and convolutions, LIF neurons (hard or soft reset, integer or adaptive), and
            traces.
        whole_clip: a model of whole clips.

    Raises:
        ExportError: the model cannot say a part of the network, the message names it; or onnx is not installed.
    """
    needed("onnx", "onnx")
    check_known(network)
    return _whole_clip(network) if whole_clip else _one_step(network)


def onnx_state(network: Network) -> dict[str, NDArray[Any]]:
    """The state before a clip, by name of its input, as a model of one time step takes it: zeros, but for the scores of
    ``Decoding(scores="max")``, which are the lowest float32."""
    return state_values(Step(network, Graph()).state())


def _one_step(network: Network) -> onnx.ModelProto:
    if _per_layer(network):
        raise ExportError("decoding.tail", "per_layer", "clip; or a model of whole clips")
    step = Step(network, Graph())
    step.add()
    after = [Value(value.name + NEXT, value.dtype, value.shape, value.words) for value in step.state()]
    return _model(network, step.graph, [step.events(), *step.state()], [*step.spikes(), *after])


def _whole_clip(network: Network) -> onnx.ModelProto:
    helper = needed("onnx.helper", "onnx")
    step, body, graph = Step(network, Graph()), _body(network), Graph("clip.")
    graph.constants = body.graph.constants  # seen from within
    begin = [graph.constant(zeros, f"{name}.before") for name, zeros in state_values(step.state()).items()]
    tail = _tail_steps(network)
    scanned = [EVENTS]
    if tail:
        silence = graph.constant(np.zeros((tail, network.sources), step.events().dtype), "tail")
        scanned = [graph.node("Concat", EVENTS, silence, axis=0)]
    if body.running:
        scanned.append(_running(network, graph, scanned[0]))
    after = [value.name if value.name == SCORES else f"{value.name}.end" for value in step.state()]
    made = step.spikes()
    if not network.layers[-1].spikes:
        made.append(Value("voltage", step.number, (len(network.classes),), "of the classes"))
    inner = _inner(body)
    outputs = [*after, *(value.name for value in made)]
    scan = helper.make_node("Scan", [*begin, *scanned], outputs, body=inner, num_scan_inputs=len(scanned))
    graph.nodes.append(scan)
    clip = Value(EVENTS, step.events().dtype, ("time", network.sources), step.events().words)
    shown = [Value(v.name, v.dtype, ("steps", *v.shape), v.words.replace("this", "each")) for v in made]
    return _model(network, graph, [clip], [*shown, step.state()[-1]])


def _body(network: Network) -> Step:
    """The time step within a clip."""
    step = Step(network, Graph("step."), "step.", _RUNNING if _per_layer(network) else "")
    step.add()
    return step


def _inner(body: Step) -> Any:
    """The graph of a time step within a clip: state and events in, state, spikes and voltages out."""
    helper = needed("onnx.helper", "onnx")
    layers = body.network.layers
    given = [*body.state(), body.events()]
    if body.running:
        given.append(Value(body.running, np.bool_, (len(layers),)))
    after = [Value(value.name + NEXT, value.dtype, value.shape) for value in body.state()]
    made = [*after, *body.spikes()]
    if not layers[-1].spikes:
        voltage = body.graph.node("Identity", body.name(layers[-1], "voltage") + NEXT)
        made.append(Value(voltage, body.number, (layers[-1].targets,)))
    infos = [[value.info() for value in values] for values in (given, made)]
    return helper.make_graph(body.graph.nodes, "time_step", *infos)


def _running(network: Network, graph: Graph, padded: str) -> str:
    """Which layers have not ended, ``[time, layer]``: layer n ends with the clip and n + 1 tails."""
    tail, layers = network.decoding.tail_steps, len(network.layers)
    total = graph.node("Gather", graph.node("Shape", padded), graph.constant(np.int64(0)))
    t = graph.node("Range", graph.constant(np.int64(0)), total, graph.constant(np.int64(1)))
    before_end = graph.constant(tail * (layers - 1 - np.arange(layers, dtype=np.int64)), "tails_left")
    return graph.node("Less", graph.node("Unsqueeze", t, graph.integers(1)), graph.node("Sub", total, before_end))


def _per_layer(network: Network) -> bool:
    """Whether layers end at different time steps."""
    decoding = network.decoding
    return decoding.tail == "per_layer" and decoding.tail_steps > 0 and len(network.layers) > 1


def _tail_steps(network: Network) -> int:
    """Until the readout ends."""
    return network.decoding.steps(0, len(network.layers) - 1)


def _model(network: Network, graph: Graph, inputs: list[Value], outputs: list[Value]) -> onnx.ModelProto:
    helper = needed("onnx.helper", "onnx")
    made = helper.make_graph(
        graph.nodes, "ranvier", [v.info() for v in inputs], [v.info() for v in outputs], graph.initializers()
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(made, opset_imports=opset, ir_version=IR_VERSION, producer_name="ranvier")
    tail = _tail_steps(network)
    facts = {"classes": json.dumps(network.classes), "dt_ms": repr(network.dt_ms), "tail_steps": str(tail)}
    helper.set_model_props(model, facts)
    return model  # type: ignore[no-any-return]


def _write(network: Network, path: Path, *, whole_clip: bool) -> None:
    content = to_onnx(network, whole_clip=whole_clip).SerializeToString()
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_step(network: Network, path: Path) -> None:
    """Write the model of one time step; raises as :func:`to_onnx`."""
    _write(network, path, whole_clip=False)


def write_clip(network: Network, path: Path) -> None:
    """Write the model of whole clips; raises as :func:`to_onnx`."""
    _write(network, path, whole_clip=True)


TARGET = Target("onnx", "an ONNX model of one time step, with its state as inputs and outputs", ".onnx", write_step)
