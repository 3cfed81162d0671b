"""From plain values to networks and what their training clips go through."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ranvier import network
from ranvier.corpora.splits import Splits
from ranvier.data import FrameDataset, SpikeDataset, Subset
from ranvier.data.augment import Augmentation
from ranvier.models import Recurrence, Stack, convolutional, detectors, feedforward, freeze, set_bits
from ranvier.nn import LIF, DelayConv2d, DelayLinear, Integrator, Trace
from ranvier.nn.decay import Learn
from ranvier.recipes.adaptation import adaptation
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.conversions import decay, recurrent_init_steps, sigma_steps, steps
from ranvier.recipes.neurons import neuron_class
from ranvier.recipes.sections import ConvolutionalModel, DetectorModel, FeedforwardModel


def build_model(config: Config, splits: Splits, generator: torch.Generator) -> Stack:
    """The recipe's network at the start of its training."""
    if isinstance(config.model, DetectorModel):
        return _detectors(config, config.model, splits.train.dataset, generator)
    if isinstance(config.model, ConvolutionalModel):
        return _convolutional(config, config.model, splits.train.dataset, generator)
    return _feedforward(config, config.model, splits.train.dataset, generator)


def _detectors(
    config: Config, model: DetectorModel, dataset: SpikeDataset | FrameDataset, generator: torch.Generator
) -> Stack:
    return detectors(
        dataset.sources,
        len(dataset.classes),
        _max_delay(config),
        decay=decay(config),
        readout_decay=decay(config, "model.readout_tau_ms"),
        vote=model.vote,
        neuron=partial(LIF, surrogate=model.surrogate, alpha=model.surrogate_alpha),
        learn_delay=model.delays == "learned",
        decoding=network.Decoding(tail_steps=steps(config, "model.tail_ms"), scores=model.scores),
        generator=generator,
    )


def _convolutional(
    config: Config, model: ConvolutionalModel, dataset: SpikeDataset | FrameDataset, generator: torch.Generator
) -> Stack:
    assert config.data.picture is not None  # as the recipe was checked
    neuron = partial(LIF, threshold=model.threshold, surrogate=model.surrogate, alpha=model.surrogate_alpha)
    learned, dense = model.delays == "learned", model.delays == "dense"
    return convolutional(
        dataset.sources,
        config.data.picture,
        model.hidden,
        len(dataset.classes),
        _max_delay(config),
        kernel_size=model.kernel_size,
        stride=model.stride,
        decay=decay(config),
        readout_decay=decay(config, "model.readout_tau_ms"),
        dropout=model.dropout,
        connection=partial(DelayConv2d, kernel=model.kernel, learn_delay=learned, dense_kernel=dense),
        neuron=neuron,
        readout=neuron if model.scores == "count" else None,
        decoding=network.Decoding(tail_steps=steps(config, "model.tail_ms"), scores=model.scores),
        generator=generator,
    )


def _feedforward(
    config: Config, model: FeedforwardModel, dataset: SpikeDataset | FrameDataset, generator: torch.Generator
) -> Stack:
    max_delay, tail = _max_delay(config), steps(config, "model.tail_ms")
    trace_decay = None if model.synapse_tau_ms is None else decay(config, "model.synapse_tau_ms")
    made = feedforward(
        dataset.sources,
        model.hidden,
        len(dataset.classes),
        max_delay,
        decay=decay(config),
        dropout=model.dropout,
        batch_norm=model.batch_norm,
        connection=_connection(config, model, max_delay),
        neuron=_neuron(config, model, generator),
        recurrence=_recurrence(config, model),
        trace=None if trace_decay is None else partial(Trace, trace_decay, learn_decay=model.learn_synapse_tau),
        drop_spikes=model.dropout_at == "spikes",
        skip=model.skip,
        readout=_readout(model),
        decoding=network.Decoding(tail_steps=tail, tail=model.tail, scores=model.scores),
        generator=generator,
    )
    if model.learn_sigma != "none":
        made.set_sigma(sigma_steps(config, 0))
    bits = model.weight_bits
    if bits != "none" or model.delay_bits is not None:
        set_bits(made, {"none": None, "8": 8, "4": 4, "ternary": "ternary"}[bits], model.delay_bits)
    return made


def _max_delay(config: Config) -> int:
    return 0 if config.model.delays == "none" else steps(config, "model.max_delay_ms")


def _connection(config: Config, model: FeedforwardModel, max_delay: int) -> Callable[..., DelayLinear]:
    """What makes the connections from layer to layer."""
    # beside recurrent delays there may be none from layer to layer
    learned = model.delays == "learned" and (max_delay > 0 or model.recurrent == "none")
    dense, longest_ms = model.delays == "dense", model.max_init_delay_ms
    return partial(
        DelayLinear,
        synapses_per_pair=max_delay + 1 if dense else model.synapses_per_pair,
        learn_delay=learned,
        delay_type=model.delay_type,
        fan_in=model.fan_in,
        dense_kernel=dense,
        max_init_delay=None if longest_ms is None else longest_ms / config.data.dt_ms,
        **_taps(model, learned),
    )


def _recurrence(config: Config, model: FeedforwardModel) -> Recurrence | None:
    """Recurrent connections; those without delays where the recipe has none."""
    if model.recurrent == "none":
        return None
    delay_type = "undelayed" if model.delays == "none" else model.recurrent
    learned = model.delays == "learned"
    return Recurrence(
        delay_type,
        max_init_delay=recurrent_init_steps(config, model),
        learn_delay=learned,
        dropout=model.recurrent_dropout,
        bias=not model.batch_norm,
        connection=partial(DelayLinear, **_taps(model, learned and delay_type != "undelayed")),
    )


def _taps(model: FeedforwardModel, learned: bool) -> dict[str, Any]:
    """Options of ``DelayLinear`` for all connections, whose delays are learned or not."""
    learn_sigma = learned and model.learn_sigma != "none" and model.learn_sigma
    taps = {"kernel": model.kernel, "init_delay": model.init_delay, "round_delay": model.round_delay}
    return {**taps, "learn_sigma": learn_sigma}


def _neuron(config: Config, model: FeedforwardModel, generator: torch.Generator) -> Callable[..., nn.Module]:
    """What makes the hidden neurons."""
    made = neuron_class(model.neuron)
    options: dict[str, Any] = {"surrogate": model.surrogate, "alpha": model.surrogate_alpha}
    if model.reset != "zero":
        options["reset"] = model.reset
    if model.learn_threshold != "none":
        options["learn_threshold"] = model.learn_threshold
    if model.neuron != "adlif":
        return partial(made, threshold=model.threshold, learn_decay=_learn_decay(model), **options)
    options |= adaptation(model, config.data.dt_ms)
    return lambda decay, neurons: made(neurons, model.threshold, generator=generator, **options)


def _readout(model: FeedforwardModel) -> Callable[..., nn.Module]:
    """What makes the output neurons; their threshold is not learned, as their weights say the same."""
    learn_decay = _learn_decay(model)
    if model.scores != "count":
        return partial(Integrator, learn_decay=learn_decay)
    options: dict[str, Any] = {"surrogate": model.surrogate, "alpha": model.surrogate_alpha, "reset": model.reset}
    return partial(LIF, threshold=model.threshold, learn_decay=learn_decay, **options)


def _learn_decay(model: FeedforwardModel) -> Learn:
    return model.learned_tau != "none" and model.learned_tau


def check_convolutions(config: Config, splits: Splits) -> None:
    """Refuse convolutions that could not be frozen or reported after the training.

    Raises:
        ConfigError: they are too large.
    """
    model = build_model(config, splits, torch.Generator())
    dataset, dt_ms = splits.train.dataset, config.data.dt_ms
    try:
        frozen = freeze(model, dt_ms=dt_ms, classes=dataset.classes, input=build_input(config))
        for layer in frozen.layers:
            for connection in layer.inputs:
                connection.check_listed()
    except network.NetworkError as error:
        raise ConfigError(f"model: is too large ({error})") from None


def build_class_weights(config: Config, train: Subset) -> Tensor | None:
    """What a clip of each class weighs in the cross entropy, float32 ``[class]``; None if all weigh the same.

    balanced: clips / (classes with clips * clips of the class), so that every class weighs the same in all, and a
    clip 1 in the mean; 0 for a class without training clips.
    """
    if config.train.class_weights == "none":
        return None
    labels = torch.from_numpy(train.dataset.labels[train.clips])
    counts = torch.bincount(labels, minlength=len(train.dataset.classes)).float()
    weights = len(train) / ((counts > 0).sum() * counts)
    return weights.where(counts > 0, 0.0)


def build_augmentation(config: Config) -> Augmentation | None:
    """What happens to training clips; None if nothing does."""
    augment = config.augment
    augmentation = Augmentation(
        blend_probability=augment.blend_probability,
        shift_channels=augment.shift_channels,
        shift_steps=steps(config, "augment.shift_ms"),
        keep_probability=augment.keep_probability,
        jitter_steps=augment.jitter_ms / config.data.dt_ms,
        channel_mask_probability=augment.channel_mask_probability,
        channel_mask_channels=augment.channel_mask_channels,
        time_mask_probability=augment.time_mask_probability,
        time_mask_steps=steps(config, "augment.time_mask_ms"),
        cut_mix_probability=augment.cut_mix_probability,
        cut_mix_share=augment.cut_mix_share,
    )
    return None if augmentation == Augmentation(cut_mix_share=augment.cut_mix_share) else augmentation


def build_input(config: Config) -> network.Input:
    """How raw events become the network's input."""
    grid = config.data.grid()
    return network.Input(grid.channels, grid.pool, grid.alignment)
