"""From plain values to networks and what their training clips go through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ranvier import network
from ranvier.corpora.splits import Splits
from ranvier.data import Subset
from ranvier.data.augment import Augmentation
from ranvier.models import Recurrence, Stack, convolutional, detectors, feedforward, freeze, set_bits
from ranvier.recipes.adaptation import adaptation
from ranvier.recipes.config import Config, ConfigError
from ranvier.recipes.conversions import decay, recurrent_init_steps, sigma_steps, steps
from ranvier.recipes.neurons import neuron_class
from ranvier.recipes.sections import ConvolutionalModel, DetectorModel, FeedforwardModel


def build_model(config: Config, splits: Splits, generator: torch.Generator) -> Stack:
    """The recipe's network at the start of its training."""
    model, dataset = config.model, splits.train.dataset
    max_delay = 0 if model.delays == "none" else steps(config, "model.max_delay_ms")
    tail = steps(config, "model.tail_ms")
    if isinstance(model, DetectorModel):
        return detectors(
            dataset.sources,
            len(dataset.classes),
            max_delay,
            decay=decay(config),
            readout_decay=decay(config, "model.readout_tau_ms"),
            vote=model.vote,
            surrogate=model.surrogate,
            alpha=model.surrogate_alpha,
            learn_delay=model.delays == "learned",
            decoding=network.Decoding(tail_steps=tail, scores=model.scores),
            generator=generator,
        )
    if isinstance(model, ConvolutionalModel):
        assert config.data.picture is not None  # as the recipe was checked
        return convolutional(
            dataset.sources,
            config.data.picture,
            model.hidden,
            len(dataset.classes),
            max_delay,
            kernel_size=model.kernel_size,
            stride=model.stride,
            decay=decay(config),
            readout_decay=decay(config, "model.readout_tau_ms"),
            threshold=model.threshold,
            dropout=model.dropout,
            surrogate=model.surrogate,
            alpha=model.surrogate_alpha,
            kernel=model.kernel,
            learn_delay=model.delays == "learned",
            dense_kernel=model.delays == "dense",
            decoding=network.Decoding(tail_steps=tail, scores=model.scores),
            generator=generator,
        )
    made = feedforward(
        dataset.sources,
        model.hidden,
        len(dataset.classes),
        max_delay,
        decay=decay(config),
        synapses_per_pair=max_delay + 1 if model.delays == "dense" else model.synapses_per_pair,
        threshold=model.threshold,
        dropout=model.dropout,
        surrogate=model.surrogate,
        alpha=model.surrogate_alpha,
        kernel=model.kernel,
        # beside recurrent delays there may be none from layer to layer
        learn_delay=model.delays == "learned" and (max_delay > 0 or model.recurrent == "none"),
        delay_type=model.delay_type,
        fan_in=model.fan_in,
        dense_kernel=model.delays == "dense",
        neuron=_neuron(config, model, generator),
        batch_norm=model.batch_norm,
        learn_decay=model.learned_tau != "none" and model.learned_tau,
        reset=model.reset,
        learn_threshold=model.learn_threshold != "none" and model.learn_threshold,
        synapse_decay=None if model.synapse_tau_ms is None else decay(config, "model.synapse_tau_ms"),
        learn_synapse_decay=model.learn_synapse_tau,
        drop_spikes=model.dropout_at == "spikes",
        max_init_delay=None if model.max_init_delay_ms is None else model.max_init_delay_ms / config.data.dt_ms,
        recurrence=_recurrence(config, model),
        skip=model.skip,
        init_delay=model.init_delay,
        round_delay=model.round_delay,
        learn_sigma=model.learn_sigma != "none" and model.learn_sigma,
        decoding=network.Decoding(tail_steps=tail, tail=model.tail, scores=model.scores),
        generator=generator,
    )
    if model.learn_sigma != "none":
        made.set_sigma(sigma_steps(config, 0))
    bits = model.weight_bits
    if bits != "none" or model.delay_bits is not None:
        set_bits(made, {"none": None, "8": 8, "4": 4, "ternary": "ternary"}[bits], model.delay_bits)
    return made


def _recurrence(config: Config, model: FeedforwardModel) -> Recurrence | None:
    """Recurrent connections; those without delays where the recipe has none."""
    if model.recurrent == "none":
        return None
    return Recurrence(
        "undelayed" if model.delays == "none" else model.recurrent,
        max_init_delay=recurrent_init_steps(config, model),
        learn_delay=model.delays == "learned",
        dropout=model.recurrent_dropout,
        bias=not model.batch_norm,
    )


def _neuron(config: Config, model: FeedforwardModel, generator: torch.Generator) -> Callable[..., nn.Module]:
    """What makes the hidden neurons."""
    made = neuron_class(model.neuron)
    if model.neuron != "adlif":
        return made
    options = adaptation(model, config.data.dt_ms)

    def adaptive(decay: float, threshold: float, *, neurons: int, learn_decay: bool, **others: Any) -> nn.Module:
        return made(neurons, threshold, generator=generator, **options, **others)

    return adaptive


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
