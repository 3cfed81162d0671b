"""A run in a few sentences."""

from __future__ import annotations

from ranvier.network import Network
from ranvier.recipes.config import Config
from ranvier.recipes.sections import ConvolutionalModel, DetectorModel, FeedforwardModel
from ranvier.runs import RunResult

_DELAYS = {
    "learned": "learned weights and delays of 0 to {longest:g} ms",
    "fixed": "learned weights and random delays of 0 to {longest:g} ms that are not learned",
    "none": "learned weights and no delays",
    "dense": "a learned weight at every delay of 0 to {longest:g} ms",
}


def describe_run(config: Config, result: RunResult | None, network: Network | None) -> list[str]:
    """What was trained, on what, and from where it started.

    Args:
        config: of the run.
        result: None while it is not finished.
        network: the frozen network; None where there is none.
    """
    model = config.model
    neurons = "one detector per class" if isinstance(model, DetectorModel) else ", ".join(map(str, model.hidden))
    if isinstance(model, ConvolutionalModel):
        neurons = f"convolutions of {neurons} channels, kernels of {model.kernel_size} x {model.kernel_size}"
    ends = "" if network is None else f"{network.input.sources} inputs, {len(network.classes)} classes, "
    delays = _DELAYS[model.delays].format(longest=model.max_delay_ms)
    if model.max_delay_ms == 0:
        delays = "learned weights and no delays from layer to layer"
    sentences = [
        f"{config.summary[:1].upper()}{config.summary[1:].rstrip('.')}.",
        f"Spiking network: {ends}hidden neurons: {neurons}; {delays}, in steps of {config.data.dt_ms:g} ms"
        f"{_neurons(config)}{_wiring(config)}.",
    ]
    if result is not None and result.init_from is not None:
        init = result.init_from
        share = f", averaged with it at the end ({100 * init.interpolation:g}% of it)" if init.interpolation else ""
        known = f"output neurons of {len(init.classes)} classes taken over"
        sentences.append(f"Initialised from {init.run} ({init.recipe}), {known}{share}.")
    if result is not None and result.clips:
        counts = [f"{count:,} {split}" for split, count in result.clips.items() if count]
        sentences.append(f"Clips: {', '.join(counts)}.")
    return sentences


def _wiring(config: Config) -> str:
    """What the training does with synapses."""
    train, share = config.train, f"{100 * config.train.density:.3g}%"
    ways = {"magnitude": "smallest weights", "delay": "longest delays", "joint": "smallest weights per step of delay"}
    if train.prune != "none":
        return f"; pruned to {share} of each layer's synapses, the {ways[train.prune]} first"
    way = {
        "none": "",
        "random": "; at random {} of each layer's synapses",
        "rigl": "; {} of each layer's synapses, rewired",
    }
    return way[train.rewire].format(share)


def _neurons(config: Config) -> str:
    """What is out of the ordinary about the neurons and synapses."""
    model = config.model
    if not isinstance(model, FeedforwardModel):
        return ""
    parts = []
    if model.skip != "none":
        parts.append("skip connections from " + ("the input" if model.skip == "input" else "all earlier layers"))
    if model.recurrent != "none":
        delayed = (
            f"{model.recurrent} delays" if model.recurrent != "undelayed" and model.delays != "none" else "no delays"
        )
        parts.append(f"recurrent connections with {delayed}")
    if model.fan_in is not None:
        parts.append(f"{model.fan_in} sources per neuron")
    each = {"layer": "", "neuron": " of every neuron"}
    if model.learned_tau != "none":
        parts.append(f"learned membrane time constants{each[model.learned_tau]}")
    if model.learn_threshold != "none":
        parts.append(f"learned thresholds{each[model.learn_threshold]}")
    if model.learn_sigma != "none":
        parts.append(f"learned widths of taps{' of every delay' if model.learn_sigma == 'synapse' else ''}")
    if model.reset == "subtract":
        parts.append("soft reset")
    if model.neuron == "adlif":
        parts.append("adaptive neurons")
    if model.synapse_tau_ms is not None:
        parts.append(f"synaptic traces ({'learned' if model.learn_synapse_tau else f'{model.synapse_tau_ms:g} ms'})")
    return "".join(f"; {part}" for part in parts)
