"""The paper's feedforward network: delayed dense layer, batch norm, LIF, dropout; a delayed readout at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ranvier import network
from ranvier.nn import (
    LIF,
    ClipDropout,
    DelayLinear,
    DelayType,
    Readout,
    SequenceBatchNorm,
    SynapseFilter,
    class_scores,
    set_sigma,
)
from ranvier.nn.settings import Settings, WithSettings
from ranvier.ops.delay import Kernel
from ranvier.ops.inputs import clip_lengths, over_time
from ranvier.ops.normed_lif import normed_lif
from ranvier.ops.surrogate import Surrogate


class BlockState(NamedTuple):
    """What a block remembers between two stretches of a stream."""

    linear: Tensor
    neuron: Tensor
    synapse: Tensor | None = None


def computes_as(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module computes what ``kind`` does, without hooks: its equation may then run in a fused operator."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return isinstance(module, kind) and type(module).forward is kind.forward and not any(hooks)


def _current(linear: DelayLinear, x: Tensor) -> Tensor:
    current: Tensor = linear.current(x) if computes_as(linear, DelayLinear) else linear(x)[0]
    return current


class Block(nn.Module):
    """A hidden layer: delayed weights, batch normalisation, LIF neurons, a synapse filter if any, dropout.

    Dropout silences what the layer gives: spikes, or the traces of a synapse filter. With ``drop_spikes`` it silences
    the spikes before the filter, which then counts those that are left as 1 / (1 - p) (the official DCLS-Delays code).
    """

    def __init__(
        self,
        linear: DelayLinear,
        norm: SequenceBatchNorm | None,
        neuron: LIF,
        dropout: float,
        synapse: SynapseFilter | None = None,
        *,
        drop_spikes: bool = False,
    ) -> None:
        super().__init__()
        self.linear, self.norm, self.neuron, self.synapse = linear, norm, neuron, synapse
        self.dropout = ClipDropout(dropout)
        self.drop_spikes = drop_spikes or synapse is None

    def forward(self, x: Tensor, state: BlockState | None = None) -> tuple[Tensor, BlockState]:
        """What the next layer hears ``[time, batch, out]`` of ``x [time, batch, in]``, a stretch of a stream."""
        current, past = self.linear(x, None if state is None else state.linear)
        spikes, voltage = self.neuron(self._normed(current), None if state is None else state.neuron)
        if self.drop_spikes:
            spikes = self.dropout(spikes)
        trace = None
        if self.synapse is not None:
            spikes, trace = self.synapse(spikes, None if state is None else state.synapse)
        return spikes if self.drop_spikes else self.dropout(spikes), BlockState(past, voltage, trace)

    def clips(self, x: Tensor, steps: Tensor) -> Tensor:
        """Spikes of whole clips; ``steps [batch]`` as in :class:`SequenceBatchNorm`.

        Dropout has been at them, unless it comes after a filter.
        """
        current = _current(self.linear, x)
        norm, neuron = self.norm, self.neuron
        parts = ((norm, SequenceBatchNorm), (neuron, LIF), (self.dropout, ClipDropout))
        fused = norm is not None and norm.training
        if norm is None or not fused or not all(computes_as(part, kind) for part, kind in parts if part is not None):
            spikes: Tensor = neuron(current if norm is None else norm(current, steps))[0]
            return self.dropout(spikes) if self.drop_spikes else spikes
        spikes, mean, variance = normed_lif(
            current,
            steps,
            norm.weight,
            norm.bias,
            neuron.decay,
            neuron.threshold,
            self.dropout.mask(current) if self.drop_spikes else current.new_ones(current.shape[1:]),
            eps=norm.eps,
            surrogate=neuron.surrogate,
            alpha=neuron.alpha,
        )
        norm.follow(mean, variance, steps.sum())
        return spikes

    def heard(self, spikes: Tensor) -> Tensor:
        """What the next layer hears of what :meth:`clips` gave."""
        if self.synapse is not None:
            spikes, _ = self.synapse(spikes)
        return spikes if self.drop_spikes else self.dropout(spikes)

    def _normed(self, current: Tensor) -> Tensor:
        if self.norm is not None:
            current = self.norm(current)
        return current


class Feedforward(WithSettings):
    """Hidden blocks and a readout. Build one with :func:`feedforward`."""

    defined_by: ClassVar[Settings] = {"ending.tail_steps": (), "ending.tail": get_args(network.Tail)}

    def __init__(self, blocks: Sequence[Block], linear: DelayLinear, readout: Readout, ending: network.Readout) -> None:
        super().__init__()
        self.blocks, self.linear, self.readout, self.ending = nn.ModuleList(blocks), linear, readout, ending

    @property
    def hidden(self) -> list[Block]:
        """The hidden layers, from input on.

        Raises:
            TypeError: one of ``blocks`` is no :class:`Block`, or only its ``forward`` is its own.
        """
        for number, block in enumerate(self.blocks):
            own = type(block).forward is not Block.forward and getattr(type(block), "clips", None) is Block.clips
            if own or not isinstance(block, Block):
                raise TypeError(
                    f"blocks.{number}: {type(block).__name__} is not allowed (Block; a subclass with a forward of its "
                    "own needs clips of its own; ranvier.models.Stack runs any modules)"
                )
        return cast(list[Block], list(self.blocks))

    @property
    def delay_layers(self) -> list[DelayLinear]:
        """Every layer with delays, from input to readout."""
        return [module for module in self.modules() if isinstance(module, DelayLinear)]

    def set_sigma(self, sigma: float) -> None:
        """Set the width of every layer's tap, in steps; see :func:`ranvier.nn.set_sigma`."""
        set_sigma(self, sigma)

    def clamp_delay(self) -> None:
        """Bring every delay back into its range, after a change by other means than one of torch's optimisers."""
        for layer in self.delay_layers:
            layer.clamp_delay()

    def parameter_count(self) -> int:
        """Everything that is learned: weights, delays and batch norm, as the paper counts."""
        layers = self.delay_layers
        counted = {id(parameter) for layer in layers for parameter in layer.parameters()}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in counted]
        return sum(layer.parameter_count() for layer in layers) + sum(p.numel() for p in others)

    def forward(self, x: Tensor, state: Sequence[BlockState] | None = None) -> tuple[Tensor, list[BlockState]]:
        """Voltages of a stretch of a stream.

        Args:
            x: ``[time, batch, source]``.
            state: what the call before returned; None starts from silence.

        Returns:
            Voltages ``[time, batch, class]`` of the readout, and the state for the next stretch.

        Raises:
            ValueError: a shape or a type does not fit.
        """
        if state is not None and len(state) != len(self.blocks) + 1:
            raise ValueError(f"state: of {len(state)} layers is not allowed ({len(self.blocks) + 1} layers)")
        after = []
        for number, block in enumerate(self.blocks):
            x, block_state = block(x, None if state is None else state[number])
            after.append(block_state)
        last = None if state is None else state[len(self.blocks)]
        current, past = self.linear(x, None if last is None else last.linear)
        voltage, membrane = self.readout(current, None if last is None else last.neuron)
        return voltage, [*after, BlockState(past, membrane)]

    def record(self, x: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Run whole clips, each with its tail.

        Args:
            x: ``[time, batch, source]``, silent from each clip's length on.
            lengths: ``[batch]``, steps of each clip, whole numbers in [0, time].

        Returns:
            Spikes ``[time, batch, neuron]`` of every hidden layer (before a synapse filter, if there is one), and
            voltages ``[time, batch, class]``. Steps after ``ending.steps(length, layer)`` mean nothing.

        Raises:
            ValueError: a shape, a type or a length does not fit.
            TypeError: see :attr:`hidden`.
        """
        rasters: list[Tensor] = []
        return rasters, self._run(*self._checked(x, lengths), rasters.append)

    def _checked(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        first = self.delay_layers[0]
        x = over_time("x", x, first.weight, "source", first.in_features)
        return x, clip_lengths("lengths", torch.full(x.shape[1:2], len(x)) if lengths is None else lengths, x)

    def _run(self, x: Tensor, lengths: Tensor, keep: Callable[[Tensor], None] | None = None) -> Tensor:
        """Voltages of whole clips; the hidden layers' spikes go to ``keep``, and else are not held on to."""
        for number, block in enumerate(self.hidden):
            x, steps = self._extend(x, lengths, number)
            spikes = block.clips(x, steps)
            if keep is not None:
                keep(spikes)
            x = block.heard(spikes)
        x, _ = self._extend(x, lengths, len(self.blocks))
        voltage: Tensor = self.readout(_current(self.linear, x))[0]
        return voltage

    def _extend(self, x: Tensor, lengths: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """``x`` with the silence that layer number ``layer`` adds, and the steps that each clip has there."""
        per_layer = self.ending.tail == "per_layer"
        if per_layer and layer > 0:
            heard = lengths + layer * self.ending.tail_steps
            x = x * (torch.arange(len(x), device=x.device).unsqueeze(-1) < heard).unsqueeze(-1)
        if per_layer or layer == 0:
            x = F.pad(x, (0, 0, 0, 0, 0, self.ending.tail_steps))
        extra = self.ending.tail_steps * (layer + 1 if per_layer else 1)
        return x, lengths + extra

    def scores(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Class scores ``[batch, class]`` of whole clips; arguments as :meth:`record`, lengths None = all of ``x``."""
        x, lengths = self._checked(x, lengths)
        voltage = self._run(x, lengths)
        extra = self.ending.steps(0, len(self.blocks))
        return class_scores(voltage, lengths + extra)


def feedforward(
    sources: int,
    hidden: Sequence[int],
    classes: int,
    max_delay: int,
    *,
    decay: float,
    branches: int = 1,
    threshold: float = 1.0,
    dropout: float = 0.0,
    batch_norm: bool = True,
    surrogate: Surrogate = "arctan",
    alpha: float = 5.0,
    kernel: Kernel = "gaussian",
    learn_delay: bool = True,
    delay_type: DelayType = "synaptic",
    incoming: int | None = None,
    every_delay: bool = False,
    learn_decay: bool = False,
    synapse_decay: float | None = None,
    learn_synapse_decay: bool = False,
    drop_spikes: bool = False,
    max_init_delay: float | None = None,
    ending: network.Readout | None = None,
    generator: torch.Generator | None = None,
) -> Feedforward:
    """Build the paper's network.

    SHD ``feedforward(140, [256, 256], 20, 24, decay=0.005, dropout=0.4)``;
    SSC ``feedforward(140, [512, 512], 35, 30, decay=1/3, dropout=0.25)``; GSC-35 the same.

    Args:
        sources: input lines.
        hidden: neurons of each hidden layer.
        classes: output neurons.
        max_delay: longest delay in steps, >= 0; 0 = no delays.
        decay: share of the voltage kept per step, in [0, 1]; within (0, 1) if learned.
        branches: synapses per pair (the paper's kernel count).
        threshold: of the hidden neurons, > 0.
        dropout: share of hidden neurons silenced for a clip in training, in [0, 1).
        batch_norm: normalise the hidden layers' currents; without it they have a learned bias.
        surrogate, alpha: see :func:`ranvier.ops.surrogate.spike`.
        kernel, learn_delay, delay_type, incoming, every_delay, max_init_delay: see :class:`ranvier.nn.DelayLinear`.
        learn_decay: learn the decay of every layer, one number each, the readout's too (PLIF).
        synapse_decay: share that the hidden layers' synapses keep of a spike's trace, in [0, 1]; within (0, 1) if
            learned; see :class:`ranvier.nn.SynapseFilter`. None means plain spikes.
        learn_synapse_decay: learn it, one number for each hidden layer.
        drop_spikes: dropout comes before the synapse filter, not after it; see :class:`Block`.
        ending: what follows a clip; None means one silence of ``max_delay // 2`` steps per layer, all at its end.
        generator: randomness of the start; None takes torch's own.

    Returns:
        A :class:`Feedforward` in training mode.

    Raises:
        ValueError: an argument is out of range.

    Source: arXiv 2306.17670, section 4.
    """
    if learn_synapse_decay and synapse_decay is None:
        raise ValueError("learn_synapse_decay: True is not allowed without synapse_decay, where it starts")
    if ending is None:
        ending = network.Readout(tail_steps=(len(hidden) + 1) * (max_delay // 2))

    def linear(inputs: int, outputs: int, bias: bool) -> DelayLinear:
        return DelayLinear(
            inputs,
            outputs,
            max_delay,
            branches=branches,
            kernel=kernel,
            learn_delay=learn_delay,
            delay_type=delay_type,
            bias=bias,
            incoming=incoming,
            every_delay=every_delay,
            max_init_delay=max_init_delay,
            generator=generator,
        )

    blocks = []
    for inputs, outputs in zip([sources, *hidden], hidden, strict=False):
        norm = SequenceBatchNorm(outputs) if batch_norm else None
        neuron = LIF(decay, threshold, surrogate=surrogate, alpha=alpha, learn_decay=learn_decay)
        synapse = None if synapse_decay is None else SynapseFilter(synapse_decay, learn_decay=learn_synapse_decay)
        inward = linear(inputs, outputs, bias=not batch_norm)
        blocks.append(Block(inward, norm, neuron, dropout, synapse, drop_spikes=drop_spikes))
    last = linear([sources, *hidden][-1], classes, bias=False)
    return Feedforward(blocks, last, Readout(decay, learn_decay=learn_decay), ending)
