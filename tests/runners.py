"""Every way to run a frozen network, each as a function of a network and dense clips ``[time, source]``.

Each returns what a network did with every clip, or raises ``ExportError`` with the place that it cannot run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engine import Engine, Run
from ranvier.engine.scores import ONE
from ranvier.network import Network

Clips = list[NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a network did with a clip.

    Attributes:
        spikes: per layer that spikes, in order, ``[spike, 2]``: time step and neuron.
        voltage: of a readout that does not, ``[time, class]``, in the network's units; None where it is not told.
        scores: ``[class]``; shares of an integer network as whole numbers, :data:`ONE` for 1; None where they are not
            told.
    """

    spikes: list[NDArray[Any]]
    voltage: NDArray[Any] | None
    scores: NDArray[Any] | None


def by_engine(network: Network, clips: Clips) -> list[Outcome]:
    engine = Engine(network)
    return [_outcome(network, run) for run in engine.run_many([(clip, len(clip)) for clip in clips])]


def by_stream(network: Network, clips: Clips) -> list[Outcome]:
    """In packets of random lengths, with the state moved into another stream between some."""
    generator, engine, made = np.random.default_rng(0), Engine(network), []
    for clip in clips:
        stream, at, parts = engine.stream(), 0, []
        while at < len(clip):
            steps = int(generator.choice([1, 2, 7, 300]))
            parts.append(stream.push(clip[at : at + steps]))
            at += steps
            if generator.random() < 0.3:
                state = stream.state()
                stream = engine.stream()
                stream.restore(state)
        parts.append(stream.finish())
        spikes = [np.concatenate([part.spikes[n] for part in parts]) for n in range(len(network.layers) - 1)]
        voltage = np.concatenate([part.voltage for part in parts])
        run = Run(tuple(spikes), voltage, parts[-1].scores, parts[-1].prediction)
        made.append(_outcome(network, run))
    return made


def by_nir(network: Network, clips: Clips) -> list[Outcome]:
    """Written as a NIR graph, read back and run by the engine."""
    from ranvier.export import from_nir, to_nir

    return by_engine(from_nir(to_nir(network)), clips)


def by_onnx_steps(network: Network, clips: Clips) -> list[Outcome]:
    from tests.export.test_onnx import session, stepped

    loaded = session(network)
    return [_of_onnx(network, stepped(network, clip, loaded)) for clip in clips]


def by_onnx_scan(network: Network, clips: Clips) -> list[Outcome]:
    from tests.export.test_onnx import events, run, session

    loaded = session(network, whole_clip=True)
    return [_of_onnx(network, run(loaded, {"events": events(network, clip)})) for clip in clips]


def by_c(network: Network, clips: Clips) -> list[Outcome]:
    """Compiled by gcc with its sanitizers."""
    from tests.export.c_program import run_here

    with tempfile.TemporaryDirectory() as folder:
        printed = run_here(network, clips, Path(folder))
    made = []
    for each in printed.clips:
        spikes = [np.array(layer, np.int64).reshape(-1, 2) for layer in each.spikes]
        made.append(Outcome(spikes, _scaled(network, each.voltage), each.scores))
    return made


def by_nest(network: Network, clips: Clips) -> list[Outcome]:
    from ranvier.export import nest_script
    from ranvier.export.nest import nest_arrays

    arrays, made = nest_arrays(network), []
    for clip in clips:
        found = nest_script.run(arrays, clip)
        spikes = [found[layer.name] for layer in network.layers if layer.spikes]
        made.append(Outcome(spikes, found.get("voltage"), None))
    return made


RUNNERS: dict[str, Callable[[Network, Clips], list[Outcome]]] = {
    "engine": by_engine,
    "stream": by_stream,
    "nir": by_nir,
    "onnx step": by_onnx_steps,
    "onnx scan": by_onnx_scan,
    "c": by_c,
    "nest": by_nest,
}


def _outcome(network: Network, run: Run) -> Outcome:
    if not network.layers[-1].spikes:
        return Outcome(list(run.spikes), run.voltage, _scores(network, run.scores))
    assert np.isin(run.voltage, (0, 1)).all()
    return Outcome([*run.spikes, np.argwhere(run.voltage)], None, run.scores)


def _scores(network: Network, scores: NDArray[Any]) -> NDArray[Any]:
    return scores * ONE if network.integer else scores


def _of_onnx(network: Network, outputs: dict[str, NDArray[Any]]) -> Outcome:
    spikes = [np.argwhere(outputs[f"{layer.name}.spikes"]) for layer in network.layers if layer.spikes]
    return Outcome(spikes, _scaled(network, outputs.get("voltage")), outputs["scores"])


def _scaled(network: Network, voltage: NDArray[Any] | None) -> NDArray[Any] | None:
    """A readout's integers in the network's units; None of one that spikes."""
    if voltage is None or network.layers[-1].spikes:
        return None
    exponent = getattr(network.layers[-1].neuron, "scale_exponent", 0)
    scaled: NDArray[Any] = voltage * 2.0**exponent
    return scaled
