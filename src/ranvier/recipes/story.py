"""What a run is, told to somebody who knows nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.report import RunReport, in_words, part_phrase
from ranvier.network import Network
from ranvier.recipes.config import Config
from ranvier.recipes.pretrained import pretrained_names
from ranvier.recipes.sections import DetectorModel, FeedforwardModel

_TASKS = {
    "digits": "which digit is spoken, zero to nine in English and German; the speakers are synthetic voices",
    "coincidence": "in which order channels fire",
    "shd": "which digit is spoken, zero to nine in English and German (Spiking Heidelberg Digits)",
    "ssc": "which word is spoken (Spiking Speech Commands)",
    "gsc": "which word is spoken (Google Speech Commands)",
    "folder": "which class a recording belongs to",
}
_NO_TEST = {
    "shd": "There was no test file",
    "ssc": "There was no test file",
    "folder": "No clips were kept for a test",
}


def story(config: Config, report: RunReport) -> list[str]:
    """Of a run: the network, what it learned, and what it heard."""
    sentences = [" ".join(_network(config, report.network, finished=report.result is not None))]
    if config.train.start is not None:
        sentences.append(" ".join(_start(config.train.start, config.train.start_share, report)))
    if isinstance(config.model, FeedforwardModel):
        sentences += _memory(config.model, report.network)
    if (report.result or {}).get("clips"):
        sentences.append(" ".join(_clips(config, report)))
    return sentences


def _network(config: Config, network: Network | None, *, finished: bool) -> Iterator[str]:
    model, step = config.model, f"{config.data.dt_ms:g} ms"
    drawn = "they were drawn at random" if config.train.start is None else "the training found them"
    neurons = "one detector neuron per class" if isinstance(model, DetectorModel) else _layers(model.hidden)
    ends = "" if network is None else f", {network.input.sources} inputs and {len(network.classes)} classes"
    learns = "has learned" if finished else "is learning"
    yield f"A network of spiking neurons ({neurons}{ends}) {learns} to tell {_TASKS[config.data.kind]}."
    if isinstance(model, FeedforwardModel) and model.incoming is not None:
        sources = "one source" if model.incoming == 1 else f"{in_words(model.incoming)} sources"
        yield f"Each neuron has synapses from {sources} only, drawn at random before training."
    every = "every synapse of the detectors" if isinstance(model, DetectorModel) else "every synapse"
    yield {
        "learned": f"Besides the strength of {every} it learned its delay: how long a spike is on its way, "
        f"0 to {model.max_delay_ms:g} ms, in the finished network in whole steps of {step}.",
        "fixed": f"It learned the strength of {every}; their delays (how long a spike is on its way), "
        f"0 to {model.max_delay_ms:g} ms in steps of {step}, stayed as {drawn}.",
        "none": f"It learned the strength of {every}; there are no delays: a spike arrives at once.",
        "every": "Between two connected neurons there is a synapse for every delay (how long a spike is on its way), "
        f"0 to {model.max_delay_ms:g} ms in steps of {step}; it learned the strength of each.",
    }[model.delays]


def _start(run: str, share: float, report: RunReport) -> Iterator[str]:
    """Which network it had been before."""
    about = (report.result or {}).get("init_from")
    if run in pretrained_names():
        yield f"Its training did not begin at random but with the network {run}, which comes with Ranvier."
    else:
        which = run if about is None else f"recipe {about['recipe']}, {run}"
        yield f"Its training did not begin at random but with the finished network of another run ({which})."
    if about is not None:
        known, everything = len(about["classes"]), len(report.classes)
        if known == everything:
            yield "That network knew all of its classes, so their output neurons came along."
        else:
            which = f"{in_words(known)} of the {in_words(everything)} classes"
            yield f"Output neurons came along for {which}, the others' began at random."
    if share > 0:
        yield (
            f"What is kept is an average of both: {100 * share:g}% of that network, {100 * (1 - share):g}% of what "
            "became of it, in every weight and delay."
        )
    yield "What is said here of what it heard is of this training only."


def _clips(config: Config, report: RunReport) -> Iterator[str]:
    clips = (report.result or {})["clips"]
    passes = f"{config.train.epochs} times" if config.train.epochs > 1 else "once"
    yield f"It heard {clips['train']:,} training clips {passes}."
    if config.protocol == "paper":
        yield (
            f"The epoch that is kept is the one that did best on the {clips['test']:,} test clips themselves, as "
            "published, so its accuracy on them is optimistic."
        )
        return
    if clips.get("validation"):
        yield f"{_opened(part_phrase(report, 'validation', clips['validation']))} decided which of its epochs is kept."
    if clips.get("seen"):
        yield f"{_opened(part_phrase(report, 'seen', clips['seen']))} were set aside, only to measure on."
    if clips.get("test"):
        yield f"At the end it was tested once, on {part_phrase(report, 'test', clips['test'])}."
    else:
        yield f"{_NO_TEST.get(config.data.kind, 'There were no test clips')}, so no number here is a test result."


def _opened(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _memory(model: FeedforwardModel, network: Network | None) -> list[str]:
    """What is out of the ordinary about how its neurons and synapses remember."""

    def kept(decays: Sequence[NDArray[np.float32] | None]) -> str:
        shares = [f"{100 * float(decay[0]):.3g}%" for decay in decays if decay is not None]
        return f"{', '.join(shares[:-1])} and {shares[-1]}" if len(set(shares)) > 1 else shares[0]

    layers = [] if network is None else list(network.layers)
    sentences = []
    if model.neuron == "plif":
        end = f": in the end {kept([layer.decay for layer in layers])} from step to step" if layers else ""
        sentences.append(f"Each layer also learned how much of their voltage its neurons keep{end}.")
    if model.synapse_tau_ms is not None:
        how = "a share that each hidden layer learned" if model.learn_synapse_tau else "a fixed share"
        traces = [layer.synapse_decay for layer in layers[:-1]]
        end = f" ({kept(traces)})" if layers else ""
        sentences.append(
            "What a hidden neuron sends on is not its spikes but their trace: each spike adds one to it, and in every "
            f"step without a spike {how} of it is kept{end}."
        )
    return sentences


def _layers(sizes: Sequence[int]) -> str:
    if len(sizes) == 1:
        return f"one hidden layer of {sizes[0]:,} neurons"
    if len(set(sizes)) == 1:
        return f"{in_words(len(sizes))} hidden layers of {sizes[0]:,} neurons each"
    return f"hidden layers of {', '.join(f'{size:,}' for size in sizes)} neurons"
